//! Sinks that write in transactions: whatever happens, a transaction holds exactly the records before
//! the position that is committed with it, and no task waits without end.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::pipeline_tests::TestPipeline;
use super::test_plugins::{kept, numbers};
use crate::Status;

/// A sink that writes in transactions. It checks that each is committed with the position after
/// everything that was written in it.
fn sink(name: &str, more: &str) -> String {
    format!(
        "sinks.out = {{ type = 'test_keep', name = '{name}', transactional = true, concurrency = 4, {more} }}"
    )
}

/// How many commits there were.
fn n_commits(name: &str) -> usize {
    kept(&format!("{name} commits")).len()
}

#[tokio::test(start_paused = true)]
async fn transactions_are_few_and_the_last_is_committed_at_once() {
    let test = TestPipeline::new();
    let out = sink("gate", "commit_takes = 5, inputs = ['in']");
    let started = Instant::now();
    let finished = test.run(&format!("sources.in = {{ type = 'test_count', until = 20005 }}\n{out}")).await;
    finished.assert(Status::Completed, 20_005);
    assert_eq!(finished.checkpoint["position"], 20_005);
    assert_eq!(kept("gate"), numbers(0..20_005));
    assert!((2..20).contains(&n_commits("gate")), "{}", n_commits("gate"));
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_wait_for_a_commit_begin_in_order() {
    let test = TestPipeline::new();
    let out = sink("gate in order", "commit_takes = 1, inputs = ['in']");
    let finished = test.run(&format!("sources.in = {{ type = 'test_count', until = 20000 }}\n{out}")).await;
    finished.assert(Status::Completed, 20_000);
    assert!(kept("gate in order") == numbers(0..20_000));
}

#[tokio::test(start_paused = true)]
async fn retried_write_keeps_its_transaction_open_and_blocks_no_other() {
    let test = TestPipeline::new();
    let out = sink("stumbling gate", "stumble = 3, inputs = ['in']");
    let finished = test.run(&format!("sources.in = {{ type = 'test_count', until = 200 }}\n{out}")).await;
    finished.assert(Status::Completed, 200);
    let mut all: Vec<u64> = kept("stumbling gate").iter().map(|n| n.parse().unwrap()).collect();
    all.sort_unstable();
    assert_eq!(all, (0..200).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn limit_commits_its_records_in_a_transaction() {
    let test = TestPipeline::new();
    let pipeline = format!(
        "sources.in = {{ type = 'test_count', until = 100 }}
        transforms.limit = {{ type = 'test_meddle', stop_after = 14, inputs = ['in'] }}\n{}",
        sink("limited gate", "inputs = ['limit']")
    );
    for n in [14, 28] {
        test.run(&pipeline).await.assert(Status::Completed, n);
        assert_eq!(kept("limited gate"), numbers(0..n));
    }
}

#[tokio::test(start_paused = true)]
async fn stop_releases_waiting_records_and_commits_written_ones() {
    for (name, pace) in [("stopped gate", "pause = 2,"), ("stopped under load", "")] {
        let test = TestPipeline::new();
        let stop = CancellationToken::new();
        let pipeline = format!(
            "sources.in = {{ type = 'test_count', until = 10000000 }}
            transforms.slow = {{ type = 'test_meddle', {pace} inputs = ['in'] }}\n{}",
            sink(name, "commit_takes = 20, inputs = ['slow']")
        );
        let started = Instant::now();
        let stopper = async {
            tokio::time::sleep(Duration::from_secs(7)).await;
            stop.cancel();
        };
        let (finished, ()) =
            tokio::join!(test.run_with(&pipeline, stop.clone(), Duration::from_secs(30)), stopper);
        let n_kept = kept(name).len() as u64;
        finished.assert(Status::Stopped, n_kept);
        assert_eq!(kept(name), numbers(0..n_kept));
        assert!(n_kept >= 3 && n_commits(name) >= 3, "{n_kept}");
        assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    }
}

/// After a slow transform the batch stays open after the gap.
#[tokio::test(start_paused = true)]
async fn nothing_is_committed_after_a_gap() {
    for (name, fault, between) in [
        ("refused in a transaction", "refuse = 207", ""),
        ("refused in a slow transaction", "refuse = 7", "pause = 1,"),
        ("lost in a transaction", "panic = 207", ""),
        ("panic in a slow transaction", "panic = 7", "pause = 1,"),
    ] {
        let test = TestPipeline::new();
        let started = Instant::now();
        let finished = test
            .run(&format!(
                "sources.in = {{ type = 'test_count', until = 100000, endless = true }}
                transforms.t = {{ type = 'test_meddle', {between} inputs = ['in'] }}\n{}",
                sink(name, &format!("{fault}, inputs = ['t']"))
            ))
            .await;
        assert_eq!(finished.report.status, Status::Failed, "{name}: {}", finished.report.reason);
        let position = finished.checkpoint["position"].as_u64().unwrap_or_default();
        assert_eq!(kept(name), numbers(0..position), "{name}");
        let at_most = Duration::from_secs(if between.is_empty() { 2 } else { 10 });
        assert!(started.elapsed() < at_most, "{name}: {:?}", started.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn rejected_records_do_not_block_transactions() {
    let test = TestPipeline::new();
    let out = sink("gate with rejects", "refuse = 122, inputs = ['t']");
    let finished = test
        .run(&format!(
            "dead_letter = {{ type = 'test_keep', name = 'rejects of gate', stumble = 2 }}
            sources.in = {{ type = 'test_count', until = 300, bad = [3, 299] }}
            transforms.t = {{ type = 'test_meddle', reject = 11, filter = [40, 298], inputs = ['in'] }}\n{out}"
        ))
        .await;
    finished.assert(Status::Completed, 300);
    assert_eq!(finished.checkpoint["position"], 300);
    assert_eq!(kept("rejects of gate").len(), 4);
    assert_eq!(kept("gate with rejects").len(), 294);
}

#[tokio::test(start_paused = true)]
async fn position_is_committed_when_all_records_are_filtered() {
    let test = TestPipeline::new();
    let out = sink("empty gate", "inputs = ['t']");
    let finished = test
        .run(&format!(
            "sources.in = {{ type = 'test_count', until = 10 }}
            transforms.t = {{ type = 'test_meddle', filter = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], inputs = ['in'] }}\n{out}"
        ))
        .await;
    finished.assert(Status::Completed, 10);
    assert_eq!(kept("empty gate commits"), ["10"]);
}

#[tokio::test(start_paused = true)]
async fn reordered_records_are_committed_after_a_wait() {
    let test = TestPipeline::new();
    let out = sink("swapped gate", "commit_takes = 30, inputs = ['t']");
    let finished = test
        .run(&format!(
            "sources.in = {{ type = 'test_count', until = 5000 }}
            transforms.t = {{ type = 'test_meddle', swap = true, inputs = ['in'] }}\n{out}"
        ))
        .await;
    finished.assert(Status::Completed, 5000);
    assert_eq!(kept("swapped gate").len(), 5000);
}

#[tokio::test(start_paused = true)]
async fn failed_commit_ends_the_run_at_once() {
    let test = TestPipeline::new();
    let out = sink("failed gate", "fail_commit = 3000, commit_takes = 10, inputs = ['in']");
    let started = Instant::now();
    let finished = test
        .run(&format!("sources.in = {{ type = 'test_count', until = 100000, endless = true }}\n{out}"))
        .await;
    assert_eq!(finished.report.status, Status::Failed);
    assert!(finished.report.reason.contains("committing the position: not "), "{}", finished.report.reason);
    let position = finished.checkpoint["position"].as_u64().unwrap_or_default();
    assert!(position < 3000);
    assert_eq!(kept("failed gate"), numbers(0..position));
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn drain_timeout_leaves_a_hanging_transaction_uncommitted() {
    let test = TestPipeline::new();
    let stop = CancellationToken::new();
    let pipeline = format!(
        "sources.in = {{ type = 'test_count', until = 20, endless = true }}\n{}",
        sink("hung gate", "hang = 15, inputs = ['in']")
    );
    let stopper = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        stop.cancel();
    };
    let (finished, ()) =
        tokio::join!(test.run_with(&pipeline, stop.clone(), Duration::from_secs(7)), stopper);
    assert_eq!(finished.report.reason, "aborted");
    assert!(kept("hung gate").is_empty(), "0 to 9 are in the transaction that hangs");
}

#[test]
fn transactional_sink_is_refused_unless_it_has_a_source_of_its_own() {
    let other = "sources.other = { type = 'test_count', until = 1 }";
    let second = "sinks.second = { type = 'test_keep', name = '', inputs";
    for (inputs, more, why) in [
        ("['in', 'other']", other.to_owned(), "`out` has several inputs"),
        ("['in']", format!("{second} = ['in'] }}"), "`in` also feeds `second`"),
        ("['in']", format!("{second} = ['out'] }}"), "`second` takes its input from this sink"),
        ("['second']", format!("{second} = ['in'] }}"), "it takes its input from sink `second`"),
        (
            "['in']",
            "dead_letter = { type = 'test_keep', name = '', transactional = true }".into(),
            "dead letters",
        ),
        (
            "['alone']",
            "sources.alone = { type = 'test_count', until = 1, no_transactions = true }".into(),
            "cannot commit its position",
        ),
    ] {
        let idle = if inputs.contains("in") || more.contains("'in'") {
            "sources.in = { type = 'test_count', until = 1 }"
        } else {
            ""
        };
        let text = format!("{more}\n{idle}\n{}", sink("", &format!("inputs = {inputs}")));
        let errors = TestPipeline::new().errors(&text);
        assert!(errors.contains("`transactional`: ") && errors.contains(why), "{why}: {errors}");
    }
}
