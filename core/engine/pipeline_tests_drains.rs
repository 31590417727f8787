//! Pipelines whose source cannot be read again, and that are asked to stop.

use std::time::Duration;

use tokio::time::Instant;

use super::pipeline_tests::TestPipeline;
use super::test_plugins::{kept, numbers};
use crate::Status;

/// A source that has read 5 records ahead, before a transform that waits `pause` seconds before each.
fn pipeline(name: &str, pause: u64, sink: &str) -> String {
    format!(
        "sources.in = {{ type = 'test_count', until = 1000, per_batch = 4, ahead = 5 }}
        transforms.slow = {{ type = 'test_meddle', pause = {pause}, inputs = ['in'] }}
        sinks.out = {{ type = 'test_keep', name = '{name}', inputs = ['slow']{sink} }}"
    )
}

#[tokio::test(start_paused = true)]
async fn stop_delivers_all_that_was_read_and_cannot_be_read_again() {
    for (name, sink) in [("from a pipe", ""), ("from a pipe, with retries", ", stumble = 1")] {
        let test = TestPipeline::new();
        let finished = test.run_until(&pipeline(name, 1, sink), Duration::from_millis(2500)).await;
        let n_read = finished.report.components[0].counts.records_out;
        assert_eq!(kept(name), numbers(0..n_read), "{name}");
        assert!((9..100).contains(&n_read), "{n_read} were read");
        finished.assert(Status::Stopped, n_read);
    }
}

#[tokio::test(start_paused = true)]
async fn dead_letters_of_what_cannot_be_read_again_are_written_after_a_stop() {
    let test = TestPipeline::new();
    let pipeline = pipeline("beside bad rows of a pipe", 1, ", refuse = 3")
        + "\ndead_letter = { type = 'test_keep', name = 'bad rows of a pipe', stumble = 3 }";
    let finished = test.run_until(&pipeline, Duration::from_millis(2500)).await;
    let n_read = finished.report.components[0].counts.records_out;
    assert_eq!(
        (kept("bad rows of a pipe").len(), kept("beside bad rows of a pipe").len() as u64),
        (1, n_read - 1)
    );
}

#[tokio::test(start_paused = true)]
async fn delivery_after_a_stop_ends_with_the_drain_timeout() {
    let (test, started) = (TestPipeline::new(), Instant::now());
    test.run_until(&pipeline("too slow for a pipe", 20, ""), Duration::from_secs(5)).await;
    assert!(started.elapsed() < Duration::from_secs(40), "{:?}", started.elapsed());
    assert_eq!(kept("too slow for a pipe"), numbers(0..1));
}

#[tokio::test(start_paused = true)]
async fn other_sources_stop_at_once_beside_one_that_cannot_be_read_again() {
    let test = TestPipeline::new();
    let pipeline = pipeline("beside a file", 1, "")
        + "\nsources.file = { type = 'test_count', until = 1000 }
        transforms.late = { type = 'test_meddle', pause = 1, inputs = ['file'] }
        sinks.other = { type = 'test_keep', name = 'of a file', inputs = ['late'] }";
    test.run_until(&pipeline, Duration::from_millis(2500)).await;
    let position = test.checkpoint_of("file").unwrap()["position"].as_u64();
    assert_eq!(position, Some(kept("of a file").len() as u64));
    assert!(kept("of a file").len() < 20, "{:?}", kept("of a file"));
}
