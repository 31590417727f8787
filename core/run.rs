//! Runs a pipeline and reports how it ended.

use std::time::{Instant, SystemTime};

use crate::engine::{RunFailure, RunOptions, run_to_end};
use crate::error::Class;
use crate::pipeline::Pipeline;
use crate::report::{ComponentReport, PipelineReport, Status, millis, rfc3339};

/// Runs a pipeline to its end.
pub async fn run(pipeline: Pipeline, options: RunOptions) -> PipelineReport {
    let monitors = pipeline.monitors();
    let (name, file) = (pipeline.name.clone(), pipeline.file.display().to_string());
    let (started, clock) = (SystemTime::now(), Instant::now());
    let (status, reason, failure) = match run_to_end(pipeline, &options).await {
        Err(RunFailure { failure, .. }) if failure.class() == Class::OutputClosed => {
            (Status::Stopped, failure.to_string(), None)
        }
        Err(RunFailure { component, failure }) => {
            let failure = failure.context(format!("`{component}` failed"));
            (Status::Failed, format!("{:#}", failure.error()), Some(failure))
        }
        Ok(_) if options.abort.is_cancelled() => (Status::Stopped, "aborted".into(), None),
        Ok(_) if options.stop.is_cancelled() => (Status::Stopped, "stopped on request".into(), None),
        Ok(Some(component)) => (Status::Completed, format!("limit reached at `{component}`"), None),
        Ok(None) => (Status::Completed, "all input has been read".into(), None),
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
        failure,
    }
}
