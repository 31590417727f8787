//! `runner run --dry-run`: shows what would become of the first records, and stores nothing.

mod print;
mod trace;

use std::io::Write as _;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use runner_core::{Failure, Observer, Pipeline};
use tokio::runtime::Runtime;

use self::trace::Trace;
use crate::arguments::RunArguments;
use crate::exit::{Exit, is_stdout_open, print_error, print_message};
use crate::run::stop_after;
use crate::run_many::{self, Outcome, RunSettings};
use crate::signals::Shutdown;

/// Runs the pipelines as dry runs, each with the first `n_records` of every source.
pub(crate) fn run(pipelines: Vec<Pipeline>, n_records: u64, arguments: &RunArguments) -> Exit {
    let mut traces = Vec::new();
    let mut dry_runs = Vec::new();
    for pipeline in pipelines {
        let trace = Arc::new(Trace::new(&pipeline));
        let observer: Arc<dyn Observer> = Arc::clone(&trace) as _;
        dry_runs.push(pipeline.into_dry_run(n_records, &observer));
        traces.push(trace);
    }
    let runtime = match Runtime::new().context("starting the async runtime") {
        Ok(runtime) => runtime,
        Err(error) => return Exit::from_error(&error),
    };
    let shutdown = Shutdown::default();
    let outcomes = runtime.block_on(run_all(dry_runs, arguments, &shutdown));
    run_many::shutdown_runtime(runtime, outcomes.as_deref().unwrap_or_default());
    let shown = outcomes.and_then(|outcomes| print_traces(&traces).map(|()| outcomes));
    let outcomes = match shown {
        Ok(outcomes) => outcomes,
        Err(error) => return Exit::from_error(&error),
    };
    for Outcome { report, .. } in &outcomes {
        if let Some(error) = report.failure.as_ref().map(Failure::error) {
            print_error(error);
        } else {
            print_message(&format!("{}: the dry run has ended; nothing was stored", report.name));
        }
    }
    run_many::exit_code(&outcomes, &shutdown)
}

async fn run_all(
    pipelines: Vec<Pipeline>,
    arguments: &RunArguments,
    shutdown: &Shutdown,
) -> Result<Vec<Outcome>> {
    let settings =
        RunSettings { from_start: arguments.from_start, drain_timeout: arguments.drain_timeout.into() };
    let _signals = shutdown.watch_signals(Some(settings.drain_timeout))?;
    tokio::select! {
        outcomes = run_many::run_all(pipelines, settings, shutdown) => Ok(outcomes),
        () = stop_after(arguments.run_for, shutdown) => unreachable!("it does not return"),
    }
}

fn print_traces(traces: &[Arc<Trace>]) -> Result<()> {
    let mut out = anstream::stdout().lock();
    for trace in traces {
        let text = print::text(trace);
        if !is_stdout_open(out.write_all(text.as_bytes()).and_then(|()| out.flush()))? {
            break;
        }
    }
    Ok(())
}
