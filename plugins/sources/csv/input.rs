//! An input is one file that is being read: a window onto its text that moves on.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek as _, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, bail};
use runner_core::Name;

use super::options::Compression;
use super::plan::{Seen, modified};
use super::position::{Cursor, End, FRONT, Front, Print, TAIL};
use crate::shared::csv::Span;
use crate::shared::packing::Packing;

/// The longest row. One that is longer has open quotes, nearly always, and
/// would take the rest of the file into memory.
const LONGEST_ROW: usize = 16 << 20;

/// The ways out where a file is not the one that was read. The second gives numbers that nothing was stored under.
const ANOTHER: &str = "give the new file another name or path: it is read from its start then, and numbering goes on. \
                       `--from-start` reads everything again and numbers it from 0";

pub(super) struct Input {
    pub(super) shown: Name,
    text: Text,
    /// The window is `buffer[start..end]`; what was read before it is kept for `TAIL` bytes.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    is_at_end: bool,
    front: Arc<Front>,
    /// Where the window begins.
    cursor: Cursor,
    n_raw: Arc<AtomicU64>,
}

/// The text of a file, out of the bytes on disk.
enum Text {
    Plain(File),
    Packed(Box<dyn Read + Send>),
}

impl Input {
    /// Opens a file at its beginning.
    pub(super) fn open(path: &str, shown: Name, compression: Compression) -> Result<Self> {
        let mut file = File::open(path).with_context(|| format!("opening {shown}"))?;
        let metadata = file.metadata().with_context(|| format!("opening {shown}"))?;
        let n_raw = Arc::new(AtomicU64::new(0));
        let packing = match compression {
            Compression::Auto => Packing::detect(&mut file).with_context(|| format!("reading {shown}"))?,
            Compression::None => Packing::None,
            Compression::Gzip => Packing::Gzip,
            Compression::Zstd => Packing::Zstd,
        };
        let ahead = Seen::of(&file, &metadata, packing != Packing::None);
        let cursor = Cursor {
            path: path.into(),
            size: metadata.len(),
            modified: modified(&metadata),
            ahead: Some(ahead.with_context(|| format!("reading {shown}"))?),
            ..Cursor::default()
        };
        let text = match packing {
            Packing::None => Text::Plain(file),
            packing => Text::Packed(packing.unpack(Counted { file, n_raw: Arc::clone(&n_raw) })?),
        };
        let buffer = vec![0; FRONT + TAIL];
        let front = Arc::default();
        let mut input =
            Input { shown, text, buffer, start: 0, end: 0, is_at_end: false, front, cursor, n_raw };
        input.see(FRONT)?;
        input.front = Front::new(&input.window()[..input.end.min(FRONT)]);
        if matches!(input.front.bytes(), [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..]) {
            bail!("{shown} is written in UTF-16; convert it with `iconv -f UTF-16 -t UTF-8`");
        }
        Ok(input)
    }

    /// Opens a file where it was left. An error if it is not the file that it was.
    pub(super) fn open_at(cursor: &Cursor, shown: Name, compression: Compression) -> Result<Self> {
        let mut input = Input::open(&cursor.path, shown, compression).with_context(|| {
            format!(
                "{shown} was read up to line {} and cannot be read on; put it back, or {ANOTHER}",
                cursor.lines
            )
        })?;
        if let Some(what) = input.go_to(cursor)? {
            bail!(
                "{shown} has changed since it was read up to line {}: {what}. Put the old file back, or {ANOTHER}",
                cursor.lines
            );
        }
        Ok(input)
    }

    /// Moves the window to where the cursor stands, or says what has changed before it.
    fn go_to(&mut self, cursor: &Cursor) -> Result<Option<String>> {
        let (was, is) = (cursor.size, self.cursor.size);
        // What has not been read may become shorter: a bad row is corrected, say.
        let must_be_there = match self.text {
            _ if cursor.end != End::NotReached => was,
            Text::Plain(_) => cursor.offset,
            Text::Packed(_) => 0,
        };
        if is < must_be_there {
            return Ok(Some(format!("it has shrunk from {was} to {is} bytes")));
        }
        if let Some(print) = &cursor.front {
            let front = self.front.bytes();
            if !front.get(..print.bytes as usize).is_some_and(|front| print.is_of(front)) {
                return Ok(Some(format!("its first {} bytes are not what they were", print.bytes)));
            }
        }
        if let Some(print) = &cursor.tail
            && !(self.skip_to(print.end)? && print.is_of(self.before(print.bytes as usize)))
        {
            let start = print.end - print.bytes;
            return Ok(Some(format!("its bytes {start} to {} are not what they were", print.end)));
        }
        if !self.skip_to(cursor.offset)? {
            return Ok(Some(format!("it has fewer than {} bytes of text", cursor.offset)));
        }
        self.see(1)?;
        let has_row_gone_on = match (cursor.end, self.window().first()) {
            (End::OpenRow, Some(next)) => !matches!(next, b'\n' | b'\r'),
            (End::OpenQuote, Some(_)) => true,
            _ => false,
        };
        if has_row_gone_on {
            return Ok(Some("its last row had no line end and now goes on".into()));
        }
        (self.cursor.lines, self.cursor.rows) = (cursor.lines, cursor.rows);
        if self.window().is_empty() {
            self.cursor.end = cursor.end;
        }
        Ok(None)
    }

