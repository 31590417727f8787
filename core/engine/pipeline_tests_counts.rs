//! The counters of a report: every figure is counted when it happens, however the run ends.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::pipeline_tests::{Finished, TestPipeline};
use crate::{ComponentReport, Status};

/// Every record that a component has received was sent, filtered, rejected or released by it, and
/// was sent by the component before it. `n_in` were read, `n_out` were stored.
#[track_caller]
fn assert_balanced(finished: &Finished, n_in: u64, n_out: u64) {
    let components = &finished.report.components;
    for it in components {
        let n_ended = it.counts.records_out + it.counts.filtered + it.counts.rejected + it.counts.released;
        assert_eq!(it.counts.records_in, n_ended, "{components:#?}");
    }
    for pair in components.windows(2) {
        assert_eq!(pair[0].counts.records_out, pair[1].counts.records_in, "{components:#?}");
    }
    assert_eq!(components.first().unwrap().counts.records_in, n_in, "{components:#?}");
    assert_eq!(components.last().unwrap().counts.records_out, n_out, "{components:#?}");
}

fn bytes(components: &[ComponentReport]) -> Vec<(u64, u64)> {
    components.iter().map(|it| (it.counts.bytes_in, it.counts.bytes_out)).collect()
}

#[tokio::test(start_paused = true)]
async fn bytes_are_counted_before_and_after_a_transform() {
    let finished = TestPipeline::new()
        .run(
            "sources.in = { type = 'test_count', until = 10 }
            transforms.t = { type = 'test_meddle', filter = [3, 4], inputs = ['in'] }
            sinks.out = { type = 'test_keep', name = 'bytes', inputs = ['t'] }",
        )
        .await;
    assert_balanced(&finished, 10, 8);
    assert_eq!(bytes(&finished.report.components), [(10, 10), (10, 8), (8, 8)]);
}

#[tokio::test(start_paused = true)]
async fn record_that_a_sink_skips_is_filtered_and_delivered() {
    for skip in ["[0, 4, 9]", "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]"] {
        let test = TestPipeline::new();
        let pipeline = format!(
            "sources.in = {{ type = 'test_count', until = 10 }}
            sinks.out = {{ type = 'test_keep', name = 'skipped {skip}', skip = {skip}, inputs = ['in'] }}
            sinks.behind = {{ type = 'test_keep', name = 'behind {skip}', inputs = ['out'] }}"
        );
        let finished = test.run(&pipeline).await;
        assert_eq!(finished.report.status, Status::Completed);
        let n_skipped = skip.split(',').count() as u64;
        assert_balanced(&finished, 10, 10 - n_skipped);
        assert_eq!(finished.report.components[1].counts.filtered, n_skipped);
        let again = test.run(&pipeline).await;
        assert_eq!(again.report.components[0].counts.records_out, 0, "a filtered record counts as delivered");
    }
}

