//! Runs the producer and the consumer of the demo until all records are stored.

use std::time::Duration;

use indicatif::MultiProgress;
use runner_core::{Kind, Monitor, Pipeline, Status};
use tokio_util::sync::CancellationToken;

use crate::exit::print_message;
use crate::progress::{LineOutput, Progress};
use crate::run::monitors;
use crate::run_many::{Outcome, RunSettings, run_one};
use crate::signals::Shutdown;

/// How often the counters are checked.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Progress without a terminal.
const LINES: LineOutput = LineOutput {
    interval: Duration::from_secs(2),
    idle_interval: Duration::MAX,
    print: |line| print_message(&format!("  {}: {}", line.pipeline, line.text)),
};

/// The outcome of both pipelines.
pub(super) struct DemoOutcome {
    pub(super) producer: Outcome,
    pub(super) consumer: Outcome,
    /// The number of stored objects.
    pub(super) n_stored: u64,
}

/// Runs both; stops the consumer once it has stored everything that the producer has written.
pub(super) async fn run(
    producer: Pipeline,
    consumer: Pipeline,
    bars: MultiProgress,
    shutdown: &Shutdown,
) -> DemoOutcome {
    let settings = RunSettings { from_start: false, drain_timeout: Duration::from_secs(30) };
    let progress = Progress::new(monitors([&producer, &consumer]), bars, LINES);
    let (written, stored) = (sink(&producer, "kafka"), sink(&consumer, "s3"));
    let (all_written, all_stored) = (CancellationToken::new(), shutdown.child());
    let produce = async {
        let outcome = run_one(producer, settings, shutdown).await;
        all_written.cancel();
        outcome
    };
    let consume = async {
        // The producer creates the topic.
        while written.counts().records_out == 0 && !all_written.is_cancelled() {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        let outcome = run_one(consumer, settings, &all_stored).await;
        if outcome.report.status == Status::Failed {
            shutdown.stop.cancel();
        }
        outcome
    };
    let watch = async {
        all_written.cancelled().await;
        while stored.counts().records_out < written.counts().records_out {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        all_stored.stop.cancel();
        std::future::pending::<()>().await;
    };
    let (producer, consumer) = tokio::select! {
        both = async { tokio::join!(produce, consume) } => both,
        () = async { tokio::join!(watch, progress.show()); } => unreachable!("the progress display does not return"),
    };
    progress.clear();
    DemoOutcome { producer, consumer, n_stored: stored.counts().records_out }
}

/// The first sink of this type.
fn sink(pipeline: &Pipeline, plugin: &str) -> Monitor {
    let matches = |monitor: &Monitor| monitor.kind == Kind::Sink && monitor.plugin == plugin;
    pipeline.monitors().into_iter().find(matches).expect("the stock pipelines have this sink")
}
