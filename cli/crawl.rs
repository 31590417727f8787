//! `runner crawl`: runs the crawlers of a pipeline file once, without running the pipeline.

use anyhow::{Context as _, Result, bail};
use indicatif::MultiProgress;
use runner_core::{Pipeline, open_sink};
use tokio::runtime::Runtime;

use crate::arguments::{Common, CrawlArguments};
use crate::exit::{Exit, print_message};
use crate::progress::spinner;
use crate::signals::Shutdown;
use crate::{logging, pipeline_file};

pub(crate) fn crawl(arguments: &CrawlArguments, common: &Common) -> Exit {
    let bars = MultiProgress::new();
    if let Err(error) = logging::start(common, &bars) {
        return Exit::usage_error(&error);
    }
    let pipeline = match pipeline_file::load(&arguments.file, None, common) {
        Ok(pipeline) => pipeline,
        Err(exit) => return exit,
    };
    let shutdown = Shutdown::default();
    let result = Runtime::new().context("starting the async runtime").and_then(|runtime| {
        runtime.block_on(async {
            let _signals = shutdown.watch_signals(None)?;
            tokio::select! {
                result = crawl_all(pipeline, &shutdown, &bars) => result,
                () = shutdown.stop.cancelled() => Ok(()),
            }
        })
    });
    match result {
        Ok(()) if shutdown.stop.is_cancelled() => {
            print_message("stopped; a crawl that has started goes on in Glue");
            if shutdown.was_interrupted() { Exit::Interrupted } else { Exit::Terminated }
        }
        result => Exit::from_result(result),
    }
}

/// Starts the crawlers of a pipeline one after the other and waits for each, with a spinner on a terminal.
pub(crate) async fn crawl_all(pipeline: Pipeline, shutdown: &Shutdown, bars: &MultiProgress) -> Result<()> {
    let retry = pipeline.retry();
    let file = pipeline.file.display().to_string();
    let crawlers = pipeline.into_crawlers();
    if crawlers.is_empty() {
        bail!("{file} has no crawler: add a sink of type `glue_crawl`");
    }
    for (name, mut sink, gauges) in crawlers {
        if open_sink(&name, &mut *sink, &retry, &shutdown.stop).await?.is_break() {
            return Ok(());
        }
        let bar = spinner(bars);
        bar.set_message(format!("{name}: waiting for the crawler"));
        let crawler = sink.crawler().expect("only sinks that crawl were selected");
        let crawled = crawler.crawl().await;
        bar.finish_and_clear();
        crawled.with_context(|| format!("`{name}` failed"))?;
        gauges.notes().iter().for_each(|note| print_message(&format!("{name}: {note}")));
    }
    Ok(())
}
