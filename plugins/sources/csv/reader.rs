//! Reads the files one after another and splits their rows into chunks, one for each batch.

use std::collections::{HashSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Error, Result};
use runner_core::{Body, BuildContext, Origin, Position, Record, Reject, Row};
use serde_json::Value;

use super::columns;
use super::files;
use super::input::Input;
use super::position::{BatchPositions, CsvPosition, Cursor, End};
use super::snapshot::{is_unread_input_unchanged, modified};
use crate::shared::compression::Compression;
use crate::shared::csv::{Dialect, Next, QuoteError, RowLayout, RowLocation, TableBuilder, next_row, reject};

/// The validated options of the source.
pub(super) struct Settings {
    pub(super) patterns: Vec<String>,
    pub(super) dialect: Dialect,
    pub(super) header: bool,
    /// Empty if the files have headers.
    pub(super) columns: Vec<String>,
    pub(super) compression: Compression,
    pub(super) context: BuildContext,
}

/// The content of one batch.
pub(super) struct Chunk {
    pub(super) records: Vec<Record>,
    pub(super) rejects: Vec<Reject>,
    pub(super) positions: BatchPositions,
}

pub(super) struct Reader {
    settings: Arc<Settings>,
    layout: Arc<RowLayout>,
    /// The position; the cursor of the open file is outdated.
    base: Arc<CsvPosition>,
    /// Indices of the files with unread rows; if a file is open, it is the first.
    queue: VecDeque<usize>,
    input: Option<Input>,
    /// An error to return after the rows that come before it.
    failed: Option<Error>,
    /// Rows and bytes of the largest batch so far, the capacity of the next one.
    room: (usize, usize),
    n_bytes_done: u64,
    n_bytes: u64,
    /// Whether the input after the saved position is what it was in the last run.
    is_unread_unchanged: bool,
}

impl Reader {
    /// Finds the files and the column types, and checks both before the first row is read.
    pub(super) fn open(settings: Arc<Settings>, position: Option<Value>) -> Result<Self> {
        let saved = position.map(CsvPosition::read).transpose()?;
        let started = saved.as_ref().filter(|saved| saved.is_started());
        let known = started.map_or(&[][..], |started| &started.files);
        let files = list(&settings, known)?;
        let columns = match started {
            Some(started) => columns::from_position(started, &settings)?,
            None => columns::infer(&settings, &files)?,
        };
        let layout = Arc::new(RowLayout::new(columns, &settings.dialect));
        let base = CsvPosition {
            delimiter: settings.dialect.delimiter.into(),
            header: settings.header,
            columns: columns::types_as_json(layout.header()),
            file: started.map_or(0, |started| started.file),
            files,
            bytes: (0, 0),
        };
        let mut reader = Reader {
            settings,
            layout,
            base: Arc::new(base),
            queue: VecDeque::new(),
            input: None,
            failed: None,
            room: (0, 0),
            n_bytes_done: 0,
            n_bytes: 0,
            is_unread_unchanged: false,
        };
        reader.queue_files()?;
        reader.is_unread_unchanged =
            saved.is_some_and(|saved| is_unread_input_unchanged(&saved, &reader.base));
        Ok(reader)
    }

    /// Queues the files with unread rows: from the current one to the last, then the ones
    /// before it, which may have grown.
    fn queue_files(&mut self) -> Result<()> {
        let current = self.base.file;
        let base = Arc::clone(&self.base);
        for index in (current..base.files.len()).chain(0..current) {
            let cursor = &base.files[index];
            let is_at_end = cursor.end != End::NotReached;
            let is_done = is_at_end
                && match std::fs::metadata(&cursor.path) {
                    Ok(metadata) => cursor.size == metadata.len() && cursor.modified == modified(&metadata),
                    // A file that was read to its end may be deleted.
                    Err(_) => true,
                };
            if is_done {
                Arc::make_mut(&mut self.base).files[index].snapshot = None;
                self.n_bytes += cursor.size;
                self.n_bytes_done += cursor.size;
                continue;
            }
            let input = self.open_input(index)?;
            Arc::make_mut(&mut self.base).files[index].snapshot.clone_from(&input.cursor().snapshot);
            self.n_bytes += input.cursor().size;
            if self.queue.is_empty() {
                self.input = Some(input);
            }
            self.queue.push_back(index);
        }
        Ok(())
    }

    /// Opens a file at its cursor, or after its header.
    fn open_input(&self, index: usize) -> Result<Input> {
        let cursor = &self.base.files[index];
        if cursor.offset > 0 {
            let name = files::display_path(Path::new(&cursor.path));
            return Input::open_at(cursor, name, self.settings.compression);
        }
        let (input, names) = columns::open_after_header(&cursor.path, &self.settings)?;
        columns::check_same_header(&names, self.layout.header(), input.name, &self.base.files[0].path)?;
        Ok(input)
    }

    /// The position, unless a saved one was given and the input after it is unchanged.
    pub(super) fn restart_position(&self) -> Option<Position> {
        (!self.is_unread_unchanged).then(|| Position::new((*self.base).clone()))
    }

