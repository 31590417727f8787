//! One open file, seen through a window that moves over its text.
//!
//! `text` opens the file and turns it into UTF-8; `format_advice` and `wrong_encoding` say why it cannot. `stdin` is
//! standard input. `resume` moves the window to the position of an earlier run. `change_detector` compares the file with what
//! it was before each read.

mod change_detector;
mod format_advice;
mod resume;
mod stdin;
mod text;
mod wrong_encoding;

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Seek as _};
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use runner_core::Name;

pub(super) use self::change_detector::WrittenOver;
use self::change_detector::{ChangeDetector, cannot_read_again};
pub(super) use self::resume::Changed;
use self::stdin::{StandardInput, WaitLimit};
pub(super) use self::stdin::{end_reading, ended_early};
use self::text::Text;
use super::files::{FileSnapshot, HEAD, Head, TAIL, is_being_written};
use super::position::{Cursor, End};
use super::settings::{STANDARD_INPUT, Settings};
use crate::shared::csv::{END_OF_TEXT, Grammar, Next, Span};

/// The maximum length of a row. A longer one nearly always has an unclosed quote and
/// would read the rest of the file into memory.
pub(super) const MAX_ROW: usize = 16 << 20;

/// Advice for a file that was replaced. Under a new name its rows get unused entry numbers.
pub(crate) const REPLACED: &str = "give the new file another name or path: it is then read from its beginning, and entry \
                        numbers continue. `--from-start` reads everything again and numbers it from 0";

/// One open file.
pub(crate) struct Input {
    pub(crate) name: Name,
    text: Text,
    /// `None` for standard input.
    change_detector: Option<ChangeDetector>,
    /// How long a read of standard input may wait.
    wait_limit: WaitLimit,
    /// Whether the rows are read on when the file grows.
    pub(crate) follow: bool,
    /// The window is `buffer[start..end]`; up to `TAIL` bytes before it are kept.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    is_at_end: bool,
    /// Whether no more text will follow: no program appends to the file any more, or it ended with the end mark of DOS.
    is_complete: bool,
    pub(crate) head: Arc<Head>,
    /// The position of the window.
    pub(crate) cursor: Cursor,
}

impl Input {
    /// Opens a file at its beginning.
    pub(crate) fn open(path: &str, name: Name, settings: &Settings) -> Result<Self> {
        let opening = || format!("opening {name}");
        let file = File::open(path).with_context(opening)?;
        let metadata = file.metadata().with_context(opening)?;
        let change_detector = ChangeDetector::new(&file, &metadata).with_context(opening)?;
        let text = Text::open(file.try_clone().with_context(opening)?, name, settings)?;
        let is_plain = matches!(text, Text::Plain(_));
        let snapshot = FileSnapshot::of(&file, &metadata, !is_plain);
        let snapshot = Some(snapshot.with_context(|| format!("reading {name}"))?);
        let cursor = Cursor { snapshot, ..Cursor::at_start(path, &metadata) };
        let capacity = if is_plain { (metadata.len() as usize + 1).clamp(TAIL, HEAD) } else { HEAD };
        let mut input = Input::new(name, text, capacity, cursor);
        (input.change_detector, input.follow) = (Some(change_detector), settings.follow);
        input.is_complete = settings.are_files_complete;
        input.read_at_least(HEAD)?;
        input.head = Head::new(&input.window()[..input.end.min(HEAD)]);
        Ok(input)
    }

    /// Standard input, whose rows cannot be read again.
    pub(crate) fn standard_input(name: Name, settings: &Settings) -> Result<Self> {
        let wait_limit = WaitLimit::default();
        let stream = StandardInput::open(Arc::clone(&wait_limit)).context("reading standard input")?;
        let text = Text::of_stream(stream, name, settings)?;
        let cursor = Cursor { path: STANDARD_INPUT.into(), ..Cursor::default() };
        Ok(Input { wait_limit, ..Input::new(name, text, HEAD, cursor) })
    }

    fn new(name: Name, text: Text, capacity: usize, cursor: Cursor) -> Self {
        Input {
            name,
            text,
            change_detector: None,
            wait_limit: WaitLimit::default(),
            follow: false,
            buffer: vec![0; capacity + TAIL],
            start: 0,
            end: 0,
            is_at_end: false,
            is_complete: false,
            head: Arc::default(),
            cursor,
        }
    }

