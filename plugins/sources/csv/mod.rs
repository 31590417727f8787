//! `csv`: reads the rows of CSV files.

mod columns;
mod files;
mod input;
mod options;
mod position;
mod reader;
mod snapshot;

use std::sync::Arc;

use anyhow::Context as _;
use runner_core::{
    BuildContext, Committer, Failure, Gauges, Next, OptionError, Plugin, Position, ReadBatch, Result, Source,
    SourceConfig, Start, async_trait,
};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::mpsc;

use self::options::{Delimiter, Paths, paths_schema, types_schema};
use self::position::{PositionAfter, SharedPositions};
use self::reader::{Chunk, Reader, Settings};
use crate::shared::compression::Compression;
use crate::shared::csv::{Dialect, Types, unknown_column};

runner_core::register! {
    Plugin::source::<CsvConfig>("csv").example(r#"
type = "csv"
path = "data/stocks.csv"        # or ["data/2025-*.csv", "data/2026-*.csv.gz"]
types = { Volume = "float" }    # the other types are inferred from a sample
"#)
}

/// Reads the rows of CSV files.
///
/// The column types are inferred from the first rows and kept for all later runs.
/// Numbers keep the digits that they have in the file. A row is rejected if a cell does not
/// match the type of its column, if it has too few or too many cells, an unclosed quote or
/// text after a closing quote, or if it is not UTF-8.
///
/// A run resumes after the last delivered row. By then a file may have grown, or a bad row may
/// have been corrected, but the part that was read must not have changed. If the last run
/// ended abnormally and unread rows were added or removed since, entry numbers continue after
/// all numbers given so far, and rows that were already stored may be stored twice.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CsvConfig {
    /// The file, or a list of files. `*`, `?`, `[a-z]` and `**` match as in a shell; matching
    /// files are read in the order of their names. Files that appear later or are added to the
    /// list are read last. Removing a path from the list starts reading from the beginning.
    #[schemars(schema_with = "paths_schema")]
    path: Paths,
    /// The character between two cells.
    #[serde(default)]
    #[schemars(extend("default" = ","))]
    delimiter: Delimiter,
    /// Whether the first row of each file contains the column names.
    #[serde(default = "default_true")]
    header: bool,
    /// The column names, for files without a header.
    #[serde(default)]
    columns: Vec<String>,
    /// The column types: `"infer"` examines the first 10,000 rows, `"string"` reads every
    /// cell as text, and a table such as `{ Volume = "float" }` declares some columns as
    /// `"integer"`, `"float"`, `"boolean"` or `"string"` and infers the others.
    #[serde(default)]
    #[schemars(schema_with = "types_schema", extend("default" = "infer"))]
    types: Types,
    /// Cells that become `null`, except in columns that are declared as `"string"`.
    #[serde(default = "default_null_values")]
    null_values: Vec<String>,
    /// How the files are compressed; `"auto"` examines their first bytes.
    #[serde(default)]
    compression: Compression,
}

fn default_true() -> bool {
    true
}

fn default_null_values() -> Vec<String> {
    vec![String::new()]
}

impl SourceConfig for CsvConfig {
    fn build(self, context: &BuildContext) -> Result<Box<dyn Source>> {
        Ok(Box::new(Csv { settings: Arc::new(self.settings(context)?), state: State::Idle }))
    }
}

impl CsvConfig {
    fn settings(self, context: &BuildContext) -> Result<Settings> {
        if self.header && !self.columns.is_empty() {
            let message = "the header of the files names the columns; set `header = false` if they have none";
            return Err(OptionError::new("columns", message));
        }
        if !self.header && self.columns.is_empty() {
            let message = "files without a header need the names of their columns: columns = [\"Index\", …]";
            return Err(OptionError::new("header", message));
        }
        if let Some(duplicate) = duplicate(&self.columns) {
            return Err(OptionError::new("columns", format!("duplicate column `{duplicate}`")));
        }
        let null_values = self.null_values.into_iter().map(Into::into).collect();
        let dialect = Dialect { delimiter: self.delimiter.0, null_values, types: self.types };
        if !self.header
            && let Some(column) = unknown_column(&dialect, &self.columns)
        {
            let message =
                format!("declares column `{column}`, but `columns` has only {}", self.columns.join(", "));
            return Err(OptionError::new("types", message));
        }
        Ok(Settings {
            patterns: self.path.0,
            dialect,
            header: self.header,
            columns: self.columns,
            compression: self.compression,
            context: context.clone(),
        })
    }
}

