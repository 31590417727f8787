//! Reads the files one after another and splits their rows into chunks, one for each batch.

mod queue;
mod unfinished;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Error, Result, bail};
use runner_core::{Body, Name, Origin, Position, Record, Reject, Row};
use tracing::{info, warn};

use self::unfinished::{Unfinished, UnfinishedFiles};
use super::columns::Columns;
use super::files;
use super::input::{IncompleteArchive, Input, MAX_ROW, WrittenOver};
use super::position::{BatchPositions, Cursor, End, Pass};
use super::settings::Settings;
use crate::shared::csv::{
    Next, NonRow, QuoteError, RowError, RowLayout, RowLocation, Span, TableBuilder, count_line_ends, reject,
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
    unfinished: Option<Unfinished>,
}

/// How long rows of standard input wait for others to fill their batch.
const BATCH_WAIT: Duration = Duration::from_millis(50);

pub(super) struct Reader {
    settings: Arc<Settings>,
    /// `None` while there is no file with a header.
    columns: Option<Columns>,
    /// All files; the cursor of the open one is outdated.
    files: Vec<Cursor>,
    pass: Arc<Pass>,
    /// The index in the queue of the pass of the next file, or of the open one.
    queue_index: usize,
    open: Option<OpenFile>,
    /// The file that was read last, which may be renamed while it goes on.
    last_read: Option<(usize, OpenFile)>,
    /// The files whose rests are left for later.
    unfinished: UnfinishedFiles,
    /// An error to return after the rows that come before it.
    pending_error: Option<Error>,
    /// Rows and bytes of the largest batch so far, the capacity of the next one.
    capacity: (usize, usize),
    n_bytes_done: u64,
    n_bytes: u64,
    /// Whether the input after the saved position is what it was in the last run.
    is_unread_unchanged: bool,
    /// How many columns the files so far have, where later ones may add some.
    n_known_columns: usize,
    /// The header of the first file where `columns` replaces the names.
    replaced_header: Option<(Vec<u8>, Name)>,
}

impl Reader {
    /// The position, unless a saved one was given and the input after it is unchanged.
    pub(super) fn restart_position(&self) -> Option<Position> {
        let start = &self.pass.start;
        // A followed file is known by its inode before it has rows.
        let has_begun = !start.columns.is_empty() || self.follows() && !start.files.is_empty();
        (has_begun && !self.is_unread_unchanged).then(|| Position::new(self.pass.start.clone()))
    }

    /// Bytes on disk that have been read, and in total.
    pub(super) fn progress(&self) -> (u64, u64) {
        let read = self.open.as_ref().map_or(0, |open| open.input.n_bytes_read());
        (self.n_bytes_done + read, self.n_bytes)
    }

    /// The next rows; `None` at the end of the last file.
    pub(super) fn next_chunk(&mut self) -> Result<Option<Chunk>> {
        loop {
            if let Some(error) = self.pending_error.take() {
                return Err(error);
            }
            if self.columns.is_none() && self.settings.is_standard_input() {
                self.open_stream()?;
            }
            let Some(&file) = self.pass.queue.get(self.queue_index) else { return Ok(None) };
            let opened = match self.open.take() {
                Some(open) => Some(open),
                None => self.open_file(file)?,
            };
            let Some(mut open) = opened else {
                if !self.follows() {
                    bail!("{} was changed while it was read", self.files[file].path);
                }
                // It was renamed, or is being written anew: it is looked at again.
                self.pass.finish(self.queue_index, self.files[file].clone());
                self.queue_index += 1;
                continue;
            };
            let chunk = self.read_chunk(&mut open);
            let is_at_end = open.input.cursor.end != End::NotReached;
            // It was truncated: its next rows are in a copy, or lost.
            let is_written_over = self.pending_error.take_if(|error| error.is::<WrittenOver>()).is_some();
            if self.pending_error.is_none() && is_at_end && !self.follows() {
                self.pending_error = open.input.check_not_replaced().err();
            }
            let may_read_on = !is_at_end && !is_written_over && open.unfinished.is_none();
            if may_read_on || self.pending_error.is_some() {
                self.open = Some(open);
            } else {
                match open.unfinished {
                    Some(why) => self.leave_rest(file, why, open.input.cursor.offset, open.input.line()),
                    None => self.unfinished.remove(file),
                }
                self.n_bytes_done += open.input.cursor.size;
                let cursor = open.input.cursor_with_fingerprints();
                self.files[file] = cursor.clone();
                self.pass.finish(self.queue_index, cursor);
                self.queue_index += 1;
                // What is added to an archive is read after opening it again.
                let may_go_on = |(_, open): &(usize, OpenFile)| {
                    open.input.follow && !open.input.is_compressed() && !is_written_over
                };
                self.last_read = self.follows().then_some((file, open)).filter(may_go_on);
            }
            if chunk.is_some() {
                return Ok(chunk);
            }
        }
    }

