//! `runner demo`: the whole stock flow on this machine, from the CSV file to SQL.

mod flow;
mod folder;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use indicatif::MultiProgress;
use runner_local::{Cloud, Ports, Settings};
use runner_plugins::athena::{Client, Query};
use tokio::runtime::Runtime;

use crate::arguments::{Common, DemoArguments, RowFormat};
use crate::exit::{Exit, say};
use crate::signals::{Handlers, Stops};
use crate::summary::count;
use crate::{crawl, file, local, logging, query, summary, together};
use folder::Folder;

/// What the stock consumer calls its database.
const DATABASE: &str = "realtime-de-db";
const PER_INDEX: &str = "SELECT index, count(*) AS rows, round(avg(close), 2) AS average_close \
                         FROM stockmarket_project GROUP BY index ORDER BY index";
const COUNT: &str = "SELECT count(*) AS records FROM stockmarket_project";

pub(crate) fn demo(arguments: &DemoArguments, common: &Common) -> Exit {
    let bars = MultiProgress::new();
    if let Err(error) = logging::start_at("warn", common, &bars) {
        return Exit::on_usage(&error);
    }
    show(arguments, common, bars).unwrap_or_else(|error| Exit::on(&error))
}

fn show(arguments: &DemoArguments, common: &Common, bars: MultiProgress) -> Result<Exit> {
    let folder = Folder::prepare(arguments.keep.as_deref())?;
    let ports = Ports { kafka: 0, aws: 0, api: 0 };
    let bound = Cloud::bind(Settings { data: folder.cloud(), ports, prices: local::PRICES })?;
    // Before there is any other thread: the environment belongs to all of them.
    folder.surround(&bound.environment(), arguments)?;
    let runtime = Runtime::new().context("starting the async runtime")?;
    let shown = runtime.block_on(async {
        let handlers = Handlers::install()?;
        let stops = Stops::default();
        let addresses = local::addresses(&bound);
        let cloud = bound.start().await?;
        say(&format!(
            "An offline cloud on this machine, for learning, demos and tests; nothing leaves it.\n{addresses}"
        ));
        let shown = tokio::select! {
            shown = stages(arguments, common, &folder, bars, &stops) => shown,
            () = handlers.watch(stops.clone()) => unreachable!("the handlers watch for ever"),
        };
        cloud.stop().await;
        if let Ok(Exit::Done) = shown
            && !stops.stop.is_cancelled()
        {
            say(&folder.what_next());
        }
        shown
    });
    // A query that nobody waits for any more may still be busy.
    runtime.shutdown_timeout(Duration::from_millis(500));
    shown
}

/// Streams, crawls, asks: each stage stands on the one before.
async fn stages(
    arguments: &DemoArguments,
    common: &Common,
    folder: &Folder,
    bars: MultiProgress,
    stops: &Stops,
) -> Result<Exit> {
    stage(
        1,
        &format!(
            "{} stock prices, {} a second: {} → Kafka → one object each in S3",
            count(arguments.records.into()),
            count(arguments.rate.into()),
            folder::source_name(arguments.source),
        ),
    );
    let (producer, consumer) = (folder.producer(arguments.source), folder.consumer());
    let read = |path: &Path| file::read(path, None, common);
    let (producer, consumer_pipeline) = match (read(&producer), read(&consumer)) {
        (Ok(producer), Ok(consumer)) => (producer, consumer),
        (Err(exit), _) | (_, Err(exit)) => return Ok(exit),
    };
    let flowed = flow::run(producer, consumer_pipeline, bars.clone(), stops).await;
    summary::show_all([&flowed.producer.report, &flowed.consumer.report].into_iter(), common);
    let n_stored = flowed.n_stored;
    let exit = together::exit_of(&[flowed.producer, flowed.consumer], stops);
    if exit != Exit::Done || stops.stop.is_cancelled() {
        return Ok(exit);
    }
    tokio::select! {
        shown = questions(arguments, common, &consumer, n_stored, &bars, stops) => shown,
        () = stops.stop.cancelled() => Ok(Exit::Done),
    }
}

/// Makes the table of what has been stored, and asks it.
async fn questions(
    arguments: &DemoArguments,
    common: &Common,
    consumer: &Path,
    n_stored: u64,
    bars: &MultiProgress,
    stops: &Stops,
) -> Result<Exit> {
    stage(2, "a Glue crawler looks at the objects and makes a table of them");
    match file::read(consumer, None, common) {
        Ok(pipeline) => crawl::crawl_all(pipeline, stops, bars).await?,
        Err(exit) => return Ok(exit),
    }

    stage(3, "Athena answers SQL about them");
    let client = Client::from_env().await?;
    ask(&client, PER_INDEX, bars).await?;
    let counted = ask(&client, COUNT, bars).await?;
    query::check(n_stored, &counted).context("the table does not hold what was stored")?;
    ensure!(
        n_stored == u64::from(arguments.records),
        "{} records were asked for, and {} were stored",
        arguments.records,
        n_stored
    );
    say(&format!("The count is right: {} records written, as many in the table.", count(n_stored)));
    Ok(Exit::Done)
}

fn stage(number: usize, what: &str) {
    say(&format!("\n\x1b[1m{number}. {what}\x1b[0m"));
}

/// Shows a statement, its rows, and what it cost.
async fn ask(client: &Client, sql: &str, bars: &MultiProgress) -> Result<runner_plugins::athena::Page> {
    say(&format!("  {sql}"));
    let query = Query { sql: sql.into(), database: Some(DATABASE.into()), ..Query::default() };
    let id = client.start(&query).await?;
    let answered = query::wait(client, &id, bars).await?;
    let page = query::print(client, &id, &answered, RowFormat::Table, std::io::stdout().lock()).await?;
    say(&format!("  {}", query::cost(&answered)));
    Ok(page)
}
