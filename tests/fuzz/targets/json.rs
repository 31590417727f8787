//! Bodies that may be JSON: each becomes the same JSON on one line, without a byte order mark, or is rejected.

use runner_core::testing::record;
use serde::de::IgnoredAny;

use crate::env::TestEnv;

/// Sends any bytes, one body per line, through `to_json`: with unchanged keys, and in snake case.
pub fn json(data: &[u8]) {
    let env = TestEnv::new();
    let Ok(text) = std::str::from_utf8(data) else { return };
    let bodies: Vec<&str> = text.split('\n').collect();
    let is_json = |body: &&str| serde_json::from_str::<IgnoredAny>(body).is_ok();
    let unmarked = bodies.iter().map(|body| body.strip_prefix('\u{feff}').unwrap_or(body));
    let compact: Vec<Vec<u8>> = unmarked.filter(is_json).map(compact).collect();
    assert_eq!(through(&env, "as_is", &bodies), compact);

    let renamed = through(&env, "snake_case", &bodies);
    assert!(renamed.len() <= compact.len());
    let lines: Vec<&str> = renamed.iter().map(|line| std::str::from_utf8(line).expect("text")).collect();
    let lines: Vec<&str> = lines.iter().map(|line| line.trim_end_matches('\n')).collect();
    assert_eq!(through(&env, "snake_case", &lines), renamed, "renaming must be idempotent");
}

/// The output lines; all other bodies must have been rejected.
fn through(env: &TestEnv, keys: &str, bodies: &[&str]) -> Vec<Vec<u8>> {
    env.remove(&["out.jsonl", "state"]);
    let file = format!(
        "[sources.rows]\ntype = \"csv\"\npath = \"none.csv\"\n\
         [transforms.json]\ntype = \"to_json\"\ninputs = [\"rows\"]\nkeys = \"{keys}\"\nobjects = false\n\
         [sinks.out]\ntype = \"file\"\ninputs = [\"json\"]\npath = \"out.jsonl\"\n"
    );
    let (report, n_rejected) =
        env.run_fed(&file, "json", bodies.iter().zip(0..).map(|(&body, n)| record(body, n)).collect());
    assert!(report.failure.is_none(), "{report:?}");
    let lines = env.lines("out.jsonl");
    assert_eq!(lines.len() + n_rejected, bodies.len(), "{report:?}");
    lines
}

/// JSON without whitespace between its tokens, as a line.
fn compact(json: &str) -> Vec<u8> {
    let (mut line, mut is_text, mut is_escaped) = (Vec::new(), false, false);
    for byte in json.bytes() {
        if is_text || !byte.is_ascii_whitespace() {
            line.push(byte);
        }
        is_text ^= byte == b'"' && !is_escaped;
        is_escaped = is_text && byte == b'\\' && !is_escaped;
    }
    line.push(b'\n');
    line
}
