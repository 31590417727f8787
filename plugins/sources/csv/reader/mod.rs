//! Reads the files one after another and splits their rows into chunks, one for each batch.

mod queue;
mod unfinished;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Error, Result, bail};
use runner_core::{Body, Name, Origin, Position, Record, Reject, Row};
use tracing::{info, warn};

use self::unfinished::{Hold, Holds};
use super::columns::Columns;
use super::files;
use super::input::{IncompleteArchive, Input, MAX_ROW};
use super::position::{BatchPositions, Cursor, End, Round};
use super::settings::Settings;
use crate::shared::csv::{
    Next, OtherLine, QuoteError, RowError, RowLayout, RowLocation, TableBuilder, count_line_ends, next_row,
    reject,
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
    /// Why the rest is left for later, since another program may still be writing it.
    held: Option<Hold>,
}

/// How long rows of standard input wait for others to fill their batch.
const BATCH_WAIT: Duration = Duration::from_millis(50);

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
    /// The file that was read last, which may be renamed while it goes on.
    last: Option<(usize, OpenFile)>,
    /// The files whose rests are left for later.
    holds: Holds,
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
    /// The position, unless a saved one was given and the input after it is unchanged.
    pub(super) fn restart_position(&self) -> Option<Position> {
        let start = &self.round.start;
        // A followed file is known by its inode before it has rows.
        let has_begun = !start.columns.is_empty() || self.follows() && !start.files.is_empty();
        (has_begun && !self.is_unread_unchanged).then(|| Position::new(self.round.start.clone()))
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
            if self.columns.is_none() && self.settings.is_standard_input() {
                self.open_stream()?;
            }
            let Some(&file) = self.round.queue.get(self.place) else { return Ok(None) };
            let opened = match self.open.take() {
                Some(open) => Some(open),
                None => self.open_file(file)?,
            };
            let Some(mut open) = opened else {
                if !self.follows() {
                    bail!("{} was changed while it was read", self.files[file].path);
                }
                // It was renamed, or is being written anew: it is looked at again.
                self.round.finish(self.place, self.files[file].clone());
                self.place += 1;
                continue;
            };
            let chunk = self.read_chunk(&mut open);
            let is_at_end = open.input.cursor().end != End::NotReached;
            if self.failed.is_none() && is_at_end && !self.follows() {
                self.failed = open.input.check_not_replaced().err();
            }
            if !is_at_end && open.held.is_none() || self.failed.is_some() {
                self.open = Some(open);
            } else {
                match open.held {
                    Some(why) => self.hold(file, why, open.input.cursor().offset, open.input.line()),
                    None => self.holds.remove(file),
                }
                self.n_bytes_done += open.input.cursor().size;
                let cursor = open.input.cursor_with_fingerprints();
                self.files[file] = cursor.clone();
                self.round.finish(self.place, cursor);
                self.place += 1;
                let may_go_on =
                    |(_, open): &(usize, OpenFile)| open.input.follows() && open.held != Some(Hold::Archive);
                self.last = self.follows().then_some((file, open)).filter(may_go_on);
            }
            if chunk.is_some() {
                return Ok(chunk);
            }
        }
    }

    /// Leaves the rest of a file, from `offset` in `line` on, for later.
    fn hold(&mut self, file: usize, why: Hold, offset: u64, line: u64) {
        self.holds.insert(file, why, offset, line);
        match why {
            Hold::OpenRow => self.say_held(file, &format!("the row in line {line} has no line end"), "it is"),
            Hold::OpenQuote { .. } => {
                let what = format!("a quote that opens in the row in line {line} is not closed");
                self.say_held(file, &what, "the row and those behind it are");
            }
            Hold::Archive => {
                self.say_held(file, "the archive is incomplete", "what was not read of it is");
            }
        }
    }

    fn say_held(&self, file: usize, what: &str, rest: &str) {
        if self.follows() {
            return;
        }
        let message = format!(
            "{}: {what}, and the file was written to within the last seconds: {rest} left for the next run, in case more of \
             it follows",
            self.display_name(file)
        );
        self.settings.context.gauges.note(message.clone());
        warn!(component = self.settings.context.component, "{message}");
    }

    fn display_name(&self, file: usize) -> Name {
        files::display_path(Path::new(&self.files[file].path))
    }

    /// Says of followed files, once, that rows of them have been waiting for long.
    fn say_long_holds(&mut self) {
        for (file, what) in self.holds.take_long() {
            warn!(component = self.settings.context.component, "{}: {what}", self.display_name(file));
        }
    }

    /// Lets all rests of files have waited for as long as possible.
    #[cfg(test)]
    pub(super) fn age_holds(&mut self) {
        self.holds.age();
    }

    fn say_skipped(&self, RowLocation { source, line }: RowLocation, what: OtherLine) {
        let component = &self.settings.context.component;
        match what {
            OtherLine::Header => warn!(
                component,
                "{source}:{line}: the header comes again here, as in files that were joined; it is not a row and was \
                 skipped"
            ),
            OtherLine::Count => info!(component, "{source}:{line}: a count of rows was skipped"),
        }
    }

    /// Reads rows until the batch is full or the file ends; `None` if there are none.
    fn read_chunk(&mut self, open: &mut OpenFile) -> Option<Chunk> {
        let OpenFile { input, layout, held } = open;
        let limits = self.settings.context.batch;
        let grammar = &self.settings.dialect.grammar;
        let start = input.cursor_with_fingerprints();
        let bytes_before = self.n_bytes_done + input.n_bytes_read();
        let source = files::origin_name(&start.path, &self.settings.context);
        let file = self.round.queue[self.place];
        let mut origin = Origin { source, partition: file as i32, offset: start.rows };
        let mut table = TableBuilder::new(Arc::clone(layout), self.room.0, self.room.1);
        let mut items = Vec::with_capacity(self.room.0);
        let mut rejects: Vec<Reject> = Vec::new();
        let mut n_bytes = 0;
        while items.len() < limits.max_records.max(1) {
            let window = input.window();
            let location = RowLocation { source: input.name, line: input.line() };
            let next = next_row(window, grammar, input.is_at_end());
            let may_go_on = match &next {
                Next::BadQuotes(_, QuoteError::Unclosed(_)) if window.len() < MAX_ROW => {
                    let n_bytes = window.len();
                    Some(Hold::OpenQuote { n_bytes, n_lines: count_line_ends(window) })
                }
                Next::BadQuotes(span, _) | Next::Row(span) if !span.is_closed => Some(Hold::OpenRow),
                _ => None,
            };
            if may_go_on.is_some() && input.may_grow() && !self.holds.is_over_at(file, input.cursor().offset)
            {
                *held = may_go_on;
                break;
            }
            let (span, reason, is_unclosed) = match next {
                Next::NeedMore => match input.cut_row(grammar) {
                    Some((span, error)) => (span, Some(location.bad_quotes(window, error)), false),
                    None => match input.fill_within((!items.is_empty()).then_some(BATCH_WAIT)) {
                        Ok(true) => continue,
                        // Standard input is slow.
                        Ok(false) => break,
                        Err(error) if error.is::<IncompleteArchive>() => {
                            *held = Some(Hold::Archive);
                            break;
                        }
                        // Return the rows before it first.
                        Err(error) => {
                            self.failed = Some(error);
                            break;
                        }
                    },
                },
                Next::End => {
                    input.end_with(End::Closed, None);
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
                        Err(RowError { line: Some(line), .. }) => {
                            self.say_skipped(location, line);
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
                let end = if is_unclosed { End::OpenQuote } else { End::OpenRow };
                // Only lines that are not rows may be between them.
                let after_last = items.last().copied().unwrap_or((start.offset, start.lines));
                input.end_with(end, Some(after_last));
            }
            items.push((input.cursor().offset, input.cursor().lines));
        }
        if items.is_empty() {
            return None;
        }
        self.room = (self.room.0.max(items.len()), self.room.1.max(table.n_bytes()));
        let records = to_records(table.finish(), Origin { offset: start.rows, ..origin }, &rejects);
        let (end, open_row, head) = (input.cursor().end, input.cursor().open_row, Arc::clone(input.head()));
        let bytes = bytes_before..self.n_bytes_done + input.n_bytes_read();
        let n_bytes = self.n_bytes.max(bytes.end);
        let (round, place) = (Arc::clone(&self.round), self.place);
        let positions = BatchPositions { round, place, start, head, items, end, open_row, bytes, n_bytes };
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
