//! Answers with more names than a table may have columns.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use nix::sys::signal::Signal;

use super::*;

const N_NAMES: usize = 1_500_000;

/// Serves an answer in which `separator` separates many names; says whether it was asked for.
async fn wide_answer(before: &str, separator: &str, after: &str) -> (MockServer, Arc<AtomicBool>) {
    let names: Vec<String> = (0..N_NAMES).map(|n| format!("{n:x}")).collect();
    let body = [before, &names.join(separator), after].concat();
    let answer = ResponseTemplate::new(200).set_body_bytes(body);
    let is_asked = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&is_asked);
    let server = serve(move |_: &Request| {
        asked.store(true, Ordering::SeqCst);
        answer.clone()
    });
    (server.await, is_asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn csv_answer_with_too_many_columns_ends_the_run_within_seconds() {
    let (server, _) = wide_answer("", ",", "\n1,2\n").await;
    let env = TestEnv::new();
    write_pipeline(&env, &server.uri(), "codec = \"csv\"", "");
    let started = Instant::now();
    run(&env).assert_code(1).assert_says(&["columns", "65536"]);
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn wide_answer_does_not_keep_a_run_from_its_second_signal() {
    for (codec, (server, is_asked)) in [
        ("csv", wide_answer("", ",", "\n1,2\n").await),
        ("json", wide_answer("[{\"", "\":1,\"", "\":1}]").await),
    ] {
        let env = TestEnv::new();
        write_pipeline(&env, &server.uri(), &format!("codec = \"{codec}\""), "");
        let mut running = env.start(["run", "api.toml"]);
        wait_until("the request", Duration::from_secs(30), || is_asked.load(Ordering::SeqCst));
        running.signal(Signal::SIGTERM);
        wait_until("the stop", Duration::from_secs(30), || {
            running.has_logged("stopping gracefully") || running.has_exited()
        });
        let started = Instant::now();
        // A signal shortly after the first one counts as the same signal.
        wait_until("the end of the process", Duration::from_secs(10), || {
            running.signal(Signal::SIGTERM);
            running.has_exited()
        });
        assert!(started.elapsed() < Duration::from_secs(2), "{codec}: {:?}", started.elapsed());
    }
}
