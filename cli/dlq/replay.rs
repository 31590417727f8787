//! `runner dlq replay`: sends dead letters again to the components that rejected them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use indicatif::MultiProgress;
use runner_core::{Pipeline, Sink, Source};
use tokio::runtime::Runtime;
use tokio::task::spawn_blocking;

use super::replay_plan::{Letters, ReplayPlan, check_into};
use super::replay_source::{LetterLines, ReplaySource, lines_of};
use super::replay_state::{Counts, Rejected, ReplayLetters, ReplayState};
use super::store::{RejectedAgain, Store, StoredLetters};
use crate::arguments::{Common, DlqReplayArguments};
use crate::exit::{Exit, print_message};
use crate::progress::{LineOutput, Progress};
use crate::run::monitors;
use crate::run_many::{Outcome, RunSettings, exit_code, run_one, shutdown_runtime};
use crate::signals::Shutdown;
use crate::summary::count;
use crate::{logging, pipeline_file, summary};

/// How long a graceful stop may take, as for `runner run`.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);
/// The minimum time between two writes of the files.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);
/// The pause after a write is at least this many times as long as the write took.
const SAVE_PAUSE_FACTOR: u32 = 10;

pub(super) fn replay(arguments: &DlqReplayArguments, common: &Common) -> Exit {
    let bars = MultiProgress::new();
    if let Err(error) = logging::start(common, &bars) {
        return Exit::usage_error(&error);
    }
    let pipeline = match pipeline_file::load(&arguments.pipeline, None, common) {
        Ok(pipeline) => pipeline,
        Err(exit) => return exit,
    };
    if let Some(into) = &arguments.into
        && let Err(error) = check_into(into, &pipeline)
    {
        return Exit::usage_error(&error);
    }
    replay_files(pipeline, arguments, common, bars).unwrap_or_else(|error| Exit::from_error(&error))
}

fn replay_files(
    pipeline: Pipeline,
    arguments: &DlqReplayArguments,
    common: &Common,
    bars: MultiProgress,
) -> Result<Exit> {
    let (mut pipeline, into) = (pipeline, arguments.into.as_deref());
    let (plan, sink) = if arguments.files.is_empty() {
        let (store, sink) = Store::of(&mut pipeline)?;
        (ReplayPlan::of_store(store, &pipeline, into)?, Some(sink))
    } else {
        (ReplayPlan::new(&arguments.files, &pipeline, into)?, None)
    };
    plan.print_kept();
    let n_letters: u64 = plan.components.values().sum();
    if n_letters == 0 {
        print_message("no dead letters to replay");
        return Ok(if plan.n_kept == 0 { Exit::Done } else { Exit::Failed });
    }
    let ReplayPlan { letters, components, repeats, .. } = plan;
    if repeats.len() > 0 {
        print_message(&format!(
            "dead letters that repeat another one: {}; the record is sent once, and all letters about it are removed",
            count(repeats.len() as u64)
        ));
    }
    let (components, letters) = readers(letters, components.into_keys())?;
    let state = Arc::new(ReplayState::new(letters, repeats));
    let limits = pipeline.batch();
    let is_for_all = arguments.into.is_some();
    let source = |(component, lines): (String, LetterLines)| -> (String, Box<dyn Source>) {
        let only = (!is_for_all).then(|| component.clone());
        (component, Box::new(ReplaySource::new(only, lines, limits, Arc::clone(&state))))
    };
    let sources = components.into_iter().map(source).collect();
    let again: Box<dyn Sink> = match sink {
        Some(sink) => Box::new(RejectedAgain { sink, state: Arc::clone(&state) }),
        None => Box::new(Rejected(Arc::clone(&state))),
    };
    let pipeline = pipeline.with_replay_sources(sources, again)?;
    let runtime = Runtime::new().context("starting the async runtime")?;
    let shutdown = Shutdown::default();
    let outcomes = [runtime.block_on(run(pipeline, &state, &shutdown, bars))?];
    shutdown_runtime(runtime, &outcomes);
    let saved = state.end();
    summary::show_all(outcomes.iter().map(|outcome| &outcome.report), common);
    print_message(&result_line(n_letters, state.counts()));
    saved?;
    Ok(exit_code(&outcomes, &shutdown))
}

/// A reader of all letters for each component, and the letters themselves.
fn readers(
    letters: Letters,
    components: impl Iterator<Item = String>,
) -> Result<(Vec<(String, LetterLines)>, ReplayLetters)> {
    match letters {
        Letters::Files(files) => {
            let readers = components.map(|component| Ok((component, lines_of(&files)?)));
            Ok((readers.collect::<Result<_>>()?, ReplayLetters::Files(files)))
        }
        Letters::Store { store, numbers, kept } => {
            let letters = StoredLetters::new(store.clone(), &numbers, kept)?;
            let numbers = Arc::new(numbers);
            let readers = components.map(|component| Ok((component, store.replay_lines(&numbers)?)));
            Ok((readers.collect::<Result<_>>()?, ReplayLetters::Store(letters)))
        }
    }
}

fn result_line(n_letters: u64, counts: Counts) -> String {
    let Counts { n_delivered, n_again, n_repeats } = counts;
    let mut text =
        format!("{} of {} dead letters delivered and removed", count(n_delivered), count(n_letters));
    for (n_kept, reason) in
        [(n_again, "rejected again and kept"), (n_letters - n_delivered - n_again, "not delivered and kept")]
    {
        if n_kept > 0 {
            text += &format!(", {} {reason}", count(n_kept));
        }
    }
    if n_repeats > 0 {
        text += &format!(", {} that repeat others removed", count(n_repeats));
    }
    text
}

async fn run(
    pipeline: Pipeline,
    state: &Arc<ReplayState>,
    shutdown: &Shutdown,
    bars: MultiProgress,
) -> Result<Outcome> {
    let settings = RunSettings { from_start: false, drain_timeout: DRAIN_TIMEOUT };
    let _signals = shutdown.watch_signals(Some(DRAIN_TIMEOUT))?;
    let progress = Progress::new(monitors([&pipeline]), bars, LineOutput::LOG);
    let background = async { tokio::join!(progress.show(), save(state, shutdown)) };
    let outcome = tokio::select! {
        outcome = run_one(pipeline, settings, shutdown) => outcome,
        _ = background => unreachable!("the progress display does not return"),
    };
    progress.clear();
    Ok(outcome)
}

/// Removes delivered dead letters from the files at intervals; does not return.
async fn save(state: &Arc<ReplayState>, shutdown: &Shutdown) {
    let mut pause = SAVE_INTERVAL;
    loop {
        tokio::time::sleep(pause).await;
        let started = Instant::now();
        let state = Arc::clone(state);
        if !matches!(spawn_blocking(move || state.save()).await, Ok(Ok(()))) {
            // The last save, at the end, is tried again and reports the error.
            shutdown.stop.cancel();
        }
        pause = SAVE_INTERVAL.max(started.elapsed() * SAVE_PAUSE_FACTOR);
    }
}
