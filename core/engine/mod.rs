//! The engine runs a pipeline: one task a source, a chain of transforms, a sink.
//!
//! Channels stand only where work forks or waits. Whoever ends closes the
//! channels behind it, so that a pipeline empties from its sources to its sinks.

mod ack_tracker;
#[cfg(test)]
mod ack_tracker_tests;
mod backoff;
mod books;
mod chain;
mod checkpoint;
mod control;
mod dead_letter;
mod entry_allocator;
#[cfg(all(test, shuttle))]
mod interleavings;
mod outputs;
#[cfg(test)]
mod pipeline_tests;
#[cfg(test)]
mod pipeline_tests_counts;
#[cfg(test)]
mod pipeline_tests_crashes;
#[cfg(test)]
mod pipeline_tests_rejects;
#[cfg(test)]
mod pipeline_tests_transactions;
mod sink;
mod source;
#[cfg(test)]
mod test_plugins;
mod transaction_gate;
mod wiring;
mod writer;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Error, Result};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use checkpoint::{Checkpoint, checkpoints, reset_checkpoints};
use control::{Control, RunFailure};

use crate::error::OutputClosed;
use crate::pipeline::{Monitor, Pipeline};
use crate::plugin::RetryLimits;
use crate::report::{ComponentReport, PipelineReport, Status, millis, rfc3339};
use crate::sink::Sink;

/// What the caller of a run decides.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Forget positions and entry numbers.
    pub from_start: bool,
    /// How long a stop may take before what is under way is abandoned.
    pub drain_timeout: Duration,
    /// Cancelled by the caller: stop in order.
    pub stop: CancellationToken,
    /// Cancelled by the caller: stop at once. The engine cancels it itself when
    /// the drain deadline has passed.
    pub abort: CancellationToken,
}

/// Runs a pipeline to its end.
pub async fn run(pipeline: Pipeline, options: RunOptions) -> PipelineReport {
    let monitors = pipeline.monitors();
    let (name, file) = (pipeline.name.clone(), pipeline.file.display().to_string());
    let (started, clock) = (SystemTime::now(), Instant::now());
    let ended = run_to_end(pipeline, &options, &monitors).await;
    let (status, reason, error) = match ended {
        Err(RunFailure { error, .. }) if error.is::<OutputClosed>() => {
            (Status::Stopped, error.to_string(), None)
        }
        Err(RunFailure { component, error }) => {
            let error = error.context(format!("`{component}` failed"));
            (Status::Failed, format!("{error:#}"), Some(error))
        }
        Ok(_) if options.abort.is_cancelled() => (Status::Stopped, "stopped hard".into(), None),
        Ok(_) if options.stop.is_cancelled() => (Status::Stopped, "asked to stop".into(), None),
        Ok(Some(component)) => (Status::Completed, format!("`{component}` lets no more pass"), None),
        Ok(None) => (Status::Completed, "everything has been read".into(), None),
    };
    PipelineReport {
        name,
        file,
        status,
        reason,
        started: rfc3339(started),
        finished: rfc3339(SystemTime::now()),
        duration_ms: millis(clock.elapsed()),
        components: monitors.iter().map(ComponentReport::new).collect(),
        error,
    }
}

/// Answers with the component whose limit has ended the run, if one has.
async fn run_to_end(
    pipeline: Pipeline,
    options: &RunOptions,
    monitors: &[Monitor],
) -> Result<Option<String>, RunFailure> {
    let components = pipeline.components.iter().chain(&pipeline.dead_letter);
    let nodes = components.map(|component| (component.name.clone(), component.inputs.clone()));
    let control = Arc::new(Control::new(nodes, &options.stop));
    let Some(wired) = wiring::wire(pipeline, options, &control).await? else { return Ok(None) };
    let mut tasks = wired.tasks;
    let beside = async {
        let error = wired.dead_letters.run_background().await;
        control.fail_as("dead_letter".into(), error);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = drain(&mut tasks, &control, options) => {}
        () = beside => unreachable!("it pends for ever"),
    }
    let is_aborted = !tasks.is_empty();
    tasks.shutdown().await;
    if !is_aborted && let Err(error) = wired.dead_letters.flush().await {
        control.fail_as("dead_letter".into(), error);
    }
    wired.books.close(monitors, is_aborted, &control);
    let satisfied = control.satisfied().map(str::to_owned);
    control.take_failure().map_or(Ok(satisfied), Err)
}

/// Waits until every task has ended, or the run is abandoned.
async fn drain(tasks: &mut JoinSet<()>, control: &Control, options: &RunOptions) {
    let deadline = async {
        control.stop.cancelled().await;
        tokio::time::sleep(options.drain_timeout).await;
    };
    tokio::pin!(deadline);
    loop {
        tokio::select! {
            biased;
            () = options.abort.cancelled() => return,
            ended = tasks.join_next() => match ended {
                None => return,
                Some(Ok(())) => {}
                Some(Err(panic)) => {
                    let error = Error::new(panic).context("a component has crashed; this is a bug in its plugin");
                    control.fail_as("engine".into(), error);
                }
            },
            () = &mut deadline => {
                tracing::error!(
                    "not everything under way was written within {:.1} s (--drain-timeout); what is left will be read again",
                    options.drain_timeout.as_secs_f64()
                );
                options.abort.cancel();
                return;
            }
        }
    }
}

/// Opens one sink outside of a run, as a run would; false if `stop` came first.
pub async fn open_sink(
    name: &str,
    sink: &mut dyn Sink,
    limits: &RetryLimits,
    stop: &CancellationToken,
) -> Result<bool> {
    source::connect(name, limits, stop, async || sink.open().await).await
}
