//! `runner dlq replay`: feeds dead letters back into the components that have rejected them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use indicatif::MultiProgress;
use runner_core::{Pipeline, Source};
use tokio::runtime::Runtime;
use tokio::task::spawn_blocking;

use super::book::{Book, Counts, Rejected};
use super::feed::{Feed, Walk, walk};
use super::survey::{Survey, check_into};
use crate::arguments::{Common, DlqReplayArguments};
use crate::exit::{Exit, say};
use crate::live::{Live, Plain};
use crate::run::monitors;
use crate::signals::{Handlers, Stops};
use crate::summary::count;
use crate::together::{Ended, How, exit_of, run_one, wind_up};
use crate::{file, logging, summary};

/// How often the files are written, as long as that is quick.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// The share of the time that goes into writing them is one in so many.
const SAVE_SHARE: u32 = 10;

pub(super) fn replay(arguments: &DlqReplayArguments, common: &Common) -> Exit {
    let bars = MultiProgress::new();
    if let Err(error) = logging::start(common, &bars) {
        return Exit::on_usage(&error);
    }
    let pipeline = match file::read(&arguments.pipeline, None, common) {
        Ok(pipeline) => pipeline,
        Err(exit) => return exit,
    };
    if let Some(into) = &arguments.into
        && let Err(error) = check_into(into, &pipeline)
    {
        return Exit::on_usage(&error);
    }
    feed_back(pipeline, arguments, common, bars).unwrap_or_else(|error| Exit::on(&error))
}

fn feed_back(
    pipeline: Pipeline,
    arguments: &DlqReplayArguments,
    common: &Common,
    bars: MultiProgress,
) -> Result<Exit> {
    let survey = Survey::of(&arguments.files, &pipeline, arguments.into.as_deref())?;
    survey.say_what_stays();
    let n_letters: u64 = survey.components.values().sum();
    if n_letters == 0 {
        say("there is nothing to replay");
        return Ok(if survey.n_stays == 0 { Exit::Done } else { Exit::Failed });
    }
    let Survey { files, components, .. } = survey;
    let walks = components.into_keys().map(|component| Ok((component, walk(&files)?)));
    let walks = walks.collect::<Result<Vec<_>>>()?;
    let book = Arc::new(Book::new(files));
    let limits = pipeline.batch();
    let is_for_all = arguments.into.is_some();
    let feed = |(component, walk): (String, Walk)| -> (String, Box<dyn Source>) {
        let only = (!is_for_all).then(|| component.clone());
        (component, Box::new(Feed::new(only, walk, limits, Arc::clone(&book))))
    };
    let feeds = walks.into_iter().map(feed).collect();
    let pipeline = pipeline.with_replay_sources(feeds, Box::new(Rejected(Arc::clone(&book))))?;
    let runtime = Runtime::new().context("starting the async runtime")?;
    let stops = Stops::default();
    let ended = [runtime.block_on(run(pipeline, &book, &stops, bars))?];
    wind_up(runtime, &ended);
    let saved = book.save();
    summary::show_all(ended.iter().map(|ended| &ended.report), common);
    say(&outcome(n_letters, book.counts()));
    saved?;
    Ok(exit_of(&ended, &stops))
}

fn outcome(n_letters: u64, counts: Counts) -> String {
    let Counts { n_delivered, n_again } = counts;
    let mut text =
        format!("{} of {} dead letters delivered and removed", count(n_delivered), count(n_letters));
    for (n_kept, what) in
        [(n_again, "rejected again and kept"), (n_letters - n_delivered - n_again, "not delivered and kept")]
    {
        if n_kept > 0 {
            text += &format!(", {} {what}", count(n_kept));
        }
    }
    text
}

async fn run(pipeline: Pipeline, book: &Arc<Book>, stops: &Stops, bars: MultiProgress) -> Result<Ended> {
    let handlers = Handlers::install()?;
    let how = How { from_start: false, drain_timeout: Duration::from_secs(30) };
    let live = Live::new(monitors([&pipeline]), bars, Plain::LOG);
    let beside = async { tokio::join!(handlers.watch(stops.clone()), live.show(), save(book, stops)) };
    let ended = tokio::select! {
        ended = run_one(pipeline, how, stops) => ended,
        _ = beside => unreachable!("the handlers watch for ever"),
    };
    live.clear();
    Ok(ended)
}

/// Removes what has been delivered from the files, for ever.
async fn save(book: &Arc<Book>, stops: &Stops) {
    let mut pause = SAVE_EVERY;
    loop {
        tokio::time::sleep(pause).await;
        let started = Instant::now();
        let book = Arc::clone(book);
        if !matches!(spawn_blocking(move || book.save()).await, Ok(Ok(()))) {
            // What is wrong is said at the end, where it is tried once more.
            stops.stop.cancel();
        }
        pause = SAVE_EVERY.max(started.elapsed() * SAVE_SHARE);
    }
}
