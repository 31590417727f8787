//! `runner local`: runs the offline cloud until it is stopped.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use indicatif::MultiProgress;
use runner_local::{Bound, Cloud, Ports, Settings};
use tokio::runtime::Runtime;

use crate::arguments::{Common, LocalArguments};
use crate::exit::{Exit, print_message};
use crate::logging;
use crate::signals::Shutdown;

/// The sample data, which the stock API serves.
pub(crate) const PRICES: &[u8] = include_bytes!("../pipelines/data/stocks.csv");

pub(crate) fn local(arguments: &LocalArguments, common: &Common) -> Exit {
    if let Err(error) = logging::start(common, &MultiProgress::new()) {
        return Exit::usage_error(&error);
    }
    Exit::from_result(serve(arguments))
}

fn serve(arguments: &LocalArguments) -> Result<()> {
    let ports = Ports { kafka: arguments.kafka_port, aws: arguments.aws_port, api: arguments.api_port };
    let (data, _temporary) = if let Some(data) = &arguments.data {
        (data.clone(), None)
    } else {
        let folder = tempfile::tempdir().context("creating a temporary directory for the objects")?;
        (folder.path().to_owned(), Some(folder))
    };
    let bound = Cloud::bind(Settings { data: data.clone(), ports, prices: PRICES })?;
    let runtime = Runtime::new().context("starting the async runtime")?;
    let result = runtime.block_on(async {
        let shutdown = Shutdown::default();
        let _signals = shutdown.watch_signals(None)?;
        let variables = bound.environment();
        let addresses = addresses(&bound);
        let cloud = bound.start()?;
        print_message(&format!("The offline cloud is ready. It is meant for learning, demos and tests.\n\n{addresses}"));
        print_message(&match &arguments.data {
            Some(data) => format!("  Objects and the Glue catalog are stored in {}.\n", data.display()),
            None => "  All data is deleted on exit; --data DIR keeps objects and the Glue catalog.\n".into(),
        });
        print_message(
            "Kafka keeps its data in memory until exit. It does not create topics automatically and applies no retention.\n",
        );
        if let Some(warning) = stale_checkpoints_warning(&data) {
            print_message(&warning);
        }
        if let Some(file) = &arguments.write_env {
            write_env(file, &variables)?;
            print_message(&format!("Variables written to {0}; use them with: runner run --env-file {0} FILE", file.display()));
        }
        print_message("To use it from another terminal:\n");
        let mut out = std::io::stdout().lock();
        let lines = variables.iter().map(|(name, value)| format!("export {name}={}\n", quoted(value)));
        // A closed stdout is not an error.
        let _ = out.write_all(lines.collect::<String>().as_bytes()).and_then(|()| out.flush());
        drop(out);
        let stopped = async {
            shutdown.stop.cancelled().await;
            cloud.stop().await;
        };
        tokio::select! {
            () = stopped => {}
            () = shutdown.abort.cancelled() => {}
        }
        Ok(())
    });
    // A query may still be running in a thread of its own.
    runtime.shutdown_timeout(Duration::from_millis(500));
    result
}

/// A warning for a `--data` directory with checkpoints: they are ahead of Kafka, which starts empty.
fn stale_checkpoints_warning(data: &Path) -> Option<String> {
    let state = data.join("state");
    std::fs::read_dir(&state).ok()?.next()?.ok()?;
    Some(format!(
        "  Kafka starts empty, but {} holds checkpoints of an earlier run: records that\n  \
         producers had sent and no consumer had stored are lost. `runner run --from-start` sends all records again.\n",
        state.display()
    ))
}

/// The address of each server, one per line.
pub(crate) fn addresses(bound: &Bound) -> String {
    format!(
        "  Kafka              {}\n  S3, Glue, Athena   {}\n  stock API          {}\n  daily prices       {}, like Alpha Vantage",
        bound.kafka(),
        bound.aws_url(),
        bound.api_url(),
        bound.daily_api_url()
    )
}

/// Writes variables, one `NAME=value` per line. The file is written completely or not at all.
pub(crate) fn write_env(path: &Path, variables: &[(&str, String)]) -> Result<()> {
    let text: String = variables.iter().map(|(name, value)| format!("{name}={}\n", quoted(value))).collect();
    let what = || format!("writing the variables to {}", path.display());
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(what)?;
    file.write_all(text.as_bytes()).with_context(what)?;
    file.persist(path).with_context(what)?;
    Ok(())
}

/// A value in a form that shells and `--env-file` read, quoted where necessary.
fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,@%+".contains(c);
    if value.chars().all(is_plain) {
        return value.to_owned();
    }
    if !value.contains('\'') {
        return format!("'{value}'");
    }
    let mut out = String::from("\"");
    for c in value.chars() {
        if matches!(c, '"' | '\\' | '$' | '`') {
            out.push('\\');
        }
        out.push(c);
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_env_output_is_read_back_by_env_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.env");
        let values = ["/tmp/my folder/a#b", "", "127.0.0.1:9092", "it's $HOME \"here\" \\ `there`"];
        let variables = values.map(|value| ("NAME", value.to_owned()));
        write_env(&file, &variables).unwrap();
        let lines = crate::env_file::rewrite(&std::fs::read(&file).unwrap()).unwrap();
        let read = dotenvy::from_read_iter(lines.as_bytes()).map(|variable| variable.unwrap().1);
        assert_eq!(read.collect::<Vec<_>>(), values);
    }
}
