//! Plugins of another crate work like the stock ones.

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Runs the binary of this crate in `folder`.
fn acme_runner(folder: &tempfile::TempDir, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_acme-runner"))
        .args(arguments)
        .current_dir(folder.path())
        .env("RUNNER_DATA_DIR", folder.path().join("state"))
        .output()
        .expect("starting the binary")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn external_plugins_are_listed_with_the_stock_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = acme_runner(&folder, &["plugins"]);
    let listed = text(&out.stdout);
    assert!(out.status.success(), "{}", text(&out.stderr));
    for name in ["acme_lines", "acme_upper", "acme_spool", "csv", "to_json", "console"] {
        assert!(listed.contains(name), "{name} is not in:\n{listed}");
    }
    let out = acme_runner(&folder, &["plugins", "acme_upper"]);
    let page = text(&out.stdout);
    assert!(page.contains("in capitals") && page.contains("field"), "{page}");
}

#[test]
fn pipeline_file_uses_external_plugins() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines = "{\"name\":\"acme\"}\n{\"name\":1}\n{\"name\":\"Road Runner\"}\n";
    std::fs::write(folder.path().join("names.jsonl"), lines).expect("writing");
    let pipeline = r#"
        [dead_letter]
        type = "console"

        [sources.names]
        type = "acme_lines"
        path = "names.jsonl"

        [transforms.loud]
        type = "acme_upper"
        inputs = ["names"]
        field = "name"

        [sinks.spool]
        type = "acme_spool"
        inputs = ["loud"]
        folder = "spool"
    "#;
    std::fs::write(folder.path().join("loud.toml"), pipeline).expect("writing");
    let out = acme_runner(&folder, &["run", "loud.toml"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let spooled = |entry: &str| std::fs::read_to_string(folder.path().join("spool").join(entry)).ok();
    assert_eq!(spooled("0").as_deref(), Some(r#"{"name":"ACME"}"#));
    assert_eq!(spooled("1"), None, "it was rejected");
    assert_eq!(spooled("2").as_deref(), Some(r#"{"name":"ROAD RUNNER"}"#));
    let letter = text(&out.stdout);
    assert!(letter.contains("there is no text in the field `name`"), "{letter}");
}

#[test]
fn error_in_an_option_is_shown_at_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipeline = "[sources.s]\ntype = \"csv\"\npath = \"x.csv\"\n\n[transforms.t]\ntype = \"acme_upper\"\n\
                    inputs = [\"s\"]\nfeild = \"name\"\n\n[sinks.n]\ntype = \"null\"\ninputs = [\"t\"]\n";
    std::fs::write(folder.path().join("error.toml"), pipeline).expect("writing");
    let out = acme_runner(&folder, &["validate", "error.toml"]);
    let output = text(&out.stderr);
    assert_eq!(out.status.code(), Some(78), "{output}");
    assert!(
        output.contains("error.toml:8:1") && output.contains("feild") && output.contains("field"),
        "{output}"
    );
}

/// A run whose transform blocks all threads of the runtime, of which there are `n_threads`.
fn stuck_run(folder: &tempfile::TempDir, n_threads: usize, arguments: &[&str]) -> Child {
    std::fs::write(folder.path().join("rows.csv"), "n\n1\n").expect("writing");
    let pipeline = r#"
        [sources.rows]
        type = "csv"
        path = "rows.csv"

        [transforms.stuck]
        type = "acme_stuck"
        inputs = ["rows"]
        marker = "marker"

        [sinks.end]
        type = "null"
        inputs = ["stuck"]
    "#;
    std::fs::write(folder.path().join("stuck.toml"), pipeline).expect("writing");
    let running = Command::new(env!("CARGO_BIN_EXE_acme-runner"))
        .args(["run", "stuck.toml"])
        .args(arguments)
        .current_dir(folder.path())
        .env("RUNNER_DATA_DIR", folder.path().join("state"))
        .env("TOKIO_WORKER_THREADS", n_threads.to_string())
        .stderr(Stdio::null())
        .spawn()
        .expect("starting the binary");
    wait_until(|| folder.path().join("marker").exists());
    running
}

fn wait_until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "it did not happen within a minute");
        std::thread::yield_now();
    }
}

fn terminate(running: &Child) {
    let pid = Pid::from_raw(running.id().try_into().expect("a process id"));
    kill(pid, Signal::SIGTERM).expect("a running process");
}

#[test]
fn second_signal_ends_a_run_whose_plugin_blocks_within_a_second() {
    for n_threads in [1, 2] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut running = stuck_run(&folder, n_threads, &[]);
        terminate(&running);
        // A signal shortly after the first one counts as the same signal.
        let first = Instant::now();
        wait_until(|| first.elapsed() > Duration::from_millis(200));
        terminate(&running);
        let aborted = Instant::now();
        wait_until(|| running.try_wait().expect("the process").is_some());
        let took = aborted.elapsed();
        assert_eq!(running.wait().expect("the process").code(), Some(143));
        assert!(took < Duration::from_millis(1100), "{took:?} with {n_threads} threads");
    }
}

#[test]
fn drain_timeout_ends_a_run_whose_plugin_blocks() {
    for n_threads in [1, 2] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut running = stuck_run(&folder, n_threads, &["--drain-timeout", "500ms"]);
        terminate(&running);
        let stopped = Instant::now();
        wait_until(|| running.try_wait().expect("the process").is_some());
        let took = stopped.elapsed();
        assert_eq!(running.wait().expect("the process").code(), Some(143));
        assert!(took < Duration::from_millis(2000), "{took:?} with {n_threads} threads");
    }
}
