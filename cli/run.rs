//! `runner run`: pipeline files, side by side, from start to end.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Context as _, Result};
use indicatif::MultiProgress;
use runner_core::{HumanDuration, Monitor, Pipeline, PipelineReport};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::arguments::{Common, RunArguments};
use crate::exit::{Exit, say_error};
use crate::live::{Live, Plain};
use crate::signals::{Handlers, Stops};
use crate::together::{Ended, How};
use crate::{file, logging, summary, together};

/// The JSON of `--report`.
#[derive(Serialize)]
struct Report<'a> {
    pipelines: Vec<&'a PipelineReport>,
}

pub(crate) fn run(arguments: &RunArguments, common: &Common) -> Exit {
    let bars = MultiProgress::new();
    if let Err(error) = logging::start(common, &bars) {
        return Exit::on_usage(&error);
    }
    let pipelines = match file::read_all(&arguments.files, arguments.data_dir.as_deref(), common) {
        Ok(pipelines) => pipelines,
        Err(exit) => return exit,
    };
    // What cannot be written is found out before anything runs.
    let mut report = match arguments.report.as_deref().map(open_report).transpose() {
        Ok(report) => report,
        Err(error) => return Exit::on_usage(&error),
    };
    let runtime = match Runtime::new().context("starting the async runtime") {
        Ok(runtime) => runtime,
        Err(error) => return Exit::on(&error),
    };
    let stops = Stops::default();
    let ended = runtime.block_on(run_together(pipelines, arguments, &stops, bars));
    together::wind_up(runtime, ended.as_deref().unwrap_or_default());
    let ended = match ended {
        Ok(ended) => ended,
        Err(error) => return Exit::on(&error),
    };
    let told = report.as_mut().map_or(Ok(()), |out| write_report(&ended, out));
    summary::show_all(ended.iter().map(|ended| &ended.report), common);
    if let Err(error) = &told {
        say_error(error);
    }
    match together::exit_of(&ended, &stops) {
        Exit::Done if told.is_err() => Exit::Failed,
        exit => exit,
    }
}

async fn run_together(
    pipelines: Vec<Pipeline>,
    arguments: &RunArguments,
    stops: &Stops,
    bars: MultiProgress,
) -> Result<Vec<Ended>> {
    let handlers = Handlers::install()?;
    for pipeline in pipelines.iter().filter(|pipeline| pipeline.keeps_checkpoints()) {
        tracing::info!("checkpoints of `{}` lie in {}", pipeline.name, pipeline.data_dir.display());
    }
    let how = How { from_start: arguments.from_start, drain_timeout: arguments.drain_timeout.into() };
    let live = Live::new(monitors(&pipelines), bars, Plain::LOG);
    let beside = async {
        tokio::join!(handlers.watch(stops.clone()), live.show(), stop_after(arguments.run_for, stops));
    };
    let ended = tokio::select! {
        ended = together::run_all(pipelines, how, stops) => ended,
        () = beside => unreachable!("the handlers watch for ever"),
    };
    live.clear();
    Ok(ended)
}

/// What the components of every pipeline show, under its name.
pub(crate) fn monitors<'a>(pipelines: impl IntoIterator<Item = &'a Pipeline>) -> Vec<(String, Vec<Monitor>)> {
    pipelines.into_iter().map(|pipeline| (pipeline.name.clone(), pipeline.monitors())).collect()
}

async fn stop_after(run_for: Option<HumanDuration>, stops: &Stops) {
    if let Some(HumanDuration(span)) = run_for {
        tokio::time::sleep(span).await;
        tracing::info!("stopping after {} (--for)", HumanDuration(span));
        stops.stop.cancel();
    }
    std::future::pending::<()>().await;
}

fn open_report(path: &Path) -> Result<Box<dyn Write>> {
    if path == Path::new("-") {
        return Ok(Box::new(std::io::stdout()));
    }
    let file =
        File::create(path).with_context(|| format!("--report {}: cannot be written", path.display()))?;
    Ok(Box::new(file))
}

fn write_report(ended: &[Ended], out: &mut dyn Write) -> Result<()> {
    let report = Report { pipelines: ended.iter().map(|ended| &ended.report).collect() };
    serde_json::to_writer_pretty(&mut *out, &report).context("writing the report")?;
    out.write_all(b"\n").and_then(|()| out.flush()).context("writing the report")
}
