//! `csv`: reads the rows of CSV files.
//!
//! A [`reader::Reader`] on a thread of its own reads the rows in batches. Each module uses only those before it:
//!
//! 1. [`options`] and [`settings`]: the options, and what follows from them.
//! 2. [`files`]: which files there are, and how a file is known again.
//! 3. [`position`]: how far each file has been read, as the checkpoint stores it.
//! 4. [`input`]: one open file, decompressed and in UTF-8.
//! 5. [`columns`]: the header of a file, and the types of its columns.
//! 6. [`rotation`]: files that were renamed or compressed after they were read.
//! 7. [`reader`]: the files one after another, and their rows in batches.

mod columns;
mod files;
mod input;
mod options;
mod position;
mod reader;
mod rotation;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use runner_core::{
    BuildContext, Committer, Failure, Fixture, Gauges, Next, OptionError, Plugin, Position, ReadBatch,
    ReadsFixture, Replay, Result, Source, SourceConfig, Start, Written, async_trait,
};
use serde_json::Value;
use tokio::sync::mpsc;

use self::options::{NewColumns, Paths, paths_schema};
use self::position::BatchPosition;
use self::reader::{Chunk, Reader};
use self::settings::{STANDARD_INPUT, Settings};
use crate::shared::compression::Compression;
use crate::shared::csv::{DialectOptions, TextEncoding, with_dialect_options};
use crate::shared::file_loop;

