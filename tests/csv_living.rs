//! The `csv` source on files that live, in dialects, and on standard input.

use std::io::Write as _;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::csv::{append, env, out, run, set_options};
use crate::support::wait_until;

const AT_MOST: Duration = Duration::from_secs(60);

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
fn standard_input_is_read_as_it_comes() {
    let env = env("", "");
    set_options(&env, "path = \"-\"");
    let (running, mut stdin) = env.start_with_stdin(["run", "p.toml"]);
    stdin.write_all(b"id,v\n1,a\n2,b\n3").expect("writing");
    wait_until("the first rows arrive", AT_MOST, || out(&env).len() == 2);
    stdin.write_all(b",c\n4,d").expect("writing");
    drop(stdin);
    running.wait(AT_MOST).assert_code(0);
    let rows =
        [(1, "a"), (2, "b"), (3, "c"), (4, "d")].map(|(id, v)| format!("{{\"id\":{id},\"v\":\"{v}\"}}"));
    assert_eq!(out(&env), rows);
}

#[test]
fn standard_input_has_one_reader() {
    let env = env("", "");
    set_options(&env, "path = \"-\"");
    let second =
        "[sources.more]\ntype = \"csv\"\npath = \"-\"\n[sinks.rest]\ntype = \"null\"\ninputs = [\"more\"]\n";
    env.write("p.toml", env.read("p.toml") + second);
    // The first reader waits for rows until the second one has failed.
    let (running, _open) = env.start_with_stdin(["run", "p.toml"]);
    running.wait(AT_MOST).assert_code(1).assert_says(&["another source of this run reads it"]);
}

#[test]
fn waiting_for_standard_input_can_be_stopped() {
    let env = env("", "");
    set_options(&env, "path = \"-\"");
    for arguments in [&["run", "p.toml", "--for", "1s"][..], &["run", "p.toml", "--for", "1s", "--dry-run"]] {
        let (running, _open) = env.start_with_stdin(arguments);
        running.wait(AT_MOST).assert_code(0);
    }
}

#[test]
fn stop_delivers_what_was_read_of_standard_input() {
    let env = env("", "");
    for (rate, drain_timeout, is_lost) in [(20, "60s", false), (1, "1s", true)] {
        let pipeline = format!(
            "[sources.rows]\ntype = \"csv\"\npath = \"-\"\n\
             [transforms.slow]\ntype = \"throttle\"\ninputs = [\"rows\"]\nrate = {rate}\n\
             [transforms.json]\ntype = \"to_json\"\ninputs = [\"slow\"]\n\
             [sinks.out]\ntype = \"file\"\ninputs = [\"json\"]\npath = \"out.{rate}.jsonl\"\n"
        );
        env.write("p.toml", pipeline);
        let out = env.path(format!("out.{rate}.jsonl"));
        let n_out = || std::fs::read_to_string(&out).unwrap_or_default().lines().count();
        let (running, mut stdin) = env.start_with_stdin(["run", "p.toml", "--drain-timeout", drain_timeout]);
        let rows: String = (0..60).map(|id| format!("{id}\n")).collect();
        stdin.write_all(format!("id\n{rows}61").as_bytes()).expect("writing");
        wait_until("the first row arrives", AT_MOST, || n_out() > 0);
        running.signal(Signal::SIGTERM);
        let said = running.wait(AT_MOST).stderr;
        drop(stdin);
        let says_lost = said.contains(" records that were read were not delivered and are lost");
        assert_eq!((n_out() == 60, says_lost), (!is_lost, is_lost), "{said}");
        assert!(said.contains("has no line end where the stop has ended the reading: it is lost"), "{said}");
        assert!(!said.contains("will be read again"), "{said}");
    }
}

#[test]
fn followed_file_is_read_across_rotation_and_kill() {
    let env = env("id\n1\n", "follow = true");
    let child = env.start(["run", "p.toml"]);
    wait_until("the first row arrives", AT_MOST, || out(&env).len() == 1);
    append(&env, "rows.csv", "2\n3");
    wait_until("the second row arrives", AT_MOST, || out(&env).len() == 2);
    append(&env, "rows.csv", "3\n");
    std::fs::rename(env.path("rows.csv"), env.path("rows.csv.1")).expect("renaming");
    env.write("rows.csv", "id\n4\n");
    wait_until("rows of both files arrive", AT_MOST, || out(&env).len() == 4);
    // The checkpoint is written once a second.
    wait_until("the checkpoint is written", AT_MOST, || {
        env.run(["checkpoint", "show", "p.toml"]).stdout.contains("rows.csv.1")
    });
    child.signal(Signal::SIGKILL);
    drop(child);
    append(&env, "rows.csv", "5\n");
    std::fs::rename(env.path("rows.csv.1"), env.path("rows.csv.2")).expect("renaming");
    std::fs::rename(env.path("rows.csv"), env.path("rows.csv.1")).expect("renaming");
    env.write("rows.csv", "id\n6\n");
    let child = env.start(["run", "p.toml"]);
    wait_until("the last row arrives", AT_MOST, || out(&env).contains(&r#"{"id":6}"#.to_owned()));
    child.stop();
    let mut ids: Vec<String> = out(&env);
    ids.dedup();
    let expected = [1, 2, 33, 4, 5, 6].map(|id| format!("{{\"id\":{id}}}"));
    assert_eq!(ids, expected, "only rows in flight at the kill may come again");
}

#[test]
fn followed_file_without_rows_is_read_after_kill_and_rotation() {
    let env = env("id\n", "follow = true");
    let child = env.start(["run", "p.toml"]);
    wait_until("the checkpoint is written", AT_MOST, || {
        env.run(["checkpoint", "show", "p.toml"]).stdout.contains("rows.csv")
    });
    child.signal(Signal::SIGKILL);
    drop(child);
    append(&env, "rows.csv", "1\n");
    std::fs::rename(env.path("rows.csv"), env.path("rows.csv.1")).expect("renaming");
    env.write("rows.csv", "id\n2\n");
    let child = env.start(["run", "p.toml"]);
    wait_until("both rows arrive", AT_MOST, || out(&env).len() == 2);
    child.stop();
    assert_eq!(out(&env), [r#"{"id":1}"#, r#"{"id":2}"#]);
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

#[test]
fn rows_of_a_file_that_is_replaced_while_it_is_read_are_all_stored() {
    const N_ROWS: usize = 16_000;
    let rows: String = (0..N_ROWS).map(|n| format!("{n}\n")).collect();
    let env = env(format!("id\n{rows}"), "");
    let throttle = "[transforms.slow]\ntype = \"throttle\"\ninputs = [\"rows\"]\nrate = 2000\n";
    env.write("p.toml", env.read("p.toml").replace("[\"rows\"]", "[\"slow\"]") + throttle);
    let child = env.start(["run", "p.toml", "--drain-timeout", "1s"]);
    wait_until("the first rows arrive", AT_MOST, || out(&env).len() > 100);
    env.write("new.csv", "id\n-1\n");
    std::fs::rename(env.path("new.csv"), env.path("rows.csv")).expect("replacing the file");
    let said = format!(
        "rows.csv was replaced by another file while it was read; all rows of the old file were read up to line {}",
        N_ROWS + 1
    );
    child.wait(AT_MOST).assert_code(1).assert_says(&[&said]);
    let expected: Vec<String> = (0..N_ROWS).map(|n| format!("{{\"id\":{n}}}")).collect();
    assert!(out(&env) == expected, "{} rows are stored", out(&env).len());
    run(&env).assert_code(1).assert_says(&["rows.csv", "give the new file another name"]);
}
