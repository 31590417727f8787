//! The transform `dedupe`: equal records across stops and kills.

use std::collections::HashSet;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::{TestEnv, wait_until};

/// Rows of which each third one repeats an earlier row; the rows without the repeated ones.
fn rows(n: usize) -> (String, Vec<String>) {
    let row = |id: usize| format!("{id},price {}", id % 7);
    let mut csv = "id,text\n".to_owned();
    let mut unique = Vec::new();
    for index in 0..n {
        let line = if index % 3 == 2 { row(index / 2) } else { row(index) };
        csv += &format!("{line}\n");
        if !unique.contains(&line) {
            unique.push(line);
        }
    }
    (csv, unique)
}

/// A pipeline from `rows.csv` through `dedupe` to `out.csv`.
fn pipeline(after: &str) -> String {
    format!(
        "[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n\
         [transforms.first]\ntype = \"dedupe\"\ninputs = [\"rows\"]\n\
         [transforms.last]\ninputs = [\"first\"]\n{after}\n\
         [sinks.out]\ntype = \"file\"\npath = \"out.csv\"\ninputs = [\"last\"]\n"
    )
}

#[test]
fn stopped_runs_write_each_row_once() {
    let env = TestEnv::new();
    let (csv, unique) = rows(600);
    env.write("rows.csv", csv);
    env.write("p.toml", pipeline("type = \"limit\"\nrecords = 97"));
    for _ in 0..=unique.len() / 97 {
        env.run(["run", "p.toml"]).assert_code(0);
    }
    assert_eq!(env.read("out.csv").lines().collect::<Vec<_>>(), unique);
    env.run(["run", "p.toml", "--from-start"]).assert_code(0);
    assert_eq!(env.read("out.csv").lines().skip(unique.len()).collect::<Vec<_>>(), unique[..97]);
}

#[test]
fn dry_run_shows_filtered_duplicates_of_records_in_flight() {
    let env = TestEnv::new();
    env.write("rows.csv", format!("id\n1\n2\n{}", "3\n".repeat(50)));
    let other = "[sources.other]\ntype = \"csv\"\npath = \"rows.csv\"\n";
    let both =
        pipeline("type = \"to_json\"").replace("inputs = [\"rows\"]", "inputs = [\"rows\", \"other\"]");
    env.write("p.toml", other.to_owned() + &both);
    let outcome = env.run(["run", "p.toml", "--dry-run", "100"]);
    outcome.assert_code(0);
    let n_shown = |text: &str| outcome.stdout.matches(text).count();
    assert_eq!(n_shown("p: record"), 2 * 52, "{}", outcome.stdout);
    assert_eq!(n_shown("would store"), 3, "{}", outcome.stdout);
    assert_eq!(n_shown("filtered: an equal record has passed"), 2 * 52 - 3, "{}", outcome.stdout);
}

#[test]
fn killed_runs_lose_no_row_and_pass_no_equal_one() {
    let env = TestEnv::new();
    let (csv, unique) = rows(600);
    env.write("rows.csv", csv);
    env.write("p.toml", pipeline("type = \"throttle\"\nrate = 200"));
    let mut n_kills = 0;
    loop {
        let n_before = std::fs::read_to_string(env.path("out.csv")).unwrap_or_default().lines().count();
        let mut running = env.start(["run", "p.toml"]);
        wait_until("more rows, or the end of the run", Duration::from_secs(60), || {
            let n_now = std::fs::read_to_string(env.path("out.csv")).unwrap_or_default().lines().count();
            n_now >= n_before + 60 || running.has_exited()
        });
        if running.has_exited() {
            running.wait(Duration::from_secs(60)).assert_code(0);
            break;
        }
        running.signal(Signal::SIGKILL);
        running.wait(Duration::from_secs(60));
        n_kills += 1;
    }
    assert!(n_kills >= 3, "only {n_kills} kills");
    // A row may be written again that was written and not acknowledged when a run was killed.
    let text = env.read("out.csv");
    let written: HashSet<&str> = text.lines().collect();
    assert_eq!(written, unique.iter().map(String::as_str).collect());
}
