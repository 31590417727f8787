//! Stories of sinks that write in transactions: whatever happens, what is committed
//! is what the position says, and nobody waits for what will never come.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::pipeline_tests::Scene;
use super::test_plugins::{kept, numbers};
use crate::Status;

/// A sink that has transactions; the cast sees to it that each is committed with
/// the position behind all that was written in it.
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
async fn everything_is_committed_in_few_transactions_and_the_last_at_once() {
    let scene = Scene::new();
    let out = sink("gate", "commit_takes = 5, inputs = ['in']");
    let started = Instant::now();
    let told = scene.run(&format!("sources.in = {{ type = 'test_count', until = 20005 }}\n{out}")).await;
    told.assert(Status::Completed, 20_005);
    assert_eq!(told.checkpoint["position"], 20_005);
    assert_eq!(kept("gate"), numbers(0..20_005));
    assert!((2..20).contains(&n_commits("gate")), "{}", n_commits("gate"));
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_waited_for_a_commit_begin_in_the_order_of_the_batches() {
    let scene = Scene::new();
    let out = sink("gate in order", "commit_takes = 1, inputs = ['in']");
    let told = scene.run(&format!("sources.in = {{ type = 'test_count', until = 20000 }}\n{out}")).await;
    told.assert(Status::Completed, 20_000);
    assert!(kept("gate in order") == numbers(0..20_000));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_tried_again_holds_its_round_open_and_no_other_up() {
    let scene = Scene::new();
    let out = sink("stumbling gate", "stumble = 3, inputs = ['in']");
    let told = scene.run(&format!("sources.in = {{ type = 'test_count', until = 200 }}\n{out}")).await;
    told.assert(Status::Completed, 200);
    let mut all: Vec<u64> = kept("stumbling gate").iter().map(|n| n.parse().unwrap()).collect();
    all.sort_unstable();
    assert_eq!(all, (0..200).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_limit_commits_what_it_lets_pass() {
    let scene = Scene::new();
    let pipeline = format!(
        "sources.in = {{ type = 'test_count', until = 100 }}
        transforms.limit = {{ type = 'test_meddle', stop_after = 14, inputs = ['in'] }}\n{}",
        sink("limited gate", "inputs = ['limit']")
    );
    for n in [14, 28] {
        scene.run(&pipeline).await.assert(Status::Completed, n);
        assert_eq!(kept("limited gate"), numbers(0..n));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_gives_back_what_waits_and_commits_what_is_written() {
    for (name, pace) in [("stopped gate", "pause = 2,"), ("stopped in full swing", "")] {
        let scene = Scene::new();
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
        let (told, ()) =
            tokio::join!(scene.run_with(&pipeline, stop.clone(), Duration::from_secs(30)), stopper);
        let n_kept = kept(name).len() as u64;
        told.assert(Status::Stopped, n_kept);
        assert_eq!(kept(name), numbers(0..n_kept));
        assert!(n_kept >= 3 && n_commits(name) >= 3, "{n_kept}");
        assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    }
}

/// Behind a slow transform the line of a batch stays open after the gap.
#[tokio::test(start_paused = true)]
async fn behind_a_gap_nothing_is_committed_and_nobody_waits() {
    for (name, fault, between) in [
        ("refused in a round", "refuse = 207", ""),
        ("refused in a slow round", "refuse = 7", "pause = 1,"),
        ("lost in a round", "panic = 207", ""),
        ("panic in a slow round", "panic = 7", "pause = 1,"),
    ] {
        let scene = Scene::new();
        let started = Instant::now();
        let told = scene
            .run(&format!(
                "sources.in = {{ type = 'test_count', until = 100000, endless = true }}
                transforms.t = {{ type = 'test_meddle', {between} inputs = ['in'] }}\n{}",
                sink(name, &format!("{fault}, inputs = ['t']"))
            ))
            .await;
        assert_eq!(told.report.status, Status::Failed, "{name}: {}", told.report.reason);
        let position = told.checkpoint["position"].as_u64().unwrap_or_default();
        assert_eq!(kept(name), numbers(0..position), "{name}");
        let at_most = Duration::from_secs(if between.is_empty() { 2 } else { 10 });
        assert!(started.elapsed() < at_most, "{name}: {:?}", started.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn rejects_go_to_the_dead_letters_and_hold_nothing_up() {
    let scene = Scene::new();
    let out = sink("gate with rejects", "refuse = 122, inputs = ['t']");
    let told = scene
        .run(&format!(
            "dead_letter = {{ type = 'test_keep', name = 'rejects of gate', stumble = 2 }}
            sources.in = {{ type = 'test_count', until = 300, bad = [3, 299] }}
            transforms.t = {{ type = 'test_meddle', reject = 11, filter = [40, 298], inputs = ['in'] }}\n{out}"
        ))
        .await;
    told.assert(Status::Completed, 300);
    assert_eq!(told.checkpoint["position"], 300);
    assert_eq!(kept("rejects of gate").len(), 4);
    assert_eq!(kept("gate with rejects").len(), 294);
}

#[tokio::test(start_paused = true)]
async fn where_all_is_filtered_the_position_is_committed_alone() {
    let scene = Scene::new();
    let out = sink("empty gate", "inputs = ['t']");
    let told = scene
        .run(&format!(
            "sources.in = {{ type = 'test_count', until = 10 }}
            transforms.t = {{ type = 'test_meddle', filter = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], inputs = ['in'] }}\n{out}"
        ))
        .await;
    told.assert(Status::Completed, 10);
    assert_eq!(kept("empty gate commits"), ["10"]);
}

#[tokio::test(start_paused = true)]
async fn another_order_costs_patience_and_nothing_else() {
    let scene = Scene::new();
    let out = sink("swapped gate", "commit_takes = 30, inputs = ['t']");
    let told = scene
        .run(&format!(
            "sources.in = {{ type = 'test_count', until = 5000 }}
            transforms.t = {{ type = 'test_meddle', swap = true, inputs = ['in'] }}\n{out}"
        ))
        .await;
    told.assert(Status::Completed, 5000);
    assert_eq!(kept("swapped gate").len(), 5000);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_fails_ends_the_run_at_once() {
    let scene = Scene::new();
    let out = sink("failed gate", "fail_commit = 3000, commit_takes = 10, inputs = ['in']");
    let started = Instant::now();
    let told = scene
        .run(&format!("sources.in = {{ type = 'test_count', until = 100000, endless = true }}\n{out}"))
        .await;
    assert_eq!(told.report.status, Status::Failed);
    assert!(told.report.reason.contains("committing the position: not "), "{}", told.report.reason);
    let position = told.checkpoint["position"].as_u64().unwrap_or_default();
    assert!(position < 3000);
    assert_eq!(kept("failed gate"), numbers(0..position));
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_drain_deadline_leaves_a_round_that_hangs_uncommitted() {
    let scene = Scene::new();
    let stop = CancellationToken::new();
    let pipeline = format!(
        "sources.in = {{ type = 'test_count', until = 20, endless = true }}\n{}",
        sink("hung gate", "hang = 15, inputs = ['in']")
    );
    let stopper = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        stop.cancel();
    };
    let (told, ()) = tokio::join!(scene.run_with(&pipeline, stop.clone(), Duration::from_secs(7)), stopper);
    assert_eq!(told.report.reason, "stopped hard");
    assert!(kept("hung gate").is_empty(), "0 to 9 share their round with what hangs");
}

#[test]
fn a_sink_with_transactions_has_one_source_all_for_itself() {
    let other = "sources.other = { type = 'test_count', until = 1 }";
    let second = "sinks.second = { type = 'test_keep', name = '', inputs";
    for (inputs, more, why) in [
        ("['in', 'other']", other.to_owned(), "`out` has several inputs"),
        ("['in']", format!("{second} = ['in'] }}"), "`in` feeds `second` as well"),
        ("['in']", format!("{second} = ['out'] }}"), "`second` takes its input from this sink"),
        ("['second']", format!("{second} = ['in'] }}"), "it stands behind sink `second`"),
        (
            "['in']",
            "dead_letter = { type = 'test_keep', name = '', transactional = true }".into(),
            "dead letters",
        ),
        (
            "['aloof']",
            "sources.aloof = { type = 'test_count', until = 1, aloof = true }".into(),
            "it is aloof",
        ),
    ] {
        let idle = if inputs.contains("in") || more.contains("'in'") {
            "sources.in = { type = 'test_count', until = 1 }"
        } else {
            ""
        };
        let text = format!("{more}\n{idle}\n{}", sink("", &format!("inputs = {inputs}")));
        let slips = Scene::new().slips(&text);
        assert!(slips.contains("`transactional`: ") && slips.contains(why), "{why}: {slips}");
    }
}
