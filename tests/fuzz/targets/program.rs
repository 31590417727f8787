//! Programs in VRL: each is refused, or makes JSON of any record, filters it or rejects it.

use runner_core::testing::record;

use crate::env::{TestEnv, values};

/// Compiles everything before the first line `---` as a program and as a condition, and runs both on
/// the lines after it, one body per line.
pub fn program(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (program, bodies) = text.split_once("\n---\n").unwrap_or((&text, "{}"));
    let bodies: Vec<&str> = bodies.lines().collect();
    let env = TestEnv::new();
    env.write("program.vrl", program);
    let remap = "type = \"remap\"\ninputs = [\"rows\"]\nfile = \"program.vrl\"\n";
    if let Some((lines, _)) = through(&env, remap, &bodies) {
        // Every line is JSON.
        values(&lines);
    }
    let condition = serde_json::to_string(&program.replace('$', "$$")).expect("a string");
    let filter = format!("type = \"filter\"\ninputs = [\"rows\"]\ncondition = {condition}\n");
    if let Some((lines, n_rejected)) = through(&env, &filter, &bodies) {
        assert!(lines.len() + n_rejected <= bodies.len());
    }
}

/// The output lines and the number of rejected records; `None` if the program is refused.
fn through(env: &TestEnv, transform: &str, bodies: &[&str]) -> Option<(Vec<Vec<u8>>, usize)> {
    env.remove(&["out.jsonl", "state"]);
    let file = format!(
        "[sources.rows]\ntype = \"csv\"\npath = \"none.csv\"\n[transforms.shape]\n{transform}\
         [sinks.out]\ntype = \"file\"\ninputs = [\"shape\"]\npath = \"out.jsonl\"\n"
    );
    if let Err(errors) = env.load(&file) {
        // Every error can be shown.
        errors.render(false);
        return None;
    }
    let records = bodies.iter().zip(0..).map(|(&body, n)| record(body, n)).collect();
    let (report, n_rejected) = env.run_fed(&file, "shape", records);
    assert!(report.failure.is_none(), "{report:?}");
    Some((env.lines("out.jsonl"), n_rejected))
}
