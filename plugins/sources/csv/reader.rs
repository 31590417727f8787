//! The reader goes through the files one after the other and cuts them into batches.

use std::collections::{HashSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Error, Result};
use runner_core::{Body, BuildContext, Origin, Position, Record, Reject, Row};

use super::columns;
use super::files;
use super::input::Input;
use super::options::Compression;
use super::plan;
use super::position::{Cursor, End, Marks, Saved};
use crate::shared::csv::{Dialect, Layout, Next, Place, Slip, TableBuilder, next_row, reject};

/// The options of the source, read.
pub(super) struct Settings {
    pub(super) patterns: Vec<String>,
    pub(super) dialect: Dialect,
    pub(super) header: bool,
    /// Empty where the files have headers.
    pub(super) columns: Vec<String>,
    pub(super) compression: Compression,
    pub(super) context: BuildContext,
}

/// What becomes one batch.
pub(super) struct Chunk {
    pub(super) records: Vec<Record>,
    pub(super) rejects: Vec<Reject>,
    pub(super) marks: Marks,
}

pub(super) struct Reader {
    settings: Arc<Settings>,
    layout: Arc<Layout>,
    /// How far all files have been read, save the one that is open.
    base: Arc<Saved>,
    /// The files still to be read, by index; the first is the one that is open, if one is.
    queue: VecDeque<usize>,
    input: Option<Input>,
    /// What went wrong behind the rows that were sent on.
    failed: Option<Error>,
    /// Rows and bytes of the largest batch so far: room for the next one.
    room: (usize, usize),
    n_bytes_done: u64,
    n_bytes: u64,
    /// Whether all that lay behind the position lies there still.
    has_kept_on: bool,
}

impl Reader {
    /// Finds the files, settles the columns, and checks all that can be wrong
    /// with either before the first row is read.
    pub(super) fn open(settings: Arc<Settings>, position: Option<Position>) -> Result<Self> {
        let saved = position.map(Saved::read).transpose()?;
        let begun = saved.as_ref().filter(|saved| saved.is_begun());
        let known = begun.map_or(&[][..], |begun| &begun.files);
        let files = list(&settings, known)?;
        let columns = match begun {
            Some(begun) => columns::pinned(begun, &settings)?,
            None => columns::settle(&settings, &files)?,
        };
        let layout = Arc::new(Layout::new(columns, &settings.dialect));
        let base = Saved {
            delimiter: settings.dialect.delimiter.into(),
            header: settings.header,
            columns: columns::types_of(layout.header()),
            file: begun.map_or(0, |begun| begun.file),
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
            has_kept_on: false,
        };
        reader.line_up()?;
        reader.has_kept_on = saved.is_some_and(|was| plan::holds(&was, &reader.base));
        Ok(reader)
    }

    /// Lines up the files that have rows to read: from the one that was being
    /// read on to the last, and then round to those before it, which may have grown.
    fn line_up(&mut self) -> Result<()> {
        let current = self.base.file;
        let base = Arc::clone(&self.base);
        for index in (current..base.files.len()).chain(0..current) {
            let cursor = &base.files[index];
            let is_at_end = cursor.end != End::NotReached;
            let is_through = is_at_end
                && match std::fs::metadata(&cursor.path) {
                    Ok(metadata) => {
                        cursor.size == metadata.len() && cursor.modified == plan::modified(&metadata)
                    }
                    // Whoever clears away what has been read does no harm.
                    Err(_) => true,
                };
            if is_through {
                Arc::make_mut(&mut self.base).files[index].ahead = None;
                self.n_bytes += cursor.size;
                self.n_bytes_done += cursor.size;
                continue;
            }
            let input = self.input_of(index)?;
            Arc::make_mut(&mut self.base).files[index].ahead.clone_from(&input.cursor().ahead);
            self.n_bytes += input.cursor().size;
            if self.queue.is_empty() {
                self.input = Some(input);
            }
            self.queue.push_back(index);
        }
        Ok(())
    }