runner_core::register! {
    Plugin::source::<CsvConfig>("csv").example(r#"
type = "csv"
path = "data/stocks.csv"        # or ["data/2025-*.csv", "data/2026-*.csv.gz"]
types = { Volume = "float" }    # the other types are inferred from a sample
"#)
}

with_dialect_options! {
    /// Reads the rows of CSV files.
    ///
    /// Every row becomes a record with typed cells. Numbers keep the digits that they have in the file. A row is
    /// rejected if a cell does not match the type of its column, if it has too few or too many cells, an unclosed
    /// quote or text after a closing quote, or if its encoding is not valid. The source skips blank lines, and lines
    /// that programs write around the rows: `sep=;`, a line of dashes under the header, a count such as
    /// `(2 rows affected)`, the header again.
    ///
    /// A run resumes after the last delivered row. A file may grow between two runs, and a bad row may be
    /// corrected, but the part that was read must not change. A file that is cut, written over or replaced
    /// while it is read ends the run. If the end of a file is not complete and was written within the last
    /// 5 seconds, it is left for the next run. A file that was renamed or compressed after it was read is not
    /// read again. `docs/csv.md` and `docs/reliability.md` have the details.
    struct CsvConfig;
    before {
        /// The file, or a list of files. `*`, `?`, `[a-z]` and `**` match as in a shell; matching files are read in
        /// the order of their names. A pattern in a list that matches no file causes a warning; the run ends if no
        /// path has a file. Files that appear later or are added to the list are read last. If a path is
        /// removed from the list, the source reads from the beginning. `"-"` is standard input, which cannot be read
        /// again: a restart reads only new input, under new entry numbers.
        #[schemars(schema_with = "paths_schema")]
        path: Paths,
    }
    /// The encoding of the files: a label of the WHATWG encoding standard such as
    /// `"windows-1252"`, `"utf-16le"` or `"shift_jis"`, or `"auto"`: UTF-16 where a file begins with
    /// its byte order mark, else UTF-8. Bytes that are not valid in it reject their row.
    #[schemars(extend("default" = "utf-8"))]
    encoding: TextEncoding;
    after {
        /// What happens if a file has other columns than the first one: `"error"` ends the run. `"add"` adds new
        /// columns to the rows of this file and of later ones; columns that a file does not have are null in its
        /// rows. A file without any known column ends the run. In both cases the source matches columns by name, in
        /// any order.
        #[serde(default)]
        new_columns: NewColumns,
        /// How the files are compressed; `"auto"` examines their first bytes.
        #[serde(default)]
        compression: Compression,
        /// Whether the source waits for new rows and new files instead of ending. It looks for them twice a
        /// second, and waits for a file that is absent for a while. A row is read once its line has ended. A file
        /// that was renamed is read to its end, also after a restart, if it is still in its folder, and so is one
        /// that was compressed there under a name that begins in the same way; the file that has taken its place
        /// is read from its beginning, and so is one that was rotated in between. A file that was truncated or replaced is read from its
        /// beginning, too. A last row that an earlier run read without its line end is read again if it goes on.
        #[serde(default)]
        follow: bool,
    }
}

/// How often files are looked at with `follow`.
const POLL: Duration = Duration::from_millis(500);

impl SourceConfig for CsvConfig {
    fn build(self, context: &BuildContext) -> Result<Box<dyn Source>> {
        Ok(Box::new(Csv { settings: Arc::new(self.settings(context)?), state: State::Idle }))
    }
}

impl CsvConfig {
    fn settings(self, context: &BuildContext) -> Result<Settings> {
        let options = DialectOptions {
            delimiter: self.delimiter,
            header: self.header,
            columns: self.columns,
            types: self.types,
            null_values: self.null_values,
            skip_lines: self.skip_lines,
            comment: self.comment,
            quote: self.quote,
            escape: self.escape,
            decimal: self.decimal,
            thousands: self.thousands,
            trim: self.trim,
            encoding: Some(self.encoding),
            extra_cells: self.extra_cells,
            missing_cells: self.missing_cells,
        };
        let is_stream = self.path.0 == [STANDARD_INPUT];
        if !is_stream && self.path.0.iter().any(|path| path == STANDARD_INPUT) {
            return Err(OptionError::new(
                "path",
                "`-` is standard input, which cannot be read together with files",
            ));
        }
        if is_stream && self.follow {
            return Err(OptionError::new("follow", "standard input is read until its end in any case"));
        }
        let dialect = options.dialect("")?;
        Ok(Settings {
            patterns: self.path.0,
            dialect: Arc::new(dialect),
            compression: self.compression,
            encoding: self.encoding,
            follow: self.follow,
            are_files_complete: false,
            adds_columns: self.new_columns == NewColumns::Add,
            context: context.clone(),
        })
    }
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
        if self.settings.is_standard_input() {
            return "standard input".into();
        }
        files::identity(&self.settings.patterns, &self.settings.context)
    }

    fn replay(&self) -> Replay {
        if self.settings.is_standard_input() { Replay::Impossible } else { Replay::Deterministic }
    }

    fn can_resume_from(&self, identity: &str) -> bool {
        files::can_resume_from(&self.settings.patterns, &self.settings.context, identity)
    }

    fn reads(&self, written: &Written) -> Option<String> {
        let Settings { patterns, context, .. } = &*self.settings;
        if self.settings.is_standard_input() {
            return None;
        }
        let pattern = file_loop::reader(patterns, &context.folder, written)?;
        Some(format!("`path` contains `{pattern}`"))
    }

    /// It has paths and numbers.
    fn shown_position(&self, position: &Value) -> Value {
        position.clone()
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

    fn fixture(&mut self) -> Option<&mut dyn ReadsFixture> {
        Some(self)
    }

    fn end_reading(&mut self) {
        if self.settings.is_standard_input() {
            input::end_reading();
        }
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
        let batch = ReadBatch::new(chunk.records).with_rejects(chunk.rejects);
        if self.settings.is_standard_input() {
            return Ok(Next::Batch(batch));
        }
        Ok(Next::Batch(batch.with_positions(BatchPosition::at_start(chunk.positions))))
    }

    async fn close(&mut self) -> Result<()> {
        // Dropping the channel ends the thread.
        self.state = State::Idle;
        Ok(())
    }
}

impl ReadsFixture for Csv {
    fn option(&self) -> &'static str {
        "csv"
    }

    fn read_from(&mut self, fixture: &Fixture) -> Result<()> {
        let path = fixture.path.to_str().context("the name of the file is not UTF-8")?;
        let settings = Arc::get_mut(&mut self.settings).context("the source is already open")?;
        settings.patterns = vec![glob::Pattern::escape(path)];
        settings.follow = false;
        settings.are_files_complete = true;
        Ok(())
    }
}

/// Reports the progress of delivered rows, rather than of rows that were read ahead.
struct ProgressGauge(Arc<Gauges>);

#[async_trait]
impl Committer for ProgressGauge {
    async fn commit(&mut self, position: &Position) -> Result<()> {
        if let Some(position) = position.downcast_ref::<BatchPosition>() {
            let (position, size) = position.bytes();
            self.0.set_position(position, size);
        }
        Ok(())
    }
}

/// Starts the reader thread. It reads one batch ahead and ends when the channel is closed.
fn spawn_reader(mut reader: Reader) -> Result<mpsc::Receiver<Result<Option<Chunk>>>> {
    let (sender, chunks) = mpsc::channel(1);
    let runtime = tokio::runtime::Handle::current();
    let read = move || {
        loop {
            let mut chunk = reader.next_chunk();
            while reader.follows() && matches!(chunk, Ok(None)) {
                let closed = runtime.block_on(async { tokio::time::timeout(POLL, sender.closed()).await });
                if closed.is_ok() {
                    return;
                }
                chunk = reader.refresh().and_then(|()| reader.next_chunk());
            }
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
