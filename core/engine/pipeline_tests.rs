//! Small stories of whole pipelines, with sources and sinks that misbehave on purpose.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::RunOptions;
use super::test_plugins::{kept, numbers};
use crate::config::{Diagnostics, LoadContext, load};
use crate::plugin::Registry;
use crate::{Pipeline, PipelineReport, Status};

/// A folder for one story.
pub(super) struct Scene(tempfile::TempDir);

pub(super) struct Told {
    pub(super) report: PipelineReport,
    pub(super) checkpoint: Value,
}

impl Scene {
    pub(super) fn new() -> Self {
        Scene(tempfile::tempdir().unwrap())
    }

    /// A name that no other story has.
    pub(super) fn name(&self, what: &str) -> String {
        format!("{what} of {}", self.0.path().display())
    }

    fn load(&self, pipeline: &str) -> Result<Pipeline, Diagnostics> {
        let file = self.0.path().join("story.toml");
        std::fs::write(&file, pipeline).unwrap();
        let surroundings = LoadContext {
            registry: &Registry::collect().unwrap(),
            lookup: &|_| None,
            data_dir: Some(self.0.path().to_owned()),
        };
        load(&file, &surroundings)
    }

    /// What is wrong with a pipeline.
    pub(super) fn slips(&self, pipeline: &str) -> String {
        self.load(pipeline).err().expect("something is wrong").to_string()
    }

    pub(super) async fn run(&self, pipeline: &str) -> Told {
        self.run_with(pipeline, CancellationToken::new(), Duration::from_secs(30)).await
    }

    /// Somebody asks for a stop after this time.
    pub(super) async fn run_until(&self, pipeline: &str, time: Duration) -> Told {
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
    ) -> Told {
        let options = RunOptions { from_start: false, drain_timeout, stop, abort: CancellationToken::new() };
        let report = self.report(pipeline, options).await;
        Told { report, checkpoint: self.checkpoint().expect("a checkpoint") }
    }

    pub(super) async fn report(&self, pipeline: &str, options: RunOptions) -> PipelineReport {
        let pipeline = self.load(pipeline).unwrap_or_else(|slips| panic!("{slips}"));
        crate::run(pipeline, options).await
    }

    /// What the file says that remembers the source `in`; `None` as long as there is none.
    pub(super) fn checkpoint(&self) -> Option<Value> {
        let bytes = std::fs::read(self.0.path().join("story/in.json")).ok()?;
        Some(serde_json::from_slice(&bytes).expect("a checkpoint is whole"))
    }
}

impl Told {
    #[track_caller]
    pub(super) fn assert(&self, status: Status, next_entry: u64) {
        assert_eq!(self.report.status, status, "{}", self.report.reason);
        assert_eq!(self.checkpoint["next_entry"], next_entry, "{}", self.checkpoint);
    }
}

#[tokio::test(start_paused = true)]
async fn everything_arrives_and_is_counted() {
    let scene = Scene::new();
    let told = scene
        .run("sources.in = { type = 'test_count', until = 25 }\nsinks.out = { type = 'test_keep', name = 'all', inputs = ['in'] }")
        .await;
    told.assert(Status::Completed, 25);
    assert_eq!(told.checkpoint["position"], 25);
    assert_eq!(kept("all"), numbers(0..25));
    assert_eq!(kept("all flushed"), ["Completed"]);
    let counts: Vec<_> = told.report.components.iter().map(|it| (it.records_in, it.records_out)).collect();
    assert_eq!(counts, [(25, 25), (25, 25)]);
}

#[tokio::test(start_paused = true)]
async fn a_limit_gives_back_the_rest_and_the_next_run_goes_on_behind_it() {
    let scene = Scene::new();
    let pipeline = "sources.in = { type = 'test_count', until = 100 }
        transforms.limit = { type = 'test_meddle', stop_after = 14, inputs = ['in'] }
        sinks.out = { type = 'test_keep', name = 'limited', inputs = ['limit'] }";
    scene.run(pipeline).await.assert(Status::Completed, 14);
    assert_eq!(kept("limited"), numbers(0..14));
    scene.run(pipeline).await.assert(Status::Completed, 28);
    assert_eq!(kept("limited"), numbers(0..28));
}

#[tokio::test(start_paused = true)]
async fn what_stumbles_is_tried_again_until_it_is_stored() {
    let scene = Scene::new();
    let told = scene
        .run(
            "sources.in = { type = 'test_count', until = 20 }
            sinks.out = { type = 'test_keep', name = 'stumbled', stumble = 3, inputs = ['in'] }",
        )
        .await;
    told.assert(Status::Completed, 20);
    assert_eq!(kept("stumbled"), numbers(0..20));
    assert_eq!(told.report.components[1].retries, 6);
}

