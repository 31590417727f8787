//! Whole pipelines, with sources and sinks that misbehave as configured.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::RunOptions;
use super::test_plugins::{kept, numbers};
use crate::config::{LoadContext, load};
use crate::diagnostics::Diagnostics;
use crate::plugin::Registry;
use crate::{Pipeline, PipelineReport, Status};

/// The folder of one test, with its pipeline file and its checkpoint.
pub(super) struct TestPipeline(tempfile::TempDir);

pub(super) struct Finished {
    pub(super) report: PipelineReport,
    pub(super) checkpoint: Value,
}

impl TestPipeline {
    pub(super) fn new() -> Self {
        TestPipeline(tempfile::tempdir().unwrap())
    }

    /// A name for a sink that no other test has.
    pub(super) fn name(&self, what: &str) -> String {
        format!("{what} of {}", self.0.path().display())
    }

    fn load(&self, pipeline: &str) -> Result<Pipeline, Diagnostics> {
        let file = self.0.path().join("pipeline.toml");
        std::fs::write(&file, pipeline).unwrap();
        let surroundings = LoadContext {
            registry: &Registry::collect().unwrap(),
            lookup: &|_| None,
            data_dir: Some(self.0.path().to_owned()),
        };
        load(&file, &surroundings)
    }

    /// The errors of a pipeline file.
    pub(super) fn errors(&self, pipeline: &str) -> String {
        self.load(pipeline).err().expect("it must have errors").to_string()
    }

    pub(super) async fn run(&self, pipeline: &str) -> Finished {
        self.run_with(pipeline, CancellationToken::new(), Duration::from_secs(30)).await
    }

    /// Runs until it ends, or a stop is requested after this time.
    pub(super) async fn run_until(&self, pipeline: &str, time: Duration) -> Finished {
        let stop = CancellationToken::new();
        let stopping = async {
            tokio::time::sleep(time).await;
            stop.cancel();
        };
        tokio::join!(self.run_with(pipeline, stop.clone(), Duration::from_secs(30)), stopping).0
    }

    pub(super) async fn run_with(
        &self,
        pipeline: &str,
        stop: CancellationToken,
        drain_timeout: Duration,
    ) -> Finished {
        let options = RunOptions { from_start: false, drain_timeout, stop, abort: CancellationToken::new() };
        let report = self.report(pipeline, options).await;
        Finished { report, checkpoint: self.checkpoint().expect("a checkpoint") }
    }

    pub(super) async fn report(&self, pipeline: &str, options: RunOptions) -> PipelineReport {
        let pipeline = self.load(pipeline).unwrap_or_else(|errors| panic!("{errors}"));
        crate::run(pipeline, options).await
    }

    /// The checkpoint of the source `in`; `None` as long as there is none.
    pub(super) fn checkpoint(&self) -> Option<Value> {
        self.checkpoint_of("in")
    }

    pub(super) fn checkpoint_of(&self, source: &str) -> Option<Value> {
        let bytes = std::fs::read(self.0.path().join(format!("pipeline/{source}.json"))).ok()?;
        Some(serde_json::from_slice(&bytes).expect("a checkpoint is always complete"))
    }
}

impl Finished {
    #[track_caller]
    pub(super) fn assert(&self, status: Status, next_entry: u64) {
        assert_eq!(self.report.status, status, "{}", self.report.reason);
        assert_eq!(self.checkpoint["next_entry"], next_entry, "{}", self.checkpoint);
    }
}

#[tokio::test(start_paused = true)]
async fn pipeline_delivers_and_counts_every_record() {
    let test = TestPipeline::new();
    let finished = test
        .run("sources.in = { type = 'test_count', until = 25 }\nsinks.out = { type = 'test_keep', name = 'all', inputs = ['in'] }")
        .await;
    finished.assert(Status::Completed, 25);
    assert_eq!(finished.checkpoint["position"], 25);
    assert_eq!(kept("all"), numbers(0..25));
    assert_eq!(kept("all flushed"), ["InputEnded"]);
    let counts: Vec<_> =
        finished.report.components.iter().map(|it| (it.counts.records_in, it.counts.records_out)).collect();
    assert_eq!(counts, [(25, 25), (25, 25)]);
}

#[tokio::test(start_paused = true)]
async fn limit_releases_the_rest_and_the_next_run_resumes_after_it() {
    let test = TestPipeline::new();
    let pipeline = "sources.in = { type = 'test_count', until = 100 }
        transforms.limit = { type = 'test_meddle', stop_after = 14, inputs = ['in'] }
        sinks.out = { type = 'test_keep', name = 'limited', inputs = ['limit'] }";
    test.run(pipeline).await.assert(Status::Completed, 14);
    assert_eq!(kept("limited"), numbers(0..14));
    test.run(pipeline).await.assert(Status::Completed, 28);
    assert_eq!(kept("limited"), numbers(0..28));
}