    /// Bytes on disk that have been read, and in total.
    pub(super) fn progress(&self) -> (u64, u64) {
        let read = self.input.as_ref().map_or(0, Input::n_bytes_read);
        (self.n_bytes_done + read, self.n_bytes)
    }

    /// The next rows; `None` at the end of the last file.
    pub(super) fn next_chunk(&mut self) -> Result<Option<Chunk>> {
        loop {
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            let Some(&file) = self.queue.front() else { return Ok(None) };
            let mut input = match self.input.take() {
                Some(input) => input,
                None => self.open_input(file)?,
            };
            let chunk = self.read_chunk(file, &mut input);
            if input.cursor().end == End::NotReached || self.failed.is_some() {
                self.input = Some(input);
            } else {
                self.n_bytes_done += input.cursor().size;
                Arc::make_mut(&mut self.base).files[file] = input.cursor_with_fingerprints();
                self.queue.pop_front();
            }
            if chunk.is_some() {
                return Ok(chunk);
            }
        }
    }

    /// Reads rows until the batch is full or the file ends; `None` if there are none.
    fn read_chunk(&mut self, file: usize, input: &mut Input) -> Option<Chunk> {
        let limits = self.settings.context.batch;
        let delimiter = self.settings.dialect.delimiter;
        let start = input.cursor_with_fingerprints();
        let bytes_before = self.n_bytes_done + input.n_bytes_read();
        let source = files::origin_name(&start.path, &self.settings.context);
        let mut origin = Origin { source, partition: file as i32, offset: start.rows };
        let mut table = TableBuilder::new(Arc::clone(&self.layout), self.room.0, self.room.1);
        let mut items = Vec::with_capacity(self.room.0);
        let mut rejects: Vec<Reject> = Vec::new();
        let mut n_bytes = 0;
        while items.len() < limits.max_records.max(1) {
            let window = input.window();
            let location = RowLocation { source: input.name, line: input.line() };
            let (span, reason, is_unclosed) = match next_row(window, delimiter, input.is_at_end()) {
                Next::NeedMore => match input.fill() {
                    Ok(()) => continue,
                    // Return the rows before it first.
                    Err(error) => {
                        self.failed = Some(error);
                        break;
                    }
                },
                Next::End => {
                    input.end_with(End::Closed);
                    break;
                }
                Next::Row(span) if span.content == 0 => {
                    input.advance(span.len, span.n_lines);
                    continue;
                }
                // The table stores offsets of cells in 32 bits.
                Next::Row(span) if n_bytes > 0 && n_bytes + span.len > limits.max_bytes.min(1 << 30) => break,
                Next::Row(span) => {
                    let row = &window[..span.content];
                    (span, table.push(row, span.quoted).err().map(|error| location.error(row, &error)), false)
                }
                Next::BadQuotes(span, error) => {
                    (span, Some(location.bad_quotes(window, error)), matches!(error, QuoteError::Unclosed(_)))
                }
            };
            if let Some(reason) = reason {
                let n_before = items.len() - rejects.len();
                rejects.push(reject(&window[..span.content], reason, origin, n_before));
            }
            origin.offset += 1;
            n_bytes += span.len;
            input.advance_row(span);
            if !span.is_closed() {
                input.end_with(if is_unclosed { End::OpenQuote } else { End::OpenRow });
            }
            items.push((input.cursor().offset, input.cursor().lines));
        }
        if items.is_empty() {
            return None;
        }
        self.room = (self.room.0.max(items.len()), self.room.1.max(table.n_bytes()));
        let records = to_records(table.finish(), Origin { offset: start.rows, ..origin }, &rejects);
        let (end, head) = (input.cursor().end, Arc::clone(input.head()));
        let bytes = bytes_before..self.n_bytes_done + input.n_bytes_read();
        let n_bytes = self.n_bytes.max(bytes.end);
        let base = Arc::clone(&self.base);
        let positions = BatchPositions { base, file, start, head, items, end, bytes, n_bytes };
        Some(Chunk { records, rejects, positions })
    }
}

/// Turns rows into records. Their offsets skip those of the rejects between them.
fn to_records(rows: impl Iterator<Item = Row>, first: Origin, rejects: &[Reject]) -> Vec<Record> {
    let mut rejects = rejects.iter().peekable();
    let mut origin = first;
    rows.enumerate()
        .map(|(index, row)| {
            while rejects.next_if(|reject| reject.n_before <= index).is_some() {
                origin.offset += 1;
            }
            let record = Record::new(Body::Row(row), origin);
            origin.offset += 1;
            record
        })
        .collect()
}

/// All files: those of a saved position in its order, then new ones.
fn list(settings: &Settings, known: &[Cursor]) -> Result<Vec<Cursor>> {
    let paths: HashSet<&Path> = known.iter().map(|cursor| Path::new(&cursor.path)).collect();
    let found = files::list(&settings.patterns, &settings.context, &paths)?;
    let mut all = known.to_vec();
    for path in found.iter().filter(|path| !paths.contains(path.as_path())) {
        let path = path.to_str().with_context(|| format!("the name of {} is not UTF-8", path.display()))?;
        all.push(Cursor { path: path.to_owned(), ..Cursor::default() });
    }
    Ok(all)
}
