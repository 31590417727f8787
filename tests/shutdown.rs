//! Signals, deadlines, giving back.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::s3::{Answer, S3};
use crate::support::{Outcome, Running, Scene, report, wait_until};

const SOON: Duration = Duration::from_secs(60);

/// Numbers from 0, at one a second, into a file.
fn paced(n_rows: usize, rate: u32) -> Scene {
    let scene = Scene::new();
    let rows: Vec<String> = (0..n_rows).map(|n| n.to_string()).collect();
    scene.write("numbers.csv", format!("n\n{}\n", rows.join("\n")));
    scene.write(
        "paced.toml",
        format!(
            "[sources.numbers]\ntype = \"csv\"\npath = \"numbers.csv\"\n\
             [transforms.pace]\ntype = \"throttle\"\ninputs = [\"numbers\"]\nrate = {rate}\n\
             [sinks.out]\ntype = \"file\"\ninputs = [\"pace\"]\npath = \"out.txt\"\n"
        ),
    );
    scene
}

fn n_lines(scene: &Scene) -> usize {
    scene.read("out.txt").lines().count()
}

/// Fails the test unless the file holds the numbers from 0 on, each once.
#[track_caller]
fn assert_counts_up(scene: &Scene, at_least: usize) {
    let lines = scene.read("out.txt");
    let expected: Vec<String> = (0..lines.lines().count()).map(|n| n.to_string()).collect();
    assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
    assert!(expected.len() >= at_least, "only {}", expected.len());
}

fn stop(running: Running, signal: Signal) -> (Outcome, Duration) {
    let asked = Instant::now();
    running.signal(signal);
    let outcome = running.wait(SOON);
    (outcome, asked.elapsed())
}

#[test]
fn signal_ends_slow_run_within_a_second_and_next_run_resumes() {
    let scene = paced(5000, 1);
    for (signal, n_expected) in [(Signal::SIGTERM, 2), (Signal::SIGINT, 4)] {
        let running = scene.start(["run", "paced.toml", "--report", "report.json"]);
        wait_until("another record", SOON, || n_lines(&scene) >= n_expected);
        let (outcome, took) = stop(running, signal);
        outcome.assert_code(0).assert_says(&["paced stopped"]);
        assert!(took < Duration::from_secs(1), "{took:?}");
        assert_eq!(report(scene.path("report.json"))["pipelines"][0]["status"], "stopped");
    }
    assert_counts_up(&scene, 4);
}

#[test]
fn run_with_for_stops_gracefully() {
    let scene = paced(5000, 100);
    let started = Instant::now();
    scene.run(["run", "paced.toml", "--for", "500ms"]).assert_code(0).assert_says(&["--for"]);
    assert!(started.elapsed() >= Duration::from_millis(500));
    scene.run(["run", "paced.toml", "--for", "300ms"]).assert_code(0);
    assert_counts_up(&scene, 20);
}

/// A bucket that never answers holds on to what it was given.
fn stuck() -> (Scene, S3) {
    let s3 = S3::start();
    s3.create_bucket("stuck");
    s3.answer(|asked| match asked.operation {
        "PutObject" => Answer::Late(Duration::from_secs(600)),
        _ => Answer::Normal,
    });
    let mut scene = paced(100, 1000);
    s3.surround(&mut scene);
    let pipeline = scene.read("paced.toml");
    let at = pipeline.find("[sinks.out]").expect("the sink");
    let sink = "[transforms.json]\ntype = \"to_json\"\ninputs = [\"pace\"]\n\
                [sinks.out]\ntype = \"s3\"\ninputs = [\"json\"]\nbucket = \"stuck\"\nkey = \"n/{{ entry }}.json\"\n";
    scene.write("paced.toml", pipeline[..at].to_owned() + sink);
    (scene, s3)
}

#[test]
fn second_signal_stops_at_once() {
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130)] {
        let (scene, s3) = stuck();
        let mut running = scene.start(["run", "paced.toml"]);
        wait_until("a write", SOON, || s3.requests("PutObject") > 0);
        running.signal(signal);
        wait_until("the first signal to be seen", SOON, || running.has_said("a second signal stops at once"));
        let heard = Instant::now();
        // One that comes close behind the first belongs to it.
        wait_until("a second one to be heard", SOON, || {
            running.signal(signal);
            running.is_over()
        });
        let took = heard.elapsed();
        running.wait(SOON).assert_code(code);
        assert!(took < Duration::from_secs(3), "{took:?}");
    }
}

/// `timeout` tells its child and then its group: whoever is in both hears it twice.
#[test]
fn two_simultaneous_signals_stop_gracefully() {
    let scene = paced(5000, 100);
    let running = scene.start(["run", "paced.toml"]);
    wait_until("a record", SOON, || n_lines(&scene) > 0);
    running.signal(Signal::SIGINT);
    let (outcome, _) = stop(running, Signal::SIGTERM);
    outcome.assert_code(0);
    assert_counts_up(&scene, 1);
}

#[test]
fn drain_timeout_abandons_writes_that_are_read_again() {
    let (scene, s3) = stuck();
    let running = scene.start(["run", "paced.toml", "--drain-timeout", "1s"]);
    wait_until("a write", SOON, || s3.requests("PutObject") > 0);
    let (outcome, took) = stop(running, Signal::SIGTERM);
    outcome.assert_code(143).assert_says(&["--drain-timeout"]);
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(5), "{took:?}");
    s3.answer(|_| Answer::Normal);
    scene.run(["run", "paced.toml"]).assert_code(0);
    assert_eq!(s3.count("stuck"), 100);
}

#[test]
fn second_run_of_same_pipeline_is_refused() {
    let scene = paced(5000, 10);
    let running = scene.start(["run", "paced.toml"]);
    wait_until("a record", SOON, || n_lines(&scene) > 0);
    scene.run(["run", "paced.toml"]).assert_code(1).assert_says(&["another run of this pipeline is active"]);
    stop(running, Signal::SIGTERM).0.assert_code(0);
    assert_counts_up(&scene, 1);
}

#[test]
fn killed_run_loses_no_record() {
    let scene = paced(3000, 2000);
    for n in 1..6 {
        let running = scene.start(["run", "paced.toml"]);
        wait_until("more records", SOON, || n_lines(&scene) > n * 300);
        running.signal(Signal::SIGKILL);
        running.wait(SOON);
    }
    scene.run(["run", "paced.toml"]).assert_code(0);
    let mut seen = vec![false; 3000];
    for line in scene.read("out.txt").lines() {
        seen[line.parse::<usize>().expect("a whole number on every line")] = true;
    }
    assert_eq!(seen.iter().position(|seen| !seen), None, "this number is missing");
}
