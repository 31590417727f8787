//! Reads the files one after another and splits their rows into chunks, one for each batch.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Error, Result, bail};
use runner_core::{Body, Name, Origin, Position, Record, Reject, Row};
use serde_json::Value;
use tracing::{info, warn};

use super::columns::{self, Columns};
use super::files;
use super::header::open_after_header;
use super::input::{Input, REPLACED};
use super::position::{BatchPositions, CsvPosition, Cursor, End, Round};
use super::settings::Settings;
use super::snapshot::{is_unread_input_unchanged, modified};
use crate::shared::csv::{
    Next, QuoteError, RowLayout, RowLocation, TableBuilder, next_row, reject, unknown_column,
};

/// The content of one batch.
pub(super) struct Chunk {
    pub(super) records: Vec<Record>,
    pub(super) rejects: Vec<Reject>,
    pub(super) positions: BatchPositions,
}

/// The file that is being read.
struct OpenFile {
    input: Input,
    layout: Arc<RowLayout>,
    /// Whether the rest is left for the next run, since another program may still be writing it.
    is_held: bool,
}

pub(super) struct Reader {
    settings: Arc<Settings>,
    /// `None` while there is no file with a header.
    columns: Option<Columns>,
    /// All files; the cursor of the open one is outdated.
    files: Vec<Cursor>,
    round: Arc<Round>,
    /// The place in the queue of the round; the open file, if any, is there.
    place: usize,
    open: Option<OpenFile>,
    /// An error to return after the rows that come before it.
    failed: Option<Error>,
    /// Rows and bytes of the largest batch so far, the capacity of the next one.
    room: (usize, usize),
    n_bytes_done: u64,
    n_bytes: u64,
    /// Whether the input after the saved position is what it was in the last run.
    is_unread_unchanged: bool,
    /// How many columns the files so far have, where later ones may add some.
    n_known: usize,
    /// The header of the first file where `columns` replaces the names.
    replaced_header: Option<(Vec<u8>, Name)>,
}

impl Reader {
    /// Finds the files and the column types, and checks both before the first row is read.
    pub(super) fn open(settings: Arc<Settings>, position: Option<Value>) -> Result<Self> {
        let saved = position.map(CsvPosition::read).transpose()?;
        let started = saved.as_ref().filter(|saved| saved.is_started());
        let known = started.map_or(&[][..], |started| &started.files);
        let files = list(&settings, known)?;
        let columns = match started {
            Some(started) => Some(columns::from_position(started, &settings)?),
            None => columns::infer(&settings, &files)?,
        };
        let start = CsvPosition {
            delimiter: settings.dialect.grammar.delimiter.into(),
            header: settings.dialect.has_header,
            format: settings.format(),
            ..CsvPosition::default()
        };
        let mut reader = Reader {
            settings,
            columns,
            files,
            round: Arc::new(Round::new(start, Vec::new())),
            place: 0,
            open: None,
            failed: None,
            room: (0, 0),
            n_bytes_done: 0,
            n_bytes: 0,
            is_unread_unchanged: false,
            n_known: 0,
            replaced_header: None,
        };
        if started.is_some() {
            reader.n_known = reader.columns.as_ref().map_or(0, Columns::len);
        }
        reader.queue_files(started.map_or(0, |started| started.file))?;
        reader.is_unread_unchanged =
            saved.is_some_and(|saved| is_unread_input_unchanged(&saved, &reader.round.start));
        Ok(reader)
    }

