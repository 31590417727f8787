//! `dedupe`: the first of equal rows passes, in one run and in several runs alike.

use serde_json::Value;

use crate::env::{TO_JSON_LINES, TestEnv, values};

const SOURCE: &str = "[dead_letter]\ntype = \"file\"\npath = \"rejected.jsonl\"\n[sources.all]\ntype = \"csv\"\n\
    path = \"rows.csv\"\nheader = false\ncolumns = [\"a\", \"b\"]\ntypes = { a = \"string\", b = \"string\" }\n\
    quote = \"\"\nextra_cells = \"drop\"\nmissing_cells = \"null\"\n";
const LIMIT: &str = "[transforms.some]\ntype = \"limit\"\nrecords = 3\ninputs = [\"all\"]\n";
/// More rows take too many runs.
const MAX_ROWS: usize = 60;

/// Reads any bytes as rows and compares what passes with a plain list of what was met.
pub fn dedupe(data: &[u8]) {
    let env = TestEnv::new();
    // A last row without a line end is not read while the file may be growing.
    env.write("rows.csv", [data, b"\n"].concat());
    let report = env.run(&format!("{SOURCE}{}", TO_JSON_LINES.replace("\"rows\"", "\"all\"")));
    let lines = env.lines("out.jsonl");
    if report.failure.is_some() || lines.len() > MAX_ROWS {
        return;
    }
    let cache = [1, 3, 5_000][data.len() % 3];
    let is_whole = data.len().is_multiple_of(2);
    let keys = values(&lines).into_iter().map(|row| if is_whole { row } else { row["a"].clone() });
    let mut met: Vec<Value> = Vec::new();
    let mut expected = Vec::new();
    for (line, key) in lines.iter().zip(keys) {
        if !met.contains(&key) {
            expected.push(line.clone());
        }
        met.retain(|it| *it != key);
        met.push(key);
        met.drain(..met.len().saturating_sub(cache));
    }

    let fields = if is_whole { "" } else { "fields = [\"a\"]\n" };
    let dedupe = |input: &str| {
        format!(
            "[transforms.rows]\ntype = \"dedupe\"\ncache = {cache}\ninputs = [\"{input}\"]\n{fields}{TO_JSON_LINES}"
        )
    };
    env.remove(&["out.jsonl", "rejected.jsonl", "state"]);
    assert!(env.run(&format!("{SOURCE}{}", dedupe("all"))).failure.is_none());
    assert_eq!(env.lines("out.jsonl"), expected, "in one run");

    env.remove(&["out.jsonl", "rejected.jsonl", "state"]);
    for _ in 0..lines.len() / 3 + 2 {
        assert!(env.run(&format!("{SOURCE}{LIMIT}{}", dedupe("some"))).failure.is_none());
    }
    assert_eq!(env.lines("out.jsonl"), expected, "three rows a run");
}