    /// Moves the window on to `offset`; `false` if the text ends before it.
    fn skip_to(&mut self, offset: u64) -> Result<bool> {
        if let Text::Plain(file) = &mut self.text
            && offset > self.cursor.offset + (self.end - self.start) as u64
        {
            let from = offset - (TAIL as u64).min(offset);
            let doing = || format!("seeking in {}", self.shown);
            file.seek(SeekFrom::Start(from)).with_context(doing)?;
            (self.start, self.end, self.is_at_end) = (0, 0, false);
            self.cursor.offset = from;
        }
        while self.cursor.offset < offset {
            let n_bytes = self.window().len().min((offset - self.cursor.offset) as usize);
            self.pass(n_bytes, 0);
            if self.window().is_empty() && self.cursor.offset < offset {
                if self.is_at_end {
                    return Ok(false);
                }
                self.fill()?;
            }
        }
        Ok(true)
    }

    /// The text that comes next, as far as it has been read from disk.
    pub(super) fn window(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Whether the window reaches to the end of the text.
    pub(super) fn is_at_end(&self) -> bool {
        self.is_at_end
    }

    /// Reads until the window has `n_bytes`, or all there are.
    pub(super) fn see(&mut self, n_bytes: usize) -> Result<()> {
        while self.end - self.start < n_bytes && !self.is_at_end {
            self.fill()?;
        }
        Ok(())
    }

    /// Reads more into the window, or finds that there is no more.
    pub(super) fn fill(&mut self) -> Result<()> {
        if self.end == self.buffer.len() {
            let kept = self.start.saturating_sub(TAIL);
            self.buffer.copy_within(kept..self.end, 0);
            (self.start, self.end) = (self.start - kept, self.end - kept);
            if self.end - self.start > LONGEST_ROW {
                bail!(
                    "{}:{}: the row that begins here is longer than 16 MiB; is a quote in it never closed?",
                    self.shown,
                    self.line()
                );
            }
            if self.end > self.buffer.len() / 2 {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
        }
        let n_bytes = loop {
            match self.text.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => bail!(
                    "reading {}: the archive is incomplete, it ends in the middle of its data; fetch or copy it again",
                    self.shown
                ),
                read => break read.with_context(|| format!("reading {}", self.shown))?,
            }
        };
        self.end += n_bytes;
        self.is_at_end = n_bytes == 0;
        Ok(())
    }

    /// Moves the window on, past so many bytes with so many line ends in them.
    pub(super) fn pass(&mut self, n_bytes: usize, n_lines: u64) {
        self.start += n_bytes;
        self.cursor.offset += n_bytes as u64;
        self.cursor.lines += n_lines;
    }

    /// Moves the window past a row.
    pub(super) fn pass_row(&mut self, span: Span) {
        self.pass(span.len, span.n_lines);
        self.cursor.rows += 1;
    }

    /// Notes how the text ends, unless that is known already.
    pub(super) fn end_with(&mut self, end: End) {
        if self.cursor.end == End::NotReached {
            self.cursor.end = end;
        }
    }

    /// The physical line that the window begins on, counted from 1.
    pub(super) fn line(&self) -> u64 {
        self.cursor.lines + 1
    }

    /// Where the window begins.
    pub(super) fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// Where the window begins, and prints of what lies before it.
    pub(super) fn printed_cursor(&self) -> Cursor {
        let offset = self.cursor.offset;
        let has_tail = offset > self.front.bytes().len() as u64;
        Cursor {
            front: Some(self.front.before(offset)),
            tail: has_tail.then(|| Print::of(self.before(TAIL), offset)),
            ahead: self.cursor.ahead.clone().filter(|_| self.cursor.end == End::NotReached),
            ..self.cursor.clone()
        }
    }

    pub(super) fn front(&self) -> &Arc<Front> {
        &self.front
    }

    /// At most the last `n_bytes` before the window.
    fn before(&self, n_bytes: usize) -> &[u8] {
        &self.buffer[self.start.saturating_sub(n_bytes)..self.start]
    }

    /// How many bytes on disk have been read.
    pub(super) fn raw_position(&self) -> u64 {
        match self.text {
            Text::Plain(_) => self.cursor.offset,
            Text::Packed(_) => self.n_raw.load(Ordering::Relaxed),
        }
    }
}

impl Read for Text {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Text::Plain(file) => file.read(buffer),
            Text::Packed(text) => text.read(buffer),
        }
    }
}

/// A file that counts what has been read of it.
struct Counted {
    file: File,
    n_raw: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n_bytes = self.file.read(buffer)?;
        self.n_raw.fetch_add(n_bytes as u64, Ordering::Relaxed);
        Ok(n_bytes)
    }
}
