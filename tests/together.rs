//! Several pipeline files in one `run`: one report, one exit code, one that fails stops all in order.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::stocks::stocks_csv;
use crate::support::{Scene, report, wait_until};

/// `NAME.csv` at a pace into `NAME.out`.
fn write_pipeline(scene: &Scene, name: &str, rate: u32) {
    let file = format!(
        "[sources.rows]\ntype = \"csv\"\npath = \"{name}.csv\"\n\
         [transforms.pace]\ntype = \"throttle\"\ninputs = [\"rows\"]\nrate = {rate}\n\
         [sinks.end]\ntype = \"file\"\ninputs = [\"pace\"]\npath = \"{name}.out\"\n"
    );
    scene.write(format!("{name}.toml"), file);
}

fn pipeline<'a>(report: &'a Value, name: &str) -> &'a Value {
    let pipelines = report["pipelines"].as_array().expect("pipelines");
    pipelines.iter().find(|pipeline| pipeline["name"] == name).expect("the pipeline")
}

#[test]
fn two_files_run_concurrently_into_one_report() {
    let scene = Scene::new();
    for (name, n_rows) in [("one", 120), ("two", 80)] {
        scene.write(format!("{name}.csv"), stocks_csv(n_rows, 1));
        write_pipeline(&scene, name, 100_000);
    }
    scene.run(["run", "one.toml", "two.toml", "--report", "report.json"]).assert_code(0);
    let report = report(scene.path("report.json"));
    for (name, n_rows) in [("one", 120), ("two", 80)] {
        assert_eq!(scene.read(format!("{name}.out")).lines().count(), n_rows);
        assert_eq!(pipeline(&report, name)["status"], "completed");
        assert_eq!(pipeline(&report, name)["components"][0]["records_out"], n_rows);
    }
}

#[test]
fn failed_pipeline_stops_others_gracefully() {
    let scene = Scene::new();
    scene.write("slow.csv", stocks_csv(500, 1));
    write_pipeline(&scene, "slow", 50);
    scene.write("bad.csv", "a,b\n1,2\n3\n");
    write_pipeline(&scene, "bad", 1);
    let outcome = scene.run(["run", "slow.toml", "bad.toml", "--report", "report.json"]);
    outcome.assert_code(1).assert_says(&["bad.csv:3:"]);
    let first = report(scene.path("report.json"));
    assert_eq!(pipeline(&first, "bad")["status"], "failed");
    assert_eq!(pipeline(&first, "slow")["status"], "stopped");
    assert_eq!(pipeline(&first, "slow")["reason"], "`bad` failed");
    // What it held was given back: the next run goes on exactly behind what was written.
    let n_written = scene.read("slow.out").lines().count();
    assert!(n_written < 500, "it was stopped");
    write_pipeline(&scene, "slow", 100_000);
    scene.run(["run", "slow.toml"]).assert_code(0);
    let all = scene.read("slow.out");
    let rows = stocks_csv(500, 1);
    assert!(all.lines().eq(rows.lines().skip(1)), "every row once and in order");
}

#[test]
fn signal_stops_all_pipelines() {
    let scene = Scene::new();
    for name in ["one", "two"] {
        scene.write(format!("{name}.csv"), stocks_csv(300, 1));
        write_pipeline(&scene, name, 20);
    }
    let running = scene.start(["run", "one.toml", "two.toml", "--report", "report.json"]);
    let begun = || ["one.out", "two.out"].iter().all(|name| !scene.read(name).is_empty());
    wait_until("the first row of both", Duration::from_secs(20), begun);
    running.signal(Signal::SIGTERM);
    running.wait(Duration::from_secs(20)).assert_code(0);
    let report = report(scene.path("report.json"));
    for name in ["one", "two"] {
        assert_eq!(pipeline(&report, name)["status"], "stopped");
        assert_eq!(pipeline(&report, name)["reason"], "asked to stop");
    }
}

#[test]
fn errors_of_every_file_are_shown_before_any_run() {
    let scene = Scene::new();
    scene.write("good.csv", stocks_csv(10, 1));
    write_pipeline(&scene, "good", 100);
    scene.write("first.toml", "[sources.rows]\ntype = \"cvs\"\n");
    scene.write("second.toml", "[sources.rows]\ntype = \"csv\"\npaht = \"x\"\n");
    let outcome = scene.run(["run", "first.toml", "good.toml", "second.toml"]);
    outcome.assert_code(78).assert_says(&["first.toml:2:8", "second.toml:3:1"]);
    assert!(!scene.path("good.out").exists());
}

#[test]
fn same_pipeline_twice_is_refused() {
    let scene = Scene::new();
    scene.write("one.csv", stocks_csv(10, 1));
    write_pipeline(&scene, "one", 100);
    scene.run(["run", "one.toml", "one.toml"]).assert_code(2).assert_says(&["one.toml is given twice"]);
    scene.write("other.toml", format!("name = \"one\"\n{}", scene.read("one.toml")));
    let outcome = scene.run(["run", "one.toml", "other.toml"]);
    outcome.assert_code(78).assert_says(&["one.toml and other.toml are both the pipeline `one`"]);
}
