//! CSV files: each row arrives or is rejected, in one run or in several runs alike, in any dialect.

use std::time::{Duration, SystemTime};

use crate::env::{TO_JSON_LINES, TestEnv, values};

const DEAD_LETTER: &str = "[dead_letter]\ntype = \"file\"\npath = \"rejected.jsonl\"\n";
const SOURCE: &str = "type = \"csv\"\npath = \"rows.csv\"\n";
/// Three rows per run.
const LIMIT: &str = "[transforms.rows]\ntype = \"limit\"\nrecords = 3\ninputs = [\"all\"]\n";
/// The length of the data picks one of them.
const DIALECTS: [&str; 9] = [
    "",
    "",
    "quote = \"'\"\ntrim = true",
    "quote = \"\"\nextra_cells = \"drop\"\nmissing_cells = \"null\"",
    "escape = \"\\\\\"\nnull_values = [\"\\\\N\"]",
    "comment = \"#\"\ntrim = true\nskip_lines = 1",
    "delimiter = \";\"\ndecimal = \",\"\nthousands = \".\"",
    "encoding = \"utf-16le\"\nextra_cells = \"drop\"",
    "encoding = \"shift_jis\"\nmissing_cells = \"null\"",
];

/// Reads any bytes as a CSV file: in one run, and three rows per run.
pub fn csv(data: &[u8]) {
    let env = TestEnv::new();
    // A file that was just written may still be growing.
    let path = env.write("rows.csv", data);
    let file = std::fs::File::options().append(true).open(path).expect("the file");
    file.set_modified(SystemTime::now() - Duration::from_mins(1)).expect("setting the time");
    let source = format!("{SOURCE}{}\n", DIALECTS[data.len() % DIALECTS.len()]);
    let report = env.run(&format!("{DEAD_LETTER}[sources.rows]\n{source}{TO_JSON_LINES}"));
    let (out, rejected) = (env.lines("out.jsonl"), env.lines("rejected.jsonl"));
    values(&rejected);
    for row in values(&out) {
        assert!(row.is_object(), "{row}");
    }
    if let Some(error) = report.failure.as_ref().map(runner_core::Failure::error) {
        assert!(format!("{error:#}").contains("rows.csv"), "the error does not name the file: {error:#}");
    } else {
        let source = &report.components[0];
        assert_eq!(source.counts.records_out, out.len() as u64, "accepted rows");
        assert_eq!(source.counts.rejected, rejected.len() as u64, "rejected rows");
    }

    env.remove(&["out.jsonl", "rejected.jsonl", "state"]);
    let (some, mut n_before) =
        (format!("{DEAD_LETTER}[sources.all]\n{source}{LIMIT}{TO_JSON_LINES}"), usize::MAX);
    loop {
        let ended = env.run(&some);
        let n_lines = env.lines("out.jsonl").len();
        assert_eq!(ended.failure.is_some(), report.failure.is_some() && n_lines == out.len(), "{ended:?}");
        if n_lines == n_before || ended.failure.is_some() {
            break;
        }
        n_before = n_lines;
    }
    assert_eq!(env.lines("out.jsonl"), out, "several runs read other rows than one run");
}
