//! `runner run`: one pipeline file, from start to end.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use indicatif::MultiProgress;
use runner_core::{HumanDuration, Pipeline, PipelineReport, RunOptions, Status};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::arguments::{Common, RunArguments};
use crate::exit::{Exit, say_error};
use crate::live::Live;
use crate::signals::{Handlers, Stops};
use crate::{file, logging, summary};

/// The JSON of `--report`.
#[derive(Serialize)]
struct Report<'a> {
    pipelines: &'a [PipelineReport],
}

pub(crate) fn run(arguments: &RunArguments, common: &Common) -> Exit {
    let bars = MultiProgress::new();
    if let Err(error) = logging::start(common, &bars) {
        say_error(&error);
        return Exit::Usage;
    }
    let pipeline = match file::read(&arguments.file, arguments.data_dir.clone(), common) {
        Ok(pipeline) => pipeline,
        Err(exit) => return exit,
    };
    let runtime = match Runtime::new().context("starting the async runtime") {
        Ok(runtime) => runtime,
        Err(error) => {
            say_error(&error);
            return Exit::Failed;
        }
    };
    let stops = Stops::default();
    let report = runtime.block_on(run_pipeline(pipeline, arguments, &stops, bars));
    // Client libraries may have threads that hang in a call; nothing of theirs is needed any more.
    runtime.shutdown_timeout(Duration::from_millis(if stops.abort.is_cancelled() { 0 } else { 500 }));
    let report = match report {
        Ok(report) => report,
        Err(error) => {
            say_error(&error);
            return Exit::Failed;
        }
    };
    let told = match arguments.report.as_deref() {
        Some(path) if path == Path::new("-") => write_report(&report, &mut std::io::stdout().lock()),
        Some(path) => std::fs::File::create(path)
            .with_context(|| format!("creating the report {}", path.display()))
            .and_then(|mut file| write_report(&report, &mut file)),
        None => Ok(()),
    };
    summary::show(&report, common);
    if let Some(error) = &report.error {
        say_error(error);
    }
    if let Err(error) = &told {
        say_error(error);
    }
    match exit_of(&report, &stops) {
        Exit::Done if told.is_err() => Exit::Failed,
        exit => exit,
    }
}

async fn run_pipeline(
    pipeline: Pipeline,
    arguments: &RunArguments,
    stops: &Stops,
    bars: MultiProgress,
) -> Result<PipelineReport> {
    let handlers = Handlers::install()?;
    if pipeline.keeps_checkpoints() {
        tracing::info!("checkpoints of `{}` lie in {}", pipeline.name, pipeline.data_dir.display());
    }
    let options = RunOptions {
        from_start: arguments.from_start,
        drain_timeout: arguments.drain_timeout.into(),
        stop: stops.stop.clone(),
        abort: stops.abort.clone(),
    };
    let live = Live::new(&pipeline.monitors(), bars);
    let beside = async {
        tokio::join!(handlers.watch(stops.clone()), live.draw(), stop_after(arguments.run_for, stops));
    };
    let report = tokio::select! {
        report = runner_core::run(pipeline, options) => report,
        () = beside => unreachable!("the handlers watch for ever"),
    };
    live.clear();
    Ok(report)
}

async fn stop_after(run_for: Option<HumanDuration>, stops: &Stops) {
    if let Some(HumanDuration(span)) = run_for {
        tokio::time::sleep(span).await;
        tracing::info!("stopping after {} (--for)", HumanDuration(span));
        stops.stop.cancel();
    }
    std::future::pending::<()>().await;
}

fn write_report(report: &PipelineReport, out: &mut dyn std::io::Write) -> Result<()> {
    let report = Report { pipelines: std::slice::from_ref(report) };
    serde_json::to_writer_pretty(&mut *out, &report).context("writing the report")?;
    out.write_all(b"\n").and_then(|()| out.flush()).context("writing the report")
}

fn exit_of(report: &PipelineReport, stops: &Stops) -> Exit {
    match report.status {
        Status::Failed if report.is_unreachable() => Exit::Unavailable,
        Status::Failed => Exit::Failed,
        _ if stops.abort.is_cancelled() && stops.was_interrupt() => Exit::Interrupted,
        _ if stops.abort.is_cancelled() => Exit::Terminated,
        Status::Completed | Status::Stopped => Exit::Done,
    }
}
