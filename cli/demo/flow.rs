//! The flow of the demo: producer and consumer side by side, until everything written is stored.

use std::time::Duration;

use indicatif::MultiProgress;
use runner_core::{Kind, Monitor, Pipeline, Status};
use tokio_util::sync::CancellationToken;

use crate::exit::say;
use crate::live::{Live, Plain};
use crate::run::monitors;
use crate::signals::Stops;
use crate::together::{Ended, How, run_one};

/// How often it is looked at how far the flow has come.
const LOOK: Duration = Duration::from_millis(20);

/// What is said of the flow where nobody looks at a terminal.
const PLAIN: Plain = Plain { every: Duration::from_secs(2), say: |line| say(&format!("  {line}")) };

/// How both sides have ended.
pub(super) struct Flowed {
    pub(super) producer: Ended,
    pub(super) consumer: Ended,
    /// How many objects have been stored.
    pub(super) n_stored: u64,
}

/// Runs both; the consumer is stopped once it has stored what the producer has written.
pub(super) async fn run(
    producer: Pipeline,
    consumer: Pipeline,
    bars: MultiProgress,
    stops: &Stops,
) -> Flowed {
    let how = How { from_start: false, drain_timeout: Duration::from_secs(30) };
    let live = Live::new(monitors([&producer, &consumer]), bars, PLAIN);
    let (written, stored) = (sink(&producer, "kafka"), sink(&consumer, "s3"));
    let (all_written, all_stored) = (CancellationToken::new(), stops.narrower());
    let produce = async {
        let ended = run_one(producer, how, stops).await;
        all_written.cancel();
        ended
    };
    let consume = async {
        // Whoever creates the topic comes first.
        while written.counts().records_out == 0 && !all_written.is_cancelled() {
            tokio::time::sleep(LOOK).await;
        }
        let ended = run_one(consumer, how, &all_stored).await;
        if ended.report.status == Status::Failed {
            stops.stop.cancel();
        }
        ended
    };
    let watch = async {
        all_written.cancelled().await;
        while stored.counts().records_out < written.counts().records_out {
            tokio::time::sleep(LOOK).await;
        }
        all_stored.stop.cancel();
        std::future::pending::<()>().await;
    };
    let (producer, consumer) = tokio::select! {
        both = async { tokio::join!(produce, consume) } => both,
        () = async { tokio::join!(watch, live.show()); } => unreachable!("the lines are drawn for ever"),
    };
    live.clear();
    Flowed { producer, consumer, n_stored: stored.counts().records_out }
}

/// The first sink of that type.
fn sink(pipeline: &Pipeline, plugin: &str) -> Monitor {
    let is_it = |monitor: &Monitor| monitor.kind == Kind::Sink && monitor.plugin == plugin;
    pipeline.monitors().into_iter().find(is_it).expect("the stock pipelines have it")
}
