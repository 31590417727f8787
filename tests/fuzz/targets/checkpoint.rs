//! Checkpoints: read, or refused with what to do; never taken for what they are not.

use crate::scene::{Scene, TO_JSON_LINES};

const ROWS: &str = "Index,Close\nA,1.5\nB,2.5\nC,3.5\nD,4.5\nE,5.5\n";
const SOURCE: &str = "[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n";

/// Goes on from any bytes as the checkpoint of a CSV file of five rows.
///
/// The words `FOLDER` and `MODIFIED` stand for where the file lies and when it was written.
pub fn checkpoint(data: &[u8]) {
    let scene = Scene::new();
    let path = scene.write("rows.csv", ROWS);
    let written = std::fs::metadata(&path).and_then(|metadata| metadata.modified()).expect("its time");
    let modified = written.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos();
    let folder = path.parent().expect("a folder").display().to_string();
    let text =
        String::from_utf8_lossy(data).replace("FOLDER", &folder).replace("MODIFIED", &modified.to_string());
    let file = scene.write("state/rows.json", if text.contains(&folder) { text.as_bytes() } else { data });
    // Showing it is to tell or to refuse.
    drop(runner_core::checkpoints(&scene.path("state")));

    let report = scene.run(&format!("{SOURCE}{TO_JSON_LINES}"));
    let out = scene.lines("out.jsonl");
    let expected = ROWS.lines().skip(1).map(|row| {
        let (index, close) = row.split_once(',').expect("two cells");
        (index.to_owned(), close.to_owned())
    });
    let expected: Vec<_> = expected.collect();
    if let Some(error) = &report.error {
        let said = format!("{error:#}");
        let names_it = said.contains(&file.display().to_string()) || said.contains("rows.csv");
        assert!(names_it || said.contains("checkpoint"), "where is it? {said}");
        return;
    }
    // The rest of the rows, as they are: nothing that is not in the file, and no row in the middle missing.
    assert!(out.len() <= expected.len(), "{out:?}");
    for (line, (index, close)) in out.iter().zip(&expected[expected.len() - out.len()..]) {
        let line = String::from_utf8_lossy(line);
        assert!(line.contains(index.as_str()) && line.contains(close.as_str()), "{line} for {index},{close}");
    }
}
