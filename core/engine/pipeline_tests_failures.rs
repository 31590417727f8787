//! Pipelines whose source fails for good while its records are in flight.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::pipeline_tests::TestPipeline;
use super::test_plugins::{kept, numbers};
use crate::Status;

/// A source that breaks after 12 records, before a transform that waits `pause` seconds before each.
fn pipeline(name: &str, breaks: &str, pause: u64) -> String {
    format!(
        "sources.in = {{ type = 'test_count', until = 12, breaks = '{breaks}' }}
        transforms.slow = {{ type = 'test_meddle', pause = {pause}, inputs = ['in'] }}
        sinks.out = {{ type = 'test_keep', name = '{name}', inputs = ['slow'] }}"
    )
}

#[tokio::test(start_paused = true)]
async fn records_read_before_a_source_fails_are_delivered_and_committed() {
    let test = TestPipeline::new();
    let finished = test.run(&pipeline("before the failure", "kept", 1)).await;
    finished.assert(Status::Failed, 12);
    assert!(finished.report.reason.contains("cannot read on"), "{}", finished.report.reason);
    assert_eq!(finished.checkpoint["position"], 12);
    assert_eq!(kept("before the failure"), numbers(0..12));
    assert_eq!(kept("before the failure flushed"), ["Failed"]);
}

#[tokio::test(start_paused = true)]
async fn dead_letters_of_a_failed_source_are_written_in_spite_of_an_outage() {
    for breaks in ["kept", "lost"] {
        let test = TestPipeline::new();
        let name = format!("letters {breaks}");
        let finished = test
            .run(&format!(
                "dead_letter = {{ type = 'test_keep', name = '{name}', stumble = 5 }}
                sources.in = {{ type = 'test_count', until = 12, bad = [11], breaks = '{breaks}' }}
                sinks.out = {{ type = 'test_keep', name = 'beside {name}', inputs = ['in'] }}"
            ))
            .await;
        finished.assert(Status::Failed, 12);
        assert_eq!((kept(&name).len(), kept(&format!("beside {name}")).len()), (1, 11), "{breaks}");
    }
}

#[tokio::test(start_paused = true)]
async fn failed_source_lets_the_others_stop_in_order() {
    let test = TestPipeline::new();
    let pipeline = "sources.in = { type = 'test_count', until = 12, breaks = 'kept' }
        sources.other = { type = 'test_count', until = 5, endless = true }
        transforms.slow = { type = 'test_meddle', pause = 1, inputs = ['in', 'other'] }
        sinks.out = { type = 'test_keep', name = 'of both', inputs = ['slow'] }";
    let finished = test.run(pipeline).await;
    finished.assert(Status::Failed, 12);
    assert_eq!(kept("of both").len(), 17);
    assert_eq!(test.checkpoint_of("other").unwrap()["position"], 5);
}

#[tokio::test(start_paused = true)]
async fn delivery_after_a_failure_ends_with_the_drain_timeout() {
    let (test, started) = (TestPipeline::new(), Instant::now());
    let pipeline = pipeline("too slow", "kept", 60);
    let finished = test.run_with(&pipeline, CancellationToken::new(), Duration::from_secs(150)).await;
    finished.assert(Status::Failed, 2);
    assert!(finished.report.reason.contains("cannot read on"), "{}", finished.report.reason);
    assert!(started.elapsed() < Duration::from_secs(200), "{:?}", started.elapsed());
    assert_eq!(kept("too slow"), numbers(0..2));
}

#[tokio::test(start_paused = true)]
async fn records_that_cannot_be_read_again_are_delivered_however_long_it_takes() {
    let test = TestPipeline::new();
    let pipeline = pipeline("without a deadline", "lost", 60);
    let finished = test.run_with(&pipeline, CancellationToken::new(), Duration::from_secs(150)).await;
    finished.assert(Status::Failed, 12);
    assert_eq!(kept("without a deadline"), numbers(0..12));
}

#[tokio::test(start_paused = true)]
async fn stop_ends_the_delivery_after_a_failure() {
    let test = TestPipeline::new();
    let finished = test.run_until(&pipeline("stopped", "lost", 60), Duration::from_secs(150)).await;
    finished.assert(Status::Failed, 2);
    assert_eq!(kept("stopped"), numbers(0..2));
}
