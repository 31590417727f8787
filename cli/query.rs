//! `runner query`: one statement of SQL through Athena.

use std::cell::OnceCell;
use std::io;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use indicatif::MultiProgress;
use runner_core::HumanDuration;
use runner_plugins::athena::{Client, CompletedQuery, Page, Query, QueryState};
use tokio::runtime::Runtime;

use crate::arguments::{Common, QueryArguments, RowFormat};
use crate::exit::{Exit, reads_on, say, say_error};
use crate::live::waiting;
use crate::logging;
use crate::rows::Rows;
use crate::signals::{Handlers, Stops};
use crate::summary::bytes;

pub(crate) fn query(arguments: &QueryArguments, common: &Common) -> Exit {
    let bars = MultiProgress::new();
    if let Err(error) = logging::start(common, &bars) {
        return Exit::on_usage(&error);
    }
    let stops = Stops::default();
    let asked = Runtime::new()
        .context("starting the async runtime")
        .and_then(|runtime| runtime.block_on(run(arguments, &stops, &bars)));
    match asked {
        Ok(()) if stops.was_interrupt() => Exit::Interrupted,
        Ok(()) if stops.stop.is_cancelled() => Exit::Terminated,
        Ok(()) => Exit::Done,
        Err(error) => Exit::on(&error),
    }
}

async fn run(arguments: &QueryArguments, stops: &Stops, bars: &MultiProgress) -> Result<()> {
    let handlers = Handlers::install()?;
    let begun = OnceCell::new();
    let ended = tokio::select! {
        answer = answer(&begun, arguments, bars) => answer,
        () = handlers.watch(stops.clone()) => Ok(()),
        // A query that nobody waits for is not worth its price; nor is it worth waiting long.
        () = stop(&begun, stops) => Ok(()),
    };
    // A terminal that is gone needs no clearing.
    let _ = bars.clear();
    ended
}

/// Waits for a signal and stops the query that has begun, if one has.
async fn stop(begun: &OnceCell<(Client, String)>, stops: &Stops) {
    stops.stop.cancelled().await;
    let Some((client, id)) = begun.get() else { return };
    tokio::select! {
        stopped = client.stop(id) => if let Err(error) = stopped {
            say_error(&error);
        },
        () = stops.abort.cancelled() => {}
        () = tokio::time::sleep(Duration::from_secs(5)) => {}
    }
}

async fn answer(
    begun: &OnceCell<(Client, String)>,
    arguments: &QueryArguments,
    bars: &MultiProgress,
) -> Result<()> {
    let client = Client::from_env().await?;
    let query = Query {
        sql: arguments.sql.clone(),
        database: arguments.database.clone(),
        workgroup: Some(arguments.workgroup.clone()),
        output_location: arguments.output_location.clone(),
        catalog: None,
    };
    let id = client.start(&query).await?;
    let (client, id) = begun.get_or_init(|| (client, id));
    let answered = wait(client, id, bars).await?;
    let only = print(client, id, &answered, arguments.format, io::stdout().lock()).await?;
    say(&cost(&answered));
    match arguments.expect {
        Some(expected) => check(expected, &only),
        None => Ok(()),
    }
}

/// Waits for a query, with a line that moves where somebody looks.
pub(crate) async fn wait(client: &Client, id: &str, bars: &MultiProgress) -> Result<CompletedQuery> {
    let bar = waiting(bars);
    let answered = client.wait(id, |state| {
        bar.set_message(match state {
            QueryState::Running { n_bytes } => format!("running, {} scanned", bytes(*n_bytes)),
            _ => "waiting for its turn".to_owned(),
        });
    });
    let answered = answered.await;
    bar.finish_and_clear();
    answered.context("the query failed")
}

/// Prints all rows, as far as somebody reads them; answers with the first page, which
/// holds all that is worth checking.
pub(crate) async fn print(
    client: &Client,
    id: &str,
    answered: &CompletedQuery,
    format: RowFormat,
    out: impl io::Write,
) -> Result<Page> {
    let mut rows = Rows::new(format, out);
    let first = client.read(id, answered, None).await?;
    let mut is_read = reads_on(rows.add(&first))?;
    let mut next = first.next.clone();
    while let Some(token) = next.filter(|_| is_read) {
        let page = client.read(id, answered, Some(token)).await?;
        is_read = reads_on(rows.add(&page))?;
        next = page.next;
    }
    if is_read {
        reads_on(rows.finish())?;
    }
    Ok(first)
}

/// What a query has cost.
pub(crate) fn cost(answered: &CompletedQuery) -> String {
    format!("{} scanned in {}", bytes(answered.n_bytes), HumanDuration(answered.time))
}

/// Whether the answer is one cell that holds the number.
pub(crate) fn check(expected: u64, page: &Page) -> Result<()> {
    match &*page.rows {
        [row] if row.len() == 1 && page.next.is_none() => match row[0].as_deref() {
            Some(cell) if cell.parse() == Ok(expected) => Ok(()),
            cell => bail!("expected {expected}, and the answer is {}", cell.unwrap_or("NULL")),
        },
        rows => bail!(
            "--expect {expected} wants one row with one column, such as `SELECT count(*) FROM …` gives; \
             the answer has {} rows with {} columns{}",
            rows.len(),
            page.columns.len(),
            if page.next.is_some() { ", and more" } else { "" }
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(rows: &[&[Option<&str>]]) -> Page {
        let rows = rows.iter().map(|row| row.iter().map(|cell| cell.map(Into::into)).collect()).collect();
        Page { rows, ..Page::default() }
    }

    #[test]
    fn a_number_is_checked_and_nothing_else_is_taken_for_one() {
        check(3000, &page(&[&[Some("3000")]])).unwrap();
        for (wrong, message) in [
            (page(&[&[Some("2999")]]), "expected 3000, and the answer is 2999"),
            (page(&[&[None]]), "the answer is NULL"),
            (page(&[]), "the answer has 0 rows"),
            (page(&[&[Some("3000")], &[Some("3000")]]), "the answer has 2 rows"),
        ] {
            let error = check(3000, &wrong).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
