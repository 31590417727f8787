//! Several pipeline files in one `run`: one report, one exit code, and a failure stops all gracefully.

use std::time::Duration;

use serde_json::Value;

use crate::support::stocks::stocks_csv;
use crate::support::{TestEnv, report, wait_until};

/// Writes a pipeline from `NAME.csv` through a throttle to `NAME.out`.
fn write_pipeline(env: &TestEnv, name: &str, rate: u32) {
    let file = format!(
        "[sources.rows]\ntype = \"csv\"\npath = \"{name}.csv\"\n\
         [transforms.pace]\ntype = \"throttle\"\ninputs = [\"rows\"]\nrate = {rate}\n\
         [sinks.end]\ntype = \"file\"\ninputs = [\"pace\"]\npath = \"{name}.out\"\n"
    );
    env.write(format!("{name}.toml"), file);
}

fn pipeline<'a>(report: &'a Value, name: &str) -> &'a Value {
    let pipelines = report["pipelines"].as_array().expect("pipelines");
    pipelines.iter().find(|pipeline| pipeline["name"] == name).expect("the pipeline")
}

#[test]
fn two_files_run_concurrently_into_one_report() {
    let env = TestEnv::new();
    for (name, n_rows) in [("one", 120), ("two", 80)] {
        env.write(format!("{name}.csv"), stocks_csv(n_rows, 1));
        write_pipeline(&env, name, 100_000);
    }
    env.run(["run", "one.toml", "two.toml", "--report", "report.json"]).assert_code(0);
    let report = report(env.path("report.json"));
    for (name, n_rows) in [("one", 120), ("two", 80)] {
        assert_eq!(env.read(format!("{name}.out")).lines().count(), n_rows);
        assert_eq!(pipeline(&report, name)["status"], "completed");
        assert_eq!(pipeline(&report, name)["components"][0]["records_out"], n_rows);
    }
}

#[test]
fn failed_pipeline_stops_others_gracefully() {
    let env = TestEnv::new();
    env.write("slow.csv", stocks_csv(500, 1));
    write_pipeline(&env, "slow", 50);
    env.write("bad.csv", "a,b\n1,2\n3\n");
    write_pipeline(&env, "bad", 1);
    let outcome = env.run(["run", "slow.toml", "bad.toml", "--report", "report.json"]);
    outcome.assert_code(65).assert_says(&["bad.csv:3:"]);
    let first = report(env.path("report.json"));
    assert_eq!(pipeline(&first, "bad")["status"], "failed");
    assert_eq!(pipeline(&first, "slow")["status"], "stopped");
    assert_eq!(pipeline(&first, "slow")["reason"], "`bad` failed");
    // The stopped run released its records: the next run resumes exactly after the written ones.
    let n_written = env.read("slow.out").lines().count();
    assert!(n_written < 500, "the run must have been stopped");
    write_pipeline(&env, "slow", 100_000);
    env.run(["run", "slow.toml"]).assert_code(0);
    let all = env.read("slow.out");
    let rows = stocks_csv(500, 1);
    assert!(all.lines().eq(rows.lines().skip(1)), "each row once and in order");
}

#[test]
fn signal_stops_all_pipelines() {
    let env = TestEnv::new();
    for name in ["one", "two"] {
        env.write(format!("{name}.csv"), stocks_csv(300, 1));
        write_pipeline(&env, name, 20);
    }
    let running = env.start(["run", "one.toml", "two.toml", "--report", "report.json"]);
    let have_started = || ["one.out", "two.out"].iter().all(|name| !env.read(name).is_empty());
    wait_until("the first row of both", Duration::from_secs(20), have_started);
    running.stop();
    let report = report(env.path("report.json"));
    for name in ["one", "two"] {
        assert_eq!(pipeline(&report, name)["status"], "stopped");
        assert_eq!(pipeline(&report, name)["reason"], "stopped on request");
    }
}

#[test]
fn errors_of_every_file_are_shown_before_any_run() {
    let env = TestEnv::new();
    env.write("good.csv", stocks_csv(10, 1));
    write_pipeline(&env, "good", 100);
    env.write("first.toml", "[sources.rows]\ntype = \"cvs\"\n");
    env.write("second.toml", "[sources.rows]\ntype = \"csv\"\npaht = \"x\"\n");
    let outcome = env.run(["run", "first.toml", "good.toml", "second.toml"]);
    outcome.assert_code(78).assert_says(&["first.toml:2:8", "second.toml:3:1"]);
    assert!(!env.path("good.out").exists());
}

#[test]
fn same_pipeline_twice_is_refused() {
    let env = TestEnv::new();
    env.write("one.csv", stocks_csv(10, 1));
    write_pipeline(&env, "one", 100);
    env.run(["run", "one.toml", "one.toml"]).assert_code(2).assert_says(&["one.toml is given twice"]);
    env.write("other.toml", format!("name = \"one\"\n{}", env.read("one.toml")));
    let outcome = env.run(["run", "one.toml", "other.toml"]);
    outcome.assert_code(78).assert_says(&["one.toml and other.toml have the same pipeline name `one`"]);
}
