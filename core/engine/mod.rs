//! The engine runs the components of a pipeline: one task for each source, each chain of
//! transforms and each sink.
//!
//! Channels are only where the work forks or waits. A task that ends closes the channels after it,
//! so that a pipeline empties from its sources to its sinks.

mod ack_tracker;
#[cfg(test)]
mod ack_tracker_model;
#[cfg(test)]
mod ack_tracker_tests;
mod backoff;
mod chain;
mod control;
mod entry_allocator;
#[cfg(all(test, shuttle))]
mod interleavings;
mod node;
mod open;
mod outputs;
#[cfg(test)]
mod pipeline_tests;
#[cfg(test)]
mod pipeline_tests_counts;
#[cfg(test)]
mod pipeline_tests_crashes;
#[cfg(test)]
mod pipeline_tests_drains;
#[cfg(test)]
mod pipeline_tests_failures;
#[cfg(test)]
mod pipeline_tests_rejects;
#[cfg(test)]
mod pipeline_tests_routes;
#[cfg(test)]
mod pipeline_tests_states;
#[cfg(test)]
mod pipeline_tests_transactions;
mod resume;
mod sink;
mod source;
#[cfg(test)]
pub(crate) mod test_plugins;
mod transaction_gate;
mod wiring;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Error;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use ack_tracker::AckTracker;
pub(crate) use control::RunFailure;
use control::{ComponentInfo, Control};
pub use open::open_sink;
use wiring::RunningTasks;

use crate::error::Failure;
use crate::pipeline::Pipeline;
use crate::plugin::Built;
use crate::source::Replay;

/// How long an abort waits for the tasks to end.
const ABORT_TIMEOUT: Duration = Duration::from_millis(500);

/// A run that delivers records after a failure for longer than this says so.
const NOTICE_AFTER: Duration = Duration::from_secs(1);

/// What the caller of a run decides.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Forget positions and entry numbers.
    pub from_start: bool,
    /// How long a stop may take before what is in flight is abandoned.
    pub drain_timeout: Duration,
    /// Cancelled by the caller: finish what is in flight, then stop.
    pub stop: CancellationToken,
    /// Cancelled by the caller: stop at once. The engine cancels it itself when the drain timeout
    /// has passed.
    pub abort: CancellationToken,
}

/// Runs a pipeline to its end. Returns the component whose limit has ended the run, if there is one.
pub(crate) async fn run_to_end(
    pipeline: Pipeline,
    options: &RunOptions,
) -> Result<Option<String>, RunFailure> {
    let components = pipeline.components.iter().chain(&pipeline.dead_letter);
    let reads_once =
        |built: &Built| matches!(built, Built::Source(source) if source.replay() == Replay::Impossible);
    let described = components.map(|component| ComponentInfo {
        name: component.name.clone(),
        inputs: component.inputs.clone(),
        reads_once: reads_once(&component.built),
    });
    let control = Arc::new(Control::new(described, pipeline.components.len(), &options.stop));
    let Some(wired) = wiring::wire(pipeline, options, &control).await? else { return Ok(None) };
    let RunningTasks { mut tasks, trackers } = wired;
    drain(&mut tasks, &control, options).await;
    let is_aborted = !tasks.is_empty();
    control.writes.close();
    let ended = async {
        tasks.shutdown().await;
        // Each counts its records when it ends.
        control.writes.wait().await;
    };
    // A task that does not yield cannot be aborted. It ends with the process, which must not wait for it.
    if tokio::time::timeout(ABORT_TIMEOUT, ended).await.is_err() {
        tracing::error!(
            "a component does not stop within {:.1} s, so the run ends without it: its plugin works on a batch, or blocks \
             its thread, and cannot be interrupted",
            ABORT_TIMEOUT.as_secs_f64()
        );
        tasks.detach_all();
    }
    for (node, tracker) in trackers {
        warn_of_lost(&control, node, &tracker, is_aborted);
        let n_dropped = tracker.n_dropped();
        if n_dropped > 0 && !is_aborted && !control.has_failed() {
            let error = Error::msg(format!(
                "{n_dropped} records were dropped without being acknowledged, released or failed; they will be read \
                 again. This is a bug in a plugin"
            ));
            control.fail(node, Failure::fatal(error));
        }
    }
    let limit = control.limit().map(str::to_owned);
    control.take_failure().map_or(Ok(limit), Err)
}

/// Says how many records of a source were not delivered, if it cannot read them again. Those that a `limit` did not want
/// are not lost.
fn warn_of_lost(control: &Control, source: usize, tracker: &AckTracker, is_aborted: bool) {
    let n_lost = tracker.n_undelivered();
    let is_cut = is_aborted || control.has_failed() || control.is_stop_requested();
    if is_cut && n_lost > 0 && !control.can_read_again(source) {
        tracing::warn!(
            component = control.name(source),
            "{n_lost} records that were read were not delivered and are lost: this source cannot read them again"
        );
    }
}

/// Waits until every task has ended, or the run is abandoned.
async fn drain(tasks: &mut JoinSet<()>, control: &Control, options: &RunOptions) {
    let deadline = async {
        control.draining.cancelled().await;
        tokio::time::sleep(options.drain_timeout).await;
    };
    tokio::pin!(deadline);
    let notice = async {
        control.input_ended.cancelled().await;
        tokio::time::sleep(NOTICE_AFTER).await;
    };
    tokio::pin!(notice);
    let mut may_notice = true;
    loop {
        tokio::select! {
            biased;
            () = options.abort.cancelled() => return,
            ended = tasks.join_next() => match ended {
                None => return,
                Some(Ok(())) => {}
                Some(Err(panic)) => {
                    let error = Error::new(panic).context("a component has crashed; this is a bug in its plugin");
                    control.fail_as("engine".into(), Failure::fatal(error));
                }
            },
            () = &mut notice, if may_notice => {
                may_notice = false;
                if !control.stop.is_cancelled()
                    && let Some(why) = control.describe_failure()
                {
                    tracing::warn!("{why}. The run ends when the records that it has read are delivered");
                }
            }
            () = &mut deadline => {
                tracing::error!(
                    "not everything in flight was written within {:.1} s (--drain-timeout); {}",
                    options.drain_timeout.as_secs_f64(),
                    control.fate_of_abandoned()
                );
                options.abort.cancel();
                return;
            }
        }
    }
}
