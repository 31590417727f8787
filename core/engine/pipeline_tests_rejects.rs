//! Rejected records: with dead letters the run continues, without them it ends.

use std::time::Duration;

use serde_json::Value;

use super::pipeline_tests::TestPipeline;
use super::test_plugins::{kept, numbers};
use crate::Status;

#[tokio::test(start_paused = true)]
async fn bad_record_ends_run_after_the_records_before_it() {
    for (name, bad) in [("source", "bad = [7],"), ("transform", ""), ("sink", "")] {
        let test = TestPipeline::new();
        let reject = if name == "transform" { "reject = 7," } else { "" };
        let refuse = if name == "sink" { "refuse = 7," } else { "" };
        let finished = test
            .run(&format!(
                "sources.in = {{ type = 'test_count', until = 30, {bad} }}
                transforms.t = {{ type = 'test_meddle', {reject} inputs = ['in'] }}
                sinks.out = {{ type = 'test_keep', name = 'bad {name}', {refuse} inputs = ['t'] }}"
            ))
            .await;
        finished.assert(Status::Failed, 7);
        assert!(
            finished.report.reason.contains("entry 7 from test/0/7 is a bad record"),
            "{}",
            finished.report.reason
        );
        assert!(kept(&format!("bad {name}")).starts_with(&numbers(0..7)), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn bad_record_read_ahead_of_a_limit_does_not_fail_the_run() {
    // The transform shares a task with the limit, or not.
    for (bad, reject, branch) in
        [("bad = [7],", "", "t"), ("", "reject = 7,", "limit"), ("", "reject = 7,", "t")]
    {
        let run = async |limit: u64, refuse: &str| {
            let test = TestPipeline::new();
            let name = test.name("ahead");
            let pipeline = format!(
                "sources.in = {{ type = 'test_count', until = 30, {bad} }}
                transforms.t = {{ type = 'test_meddle', {reject} inputs = ['in'] }}
                transforms.limit = {{ type = 'test_meddle', stop_after = {limit}, inputs = ['t'] }}
                sinks.out = {{ type = 'test_keep', name = '{name}', {refuse} inputs = ['limit'] }}
                sinks.too = {{ type = 'test_keep', name = 'too {name}', inputs = ['{branch}'] }}"
            );
            (test.run(&pipeline).await, kept(&format!("{name} flushed")))
        };
        for limit in [5, 7] {
            let (finished, flushed) = run(limit, "").await;
            finished.assert(Status::Completed, limit);
            assert_eq!(finished.report.reason, "limit reached at `limit`");
            assert_eq!(flushed, ["LimitReached"]);
        }
        let (finished, _) = run(8, "").await;
        finished.assert(Status::Failed, 7);
        let (finished, _) = run(6, "refuse = 3,").await;
        finished.assert(Status::Failed, 3);
        assert!(finished.report.reason.contains("entry 3 from"), "{}", finished.report.reason);
    }
}

#[tokio::test(start_paused = true)]
async fn bad_record_beside_a_limit_fails_the_run() {
    let finished = TestPipeline::new()
        .run(
            "sources.in = { type = 'test_count', until = 30, bad = [7] }
            sources.other = { type = 'test_count', until = 30 }
            transforms.limit = { type = 'test_meddle', stop_after = 5, inputs = ['other'] }
            sinks.out = { type = 'test_keep', name = 'beside a limit', inputs = ['in'] }
            sinks.too = { type = 'test_keep', name = 'limited beside', inputs = ['limit'] }",
        )
        .await;
    finished.assert(Status::Failed, 7);
}

#[tokio::test(start_paused = true)]
async fn slow_transforms_deliver_records_before_a_bad_one() {
    let test = TestPipeline::new();
    let pipeline = |name: &str, bad: u64, pause: u64| {
        format!(
            "sources.in = {{ type = 'test_count', until = 100, bad = [{bad}] }}
            sources.other = {{ type = 'test_count', until = 5, endless = true }}
            transforms.slow = {{ type = 'test_meddle', pause = {pause}, inputs = ['in'] }}
            sinks.out = {{ type = 'test_keep', name = '{name}', inputs = ['slow'] }}
            sinks.too = {{ type = 'test_keep', name = 'beside {name}', inputs = ['other'] }}"
        )
    };
    let finished = test.run(&pipeline("all before", 15, 1)).await;
    finished.assert(Status::Failed, 15);
    assert!(finished.report.reason.contains("entry 15 from"), "{}", finished.report.reason);
    assert_eq!(kept("all before"), numbers(0..15));
    let slow = TestPipeline::new().run(&pipeline("some before", 15, 20)).await;
    slow.assert(Status::Failed, 1);
    assert_eq!(kept("some before"), numbers(0..1));
}

#[tokio::test(start_paused = true)]
async fn dead_letters_take_rejected_records_and_the_run_continues() {
    let test = TestPipeline::new();
    let finished = test
        .run(
            "dead_letter = { type = 'test_keep', name = 'dead' }
            sources.in = { type = 'test_count', until = 30, bad = [3, 29] }
            transforms.t = { type = 'test_meddle', reject = 11, inputs = ['in'] }
            sinks.out = { type = 'test_keep', name = 'alive', refuse = 22, inputs = ['t'] }",
        )
        .await;
    finished.assert(Status::Completed, 30);
    let dead: Vec<Value> = kept("dead").iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut letters: Vec<(u64, &str, &str)> = dead
        .iter()
        .map(|it| {
            (it["entry"].as_u64().unwrap(), it["component"].as_str().unwrap(), it["body"].as_str().unwrap())
        })
        .collect();
    letters.sort_unstable();
    assert_eq!(letters, [(3, "in", "3"), (11, "t", "11"), (22, "out", "22"), (29, "in", "29")]);
    assert_eq!(kept("alive").len(), 26);
}

#[tokio::test(start_paused = true)]
async fn dead_letter_sink_keeps_its_concurrency_limits() {
    for (name, limits) in [
        ("dead in turn", ""),
        ("dead in threes", "concurrency = 3,"),
        ("dead in small portions", "concurrency = 3, max_in_flight_records = 2,"),
    ] {
        let test = TestPipeline::new();
        let finished = test
            .run(&format!(
                "dead_letter = {{ type = 'test_keep', {limits} name = '{name}', takes = 5 }}
                sources.in = {{ type = 'test_count', until = 60, bad = [2, 12, 13, 14, 22, 32, 42, 52] }}
                transforms.t = {{ type = 'test_meddle', reject = 3, inputs = ['in'] }}
                transforms.u = {{ type = 'test_meddle', reject = 15, inputs = ['in'] }}
                sinks.out = {{ type = 'test_keep', name = 'next to {name}', concurrency = 4, refuse = 24, inputs = ['t'] }}
                sinks.too = {{ type = 'test_keep', name = 'too {name}', concurrency = 4, refuse = 4, inputs = ['u'] }}"
            ))
            .await;
        finished.assert(Status::Completed, 60);
        assert_eq!(kept(name).len(), 12);
        assert_eq!(kept(&format!("{name} background")), ["started"]);
    }
}

#[test]
fn sink_that_stores_nothing_is_refused_for_dead_letters() {
    let errors = TestPipeline::new().errors(
        "dead_letter = { type = 'test_keep', name = '', forgets = true }
        sources.in = { type = 'test_count', until = 1 }
        sinks.out = { type = 'test_keep', name = '', forgets = true, inputs = ['in'] }",
    );
    assert!(errors.contains("`type`: `test_keep` stores nothing"), "{errors}");
}

#[tokio::test(start_paused = true)]
async fn rejected_record_without_dead_letters_stops_later_writes() {
    let test = TestPipeline::new();
    let finished = test
        .run(
            "sources.in = { type = 'test_count', until = 200 }
            sinks.out = { type = 'test_keep', name = 'broken', refuse = 17, concurrency = 8, inputs = ['in'] }",
        )
        .await;
    finished.assert(Status::Failed, 17);
    assert_eq!(kept("broken"), [numbers(0..17), numbers(18..20)].concat(), "and the rest of its batch");
}

#[tokio::test(start_paused = true)]
async fn failing_dead_letter_sink_ends_the_run() {
    let test = TestPipeline::new();
    let finished = test
        .run(
            "dead_letter = { type = 'test_keep', name = 'dead too', refuse = 3 }
            sources.in = { type = 'test_count', until = 30, bad = [3] }
            sinks.out = { type = 'test_keep', name = 'not dead', inputs = ['in'] }",
        )
        .await;
    assert_eq!(finished.report.status, Status::Failed);
    assert!(finished.checkpoint["next_entry"].as_u64().unwrap() <= 3);
    assert_eq!(finished.report.components[0].counts.rejected, 1);
}

#[tokio::test(start_paused = true)]
async fn stop_releases_dead_letters_that_cannot_be_written() {
    let pipeline = "dead_letter = { type = 'test_keep', name = 'never dead', stumble = 1000 }
        sources.in = { type = 'test_count', until = 30, bad = [13] }
        sinks.out = { type = 'test_keep', name = 'alive still', inputs = ['in'] }";
    let finished = TestPipeline::new().run_until(pipeline, Duration::from_secs(20)).await;
    finished.assert(Status::Stopped, 13);
    let counts: Vec<_> =
        finished.report.components.iter().map(|it| (it.counts.rejected, it.counts.released)).collect();
    assert_eq!(counts, [(1, 0), (0, 0), (0, 1)]);
}
