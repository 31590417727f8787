//! CSV files: each row arrives or is rejected, in one run or in several runs alike.

use crate::env::{TO_JSON_LINES, TestEnv, values};

const DEAD_LETTER: &str = "[dead_letter]\ntype = \"file\"\npath = \"rejected.jsonl\"\n";
const ALL: &str = "[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n";
/// Three rows per run.
const SOME: &str = r#"
[sources.all]
type = "csv"
path = "rows.csv"

[transforms.rows]
type = "limit"
records = 3
inputs = ["all"]
"#;

/// Reads any bytes as a CSV file: in one run, and three rows per run.
pub fn csv(data: &[u8]) {
    let env = TestEnv::new();
    env.write("rows.csv", data);
    let report = env.run(&format!("{DEAD_LETTER}{ALL}{TO_JSON_LINES}"));
    let (out, rejected) = (env.lines("out.jsonl"), env.lines("rejected.jsonl"));
    values(&rejected);
    for row in values(&out) {
        assert!(row.is_object(), "{row}");
    }
    if let Some(error) = report.failure.as_ref().map(runner_core::Failure::error) {
        assert!(format!("{error:#}").contains("rows.csv"), "the error does not name the file: {error:#}");
    } else {
        let source = &report.components[0];
        assert_eq!(source.records_out, out.len() as u64, "accepted rows");
        assert_eq!(source.rejected, rejected.len() as u64, "rejected rows");
    }

    env.remove(&["out.jsonl", "rejected.jsonl", "state"]);
    let (some, mut n_before) = (format!("{DEAD_LETTER}{SOME}{TO_JSON_LINES}"), usize::MAX);
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
