//! Checkpoints: resumed from, or refused with an error that names the file.

use crate::env::{TO_JSON_LINES, TestEnv};

const ROWS: &str = "Index,Close\nA,1.5\nB,2.5\nC,3.5\nD,4.5\nE,5.5\n";
const SOURCE: &str = "[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n";

/// Resumes from any bytes as the checkpoint of a CSV file of five rows.
///
/// The words `FOLDER` and `MODIFIED` are replaced by the folder of the file and the time of its last write.
pub fn checkpoint(data: &[u8]) {
    let env = TestEnv::new();
    let path = env.write("rows.csv", ROWS);
    let written = std::fs::metadata(&path).and_then(|metadata| metadata.modified()).expect("its time");
    let modified = written.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos();
    let folder = path.parent().expect("a folder").display().to_string();
    let text =
        String::from_utf8_lossy(data).replace("FOLDER", &folder).replace("MODIFIED", &modified.to_string());
    let file = env.write("state/rows.json", if text.contains(&folder) { text.as_bytes() } else { data });
    // Showing it may fail, but must not panic.
    drop(runner_core::checkpoints(&env.path("state")));

    let report = env.run(&format!("{SOURCE}{TO_JSON_LINES}"));
    let out = env.lines("out.jsonl");
    let expected = ROWS.lines().skip(1).map(|row| {
        let (index, close) = row.split_once(',').expect("two cells");
        (index.to_owned(), close.to_owned())
    });
    let expected: Vec<_> = expected.collect();
    if let Some(failure) = &report.failure {
        let message = format!("{:#}", failure.error());
        let names_it = message.contains(&file.display().to_string()) || message.contains("rows.csv");
        assert!(names_it || message.contains("checkpoint"), "the error does not name the file: {message}");
        return;
    }
    // The remaining rows, unchanged: no other row, and no gap.
    assert!(out.len() <= expected.len(), "{out:?}");
    for (line, (index, close)) in out.iter().zip(&expected[expected.len() - out.len()..]) {
        let line = String::from_utf8_lossy(line);
        assert!(line.contains(index.as_str()) && line.contains(close.as_str()), "{line} for {index},{close}");
    }
}