    /// Leaves the rest of a file, from `offset` in `line` on, for later.
    fn leave_rest(&mut self, file: usize, why: Unfinished, offset: u64, line: u64) {
        self.unfinished.insert(file, why, offset, line);
        let (what, rest) = match why {
            Unfinished::OpenRow => (format!("the row in line {line} has no line end"), "it is"),
            Unfinished::OpenQuote { .. } => (
                format!("a quote that opens in the row in line {line} is not closed"),
                "the row and those behind it are",
            ),
            Unfinished::Archive => ("the archive is incomplete".into(), "what was not read of it is"),
        };
        self.warn_left_for_next_run(file, &what, rest);
    }

    fn warn_left_for_next_run(&self, file: usize, what: &str, rest: &str) {
        if self.follows() {
            return;
        }
        let message = if self.settings.is_standard_input() {
            format!("standard input: {what} where the stop has ended the reading: {rest} lost")
        } else {
            format!(
                "{}: {what}, and the file was written to within the last seconds: {rest} left for the next run, in case \
                 more of it follows",
                self.display_name(file)
            )
        };
        self.settings.context.gauges.note(message.clone());
        warn!(component = self.settings.context.component, "{message}");
    }

    fn display_name(&self, file: usize) -> Name {
        files::display_path(&self.files[file].path)
    }

    /// Warns once of the rows of a followed file that have been waiting for long.
    fn warn_of_long_waits(&mut self) {
        for (file, what) in self.unfinished.take_warnings() {
            warn!(component = self.settings.context.component, "{}: {what}", self.display_name(file));
        }
    }

    /// Lets all rests of files have waited for as long as possible.
    #[cfg(test)]
    pub(super) fn age_unfinished(&mut self) {
        self.unfinished.age();
    }

    fn log_non_row(&self, RowLocation { source, line }: RowLocation, what: NonRow) {
        let component = &self.settings.context.component;
        match what {
            NonRow::RepeatedHeader => warn!(
                component,
                "{source}:{line}: the header comes again here, as in files that were joined; it is not a row and was \
                 skipped"
            ),
            NonRow::RowCount => info!(component, "{source}:{line}: a count of rows was skipped"),
        }
    }

    /// Reads rows until the batch is full or the file ends; `None` if there are none.
    fn read_chunk(&mut self, open: &mut OpenFile) -> Option<Chunk> {
        let start = open.input.cursor_with_fingerprints();
        let bytes_before = self.n_bytes_done + open.input.n_bytes_read();
        let source = files::origin_name(&start.path, &self.settings.context);
        let partition = self.pass.queue[self.queue_index] as i32;
        let mut rows = ChunkRows {
            table: TableBuilder::new(Arc::clone(&open.layout), self.capacity.0, self.capacity.1),
            items: Vec::with_capacity(self.capacity.0),
            rejects: Vec::new(),
            origin: Origin { source, partition, offset: start.rows },
            n_bytes: 0,
        };
        while rows.items.len() < self.settings.context.batch.max_records.max(1) {
            match self.next_item(open, &mut rows) {
                Item::Row { span, is_unclosed } => rows.end_row(span, is_unclosed, &mut open.input, &start),
                Item::Skipped => {}
                Item::Stop => break,
            }
        }
        self.finish_chunk(&open.input, rows, start, bytes_before)
    }

