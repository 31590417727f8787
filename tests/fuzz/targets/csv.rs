//! CSV files: each row arrives or is refused, whole or in pieces alike.

use crate::scene::{Scene, TO_JSON_LINES, values};

const DEAD_LETTER: &str = "[dead_letter]\ntype = \"file\"\npath = \"rejected.jsonl\"\n";
const ALL: &str = "[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n";
/// Three rows a run.
const SOME: &str = r#"
[sources.all]
type = "csv"
path = "rows.csv"

[transforms.rows]
type = "limit"
records = 3
inputs = ["all"]
"#;

/// Reads any bytes as a CSV file: at once, and three rows at a time.
pub fn csv(data: &[u8]) {
    let scene = Scene::new();
    scene.write("rows.csv", data);
    let report = scene.run(&format!("{DEAD_LETTER}{ALL}{TO_JSON_LINES}"));
    let (out, rejected) = (scene.lines("out.jsonl"), scene.lines("rejected.jsonl"));
    values(&rejected);
    for row in values(&out) {
        assert!(row.is_object(), "{row}");
    }
    if let Some(error) = &report.error {
        assert!(format!("{error:#}").contains("rows.csv"), "where is it? {error:#}");
    } else {
        let source = &report.components[0];
        assert_eq!(source.records_out, out.len() as u64, "rows that became records");
        assert_eq!(source.rejected, rejected.len() as u64, "rows that did not");
    }

    scene.remove(&["out.jsonl", "rejected.jsonl", "state"]);
    let (some, mut n_before) = (format!("{DEAD_LETTER}{SOME}{TO_JSON_LINES}"), usize::MAX);
    loop {
        let ended = scene.run(&some);
        let n_lines = scene.lines("out.jsonl").len();
        assert_eq!(ended.error.is_some(), report.error.is_some() && n_lines == out.len(), "{ended:?}");
        if n_lines == n_before || ended.error.is_some() {
            break;
        }
        n_before = n_lines;
    }
    assert_eq!(scene.lines("out.jsonl"), out, "in pieces it is another file");
}
