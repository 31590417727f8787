//! `runner demo`: runs the stock pipelines in the offline cloud, from the CSV file to SQL.

mod folder;
mod pipelines;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use indicatif::MultiProgress;
use runner_local::{Cloud, Ports, Settings};
use runner_plugins::athena::{Client, Query};
use tokio::runtime::Runtime;

use crate::arguments::{Common, DemoArguments, RowFormat};
use crate::exit::{Exit, print_message};
use crate::signals::Shutdown;
use crate::summary::count;
use crate::{crawl, local, logging, pipeline_file, query, run_many, summary};
use folder::Folder;

/// The database of the stock consumer.
const DATABASE: &str = "realtime-de-db";
const PER_INDEX: &str = "SELECT index, count(*) AS rows, round(avg(close), 2) AS average_close \
                         FROM stockmarket_project GROUP BY index ORDER BY index";
const COUNT: &str = "SELECT count(*) AS records FROM stockmarket_project";

pub(crate) fn demo(arguments: &DemoArguments, common: &Common) -> Exit {
    let bars = MultiProgress::new();
    if let Err(error) = logging::start_at(&logging::demo_levels(), common, &bars) {
        return Exit::usage_error(&error);
    }
    run(arguments, common, bars).unwrap_or_else(|error| Exit::from_error(&error))
}

fn run(arguments: &DemoArguments, common: &Common, bars: MultiProgress) -> Result<Exit> {
    let folder = Folder::prepare(arguments.keep.as_deref())?;
    let ports = Ports { kafka: 0, aws: 0, api: 0 };
    let bound = Cloud::bind(Settings { data: folder.cloud(), ports, prices: local::PRICES })?;
    // Set before any other thread starts, because all threads share the environment.
    folder.set_environment(&bound.environment(), arguments)?;
    let runtime = Runtime::new().context("starting the async runtime")?;
    let result = runtime.block_on(async {
        let shutdown = Shutdown::default();
        let _signals = shutdown.watch_signals(None)?;
        let addresses = local::addresses(&bound);
        let cloud = bound.start()?;
        print_message(&format!(
            "Offline cloud on this machine, for learning, demos and tests. No data leaves the machine.\n{addresses}"
        ));
        let result = Box::pin(stages(arguments, common, &folder, bars, &shutdown)).await;
        cloud.stop().await;
        if let Ok(Exit::Done) = result
            && !shutdown.stop.is_cancelled()
        {
            print_message(&folder.next_steps(arguments.source));
        }
        result
    });
    // A query may still be running in a thread of its own.
    runtime.shutdown_timeout(Duration::from_millis(500));
    result
}

/// Runs the three stages of the demo; each needs the one before it.
async fn stages(
    arguments: &DemoArguments,
    common: &Common,
    folder: &Folder,
    bars: MultiProgress,
    shutdown: &Shutdown,
) -> Result<Exit> {
    stage(
        1,
        &format!(
            "{} stock prices, {} per second: {} → Kafka → one S3 object per record",
            count(arguments.records.into()),
            count(arguments.rate.into()),
            folder::name(arguments.source),
        ),
    );
    let (producer, consumer) = (folder.producer(arguments.source), folder.consumer());
    let read = |path: &Path| pipeline_file::load(path, None, common);
    let (producer, consumer_pipeline) = match (read(&producer), read(&consumer)) {
        (Ok(producer), Ok(consumer)) => (producer, consumer),
        (Err(exit), _) | (_, Err(exit)) => return Ok(exit),
    };
    let outcome = Box::pin(pipelines::run(producer, consumer_pipeline, bars.clone(), shutdown)).await;
    summary::show_all([&outcome.producer.report, &outcome.consumer.report].into_iter(), common);
    let n_stored = outcome.n_stored;
    let exit = run_many::exit_code(&[outcome.producer, outcome.consumer], shutdown);
    if exit != Exit::Done || shutdown.stop.is_cancelled() {
        return Ok(exit);
    }
    tokio::select! {
        result = crawl_and_query(arguments, common, &consumer, n_stored, &bars, shutdown) => result,
        () = shutdown.stop.cancelled() => Ok(Exit::Done),
    }
}

/// Crawls the stored objects into a table and queries it.
async fn crawl_and_query(
    arguments: &DemoArguments,
    common: &Common,
    consumer: &Path,
    n_stored: u64,
    bars: &MultiProgress,
    shutdown: &Shutdown,
) -> Result<Exit> {
    stage(2, "A Glue crawler reads the objects and creates a table");
    match pipeline_file::load(consumer, None, common) {
        Ok(pipeline) => crawl::crawl_all(pipeline, shutdown, bars).await?,
        Err(exit) => return Ok(exit),
    }

    stage(3, "Athena queries the table with SQL");
    let client = Client::from_env().await?;
    run_query(&client, PER_INDEX, bars).await?;
    let counted = run_query(&client, COUNT, bars).await?;
    query::check(n_stored, &counted).context("the table does not have one row per stored object")?;
    ensure!(
        n_stored == u64::from(arguments.records),
        "{} records were requested, but {} were stored",
        arguments.records,
        n_stored
    );
    print_message(&format!("The counts match: {} records written, {0} rows in the table.", count(n_stored)));
    Ok(Exit::Done)
}

fn stage(number: usize, what: &str) {
    print_message(&format!("\n\x1b[1m{number}. {what}\x1b[0m"));
}

/// Runs a query and prints its SQL, its rows, and what it scanned.
async fn run_query(client: &Client, sql: &str, bars: &MultiProgress) -> Result<runner_plugins::athena::Page> {
    print_message(&format!("  {sql}"));
    let query = Query { sql: sql.into(), database: Some(DATABASE.into()), ..Query::default() };
    let id = client.start(&query).await?;
    let answered = query::wait(client, &id, bars).await?;
    let page = query::print(client, &id, &answered, RowFormat::Table, std::io::stdout().lock()).await?;
    print_message(&format!("  {}", query::cost(&answered)));
    Ok(page)
}