#[tokio::test(start_paused = true)]
async fn patience_ends_and_then_the_run_does() {
    let scene = Scene::new();
    let told = scene
        .run(
            "retry.timeout = '1m'
            sources.in = { type = 'test_count', until = 20 }
            sinks.out = { type = 'test_keep', name = 'impatient', stumble = 1000, inputs = ['in'] }",
        )
        .await;
    told.assert(Status::Failed, 0);
    assert!(told.report.reason.contains("gave up after") && told.report.reason.contains("stumbled"));
}

#[tokio::test(start_paused = true)]
async fn what_the_first_of_two_sinks_has_stored_the_second_stores_before_a_stop() {
    let pipeline = "sources.in = { type = 'test_count', until = 1000, endless = true }
        sinks.first = { type = 'test_keep', name = 'stored first', inputs = ['in'] }
        sinks.second = { type = 'test_keep', name = 'stored second', takes = 1000, inputs = ['first'] }";
    let told = Scene::new().run_until(pipeline, Duration::from_millis(2_500)).await;
    let n_stored = kept("stored first").len() as u64;
    assert!(n_stored > 30, "several batches wait in front of the second");
    told.assert(Status::Stopped, n_stored);
    assert_eq!(kept("stored second"), numbers(0..n_stored));
}

#[tokio::test(start_paused = true)]
async fn what_was_stored_beside_the_record_that_ends_a_run_is_counted_and_not_read_again() {
    let scene = Scene::new();
    let told = scene
        .run(
            "sources.in = { type = 'test_count', until = 30 }
            sinks.out = { type = 'test_keep', name = 'broken beside', fail = 7, inputs = ['in'] }",
        )
        .await;
    told.assert(Status::Failed, 7);
    assert_eq!(told.checkpoint["position"], 7);
    assert!(told.report.reason.contains("broken"), "{}", told.report.reason);
    let out = &told.report.components[1];
    assert_eq!((out.records_in, out.records_out), (9, 9), "what was released has not gone in");
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_panics_commits_nothing_of_its_batch() {
    let scene = Scene::new();
    let told = scene
        .run(
            "sources.in = { type = 'test_count', until = 100 }
            sinks.out = { type = 'test_keep', name = 'panicked', panic = 15, inputs = ['in'] }",
        )
        .await;
    told.assert(Status::Failed, 10);
    assert!(told.report.reason.contains("crashed"), "{}", told.report.reason);
}

#[tokio::test(start_paused = true)]
async fn a_transform_that_drops_a_batch_fails_the_run() {
    let scene = Scene::new();
    let told = scene
        .run(
            "sources.in = { type = 'test_count', until = 50 }
            transforms.t = { type = 'test_meddle', drop = 25, inputs = ['in'] }
            sinks.out = { type = 'test_keep', name = 'dropped', inputs = ['t'] }",
        )
        .await;
    told.assert(Status::Failed, 20);
    assert!(told.report.reason.contains("10 records were dropped"), "{}", told.report.reason);
}

#[tokio::test(start_paused = true)]
async fn filtered_records_count_as_delivered() {
    let scene = Scene::new();
    let told = scene
        .run(
            "sources.in = { type = 'test_count', until = 10 }
            transforms.t = { type = 'test_meddle', filter = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], inputs = ['in'] }
            sinks.out = { type = 'test_keep', name = 'filtered', inputs = ['t'] }",
        )
        .await;
    told.assert(Status::Completed, 10);
    assert_eq!(told.report.components[1].filtered, 10);
}

#[tokio::test(start_paused = true)]
async fn a_record_is_committed_only_when_every_branch_has_stored_it() {
    let scene = Scene::new();
    let told = scene
        .run(
            "sources.in = { type = 'test_count', until = 30 }
            sinks.good = { type = 'test_keep', name = 'good branch', concurrency = 3, inputs = ['in'] }
            sinks.poor = { type = 'test_keep', name = 'poor branch', refuse = 12, inputs = ['in'] }",
        )
        .await;
    told.assert(Status::Failed, 12);
    assert!(kept("poor branch").starts_with(&numbers(0..12)));
}