    /// Queues the files with unread rows: from the current one to the last, then the ones
    /// before it, which may have grown.
    fn queue_files(&mut self, current: usize) -> Result<()> {
        let mut queue = Vec::new();
        let n_files = if self.columns.is_some() { self.files.len() } else { 0 };
        for index in (current..n_files).chain(0..current.min(n_files)) {
            let cursor = &mut self.files[index];
            let is_at_end = cursor.end != End::NotReached;
            let is_done = is_at_end
                && match std::fs::metadata(&cursor.path) {
                    Ok(metadata) => cursor.size == metadata.len() && cursor.modified == modified(&metadata),
                    // A file that was read to its end may be deleted.
                    Err(_) => true,
                };
            if is_done {
                cursor.snapshot = None;
                self.n_bytes += cursor.size;
                self.n_bytes_done += cursor.size;
                continue;
            }
            let Some(open) = self.open_file(index)? else {
                self.say_held(index, "its header");
                continue;
            };
            let cursor = &mut self.files[index];
            cursor.snapshot.clone_from(&open.input.cursor().snapshot);
            cursor.n_columns = open.input.cursor().n_columns;
            self.n_bytes += open.input.cursor().size;
            if queue.is_empty() {
                self.open = Some(open);
            }
            queue.push(index);
        }
        if let Some(columns) = &self.columns
            && self.settings.adds_columns
        {
            let names = columns.names();
            if let Some(column) = unknown_column(&self.settings.dialect, &names) {
                bail!(
                    "`types` declares column `{column}`, but no file has it; they have {}",
                    names.join(", ")
                );
            }
        }
        let types = &self.settings.dialect.types;
        let start = CsvPosition {
            columns: self.columns.as_ref().map(|columns| columns.as_json(types)).unwrap_or_default(),
            file: current,
            files: self.files.clone(),
            bytes: (0, 0),
            ..self.round.start.clone()
        };
        self.round = Arc::new(Round::new(start, queue));
        self.place = 0;
        Ok(())
    }

    /// Opens a file at its cursor, or after its header; `None` if that may still be incomplete.
    fn open_file(&mut self, index: usize) -> Result<Option<OpenFile>> {
        let Some(columns) = &mut self.columns else { return Ok(None) };
        let (settings, cursor) = (&self.settings, &self.files[index]);
        let has_started = cursor.offset > 0;
        let name = files::display_path(Path::new(&cursor.path));
        let opened = open_after_header(&cursor.path, settings);
        let opened = if has_started {
            // The header is read again, but the first thing to know is whether this is still the file.
            opened.with_context(|| cannot_resume(name, cursor))?
        } else {
            opened?
        };
        let Some(mut opened) = opened else { return Ok(None) };
        if has_started {
            if let Some(what) = opened.input.seek_to(cursor)? {
                let n_lines = cursor.lines;
                bail!(
                    "{name} has changed since it was read up to line {n_lines}: {what}. Restore the old file, or \
                     {REPLACED}"
                );
            }
        } else if settings.dialect.columns.is_empty() {
            columns.check(&opened.names, name, &self.files[0].path, settings)?;
            if settings.adds_columns {
                columns.add_new(&opened, settings)?;
            }
        } else if settings.dialect.has_header {
            let first = self.replaced_header.get_or_insert_with(|| (opened.written.clone(), name));
            if first.0 != opened.written {
                bail!(
                    "{name} has a different header than {}, and `columns` replaces the names of both: read files with \
                     other columns with a separate source",
                    first.1
                );
            }
        }
        let n_columns = match cursor.n_columns {
            0 if settings.adds_columns => {
                self.n_known = self.n_known.max(columns.n_up_to(&opened.names));
                self.n_known
            }
            0 => columns.len(),
            n_columns => n_columns,
        };
        if settings.adds_columns {
            opened.input.set_n_columns(n_columns);
        }
        let layout = columns.layout(&opened.names, n_columns, settings);
        Ok(Some(OpenFile { input: opened.input, layout, is_held: false }))
    }

    /// The position, unless a saved one was given and the input after it is unchanged.
    pub(super) fn restart_position(&self) -> Option<Position> {
        let has_files = !self.round.start.files.is_empty();
        (has_files && !self.is_unread_unchanged).then(|| Position::new(self.round.start.clone()))
    }

