//! `runner local`: the offline cloud, until it is stopped.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use indicatif::MultiProgress;
use runner_local::{Bound, Cloud, Ports, Settings};
use tokio::runtime::Runtime;

use crate::arguments::{Common, LocalArguments};
use crate::exit::{Exit, say};
use crate::logging;
use crate::signals::{Handlers, Stops};

/// The sample data, which the stock API answers with.
pub(crate) const PRICES: &[u8] = include_bytes!("../pipelines/data/stocks.csv");

pub(crate) fn local(arguments: &LocalArguments, common: &Common) -> Exit {
    if let Err(error) = logging::start(common, &MultiProgress::new()) {
        return Exit::on_usage(&error);
    }
    Exit::after(serve(arguments))
}

fn serve(arguments: &LocalArguments) -> Result<()> {
    let ports = Ports { kafka: arguments.kafka_port, aws: arguments.aws_port, api: arguments.api_port };
    let (data, _temporary) = if let Some(data) = &arguments.data {
        (data.clone(), None)
    } else {
        let folder = tempfile::tempdir().context("making a temporary folder for the objects")?;
        (folder.path().to_owned(), Some(folder))
    };
    let bound = Cloud::bind(Settings { data: data.clone(), ports, prices: PRICES })?;
    let runtime = Runtime::new().context("starting the async runtime")?;
    let served = runtime.block_on(async {
        let handlers = Handlers::install()?;
        let stops = Stops::default();
        let variables = bound.environment();
        let addresses = addresses(&bound);
        let cloud = bound.start().await?;
        say(&format!("The offline cloud is up, for learning, demos and tests.\n\n{addresses}"));
        say(&match &arguments.data {
            Some(data) => format!("  objects and catalogue lie in {}\n", data.display()),
            None => "  everything is gone when it stops; --data DIR keeps objects and catalogue\n".into(),
        });
        say(
            "Kafka is in memory here: it makes no topic by itself, forgets nothing until it stops, and shows what\n\
             a transaction has taken back.\n",
        );
        if let Some(forgotten) = what_was_forgotten(&data) {
            say(&forgotten);
        }
        if let Some(file) = &arguments.write_env {
            write_env(file, &variables)?;
            say(&format!("Its variables are in {0}: runner run --env-file {0} …", file.display()));
        }
        say("For another terminal:\n");
        let mut out = std::io::stdout().lock();
        let lines = variables.iter().map(|(name, value)| format!("export {name}={}\n", quoted(value)));
        // Whoever closed stdout wants to hear nothing.
        let _ = out.write_all(lines.collect::<String>().as_bytes()).and_then(|()| out.flush());
        drop(out);
        let ended = async {
            stops.stop.cancelled().await;
            cloud.stop().await;
        };
        tokio::select! {
            () = handlers.watch(stops.clone()) => {}
            () = ended => {}
            () = stops.abort.cancelled() => {}
        }
        Ok(())
    });
    // A query that nobody waits for any more may still be busy.
    runtime.shutdown_timeout(Duration::from_millis(500));
    served
}

/// What a folder that was used before means for Kafka, which was not kept.
fn what_was_forgotten(data: &Path) -> Option<String> {
    let state = data.join("state");
    std::fs::read_dir(&state).ok()?.next()?.ok()?;
    Some(format!(
        "  Kafka starts empty all the same, and {} tells how far producers had come: what they\n  \
         had sent and nobody had stored is gone; `runner run --from-start` sends everything again\n",
        state.display()
    ))
}

/// Where everything listens, a line each.
pub(crate) fn addresses(bound: &Bound) -> String {
    format!(
        "  Kafka              {}\n  S3, Glue, Athena   {}\n  stock API          {}",
        bound.kafka(),
        bound.aws_url(),
        bound.api_url()
    )
}

/// Writes variables, one `NAME=value` a line; the file is there whole or not at all.
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

/// A value as shells and files of variables take it, in quotes where it needs them.
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
    fn variables_are_read_back_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.env");
        let values = ["/tmp/my folder/a#b", "", "127.0.0.1:9092", "it's $HOME \"here\" \\ `there`"];
        let variables = values.map(|value| ("NAME", value.to_owned()));
        write_env(&file, &variables).unwrap();
        let read = crate::env_file::parse(&std::fs::read(&file).unwrap()).unwrap();
        assert_eq!(read.into_iter().map(|(_, value)| value).collect::<Vec<_>>(), values);
    }
}