    /// Opens a file where it was left, or behind its header.
    fn input_of(&self, index: usize) -> Result<Input> {
        let cursor = &self.base.files[index];
        if cursor.offset > 0 {
            let shown = files::shown(Path::new(&cursor.path));
            return Input::open_at(cursor, shown, self.settings.compression);
        }
        let (input, names) = columns::begin(&cursor.path, &self.settings)?;
        columns::compare(&names, self.layout.header(), input.shown, &self.base.files[0].path)?;
        Ok(input)
    }

    /// Where reading begins, unless the position said so, and what was behind it is there still.
    pub(super) fn restart_position(&self) -> Option<Position> {
        (!self.has_kept_on).then(|| self.base.position())
    }

    /// How many bytes on disk have been read, and of how many.
    pub(super) fn progress(&self) -> (u64, u64) {
        let read = self.input.as_ref().map_or(0, Input::raw_position);
        (self.n_bytes_done + read, self.n_bytes)
    }

    /// The next rows; `None` behind the last one of the last file.
    pub(super) fn next_chunk(&mut self) -> Result<Option<Chunk>> {
        loop {
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            let Some(&file) = self.queue.front() else { return Ok(None) };
            let mut input = match self.input.take() {
                Some(input) => input,
                None => self.input_of(file)?,
            };
            let chunk = self.read_chunk(file, &mut input);
            if input.cursor().end == End::NotReached || self.failed.is_some() {
                self.input = Some(input);
            } else {
                self.n_bytes_done += input.cursor().size;
                Arc::make_mut(&mut self.base).files[file] = input.printed_cursor();
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
        let start = input.printed_cursor();
        let bytes_before = self.n_bytes_done + input.raw_position();
        let stream = files::origin(&start.path, &self.settings.context);
        let mut origin = Origin { source: stream, partition: file as i32, offset: start.rows };
        let mut table = TableBuilder::new(Arc::clone(&self.layout), self.room.0, self.room.1);
        let mut items = Vec::with_capacity(self.room.0);
        let mut rejects: Vec<Reject> = Vec::new();
        let mut n_bytes = 0;
        while items.len() < limits.max_records.max(1) {
            let window = input.window();
            let place = Place { stream: input.shown, line: input.line() };
            let (span, reason, is_open) = match next_row(window, delimiter, input.is_at_end()) {
                Next::More => match input.fill() {
                    Ok(()) => continue,
                    // The rows before it go first.
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
                    input.pass(span.len, span.n_lines);
                    continue;
                }
                // A cell ends within 32 bits of the table's beginning.
                Next::Row(span) if n_bytes > 0 && n_bytes + span.len > limits.max_bytes.min(1 << 30) => break,
                Next::Row(span) => {
                    let row = &window[..span.content];
                    (span, table.push(row, span.quoted).err().map(|fault| place.error(row, &fault)), false)
                }
                Next::Misquoted(span, slip) => {
                    (span, Some(place.misquoted(window, slip)), matches!(slip, Slip::Open(_)))
                }
            };
            if let Some(reason) = reason {
                let n_before = items.len() - rejects.len();
                rejects.push(reject(&window[..span.content], reason, origin, n_before));
            }
            origin.offset += 1;
            n_bytes += span.len;
            input.pass_row(span);
            if !span.is_closed() {
                input.end_with(if is_open { End::OpenQuote } else { End::OpenRow });
            }
            items.push((input.cursor().offset, input.cursor().lines));
        }
        if items.is_empty() {
            return None;
        }
        self.room = (self.room.0.max(items.len()), self.room.1.max(table.n_bytes()));
        let records = number(table.finish(), Origin { offset: start.rows, ..origin }, &rejects);
        let (end, front) = (input.cursor().end, Arc::clone(input.front()));
        let bytes = bytes_before..self.n_bytes_done + input.raw_position();
        let n_bytes = self.n_bytes.max(bytes.end);
        let base = Arc::clone(&self.base);
        let marks = Marks { base, file, start, front, items, end, bytes, n_bytes };
        Some(Chunk { records, rejects, marks })
    }
}

/// Makes records of rows, whose numbers leave out those of the rejects between them.
fn number(rows: impl Iterator<Item = Row>, first: Origin, rejects: &[Reject]) -> Vec<Record> {
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

/// All files, those that a position knows in its order and new ones behind them.
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