    /// Bytes on disk that have been read, and in total.
    pub(super) fn progress(&self) -> (u64, u64) {
        let read = self.open.as_ref().map_or(0, |open| open.input.n_bytes_read());
        (self.n_bytes_done + read, self.n_bytes)
    }

    /// The next rows; `None` at the end of the last file.
    pub(super) fn next_chunk(&mut self) -> Result<Option<Chunk>> {
        loop {
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            let Some(&file) = self.round.queue.get(self.place) else { return Ok(None) };
            let mut open = match self.open.take() {
                Some(open) => open,
                None => match self.open_file(file)? {
                    Some(open) => open,
                    None => bail!("{} was changed while it was read", self.files[file].path),
                },
            };
            let chunk = self.read_chunk(&mut open);
            let is_at_end = open.input.cursor().end != End::NotReached;
            if self.failed.is_none() && is_at_end {
                self.failed = open.input.check_not_replaced().err();
            }
            if !is_at_end && !open.is_held || self.failed.is_some() {
                self.open = Some(open);
            } else {
                if open.is_held {
                    self.say_held(file, &format!("the row in line {}", open.input.line()));
                }
                self.n_bytes_done += open.input.cursor().size;
                let cursor = open.input.cursor_with_fingerprints();
                self.files[file] = cursor.clone();
                self.round.finish(self.place, cursor);
                self.place += 1;
            }
            if chunk.is_some() {
                return Ok(chunk);
            }
        }
    }

    fn say_held(&self, file: usize, what: &str) {
        let (component, name) =
            (&self.settings.context.component, files::display_path(Path::new(&self.files[file].path)));
        let message = format!(
            "{name}: {what} has no line end, and the file was written to within the last seconds: it is left for the \
             next run, in case more of it follows"
        );
        self.settings.context.gauges.note(message.clone());
        warn!(component, "{message}");
    }

    /// Reads rows until the batch is full or the file ends; `None` if there are none.
    fn read_chunk(&mut self, open: &mut OpenFile) -> Option<Chunk> {
        let OpenFile { input, layout, is_held } = open;
        let limits = self.settings.context.batch;
        let grammar = &self.settings.dialect.grammar;
        let start = input.cursor_with_fingerprints();
        let bytes_before = self.n_bytes_done + input.n_bytes_read();
        let source = files::origin_name(&start.path, &self.settings.context);
        let partition = self.round.queue[self.place] as i32;
        let mut origin = Origin { source, partition, offset: start.rows };
        let mut table = TableBuilder::new(Arc::clone(layout), self.room.0, self.room.1);
        let mut items = Vec::with_capacity(self.room.0);
        let mut rejects: Vec<Reject> = Vec::new();
        let mut n_bytes = 0;
        while items.len() < limits.max_records.max(1) {
            let window = input.window();
            let location = RowLocation { source: input.name, line: input.line() };
            let next = next_row(window, grammar, input.is_at_end());
            if let Next::Row(span) | Next::BadQuotes(span, _) = &next
                && !span.is_closed
                && input.may_grow()
            {
                *is_held = true;
                break;
            }
            let (span, reason, is_unclosed) = match next {
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
                    match table.push(row, span.quoted) {
                        Ok(()) => (span, None, false),
                        Err(_) if layout.is_count(row) => {
                            let component = &self.settings.context.component;
                            info!(component, "{}:{}: a count of rows was skipped", input.name, input.line());
                            input.advance(span.len, span.n_lines);
                            continue;
                        }
                        Err(error) => (span, Some(location.error(row, &error)), false),
                    }
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
            if !span.is_closed {
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
        let (round, place) = (Arc::clone(&self.round), self.place);
        let positions = BatchPositions { round, place, start, head, items, end, bytes, n_bytes };
        Some(Chunk { records, rejects, positions })
    }
}

fn cannot_resume(name: Name, cursor: &Cursor) -> String {
    format!("{name} was read up to line {} and cannot be opened now; restore it, or {REPLACED}", cursor.lines)
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
