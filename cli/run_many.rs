//! Runs pipelines concurrently in one process; when one fails, the others stop gracefully.

use std::time::Duration;

use futures_util::future::join_all;
use runner_core::{Pipeline, PipelineReport, RunOptions, Status};
use tokio::runtime::Runtime;

use crate::exit::Exit;
use crate::signals::Shutdown;

/// Settings of a run that hold for all of its pipelines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunSettings {
    /// Discard positions and entry numbers.
    pub(crate) from_start: bool,
    /// How long a graceful stop may take before records in flight are abandoned.
    pub(crate) drain_timeout: Duration,
}

/// The outcome of one pipeline.
pub(crate) struct Outcome {
    pub(crate) report: PipelineReport,
    /// Whether a second signal or the drain deadline aborted it.
    pub(crate) was_aborted: bool,
}

/// Ends the threads of a runtime whose pipelines have ended.
pub(crate) fn shutdown_runtime(runtime: Runtime, outcomes: &[Outcome]) {
    let is_aborted = outcomes.iter().any(|outcome| outcome.was_aborted);
    // Threads of client libraries may hang in a call whose result is not needed any more.
    runtime.shutdown_timeout(Duration::from_millis(if is_aborted { 0 } else { 500 }));
}

/// Runs pipelines until every one has ended; the outcomes are in the order of the pipelines.
pub(crate) async fn run_all(
    pipelines: Vec<Pipeline>,
    settings: RunSettings,
    shutdown: &Shutdown,
) -> Vec<Outcome> {
    let are_several = pipelines.len() > 1;
    let run = async |pipeline: Pipeline| {
        let outcome = run_one(pipeline, settings, shutdown).await;
        if are_several {
            let PipelineReport { name, reason, .. } = &outcome.report;
            tracing::info!("pipeline `{name}` ended: {reason}");
        }
        outcome
    };
    join_all(pipelines.into_iter().map(run)).await
}

/// Runs one pipeline; its failure stops the others.
pub(crate) async fn run_one(pipeline: Pipeline, settings: RunSettings, shutdown: &Shutdown) -> Outcome {
    let abort = shutdown.abort.child_token();
    let options = RunOptions {
        from_start: settings.from_start,
        drain_timeout: settings.drain_timeout,
        stop: shutdown.stop.child_token(),
        abort: abort.clone(),
    };
    let mut report = runner_core::run(pipeline, options).await;
    match (report.status, shutdown.failed_pipeline()) {
        (Status::Failed, None) => shutdown.fail(&report.name),
        (Status::Stopped, Some(other)) => report.reason = format!("`{other}` failed"),
        _ => {}
    }
    Outcome { report, was_aborted: abort.is_cancelled() }
}

/// The exit code of all pipelines: a failure outranks an abort, and an abort outranks success.
pub(crate) fn exit_code(outcomes: &[Outcome], shutdown: &Shutdown) -> Exit {
    let exits = outcomes.iter().map(|outcome| exit_code_of(outcome, shutdown));
    exits.max_by_key(|exit| severity(*exit)).unwrap_or(Exit::Done)
}

fn exit_code_of(outcome: &Outcome, shutdown: &Shutdown) -> Exit {
    match outcome.report.status {
        Status::Failed if outcome.report.is_unreachable() => Exit::Unavailable,
        Status::Failed if outcome.report.is_bad_record() => Exit::BadRecord,
        Status::Failed => Exit::Failed,
        _ if outcome.was_aborted && shutdown.was_interrupted() => Exit::Interrupted,
        _ if outcome.was_aborted => Exit::Terminated,
        Status::Completed | Status::Stopped => Exit::Done,
    }
}

fn severity(exit: Exit) -> u8 {
    match exit {
        Exit::Done => 0,
        Exit::Interrupted | Exit::Terminated => 1,
        Exit::Unavailable => 2,
        Exit::BadRecord => 3,
        Exit::Failed | Exit::Usage | Exit::Config => 4,
    }
}
