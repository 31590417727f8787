//! Bad records: the exit code without `[dead_letter]`, and what the log shows of them.

use std::fmt::Write as _;

use serde_json::Value;

use crate::support::TestEnv;

const SOURCE: &str = "[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\ntypes = { n = \"integer\" }\n";
const LETTERS: &str = "[dead_letter]\ntype = \"file\"\npath = \"letters.jsonl\"\n";

/// A pipeline whose source and transform reject records with personal data.
fn env_with(rows: &str, transforms: &str, input: &str, dead_letter: &str) -> TestEnv {
    let env = TestEnv::new();
    env.write("rows.csv", rows);
    let sink = format!("[sinks.out]\ntype = \"null\"\ninputs = [\"{input}\"]\n");
    env.write("p.toml", format!("{SOURCE}{transforms}{sink}{dead_letter}"));
    env
}

#[test]
fn bad_record_without_dead_letter_exits_65_without_its_value() {
    let env = env_with("n\n1\nSSN 123-45-6789\n", "", "rows", "");
    let outcome = env.run(["run", "p.toml", "--report", "report.json"]);
    outcome.assert_code(65).assert_says(&["rows.csv:3:1: column `n` is an integer", "[dead_letter]"]);
    let report = env.read("report.json");
    for text in [&outcome.stderr, &outcome.stdout, &report] {
        assert!(!text.contains("6789"), "{text}");
    }
}

#[test]
fn log_has_reason_and_place_of_rejects_and_the_letter_has_the_value() {
    let env = env_with("n\n1\nSSN 123-45-6789\n2\n", "", "rows", LETTERS);
    let outcome = env.run(["run", "p.toml"]);
    outcome
        .assert_code(0)
        .assert_says(&["entry 1 from rows.csv/0/1", "rows.csv:3:1: column `n` is an integer"]);
    assert!(!outcome.stderr.contains("6789"), "{}", outcome.stderr);
    let letter: Value = serde_json::from_str(&env.read("letters.jsonl")).expect("a letter");
    assert!(letter["body"].as_str().is_some_and(|body| body.contains("SSN 123-45-6789")), "{letter}");
}

#[test]
fn body_that_is_not_json_is_not_logged() {
    let env = TestEnv::new();
    env.write("rows.csv", "n\n1\n");
    let letter = r#"{"version":1,"reason":"r","pipeline":"p","component":"json","time":"2026-01-01T00:00:00Z","origin":{"stream":"t","lane":0,"offset":0},"entry":null,"source":null,"body":"SSN 123-45-6789"}"#;
    env.write("letters.jsonl", format!("{letter}\n"));
    let transform = "[transforms.json]\ntype = \"to_json\"\ninputs = [\"rows\"]\n";
    let sink = "[sinks.out]\ntype = \"null\"\ninputs = [\"json\"]\n";
    env.write("p.toml", format!("{SOURCE}{transform}{sink}"));
    let outcome = env.run(["dlq", "replay", "letters.jsonl", "--pipeline", "p.toml"]);
    outcome.assert_code(0).assert_says(&["the body is not JSON"]);
    assert!(!outcome.stderr.contains("6789"), "{}", outcome.stderr);
    assert!(env.read("letters.jsonl").contains("it begins with"), "{}", env.read("letters.jsonl"));
}

#[test]
fn repeated_warnings_are_counted() {
    let mut rows = "n\n".to_owned();
    for n in 0..50_000 {
        writeln!(rows, "bad {n}").expect("writing to a string");
    }
    let env = env_with(&rows, "", "rows", LETTERS);
    for format in ["text", "json"] {
        let outcome = env.run(["run", "p.toml", "--from-start", "--log-format", format]);
        outcome.assert_code(0).assert_says(&["is a bad record", "more warnings of this kind"]);
        let n_lines = outcome.stderr.lines().count();
        assert!(n_lines < 40, "{n_lines} lines for one cause:\n{}", outcome.stderr);
    }
}

#[test]
fn dead_letters_on_a_console_that_is_not_a_terminal_are_warned_of() {
    let env = env_with("n\n1\nx\n", "", "rows", "[dead_letter]\ntype = \"console\"\n");
    let outcome = env.run(["run", "p.toml"]);
    outcome
        .assert_code(0)
        .assert_says(&["WARN", "dead letters go to the standard output, which is not a terminal"]);
    let env = env_with("n\n1\nx\n", "", "rows", LETTERS);
    assert!(!env.run(["run", "p.toml"]).stderr.contains("not a terminal"));
}

#[test]
fn errors_of_a_pipeline_file_are_json_lines_with_log_format_json() {
    let env = TestEnv::new();
    env.write("p.toml", "[sources.rows]\ntype = \"csv\"\npth = \"rows.csv\"\n[sinks.out]\ntype = \"null\"\n");
    for verb in ["validate", "run"] {
        let outcome = env.run([verb, "p.toml", "--log-format", "json"]);
        outcome.assert_code(78);
        let lines: Vec<Value> =
            outcome.stderr.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect();
        assert!(lines.len() >= 2, "{}", outcome.stderr);
        let unknown = lines.iter().find(|line| line["line"] == 3).expect("the unknown option");
        assert_eq!((&unknown["level"], &unknown["file"]), (&"ERROR".into(), &"p.toml".into()));
        assert!(unknown["message"].as_str().is_some_and(|message| message.contains("pth")), "{unknown}");
    }
}
