//! The `csv` source in the dialects of other programs, and on many files.

use serde_json::Value;

use super::{append, env, out, run, set_options};

#[test]
fn export_of_a_program_is_read_with_options() {
    let text = "Report \u{e4}\r\n# made today\r\nTag ;Kurs ;Aktiv\r\n31.12.2024; 1.234,50 ;ja\r\n01.01.2025;;nein;\r\nx;1;y\r\n";
    let latin: Vec<u8> = text.chars().map(|char| char as u8).collect();
    let env = env(
        latin,
        "delimiter = \";\"\ndecimal = \",\"\nthousands = \".\"\nskip_lines = 1\ncomment = \"#\"\ntrim = true\n\
         encoding = \"windows-1252\"\nextra_cells = \"drop\"\ncolumns = [\"day\", \"price\", \"active\"]\n\
         types = { day = { type = \"date\", parse = \"%d.%m.%Y\" }, price = \"float\" }",
    );
    let pipeline = env.read("p.toml");
    env.write("p.toml", pipeline + "[dead_letter]\ntype = \"file\"\npath = \"dead.jsonl\"\n");
    run(&env).assert_code(0);
    assert_eq!(
        out(&env),
        [
            r#"{"day":"2024-12-31","price":1234.50,"active":"ja"}"#,
            r#"{"day":"2025-01-01","price":null,"active":"nein"}"#,
        ]
    );
    let letter: Value = serde_json::from_str(env.read("dead.jsonl").trim_end()).expect("one letter");
    let reason = letter["reason"].as_str().expect("a reason");
    assert!(
        reason.contains(
            "rows.csv:6:1: column `day` is a date in the form `%d.%m.%Y` (declared in the pipeline file)"
        ),
        "{reason}"
    );
}

#[test]
fn title_before_the_header_ends_the_run_with_a_question() {
    let env = env("Prices of 2024\nid,price\n1,2\n2,3\n", "");
    run(&env).assert_code(1).assert_says(&[
        "rows.csv:1: the header row has 1 cells, and most rows have 2 or so: is this line the header?",
        "skip_lines = 1",
        "comment = \"#\"",
    ]);
    set_options(&env, "path = \"rows.csv\"\nskip_lines = 1");
    run(&env).assert_code(0);
    assert_eq!(out(&env), [r#"{"id":1,"price":2}"#, r#"{"id":2,"price":3}"#]);
}

#[test]
fn types_follow_the_options_between_two_runs() {
    let env = env("s;n\nx;1,5\n", "delimiter = \";\"");
    run(&env).assert_code(0);
    append(&env, "rows.csv", "y;2,5\n");
    set_options(&env, "path = \"rows.csv\"\ndelimiter = \";\"\ndecimal = \",\"");
    run(&env)
        .assert_code(0)
        .assert_says(&["`decimal` changed since the last run", "n float instead of string"]);
    assert_eq!(out(&env), [r#"{"s":"x","n":"1,5"}"#, r#"{"s":"y","n":2.5}"#]);
}

#[test]
fn date_with_a_time_of_day_ends_the_run_with_a_fix() {
    let env = env("d\n2024-01-02\n2024-01-03 10:00:00\n", "types = { d = \"date\" }");
    run(&env).assert_code(65).assert_says(&["rows.csv:3:1:", "would lose", "types = { d = \"timestamp\" }"]);
    set_options(&env, "path = \"rows.csv\"\ntypes = { d = \"timestamp\" }");
    run(&env).assert_code(0);
    assert_eq!(out(&env), [r#"{"d":"2024-01-02"}"#, r#"{"d":"2024-01-03 10:00:00.000"}"#]);
}

#[test]
fn many_files_take_time_in_proportion() {
    let seconds = |n_files: u32| {
        let env = env("", "");
        for n in 0..n_files {
            env.write(format!("data/{n:05}.csv"), format!("n\n{n}\n"));
        }
        set_options(&env, "path = \"data/*.csv\"");
        let started = std::time::Instant::now();
        run(&env).assert_code(0);
        let seconds = started.elapsed().as_secs_f64();
        assert_eq!(out(&env).len(), n_files as usize);
        seconds
    };
    // Eight times as many files: time that grows with the square would be 64 times as long. Other tests run at the
    // same time, so one slow try proves nothing.
    let mut tries = (0..3).map(|_| (seconds(500), seconds(4_000)));
    let is_linear = tries.any(|(few, many)| many < 24.0 * few.max(0.2));
    assert!(is_linear, "4,000 files took more than 24 times as long as 500, three times in a row");
}