#[tokio::test(start_paused = true)]
async fn transient_failure_is_retried_until_stored() {
    let test = TestPipeline::new();
    let finished = test
        .run(
            "sources.in = { type = 'test_count', until = 20 }
            sinks.out = { type = 'test_keep', name = 'stumbled', stumble = 3, inputs = ['in'] }",
        )
        .await;
    finished.assert(Status::Completed, 20);
    assert_eq!(kept("stumbled"), numbers(0..20));
    assert_eq!(finished.report.components[1].counts.retries, 6);
}

#[tokio::test(start_paused = true)]
async fn used_up_retry_budget_ends_the_run() {
    let test = TestPipeline::new();
    let finished = test
        .run(
            "retry.timeout = '1m'
            sources.in = { type = 'test_count', until = 20 }
            sinks.out = { type = 'test_keep', name = 'impatient', stumble = 1000, inputs = ['in'] }",
        )
        .await;
    finished.assert(Status::Failed, 0);
    assert!(finished.report.reason.contains("gave up after") && finished.report.reason.contains("stumbled"));
}

#[tokio::test(start_paused = true)]
async fn stop_waits_for_the_second_of_two_chained_sinks() {
    let pipeline = "sources.in = { type = 'test_count', until = 1000, endless = true }
        sinks.first = { type = 'test_keep', name = 'stored first', inputs = ['in'] }
        sinks.second = { type = 'test_keep', name = 'stored second', takes = 1000, inputs = ['first'] }";
    let finished = TestPipeline::new().run_until(pipeline, Duration::from_millis(2_500)).await;
    let n_stored = kept("stored first").len() as u64;
    assert!(n_stored > 30, "several batches wait before the second");
    finished.assert(Status::Stopped, n_stored);
    assert_eq!(kept("stored second"), numbers(0..n_stored));
}

#[tokio::test(start_paused = true)]
async fn fatal_record_commits_what_was_stored_before_it() {
    let test = TestPipeline::new();
    let finished = test
        .run(
            "sources.in = { type = 'test_count', until = 30 }
            sinks.out = { type = 'test_keep', name = 'broken beside', fail = 7, inputs = ['in'] }",
        )
        .await;
    finished.assert(Status::Failed, 7);
    assert_eq!(finished.checkpoint["position"], 7);
    assert!(finished.report.reason.contains("broken"), "{}", finished.report.reason);
    let out = &finished.report.components[1];
    assert_eq!((out.counts.records_in, out.counts.records_out, out.counts.released), (30, 9, 21));
}

#[tokio::test(start_paused = true)]
async fn panicking_sink_commits_nothing_of_its_batch() {
    let test = TestPipeline::new();
    let finished = test
        .run(
            "sources.in = { type = 'test_count', until = 100 }
            sinks.out = { type = 'test_keep', name = 'panicked', panic = 15, inputs = ['in'] }",
        )
        .await;
    finished.assert(Status::Failed, 10);
    assert!(finished.report.reason.contains("crashed"), "{}", finished.report.reason);
}

#[tokio::test(start_paused = true)]
async fn transform_that_drops_a_batch_fails_the_run() {
    let test = TestPipeline::new();
    let finished = test
        .run(
            "sources.in = { type = 'test_count', until = 50 }
            transforms.t = { type = 'test_meddle', drop = 25, inputs = ['in'] }
            sinks.out = { type = 'test_keep', name = 'dropped', inputs = ['t'] }",
        )
        .await;
    finished.assert(Status::Failed, 20);
    assert!(finished.report.reason.contains("10 records were dropped"), "{}", finished.report.reason);
}

#[tokio::test(start_paused = true)]
async fn filtered_records_count_as_delivered() {
    let test = TestPipeline::new();
    let finished = test
        .run(
            "sources.in = { type = 'test_count', until = 10 }
            transforms.t = { type = 'test_meddle', filter = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], inputs = ['in'] }
            sinks.out = { type = 'test_keep', name = 'filtered', inputs = ['t'] }",
        )
        .await;
    finished.assert(Status::Completed, 10);
    assert_eq!(finished.report.components[1].counts.filtered, 10);
}

#[tokio::test(start_paused = true)]
async fn fan_out_commits_only_what_every_branch_has_stored() {
    let test = TestPipeline::new();
    let finished = test
        .run(
            "sources.in = { type = 'test_count', until = 30 }
            sinks.good = { type = 'test_keep', name = 'good branch', concurrency = 3, inputs = ['in'] }
            sinks.poor = { type = 'test_keep', name = 'poor branch', refuse = 12, inputs = ['in'] }",
        )
        .await;
    finished.assert(Status::Failed, 12);
    assert!(kept("poor branch").starts_with(&numbers(0..12)));
}

