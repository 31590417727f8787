//! CSV files: each row arrives or is refused, whole or in pieces alike.

use crate::bench::{Bench, values};

const TOP: &str = r#"
[dead_letter]
type = "file"
path = "rejected.jsonl"

[sources.rows]
type = "csv"
path = "rows.csv"
"#;
const ALL: &str = r#"
[transforms.json]
type = "to_json"
inputs = ["rows"]

[sinks.out]
type = "file"
inputs = ["json"]
path = "out.jsonl"
"#;
const SOME: &str = r#"
[transforms.some]
type = "limit"
records = 3
inputs = ["rows"]

[transforms.json]
type = "to_json"
inputs = ["some"]

[sinks.out]
type = "file"
inputs = ["json"]
path = "out.jsonl"
"#;

/// Reads any bytes as a CSV file: at once, and three rows at a time.
pub fn csv(data: &[u8]) {
    let bench = Bench::new();
    bench.write("rows.csv", data);
    let report = bench.run(&format!("{TOP}{ALL}"));
    let (out, rejected) = (bench.lines("out.jsonl"), bench.lines("rejected.jsonl"));
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

    bench.remove(&["out.jsonl", "rejected.jsonl", "state"]);
    let (some, mut n_before) = (format!("{TOP}{SOME}"), usize::MAX);
    loop {
        let ended = bench.run(&some);
        let n_lines = bench.lines("out.jsonl").len();
        assert_eq!(ended.error.is_some(), report.error.is_some() && n_lines == out.len(), "{ended:?}");
        if n_lines == n_before || ended.error.is_some() {
            break;
        }
        n_before = n_lines;
    }
    assert_eq!(bench.lines("out.jsonl"), out, "in pieces it is another file");
}
