//! `csv`: reads the rows of CSV files.

mod columns;
mod files;
mod input;
mod options;
mod plan;
mod position;
mod reader;

use std::sync::Arc;

use runner_core::{
    Batch, BuildContext, Committer, Gauges, OptionError, Plugin, Position, ReadError, Result, Source,
    SourceConfig, Start, async_trait,
};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::mpsc;

use self::options::{Compression, Delimiter, Paths};
use self::position::Saved;
use self::reader::{Chunk, Reader, Settings};
use crate::shared::csv::{Dialect, Types, undeclared};

runner_core::register! {
    Plugin::source::<CsvConfig>("csv").example(r#"
type = "csv"
path = "data/stocks.csv"        # or ["data/2025-*.csv", "data/2026-*.csv.gz"]
types = { Volume = "float" }    # the other columns are settled over a sample
"#)
}

/// Reads the rows of CSV files.
///
/// The types of the columns are settled over the first rows and then kept, also
/// by later runs: every number is written with the digits it has in the file,
/// and a row that does not keep to the types of its columns is a bad record. So
/// is a row with too few or too many cells, with an open quote or text behind a
/// closing one, or that is not UTF-8. Reading goes on behind the last row that was
/// delivered; a file may have grown by then, or its bad row have been corrected,
/// but what was read of it must not have changed. Where the last run did not end in
/// order and rows have come or gone since among those that it had not delivered, numbering goes on
/// behind all numbers that were given, and rows that it had stored already may be stored once more.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CsvConfig {
    /// The file, or a list of files. `*`, `?`, `[a-z]` and `**` stand for what they do in a
    /// shell; what matches is read in the order of the names. Files that come up later are read
    /// last, and so are those that are added to the list; a list that lacks one is read from its start.
    path: Paths,
    /// What stands between two cells.
    #[serde(default)]
    delimiter: Delimiter,
    /// Whether the first row of each file names the columns.
    #[serde(default = "yes")]
    header: bool,
    /// The names of the columns, for files without a header.
    #[serde(default)]
    columns: Vec<String>,
    /// What the cells of the columns are: `"infer"` looks at the first 10,000 rows, `"string"`
    /// takes every cell as text, and a table such as `{ Volume = "float" }` declares some
    /// columns as `"integer"`, `"float"`, `"boolean"` or `"string"` and infers the rest.
    #[serde(default)]
    types: Types,
    /// Cells that stand for nothing: they become `null`, unless their column is declared a string.
    #[serde(default = "empty_cells")]
    null_values: Vec<String>,
    /// How the files are compressed; `"auto"` looks at their first bytes.
    #[serde(default)]
    compression: Compression,
}

fn yes() -> bool {
    true
}

fn empty_cells() -> Vec<String> {
    vec![String::new()]
}

impl SourceConfig for CsvConfig {
    fn build(self, context: &BuildContext) -> Result<Box<dyn Source>> {
        Ok(Box::new(Csv { settings: Arc::new(self.settings(context)?), state: State::Closed }))
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
        if let Some(twice) = twice(&self.columns) {
            return Err(OptionError::new("columns", format!("`{twice}` stands there twice")));
        }
        let null_values = self.null_values.into_iter().map(Into::into).collect();
        let dialect = Dialect { delimiter: self.delimiter.0, null_values, types: self.types };
        if !self.header
            && let Some(column) = undeclared(&dialect, &self.columns)
        {
            let message =
                format!("declares a column `{column}`, and `columns` has only {}", self.columns.join(", "));
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

fn twice(names: &[String]) -> Option<&str> {
    let known_before = |(index, name): (usize, &String)| names[..index].contains(name);
    names.iter().enumerate().find(|&(index, name)| known_before((index, name))).map(|(_, name)| name.as_str())
}

struct Csv {
    settings: Arc<Settings>,
    state: State,
}

enum State {
    Closed,
    Opened(Box<Reader>),
    /// Read by a thread of its own: files are not asynchronous, and so parsing
    /// goes on beside whatever the pipeline does with the batch before.
    Reading(mpsc::Receiver<Result<Option<Chunk>>>),
    Ended,
}

#[async_trait]
impl Source for Csv {
    fn identity(&self) -> String {
        files::identity(&self.settings.patterns, &self.settings.context)
    }

    fn can_resume_from(&self, identity: &str) -> bool {
        files::can_resume_from(&self.settings.patterns, &self.settings.context, identity)
    }

    async fn open(&mut self, start: &Start) -> Result<()> {
        let settings = Arc::clone(&self.settings);
        let position = start.position.clone().filter(|_| !start.from_start);
        let opened = tokio::task::spawn_blocking(move || Reader::open(settings, position));
        let reader = opened.await??;
        let (position, size) = reader.progress();
        self.settings.context.gauges.set_position(position, size);
        self.state = State::Opened(Box::new(reader));
        Ok(())
    }

    fn restart_position(&mut self) -> Option<Position> {
        match &self.state {
            State::Opened(reader) => reader.restart_position(),
            State::Closed | State::Reading(_) | State::Ended => None,
        }
    }

    fn committer(&mut self) -> Option<Box<dyn Committer>> {
        Some(Box::new(Meter(Arc::clone(&self.settings.context.gauges))))
    }

    async fn next(&mut self) -> Result<Option<Batch>, ReadError> {
        if let State::Opened(_) = self.state
            && let State::Opened(reader) = std::mem::replace(&mut self.state, State::Ended)
        {
            self.state = State::Reading(read_ahead(*reader)?);
        }
        let State::Reading(chunks) = &mut self.state else { return Ok(None) };
        // A reader that is through says so; silence means that it has come to grief.
        let chunk = chunks.recv().await.unwrap_or_else(|| Err(anyhow::anyhow!("the reader has broken off")));
        let Some(chunk) = chunk? else {
            self.state = State::Ended;
            return Ok(None);
        };
        Ok(Some(Batch::new(chunk.records).with_rejects(chunk.rejects).with_positions(chunk.marks)))
    }

    async fn close(&mut self) -> Result<()> {
        // The thread ends with the channel.
        self.state = State::Ended;
        Ok(())
    }
}

/// Shows people how far the rows have been delivered, rather than how far ahead they are read.
struct Meter(Arc<Gauges>);

#[async_trait]
impl Committer for Meter {
    async fn commit(&mut self, position: &Position) -> Result<()> {
        if let Some((position, size)) = Saved::bytes_of(position) {
            self.0.set_position(position, size);
        }
        Ok(())
    }
}

/// Starts the thread that reads; it stays one batch ahead, and ends with the channel.
fn read_ahead(mut reader: Reader) -> Result<mpsc::Receiver<Result<Option<Chunk>>>> {
    let (sender, chunks) = mpsc::channel(1);
    let read = move || {
        loop {
            let chunk = reader.next_chunk();
            let goes_on = matches!(chunk, Ok(Some(_)));
            if sender.blocking_send(chunk).is_err() || !goes_on {
                break;
            }
        }
    };
    std::thread::Builder::new().name("csv".into()).spawn(read)?;
    Ok(chunks)
}

#[cfg(test)]
mod tests;
