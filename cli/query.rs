//! `runner query`: runs one SQL statement in Athena.

use std::cell::OnceCell;
use std::io;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use indicatif::MultiProgress;
use runner_core::HumanDuration;
use runner_plugins::athena::{Client, CompletedQuery, Page, Query, QueryState, rename_repeated};
use tokio::runtime::Runtime;

use crate::arguments::{Common, QueryArguments, RowFormat};
use crate::exit::{Exit, is_stdout_open, print_error, print_message};
use crate::logging;
use crate::progress::spinner;
use crate::rows::Rows;
use crate::signals::Shutdown;
use crate::summary::bytes;

pub(crate) fn query(arguments: &QueryArguments, common: &Common) -> Exit {
    let bars = MultiProgress::new();
    if let Err(error) = logging::start(common, &bars) {
        return Exit::usage_error(&error);
    }
    let shutdown = Shutdown::default();
    let result = Runtime::new()
        .context("starting the async runtime")
        .and_then(|runtime| runtime.block_on(run(arguments, &shutdown, &bars)));
    match result {
        Ok(()) if shutdown.was_interrupted() => Exit::Interrupted,
        Ok(()) if shutdown.stop.is_cancelled() => Exit::Terminated,
        Ok(()) => Exit::Done,
        Err(error) => Exit::from_error(&error),
    }
}

async fn run(arguments: &QueryArguments, shutdown: &Shutdown, bars: &MultiProgress) -> Result<()> {
    let _signals = shutdown.watch_signals(None)?;
    let started = OnceCell::new();
    let result = tokio::select! {
        result = run_query(&started, arguments, bars) => result,
        // AWS bills what a query scans, so it is cancelled when its result is not needed any more.
        () = cancel(&started, shutdown) => Ok(()),
    };
    // This fails only if the terminal is gone.
    let _ = bars.clear();
    result
}

/// Waits for a signal and cancels the query if it has started.
async fn cancel(started: &OnceCell<(Client, String)>, shutdown: &Shutdown) {
    shutdown.stop.cancelled().await;
    let Some((client, id)) = started.get() else { return };
    tokio::select! {
        stopped = client.stop(id) => if let Err(error) = stopped {
            print_error(&error);
        },
        () = shutdown.abort.cancelled() => {}
        () = tokio::time::sleep(Duration::from_secs(5)) => {}
    }
}

async fn run_query(
    started: &OnceCell<(Client, String)>,
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
    let (client, id) = started.get_or_init(|| (client, id));
    let answered = wait(client, id, bars).await?;
    let first = print(client, id, &answered, arguments.format, io::stdout().lock()).await?;
    print_message(&cost(&answered));
    match arguments.expect {
        Some(expected) => check(expected, &first),
        None => Ok(()),
    }
}

/// Waits for a query, with a spinner on a terminal.
pub(crate) async fn wait(client: &Client, id: &str, bars: &MultiProgress) -> Result<CompletedQuery> {
    let bar = spinner(bars);
    let answered = client.wait(id, |state| {
        bar.set_message(match state {
            QueryState::Running { n_bytes } => format!("running, {} scanned", bytes(*n_bytes)),
            _ => "queued".to_owned(),
        });
    });
    let answered = answered.await;
    bar.finish_and_clear();
    answered.context("the query failed")
}

/// Prints all rows until stdout is closed. Returns the first page, which is enough for [`check`].
pub(crate) async fn print(
    client: &Client,
    id: &str,
    answered: &CompletedQuery,
    format: RowFormat,
    out: impl io::Write,
) -> Result<Page> {
    let mut rows = Rows::new(format, out);
    let first = client.read(id, answered, None).await?;
    if format == RowFormat::Json {
        let repeated = rename_repeated(&mut first.columns.clone());
        if let Some(name) = repeated.first() {
            print_message(&format!(
                "more than one column is named `{}`: the later ones are printed as `{name}_2` and so on; name them with `AS`",
                repeated.join("`, `")
            ));
        }
    }
    let mut is_open = is_stdout_open(rows.add(&first))?;
    let mut next = first.next.clone();
    while let Some(token) = next.filter(|_| is_open) {
        let page = client.read(id, answered, Some(token)).await?;
        is_open = is_stdout_open(rows.add(&page))?;
        next = page.next;
    }
    if is_open {
        is_stdout_open(rows.finish())?;
    }
    Ok(first)
}

/// What a query scanned and how long it took.
pub(crate) fn cost(answered: &CompletedQuery) -> String {
    format!("{} scanned in {}", bytes(answered.n_bytes), HumanDuration(answered.time))
}

/// Fails unless the result is a single value that equals `expected`.
pub(crate) fn check(expected: u64, page: &Page) -> Result<()> {
    match &*page.rows {
        [row] if row.len() == 1 && page.next.is_none() => match row[0].as_deref() {
            Some(cell) if cell.parse() == Ok(expected) => Ok(()),
            cell => bail!("expected {expected}, but the result is {}", cell.unwrap_or("NULL")),
        },
        rows => bail!(
            "--expect {expected} needs a result of one row and one column, such as that of `SELECT count(*) FROM …`; \
             the result has {} rows and {} columns{}",
            rows.len(),
            page.columns.len(),
            if page.next.is_some() { " on its first page" } else { "" }
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
    fn check_accepts_only_a_single_equal_value() {
        check(3000, &page(&[&[Some("3000")]])).unwrap();
        for (wrong, message) in [
            (page(&[&[Some("2999")]]), "expected 3000, but the result is 2999"),
            (page(&[&[None]]), "the result is NULL"),
            (page(&[]), "the result has 0 rows"),
            (page(&[&[Some("3000")], &[Some("3000")]]), "the result has 2 rows"),
        ] {
            let error = check(3000, &wrong).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