#[tokio::test(start_paused = true)]
async fn bad_record_that_ends_the_run_is_counted_where_it_was_rejected() {
    for (name, bad) in [("source", "bad = [7],"), ("transform", ""), ("sink", "")] {
        let reject = if name == "transform" { "reject = 7," } else { "" };
        let refuse = if name == "sink" { "refuse = 7," } else { "" };
        let finished = TestPipeline::new()
            .run(&format!(
                "sources.in = {{ type = 'test_count', until = 30, {bad} }}
                transforms.t = {{ type = 'test_meddle', {reject} inputs = ['in'] }}
                sinks.out = {{ type = 'test_keep', name = 'counted {name}', {refuse} inputs = ['t'] }}"
            ))
            .await;
        assert_eq!(finished.report.status, Status::Failed);
        let reason = &finished.report.reason;
        assert!(reason.contains("is a bad record; correct it, or add a `[dead_letter]` block"), "{reason}");
        let components = &finished.report.components;
        let rejected: Vec<_> = components.iter().map(|it| (it.name.as_str(), it.counts.rejected)).collect();
        let expected = [("in", "source"), ("t", "transform"), ("out", "sink")];
        assert_eq!(rejected, expected.map(|(component, it)| (component, u64::from(it == name))));
        assert!(components[2].counts.records_out >= 7, "{name}: {components:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn failing_dead_letter_sink_does_not_suggest_dead_letters() {
    let finished = TestPipeline::new()
        .run(
            "dead_letter = { type = 'test_keep', name = 'refusing letters', refuse = 3 }
            sources.in = { type = 'test_count', until = 30, bad = [3] }
            sinks.out = { type = 'test_keep', name = 'with letters', inputs = ['in'] }",
        )
        .await;
    let reason = &finished.report.reason;
    assert!(reason.contains("is a bad record") && !reason.contains("[dead_letter]"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn hard_stop_counts_only_what_was_stored() {
    let stop = CancellationToken::new();
    let pipeline = "sources.in = { type = 'test_count', until = 100, endless = true }
        transforms.t = { type = 'test_meddle', inputs = ['in'] }
        sinks.out = { type = 'test_keep', name = 'aborted', hang = 15, inputs = ['t'] }";
    let stopper = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        stop.cancel();
    };
    let test = TestPipeline::new();
    let (finished, ()) = tokio::join!(test.run_with(pipeline, stop.clone(), Duration::from_secs(7)), stopper);
    assert_eq!(finished.report.reason, "aborted");
    let sink = finished.report.components.last().unwrap();
    assert_eq!(
        (sink.counts.records_in, sink.counts.records_out, sink.counts.bytes_out),
        (20, 10, 10),
        "ten digits"
    );
}

#[tokio::test(start_paused = true)]
async fn limit_counts_what_it_releases() {
    let finished = TestPipeline::new()
        .run(
            "sources.in = { type = 'test_count', until = 100 }
            transforms.some = { type = 'test_meddle', filter = [1, 8, 12, 13], inputs = ['in'] }
            transforms.all = { type = 'test_meddle', inputs = ['some'] }
            transforms.limit = { type = 'test_meddle', stop_after = 5, inputs = ['all'] }
            sinks.out = { type = 'test_keep', name = 'first five', inputs = ['limit'] }",
        )
        .await;
    // 0, 2, 3, 4 and 5 were stored, and 1 was filtered; 6 and what was read after it will be read again.
    finished.assert(Status::Completed, 6);
    let n_read = finished.report.components[0].counts.records_in;
    assert_balanced(&finished, n_read, 5);
    let limit = &finished.report.components[3];
    assert_eq!((limit.counts.records_in, limit.counts.records_out, limit.counts.released), (8, 5, 3));
}

#[tokio::test(start_paused = true)]
async fn bad_record_that_ends_the_run_counts_once() {
    for (bad, reject, refuse) in [("bad = [7],", "", ""), ("", "reject = 7,", ""), ("", "", "refuse = 7,")] {
        let finished = TestPipeline::new()
            .run(&format!(
                "sources.in = {{ type = 'test_count', until = 10, {bad} }}
                transforms.t = {{ type = 'test_meddle', {reject} inputs = ['in'] }}
                sinks.out = {{ type = 'test_keep', name = 'until {bad}{reject}', {refuse} inputs = ['t'] }}"
            ))
            .await;
        let n_stored = finished.report.components[2].counts.records_out;
        assert_balanced(&finished, 10, n_stored);
        let n_rejected: u64 = finished.report.components.iter().map(|it| it.counts.rejected).sum();
        assert_eq!(n_rejected, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn stop_counts_what_it_releases() {
    let pipeline = "sources.in = { type = 'test_count', until = 1000, endless = true }
        transforms.slow = { type = 'test_meddle', pause = 10, inputs = ['in'] }
        sinks.out = { type = 'test_keep', name = 'stopped while paced', inputs = ['slow'] }";
    let finished = TestPipeline::new().run_until(pipeline, Duration::from_secs(35)).await;
    finished.assert(Status::Stopped, 3);
    let n_read = finished.report.components[0].counts.records_in;
    assert!(n_read > 3);
    assert_balanced(&finished, n_read, 3);
}

#[tokio::test(start_paused = true)]
async fn retry_that_was_not_made_is_not_counted() {
    let finished = TestPipeline::new()
        .run(
            "retry.timeout = '1ms'
            sources.in = { type = 'test_count', until = 10 }
            sinks.out = { type = 'test_keep', name = 'never again', stumble = 1, inputs = ['in'] }",
        )
        .await;
    assert_eq!(finished.report.status, Status::Failed);
    assert_eq!(finished.report.components[1].counts.retries, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn write_that_is_busy_when_the_run_is_aborted_is_counted() {
    let pipeline = "batch = { max_records = 5 }
        sources.in = { type = 'test_count', until = 1000 }
        sinks.out = { type = 'test_keep', name = 'busy', concurrency = 2, blocks = 100, inputs = ['in'] }";
    let stop = CancellationToken::new();
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        stop.cancel();
    };
    let test = TestPipeline::new();
    let (finished, ()) =
        tokio::join!(test.run_with(pipeline, stop.clone(), Duration::from_millis(20)), stopping);
    // Batches between the components were sent and never received.
    let sink = finished.report.components.last().unwrap();
    assert_eq!(sink.counts.records_in, sink.counts.records_out + sink.counts.released, "{sink:#?}");
}
