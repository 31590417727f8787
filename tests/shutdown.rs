//! Signals, deadlines, releasing records.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::s3::{Response, S3};
use crate::support::{Outcome, Running, SOON, TestEnv, report, wait_until};

/// A pipeline that writes numbers from 0 to a file, at `rate` a second.
fn paced(n_rows: usize, rate: u32) -> TestEnv {
    let env = TestEnv::new();
    let rows: Vec<String> = (0..n_rows).map(|n| n.to_string()).collect();
    env.write("numbers.csv", format!("n\n{}\n", rows.join("\n")));
    env.write(
        "paced.toml",
        format!(
            "[sources.numbers]\ntype = \"csv\"\npath = \"numbers.csv\"\n\
             [transforms.pace]\ntype = \"throttle\"\ninputs = [\"numbers\"]\nrate = {rate}\n\
             [sinks.out]\ntype = \"file\"\ninputs = [\"pace\"]\npath = \"out.txt\"\n"
        ),
    );
    env
}

fn n_lines(env: &TestEnv) -> usize {
    env.read("out.txt").lines().count()
}

/// Fails the test unless the file holds the numbers from 0 on, each once.
#[track_caller]
fn assert_counts_up(env: &TestEnv, at_least: usize) {
    let lines = env.read("out.txt");
    let expected: Vec<String> = (0..lines.lines().count()).map(|n| n.to_string()).collect();
    assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
    assert!(expected.len() >= at_least, "only {}", expected.len());
}

fn stop(running: Running, signal: Signal) -> (Outcome, Duration) {
    let request = Instant::now();
    running.signal(signal);
    let outcome = running.wait(SOON);
    (outcome, request.elapsed())
}

#[test]
fn signal_ends_slow_run_within_a_second_and_next_run_resumes() {
    let env = paced(5000, 1);
    for (signal, n_expected) in [(Signal::SIGTERM, 2), (Signal::SIGINT, 4), (Signal::SIGHUP, 6)] {
        let running = env.start(["run", "paced.toml", "--report", "report.json"]);
        wait_until("another record", SOON, || n_lines(&env) >= n_expected);
        let (outcome, took) = stop(running, signal);
        outcome.assert_code(0).assert_says(&["paced stopped"]);
        assert!(took < Duration::from_secs(1), "{took:?}");
        assert_eq!(report(env.path("report.json"))["pipelines"][0]["status"], "stopped");
    }
    assert_counts_up(&env, 6);
}

#[test]
fn run_with_for_stops_gracefully() {
    let env = paced(5000, 100);
    let started = Instant::now();
    env.run(["run", "paced.toml", "--for", "500ms"]).assert_code(0).assert_says(&["--for"]);
    assert!(started.elapsed() >= Duration::from_millis(500));
    env.run(["run", "paced.toml", "--for", "300ms"]).assert_code(0);
    assert_counts_up(&env, 20);
}

/// A pipeline to a bucket that does not respond, so writes stay in flight.
fn env_with_stuck_bucket() -> (TestEnv, S3) {
    let s3 = S3::start();
    s3.create_bucket("stuck");
    s3.respond_with(|request| match request.operation {
        "PutObject" => Response::Delayed(Duration::from_secs(600)),
        _ => Response::Normal,
    });
    let mut env = paced(100, 1000);
    s3.configure(&mut env);
    let pipeline = env.read("paced.toml");
    let at = pipeline.find("[sinks.out]").expect("the sink");
    let sink = "[transforms.json]\ntype = \"to_json\"\ninputs = [\"pace\"]\n\
                [sinks.out]\ntype = \"s3\"\ninputs = [\"json\"]\nbucket = \"stuck\"\nkey = \"n/{{ entry }}.json\"\n";
    env.write("paced.toml", pipeline[..at].to_owned() + sink);
    (env, s3)
}

#[test]
fn second_signal_stops_at_once() {
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130)] {
        let (env, s3) = env_with_stuck_bucket();
        let mut running = env.start(["run", "paced.toml"]);
        wait_until("a write", SOON, || s3.requests("PutObject") > 0);
        running.signal(signal);
        wait_until("the first signal to be handled", SOON, || running.has_logged("a second signal aborts"));
        let signalled = Instant::now();
        // A signal shortly after the first one counts as the same signal.
        wait_until("the run to stop after a second signal", SOON, || {
            running.signal(signal);
            running.has_exited()
        });
        let took = signalled.elapsed();
        running.wait(SOON).assert_code(code);
        assert!(took < Duration::from_secs(3), "{took:?}");
    }
}

/// As `nohup` starts a process.
#[test]
fn ignored_sighup_stays_ignored() {
    let env = paced(5000, 10);
    let nohup = ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh"].map(str::to_owned);
    let running = env.start_via(&nohup, ["run", "paced.toml"]);
    wait_until("a record", SOON, || n_lines(&env) > 0);
    running.signal(Signal::SIGHUP);
    let n_before = n_lines(&env);
    wait_until("more records", SOON, || n_lines(&env) > n_before + 3);
    stop(running, Signal::SIGTERM).0.assert_code(0);
}

/// The `timeout` command signals its child and then its process group, so the child gets two signals.
#[test]
fn two_simultaneous_signals_stop_gracefully() {
    let env = paced(5000, 100);
    let running = env.start(["run", "paced.toml"]);
    wait_until("a record", SOON, || n_lines(&env) > 0);
    running.signal(Signal::SIGINT);
    let (outcome, _) = stop(running, Signal::SIGTERM);
    outcome.assert_code(0);
    assert_counts_up(&env, 1);
}

#[test]
fn drain_timeout_abandons_writes_that_are_read_again() {
    let (env, s3) = env_with_stuck_bucket();
    let running = env.start(["run", "paced.toml", "--drain-timeout", "1s"]);
    wait_until("a write", SOON, || s3.requests("PutObject") > 0);
    let (outcome, took) = stop(running, Signal::SIGTERM);
    outcome.assert_code(143).assert_says(&["--drain-timeout"]);
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(5), "{took:?}");
    s3.respond_with(|_| Response::Normal);
    env.run(["run", "paced.toml"]).assert_code(0);
    assert_eq!(s3.count("stuck"), 100);
}

#[test]
fn second_run_of_same_pipeline_is_refused() {
    let env = paced(5000, 10);
    let running = env.start(["run", "paced.toml"]);
    wait_until("a record", SOON, || n_lines(&env) > 0);
    env.run(["run", "paced.toml"]).assert_code(1).assert_says(&["another run of this pipeline is active"]);
    stop(running, Signal::SIGTERM).0.assert_code(0);
    assert_counts_up(&env, 1);
}

#[test]
fn killed_run_loses_no_record() {
    let env = paced(3000, 2000);
    for n in 1..6 {
        let running = env.start(["run", "paced.toml"]);
        wait_until("more records", SOON, || n_lines(&env) > n * 300);
        running.signal(Signal::SIGKILL);
        running.wait(SOON);
    }
    env.run(["run", "paced.toml"]).assert_code(0);
    let mut seen = vec![false; 3000];
    for line in env.read("out.txt").lines() {
        seen[line.parse::<usize>().expect("a whole number on every line")] = true;
    }
    assert_eq!(seen.iter().position(|seen| !seen), None, "this number is missing");
}