    /// As [`fill`](Self::fill), but gives up after `wait` where standard input is slow. Returns whether it has not.
    pub(crate) fn fill_within(&mut self, wait: Option<Duration>) -> Result<bool> {
        self.wait_limit.store(wait.map_or(0, |wait| wait.as_millis() as u64), Ordering::Relaxed);
        let filled = self.fill();
        let has_waited = |error: &anyhow::Error| {
            error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::WouldBlock)
        };
        match filled {
            Err(error) if wait.is_some() && has_waited(&error) => Ok(false),
            filled => filled.map(|()| true),
        }
    }

    /// The next text, as far as it has been read from disk.
    pub(crate) fn window(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Whether the window reaches to the end of the text.
    pub(crate) fn is_at_end(&self) -> bool {
        self.is_at_end
    }

    /// Reads until the window has `n_bytes` or reaches the end.
    pub(crate) fn read_at_least(&mut self, n_bytes: usize) -> Result<()> {
        while self.end - self.start < n_bytes && !self.is_at_end {
            self.fill()?;
        }
        Ok(())
    }

    /// Reads more into the window, or sets `is_at_end`.
    ///
    /// The window never gets longer than a row may be, so that it does not depend on the way of reading where one is cut.
    pub(crate) fn fill(&mut self) -> Result<()> {
        let n_free = MAX_ROW.saturating_sub(self.window().len());
        if n_free == 0 {
            bail!(
                "{}:{}: the row that begins here is longer than 16 MiB, without a line end or a quote that is never closed",
                self.name,
                self.line()
            );
        }
        if self.end == self.buffer.len() {
            let kept = self.start.saturating_sub(TAIL);
            self.buffer.copy_within(kept..self.end, 0);
            (self.start, self.end) = (self.start - kept, self.end - kept);
            if self.end > self.buffer.len() / 2 {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
        }
        let n_bytes = loop {
            let until = self.buffer.len().min(self.end + n_free);
            match self.text.read(&mut self.buffer[self.end..until]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    let incomplete = IncompleteArchive(self.name);
                    if self.follow || !self.is_complete && self.was_modified_recently() {
                        return Err(incomplete.into());
                    }
                    bail!("{incomplete}");
                }
                Err(error) if error.kind() == ErrorKind::InvalidInput => {
                    let what =
                        || format!("reading {}: the archive is damaged; fetch or copy it again", self.name);
                    return Err(error).with_context(what);
                }
                read => break read.with_context(|| format!("reading {}", self.name))?,
            }
        };
        self.check_unchanged(n_bytes)?;
        self.end += n_bytes;
        self.extend_head(n_bytes);
        self.is_at_end = n_bytes == 0;
        if self.is_at_end && !self.follow {
            while self.window().last() == Some(&END_OF_TEXT) {
                self.end -= 1;
                self.is_complete = true;
            }
        }
        Ok(())
    }

    /// Adds the last `n_bytes` of the window to a head that is short because the file was short when it was opened.
    fn extend_head(&mut self, n_bytes: usize) {
        let head = self.head.bytes();
        let offset = self.cursor.offset + (self.window().len() - n_bytes) as u64;
        if n_bytes > 0 && head.len() < HEAD && offset == head.len() as u64 {
            let n_added = n_bytes.min(HEAD - head.len());
            let start = self.end - n_bytes;
            self.head = Head::new(&[head, &self.buffer[start..start + n_added]].concat());
        }
    }

    /// The first row of the window. If it is longer than a row may be, the quote in it counts as unclosed, and rejects its
    /// line.
    pub(crate) fn next_row(&self, grammar: &Grammar) -> Next {
        match grammar.next_row(self.window(), self.is_at_end) {
            Next::NeedMore if self.is_full() => match grammar.next_row(self.window(), true) {
                Next::BadQuotes(span, error) if span.is_closed => Next::BadQuotes(span, error),
                _ => Next::NeedMore,
            },
            next => next,
        }
    }

    /// The row that begins `at` bytes behind the start of the window, which stays there. Gives up with `NeedMore` where the
    /// row is too long, or does not come within `wait`.
    pub(crate) fn row_ahead(&mut self, at: usize, grammar: &Grammar, wait: Option<Duration>) -> Result<Next> {
        loop {
            match grammar.next_row(&self.window()[at..], self.is_at_end) {
                Next::NeedMore if !self.is_full() && self.fill_within(wait)? => {}
                next => return Ok(next),
            }
        }
    }

    /// Whether the window is as long as a row may be.
    pub(crate) fn is_full(&self) -> bool {
        self.window().len() >= MAX_ROW
    }

    /// Fails if the file has changed, so that the last `n_bytes` read may belong to other rows.
    fn check_unchanged(&mut self, n_bytes: usize) -> Result<()> {
        let window_end = self.cursor.offset + (self.end - self.start) as u64;
        let before = &self.buffer[self.end.saturating_sub(TAIL)..self.end];
        let before = &before[before.len().saturating_sub(window_end as usize)..];
        let Some(detector) = &mut self.change_detector else { return Ok(()) };
        let changed = match &self.text {
            Text::Plain(file) => detector.check(file, window_end + n_bytes as u64, before, window_end),
            Text::Decoded { file, .. } => detector.check(file, (&*file).stream_position()?, &[], 0),
            Text::Stream(_) => Ok(None),
        };
        let Some(what) = changed.with_context(|| format!("reading {}", self.name))? else { return Ok(()) };
        let message = format!(
            "{} was changed while it was read, after line {}: {what}. No row of the changed part was delivered. \
             Write new files under another name and rename them; restore this one, or {REPLACED}",
            self.name, self.cursor.lines
        );
        Err(if self.follow { WrittenOver(message).into() } else { cannot_read_again(message) })
    }

    /// Whether the path leads to another file by now, or to none.
    pub(crate) fn was_moved_or_removed(&self) -> bool {
        self.is_elsewhere(true)
    }

    fn is_elsewhere(&self, if_missing: bool) -> bool {
        let Some(Ok(open)) = self.text.file().map(File::metadata) else { return false };
        std::fs::metadata(&self.cursor.path)
            .map_or(if_missing, |now| (open.dev(), open.ino()) != (now.dev(), now.ino()))
    }

    /// Reads on where the text ended, to its end for good.
    pub(crate) fn read_on_to_end(&mut self) {
        self.is_at_end = false;
        self.follow = false;
        (self.cursor.end, self.cursor.open_row) = (End::NotReached, None);
    }

    /// Fails if the path leads to another file by now.
    pub(crate) fn check_not_replaced(&self) -> Result<()> {
        if self.is_elsewhere(false) {
            return Err(cannot_read_again(format!(
                "{} was replaced by another file while it was read; all rows of the old file were read up to line {}. \
                 To read files that are replaced or rotated set follow = true; {REPLACED}",
                self.name, self.cursor.lines
            )));
        }
        Ok(())
    }

    /// Whether the text may go on after its present end.
    pub(crate) fn may_grow(&self) -> bool {
        if self.is_complete || !self.text.may_go_on() {
            return false;
        }
        self.follow && !self.cursor.is_moved || self.was_modified_recently()
    }

    fn was_modified_recently(&self) -> bool {
        let metadata = self.text.file().map(File::metadata);
        metadata.map_or_else(|| self.text.may_go_on(), |it| it.is_ok_and(|it| is_being_written(&it)))
    }

    /// Moves the window forward by `n_bytes`, which contain `n_lines` line ends.
    pub(crate) fn advance(&mut self, n_bytes: usize, n_lines: u64) {
        self.start += n_bytes;
        self.cursor.offset += n_bytes as u64;
        self.cursor.lines += n_lines;
    }

    /// Moves the window forward by a row.
    pub(crate) fn advance_row(&mut self, span: Span) {
        self.advance(span.len, span.n_lines);
        self.cursor.rows += 1;
    }

    /// Records how the text ends, unless that is known, and where its last row begins if that has no line end.
    pub(crate) fn end_with(&mut self, end: End, open_row: Option<(u64, u64)>) {
        if self.cursor.end == End::NotReached {
            (self.cursor.end, self.cursor.open_row) = (end, open_row);
        }
    }

    /// Whether the text is compressed.
    pub(crate) fn is_compressed(&self) -> bool {
        matches!(self.text, Text::Decoded { is_compressed: true, .. })
    }

    /// The physical line at the start of the window, counted from 1.
    pub(crate) fn line(&self) -> u64 {
        self.cursor.lines + 1
    }

    /// How many bytes on disk have been read.
    pub(crate) fn n_bytes_read(&self) -> u64 {
        match &self.text {
            Text::Plain(_) => self.cursor.offset,
            Text::Decoded { file, .. } => (&*file).stream_position().unwrap_or_default(),
            Text::Stream(_) => 0,
        }
    }
}

/// The error of an archive that ends in the middle of its data: another program may still be writing it.
#[derive(Debug)]
pub(crate) struct IncompleteArchive(pub(crate) Name);

impl fmt::Display for IncompleteArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0;
        write!(
            f,
            "reading {name}: the archive is incomplete, it ends in the middle of its data; fetch or copy it again"
        )
    }
}

impl Error for IncompleteArchive {}