    /// Reads a row into `rows`, or skips what is not one.
    fn next_item(&mut self, open: &mut OpenFile, rows: &mut ChunkRows) -> Item {
        let OpenFile { input, unfinished, .. } = open;
        let limits = self.settings.context.batch;
        let window = input.window();
        let location = RowLocation { source: input.name, line: input.line() };
        let next = input.next_row(&self.settings.dialect.grammar);
        let may_go_on = match &next {
            Next::BadQuotes(_, QuoteError::Unclosed(_)) if window.len() < MAX_ROW => {
                Some(Unfinished::OpenQuote { n_bytes: window.len(), n_lines: count_line_ends(window) })
            }
            Next::BadQuotes(span, _) | Next::Row(span) if !span.is_closed => Some(Unfinished::OpenRow),
            _ => None,
        };
        let file = self.pass.queue[self.queue_index];
        if may_go_on.is_some() && input.may_grow() && !self.unfinished.is_wait_over(file, input.cursor.offset)
        {
            *unfinished = may_go_on;
            return Item::Stop;
        }
        match next {
            Next::NeedMore => self.fill(open, !rows.items.is_empty()),
            Next::End => {
                input.end_with(End::Closed, None);
                Item::Stop
            }
            Next::Row(span) if span.content == 0 => {
                input.advance(span.len, span.n_lines);
                Item::Skipped
            }
            // The table stores offsets of cells in 32 bits.
            Next::Row(span)
                if rows.n_bytes > 0 && rows.n_bytes + span.len > limits.max_bytes.min(1 << 30) =>
            {
                Item::Stop
            }
            Next::Row(span) => {
                let row = &window[..span.content];
                match rows.table.push(row, span.quoted) {
                    Ok(()) => {}
                    Err(RowError { non_row: Some(line), .. }) => {
                        self.log_non_row(location, line);
                        input.advance(span.len, span.n_lines);
                        return Item::Skipped;
                    }
                    Err(error) => rows.reject(row, location.error(row, &error)),
                }
                Item::Row { span, is_unclosed: false }
            }
            Next::BadQuotes(span, error) => {
                rows.reject(&window[..span.content], location.bad_quotes(window, error));
                Item::Row { span, is_unclosed: matches!(error, QuoteError::Unclosed(_)) }
            }
        }
    }

    /// Reads more of a file. If the batch has rows, it waits for standard input only briefly.
    fn fill(&mut self, open: &mut OpenFile, has_rows: bool) -> Item {
        match open.input.fill_within(has_rows.then_some(BATCH_WAIT)) {
            Ok(true) => Item::Skipped,
            // Standard input is slow.
            Ok(false) => Item::Stop,
            Err(error) if error.is::<IncompleteArchive>() => {
                open.unfinished = Some(Unfinished::Archive);
                Item::Stop
            }
            // Return the rows before it first.
            Err(error) => {
                self.pending_error = Some(error);
                Item::Stop
            }
        }
    }

    fn finish_chunk(
        &mut self,
        input: &Input,
        rows: ChunkRows,
        start: Cursor,
        bytes_before: u64,
    ) -> Option<Chunk> {
        let ChunkRows { table, items, rejects, origin, .. } = rows;
        if items.is_empty() {
            return None;
        }
        self.capacity = (self.capacity.0.max(items.len()), self.capacity.1.max(table.n_bytes()));
        let records = to_records(table.finish(), Origin { offset: start.rows, ..origin }, &rejects);
        let (end, open_row, head) = (input.cursor.end, input.cursor.open_row, Arc::clone(&input.head));
        let bytes = bytes_before..self.n_bytes_done + input.n_bytes_read();
        let n_bytes = self.n_bytes.max(bytes.end);
        let (pass, queue_index) = (Arc::clone(&self.pass), self.queue_index);
        let positions =
            BatchPositions { pass, queue_index, start, head, items, end, open_row, bytes, n_bytes };
        Some(Chunk { records, rejects, positions })
    }
}

/// What the reader has found next in a file.
enum Item {
    /// A row, and whether it is bad because a quote in it is not closed.
    Row { span: Span, is_unclosed: bool },
    /// Not a row; rows may follow.
    Skipped,
    /// The batch ends here.
    Stop,
}

/// The rows of a batch so far.
struct ChunkRows {
    table: TableBuilder,
    /// The offset and the line after each row.
    items: Vec<(u64, u64)>,
    rejects: Vec<Reject>,
    /// The origin of the next row.
    origin: Origin,
    n_bytes: usize,
}

impl ChunkRows {
    fn reject(&mut self, row: &[u8], reason: Error) {
        let n_before = self.items.len() - self.rejects.len();
        self.rejects.push(reject(row, reason, self.origin, n_before));
    }

    /// Counts a row and moves the input past it.
    fn end_row(&mut self, span: Span, is_unclosed: bool, input: &mut Input, start: &Cursor) {
        self.origin.offset += 1;
        self.n_bytes += span.len;
        input.advance_row(span);
        if !span.is_closed {
            let end = if is_unclosed { End::OpenQuote } else { End::OpenRow };
            // Only lines that are not rows may be between them.
            let after_last = self.items.last().copied().unwrap_or((start.offset, start.lines));
            input.end_with(end, Some(after_last));
        }
        self.items.push((input.cursor.offset, input.cursor.lines));
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