fn duplicate(names: &[String]) -> Option<&str> {
    let known_before = |(index, name): (usize, &String)| names[..index].contains(name);
    names.iter().enumerate().find(|&(index, name)| known_before((index, name))).map(|(_, name)| name.as_str())
}

struct Csv {
    settings: Arc<Settings>,
    state: State,
}

enum State {
    /// Not open, or at the end of the input.
    Idle,
    Opened(Box<Reader>),
    /// A separate thread reads: file access blocks, and parsing runs in parallel with the
    /// rest of the pipeline.
    Reading(mpsc::Receiver<Result<Option<Chunk>>>),
}

#[async_trait]
impl Source for Csv {
    fn identity(&self) -> String {
        files::identity(&self.settings.patterns, &self.settings.context)
    }

    fn can_resume_from(&self, identity: &str) -> bool {
        files::can_resume_from(&self.settings.patterns, &self.settings.context, identity)
    }

    async fn open(&mut self, start: &Start) -> Result<(), Failure> {
        let settings = Arc::clone(&self.settings);
        let position = start.position.clone().filter(|_| !start.from_start);
        let opened = tokio::task::spawn_blocking(move || Reader::open(settings, position));
        let reader = opened.await.context("opening the files")??;
        let (position, size) = reader.progress();
        self.settings.context.gauges.set_position(position, size);
        self.state = State::Opened(Box::new(reader));
        Ok(())
    }

    fn restart_position(&mut self) -> Option<Position> {
        let State::Opened(reader) = &self.state else { return None };
        reader.restart_position()
    }

    fn committer(&mut self) -> Option<Box<dyn Committer>> {
        Some(Box::new(ProgressGauge(Arc::clone(&self.settings.context.gauges))))
    }

    async fn next(&mut self) -> Result<Next, Failure> {
        self.state = match std::mem::replace(&mut self.state, State::Idle) {
            State::Opened(reader) => State::Reading(spawn_reader(*reader)?),
            state => state,
        };
        let State::Reading(chunks) = &mut self.state else { return Ok(Next::End) };
        // The thread sends `None` at the end of the input, so a closed channel means that it panicked.
        let terminated = || Err(anyhow::anyhow!("the CSV reader thread terminated unexpectedly"));
        let chunk = chunks.recv().await.unwrap_or_else(terminated);
        let Some(chunk) = chunk? else {
            self.state = State::Idle;
            return Ok(Next::End);
        };
        let positions = SharedPositions::new(chunk.positions);
        Ok(Next::Batch(ReadBatch::new(chunk.records).with_rejects(chunk.rejects).with_positions(positions)))
    }

    async fn close(&mut self) -> Result<()> {
        // Dropping the channel ends the thread.
        self.state = State::Idle;
        Ok(())
    }
}

/// Reports the progress of delivered rows, rather than of rows that were read ahead.
struct ProgressGauge(Arc<Gauges>);

#[async_trait]
impl Committer for ProgressGauge {
    async fn commit(&mut self, position: &Position) -> Result<()> {
        if let Some(position) = position.downcast_ref::<PositionAfter>() {
            let (position, size) = position.bytes();
            self.0.set_position(position, size);
        }
        Ok(())
    }
}

/// Starts the reader thread. It reads one batch ahead and ends when the channel is closed.
fn spawn_reader(mut reader: Reader) -> Result<mpsc::Receiver<Result<Option<Chunk>>>> {
    let (sender, chunks) = mpsc::channel(1);
    let read = move || {
        loop {
            let chunk = reader.next_chunk();
            let has_more = matches!(chunk, Ok(Some(_)));
            if sender.blocking_send(chunk).is_err() || !has_more {
                break;
            }
        }
    };
    std::thread::Builder::new().name("csv".into()).spawn(read)?;
    Ok(chunks)
}

#[cfg(test)]
mod tests;