#[tokio::test(start_paused = true)]
async fn chained_sink_receives_only_what_the_first_has_stored() {
    let test = TestPipeline::new();
    let finished = test
        .run(
            "dead_letter = { type = 'test_keep', name = 'unstored' }
            sources.in = { type = 'test_count', until = 30 }
            sinks.first = { type = 'test_keep', name = 'first', refuse = 5, inputs = ['in'] }
            sinks.second = { type = 'test_keep', name = 'second', inputs = ['first'] }",
        )
        .await;
    finished.assert(Status::Completed, 30);
    assert_eq!(kept("second").len(), 29);
    assert!(!kept("second").contains(&"5".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn stop_releases_waiting_records_at_once() {
    let pipeline = "sources.in = { type = 'test_count', until = 1000 }
        transforms.slow = { type = 'test_meddle', pause = 10, inputs = ['in'] }
        sinks.out = { type = 'test_keep', name = 'paced', inputs = ['slow'] }";
    let started = Instant::now();
    let finished = TestPipeline::new().run_until(pipeline, Duration::from_secs(35)).await;
    finished.assert(Status::Stopped, 3);
    assert_eq!(kept("paced"), numbers(0..3));
    assert_eq!(kept("paced flushed"), ["Requested"]);
    assert!(started.elapsed() < Duration::from_secs(36), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn stop_during_a_backoff_releases_its_batch() {
    let pipeline = "sources.in = { type = 'test_count', until = 10, endless = true }
        sinks.out = { type = 'test_keep', name = 'backing off', stumble = 1000, inputs = ['in'] }";
    let finished = TestPipeline::new().run_until(pipeline, Duration::from_secs(20)).await;
    finished.assert(Status::Stopped, 0);
}

#[tokio::test(start_paused = true)]
async fn drain_timeout_abandons_a_write_that_hangs() {
    let test = TestPipeline::new();
    let stop = CancellationToken::new();
    let pipeline = "sources.in = { type = 'test_count', until = 20, endless = true }
        sinks.out = { type = 'test_keep', name = 'hung', hang = 15, inputs = ['in'] }";
    let stopper = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        stop.cancel();
    };
    let started = Instant::now();
    let (finished, ()) = tokio::join!(test.run_with(pipeline, stop.clone(), Duration::from_secs(7)), stopper);
    finished.assert(Status::Stopped, 10);
    assert_eq!(finished.report.reason, "aborted");
    assert!(started.elapsed() >= Duration::from_secs(12));
}

#[tokio::test(start_paused = true)]
async fn edited_source_reads_from_its_start_and_continues_counting() {
    let test = TestPipeline::new();
    let pipeline = |what: &str, name: &str| {
        format!(
            "sources.in = {{ type = 'test_count', until = 15, what = '{what}' }}
            sinks.out = {{ type = 'test_keep', name = '{name}', inputs = ['in'] }}"
        )
    };
    test.run(&pipeline("a", "edited a")).await.assert(Status::Completed, 15);
    test.run(&pipeline("b", "edited b")).await.assert(Status::Completed, 30);
    assert_eq!(kept("edited b"), numbers(0..15));
}

#[tokio::test(start_paused = true)]
async fn nondeterministic_source_never_reuses_a_number_that_may_be_stored() {
    let test = TestPipeline::new();
    let pipeline = "sources.in = { type = 'test_count', until = 20, nondeterministic = true }
        sinks.out = { type = 'test_keep', name = 'nondeterministic', hang = 15, inputs = ['in'] }";
    let stop = CancellationToken::new();
    let stopper = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        stop.cancel();
    };
    // Abandoned while the sink writes 10 to 19: they may have been stored.
    let (finished, ()) = tokio::join!(test.run_with(pipeline, stop.clone(), Duration::from_secs(7)), stopper);
    finished.assert(Status::Stopped, 10);
    let reserved = finished.checkpoint["reserved"].as_u64().unwrap();
    assert!(reserved >= 20, "{reserved}");
    let repaired = pipeline.replace(", hang = 15", "");
    test.run(&repaired).await.assert(Status::Completed, reserved + 10);
    assert_eq!(kept("nondeterministic"), numbers(0..20));
    // The offsets of the source itself start over, where the run before may have named other records.
    let origins = [numbers(0..10), numbers(reserved..reserved + 10)].concat();
    assert_eq!(kept("nondeterministic origins"), origins);
}

#[tokio::test(start_paused = true)]
async fn deterministic_source_keeps_its_own_offsets() {
    let test = TestPipeline::new();
    let pipeline = |what: &str| {
        format!(
            "sources.in = {{ type = 'test_count', until = 5, what = '{what}' }}
            sinks.out = {{ type = 'test_keep', name = 'own', inputs = ['in'] }}"
        )
    };
    test.run(&pipeline("a")).await.assert(Status::Completed, 5);
    test.run(&pipeline("b")).await.assert(Status::Completed, 10);
    assert_eq!(kept("own origins"), [numbers(0..5), numbers(0..5)].concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overlapping_writes_begin_in_the_order_of_the_batches() {
    let test = TestPipeline::new();
    let finished = test
        .run(
            "sources.in = { type = 'test_count', until = 20000 }
            sinks.out = { type = 'test_keep', name = 'overlapping', concurrency = 8, inputs = ['in'] }",
        )
        .await;
    finished.assert(Status::Completed, 20_000);
    assert!(kept("overlapping") == numbers(0..20_000));
}