#[tokio::test(start_paused = true)]
async fn a_sink_behind_a_sink_receives_only_what_the_first_has_stored() {
    let scene = Scene::new();
    let told = scene
        .run(
            "dead_letter = { type = 'test_keep', name = 'unstored' }
            sources.in = { type = 'test_count', until = 30 }
            sinks.first = { type = 'test_keep', name = 'first', refuse = 5, inputs = ['in'] }
            sinks.second = { type = 'test_keep', name = 'second', inputs = ['first'] }",
        )
        .await;
    told.assert(Status::Completed, 30);
    assert_eq!(kept("second").len(), 29);
    assert!(!kept("second").contains(&"5".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn on_stop_what_waits_is_given_back_at_once() {
    let pipeline = "sources.in = { type = 'test_count', until = 1000 }
        transforms.slow = { type = 'test_meddle', pause = 10, inputs = ['in'] }
        sinks.out = { type = 'test_keep', name = 'paced', inputs = ['slow'] }";
    let started = Instant::now();
    let told = Scene::new().run_until(pipeline, Duration::from_secs(35)).await;
    told.assert(Status::Stopped, 3);
    assert_eq!(kept("paced"), numbers(0..3));
    assert_eq!(kept("paced flushed"), ["Stopped"]);
    assert!(started.elapsed() < Duration::from_secs(36), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_backoff_gives_back_what_it_holds_when_the_run_stops() {
    let pipeline = "sources.in = { type = 'test_count', until = 10, endless = true }
        sinks.out = { type = 'test_keep', name = 'backing off', stumble = 1000, inputs = ['in'] }";
    let told = Scene::new().run_until(pipeline, Duration::from_secs(20)).await;
    told.assert(Status::Stopped, 0);
}

#[tokio::test(start_paused = true)]
async fn the_drain_deadline_abandons_what_hangs() {
    let scene = Scene::new();
    let stop = CancellationToken::new();
    let pipeline = "sources.in = { type = 'test_count', until = 20, endless = true }
        sinks.out = { type = 'test_keep', name = 'hung', hang = 15, inputs = ['in'] }";
    let stopper = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        stop.cancel();
    };
    let started = Instant::now();
    let (told, ()) = tokio::join!(scene.run_with(pipeline, stop.clone(), Duration::from_secs(7)), stopper);
    told.assert(Status::Stopped, 10);
    assert_eq!(told.report.reason, "stopped hard");
    assert!(started.elapsed() >= Duration::from_secs(12));
}

#[tokio::test(start_paused = true)]
async fn an_edited_source_reads_from_its_start_and_counting_goes_on() {
    let scene = Scene::new();
    let pipeline = |what: &str, name: &str| {
        format!(
            "sources.in = {{ type = 'test_count', until = 15, what = '{what}' }}
            sinks.out = {{ type = 'test_keep', name = '{name}', inputs = ['in'] }}"
        )
    };
    scene.run(&pipeline("a", "edited a")).await.assert(Status::Completed, 15);
    scene.run(&pipeline("b", "edited b")).await.assert(Status::Completed, 30);
    assert_eq!(kept("edited b"), numbers(0..15));
}

#[tokio::test(start_paused = true)]
async fn numbers_that_may_have_left_are_never_given_twice() {
    let scene = Scene::new();
    let pipeline = "sources.in = { type = 'test_count', until = 20, anew = true }
        sinks.out = { type = 'test_keep', name = 'anew', hang = 15, inputs = ['in'] }";
    let stop = CancellationToken::new();
    let stopper = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        stop.cancel();
    };
    // Abandoned while 10 to 19 are with the sink: they may have been stored.
    let (told, ()) = tokio::join!(scene.run_with(pipeline, stop.clone(), Duration::from_secs(7)), stopper);
    told.assert(Status::Stopped, 10);
    let reserved = told.checkpoint["reserved"].as_u64().unwrap();
    assert!(reserved >= 20, "{reserved}");
    let healed = pipeline.replace(", hang = 15", "");
    scene.run(&healed).await.assert(Status::Completed, reserved + 10);
    assert_eq!(kept("anew"), numbers(0..20));
    // Its own offsets begin again where the run before may have named other records.
    let origins = [numbers(0..10), numbers(reserved..reserved + 10)].concat();
    assert_eq!(kept("anew origins"), origins);
}

#[tokio::test(start_paused = true)]
async fn origins_of_a_source_that_gives_the_same_again_stay_its_own() {
    let scene = Scene::new();
    let pipeline = |what: &str| {
        format!(
            "sources.in = {{ type = 'test_count', until = 5, what = '{what}' }}
            sinks.out = {{ type = 'test_keep', name = 'own', inputs = ['in'] }}"
        )
    };
    scene.run(&pipeline("a")).await.assert(Status::Completed, 5);
    scene.run(&pipeline("b")).await.assert(Status::Completed, 10);
    assert_eq!(kept("own origins"), [numbers(0..5), numbers(0..5)].concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overlapping_writes_begin_in_the_order_of_the_batches() {
    let scene = Scene::new();
    let told = scene
        .run(
            "sources.in = { type = 'test_count', until = 20000 }
            sinks.out = { type = 'test_keep', name = 'overlapping', concurrency = 8, inputs = ['in'] }",
        )
        .await;
    told.assert(Status::Completed, 20_000);
    assert!(kept("overlapping") == numbers(0..20_000));
}
