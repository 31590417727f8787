//! `runner run`: runs pipeline files until they end or are stopped.

use anyhow::{Context as _, Result};
use indicatif::MultiProgress;
use runner_core::{HumanDuration, Monitor, Pipeline, PipelineReport};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::arguments::{Common, RunArguments};
use crate::exit::{Exit, print_error};
use crate::progress::{LineOutput, Progress};
use crate::report_file::ReportFile;
use crate::run_many::{Outcome, RunSettings};
use crate::signals::Shutdown;
use crate::{dry_run, logging, pipeline_file, run_many, summary};

/// The JSON of `--report`.
#[derive(Serialize)]
struct Report<'a> {
    pipelines: Vec<&'a PipelineReport>,
}

pub(crate) fn run(arguments: &RunArguments, common: &Common) -> Exit {
    let bars = MultiProgress::new();
    let default_level = if arguments.dry_run.is_some() { "warn" } else { "info" };
    if let Err(error) = logging::start_at(default_level, common, &bars) {
        return Exit::usage_error(&error);
    }
    let pipelines = match pipeline_file::load_all(&arguments.files, arguments.data_dir.as_deref(), common) {
        Ok(pipelines) => pipelines,
        Err(exit) => return exit,
    };
    if let Some(n_records) = arguments.dry_run {
        return dry_run::run(pipelines, n_records, arguments);
    }
    // Opened first, so that a path that cannot be written fails before anything runs.
    let report = match arguments.report.as_deref().map(ReportFile::open).transpose() {
        Ok(report) => report,
        Err(error) => return Exit::usage_error(&error),
    };
    let runtime = match Runtime::new().context("starting the async runtime") {
        Ok(runtime) => runtime,
        Err(error) => return Exit::from_error(&error),
    };
    let shutdown = Shutdown::default();
    let outcomes = runtime.block_on(run_together(pipelines, arguments, &shutdown, bars));
    run_many::shutdown_runtime(runtime, outcomes.as_deref().unwrap_or_default());
    let outcomes = match outcomes {
        Ok(outcomes) => outcomes,
        Err(error) => return Exit::from_error(&error),
    };
    let written = report.map_or(Ok(()), |file| write_report(&outcomes, file));
    summary::show_all(outcomes.iter().map(|outcome| &outcome.report), common);
    if let Err(error) = &written {
        print_error(error);
    }
    match run_many::exit_code(&outcomes, &shutdown) {
        Exit::Done if written.is_err() => Exit::Failed,
        exit => exit,
    }
}

async fn run_together(
    pipelines: Vec<Pipeline>,
    arguments: &RunArguments,
    shutdown: &Shutdown,
    bars: MultiProgress,
) -> Result<Vec<Outcome>> {
    let settings =
        RunSettings { from_start: arguments.from_start, drain_timeout: arguments.drain_timeout.into() };
    let _signals = shutdown.watch_signals(Some(settings.drain_timeout))?;
    for pipeline in pipelines.iter().filter(|pipeline| pipeline.keeps_checkpoints()) {
        tracing::info!("checkpoints of `{}` are stored in {}", pipeline.name, pipeline.data_dir().display());
    }
    let progress = Progress::new(monitors(&pipelines), bars, LineOutput::LOG);
    let background = async { tokio::join!(progress.show(), stop_after(arguments.run_for, shutdown)) };
    let outcomes = tokio::select! {
        outcomes = run_many::run_all(pipelines, settings, shutdown) => outcomes,
        _ = background => unreachable!("the progress display does not return"),
    };
    progress.clear();
    Ok(outcomes)
}

/// The name of each pipeline with the monitors of its components.
pub(crate) fn monitors<'a>(pipelines: impl IntoIterator<Item = &'a Pipeline>) -> Vec<(String, Vec<Monitor>)> {
    pipelines.into_iter().map(|pipeline| (pipeline.name.clone(), pipeline.monitors())).collect()
}

pub(crate) async fn stop_after(run_for: Option<HumanDuration>, shutdown: &Shutdown) {
    if let Some(HumanDuration(span)) = run_for {
        tokio::time::sleep(span).await;
        tracing::info!("stopping gracefully after {} (`--for`)", HumanDuration(span));
        shutdown.stop.cancel();
    }
    std::future::pending::<()>().await;
}

fn write_report(outcomes: &[Outcome], file: ReportFile) -> Result<()> {
    let report = Report { pipelines: outcomes.iter().map(|outcome| &outcome.report).collect() };
    let mut text = serde_json::to_vec_pretty(&report).context("writing the report")?;
    text.push(b'\n');
    file.write(&text)
}
