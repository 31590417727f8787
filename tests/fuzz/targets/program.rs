//! Programs in VRL: each is refused, or makes JSON of any record, filters it or rejects it.

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
    if let Some((lines, _)) = env.shape(remap, &bodies) {
        // Every line is JSON.
        values(&lines);
    }
    let condition = serde_json::to_string(&program.replace("${", "$${")).expect("a string");
    let filter = format!("type = \"filter\"\ninputs = [\"rows\"]\ncondition = {condition}\n");
    if let Some((lines, n_rejected)) = env.shape(&filter, &bodies) {
        assert!(lines.len() + n_rejected <= bodies.len());
    }
}
