//! Pipelines that run together in one process: one that fails stops all in order.

use std::time::Duration;

use futures_util::future::join_all;
use runner_core::{Pipeline, PipelineReport, RunOptions, Status};
use tokio::runtime::Runtime;

use crate::exit::Exit;
use crate::signals::Stops;

/// How pipelines are run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    /// Forget positions and entry numbers.
    pub(crate) from_start: bool,
    /// How long a stop may take before what is under way is abandoned.
    pub(crate) drain_timeout: Duration,
}

/// How one of them has ended.
pub(crate) struct Ended {
    pub(crate) report: PipelineReport,
    /// Whether it was abandoned, by a second signal or the drain deadline.
    pub(crate) was_abandoned: bool,
}

/// Ends the threads of a runtime whose pipelines have ended.
pub(crate) fn wind_up(runtime: Runtime, ended: &[Ended]) {
    let is_abandoned = ended.iter().any(|ended| ended.was_abandoned);
    // Client libraries may have threads that hang in a call; nothing of theirs is needed any more.
    runtime.shutdown_timeout(Duration::from_millis(if is_abandoned { 0 } else { 500 }));
}

/// Runs pipelines side by side until every one has ended, and answers in their order.
pub(crate) async fn run_all(pipelines: Vec<Pipeline>, how: How, stops: &Stops) -> Vec<Ended> {
    let are_several = pipelines.len() > 1;
    let run = async |pipeline: Pipeline| {
        let ended = run_one(pipeline, how, stops).await;
        if are_several {
            let PipelineReport { name, reason, .. } = &ended.report;
            tracing::info!("`{name}` has ended: {reason}");
        }
        ended
    };
    join_all(pipelines.into_iter().map(run)).await
}

/// Runs one pipeline; its failure stops the others.
pub(crate) async fn run_one(pipeline: Pipeline, how: How, stops: &Stops) -> Ended {
    let abort = stops.abort.child_token();
    let options = RunOptions {
        from_start: how.from_start,
        drain_timeout: how.drain_timeout,
        stop: stops.stop.child_token(),
        abort: abort.clone(),
    };
    let mut report = runner_core::run(pipeline, options).await;
    match (report.status, stops.failed()) {
        (Status::Failed, None) => stops.fail(&report.name),
        (Status::Stopped, Some(other)) => report.reason = format!("`{other}` failed"),
        _ => {}
    }
    Ended { report, was_abandoned: abort.is_cancelled() }
}

/// The exit code of all: a failure weighs more than a hard stop, and that more than an orderly end.
pub(crate) fn exit_of(all: &[Ended], stops: &Stops) -> Exit {
    all.iter().map(|ended| exit_of_one(ended, stops)).max_by_key(|exit| weight(*exit)).unwrap_or(Exit::Done)
}

fn exit_of_one(ended: &Ended, stops: &Stops) -> Exit {
    match ended.report.status {
        Status::Failed if ended.report.is_unreachable() => Exit::Unavailable,
        Status::Failed => Exit::Failed,
        _ if ended.was_abandoned && stops.was_interrupt() => Exit::Interrupted,
        _ if ended.was_abandoned => Exit::Terminated,
        Status::Completed | Status::Stopped => Exit::Done,
    }
}

fn weight(exit: Exit) -> u8 {
    match exit {
        Exit::Done => 0,
        Exit::Interrupted | Exit::Terminated => 1,
        Exit::Unavailable => 2,
        Exit::Failed | Exit::Usage | Exit::Config => 3,
    }
}
