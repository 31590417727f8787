//! `runner crawl`: starts a file's crawlers by hand; reads and writes no record.

use anyhow::{Context as _, Result, bail};
use indicatif::MultiProgress;
use runner_core::{Pipeline, open_sink};
use tokio::runtime::Runtime;

use crate::arguments::{Common, CrawlArguments};
use crate::exit::{Exit, say};
use crate::live::waiting;
use crate::signals::{Handlers, Stops};
use crate::{file, logging};

pub(crate) fn crawl(arguments: &CrawlArguments, common: &Common) -> Exit {
    let bars = MultiProgress::new();
    if let Err(error) = logging::start(common, &bars) {
        return Exit::on_usage(&error);
    }
    let pipeline = match file::read(&arguments.file, None, common) {
        Ok(pipeline) => pipeline,
        Err(exit) => return exit,
    };
    let stops = Stops::default();
    let done = Runtime::new().context("starting the async runtime").and_then(|runtime| {
        runtime.block_on(async {
            let handlers = Handlers::install()?;
            tokio::select! {
                done = crawl_all(pipeline, &stops, &bars) => done,
                () = handlers.watch(stops.clone()) => Ok(()),
                () = stops.stop.cancelled() => Ok(()),
            }
        })
    });
    Exit::after(done)
}

/// Starts every crawler of a pipeline, one after the other, and waits for it, with a line that moves where
/// somebody looks.
pub(crate) async fn crawl_all(pipeline: Pipeline, stops: &Stops, bars: &MultiProgress) -> Result<()> {
    let retry = pipeline.retry();
    let file = pipeline.file.display().to_string();
    let crawlers = pipeline.into_crawlers();
    if crawlers.is_empty() {
        bail!("{file} has no crawler: there is no sink of type `glue_crawl` in it");
    }
    for (name, mut sink, gauges) in crawlers {
        if !open_sink(&name, &mut *sink, &retry, &stops.stop).await? {
            return Ok(());
        }
        let bar = waiting(bars);
        bar.set_message(format!("{name}: waiting for the crawler"));
        let crawled = sink.crawl().await;
        bar.finish_and_clear();
        crawled.with_context(|| format!("`{name}` failed"))?;
        gauges.notes().iter().for_each(|note| say(&format!("{name}: {note}")));
    }
    Ok(())
}
