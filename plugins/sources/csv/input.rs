//! One open file, seen through a window that moves over its text.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek as _, SeekFrom};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use runner_core::Name;

use super::position::{Cursor, End, Fingerprint, HEAD, Head, TAIL};
use super::snapshot::{FileSnapshot, modified};
use crate::shared::compression::Compression;
use crate::shared::csv::Span;

/// The maximum length of a row. A longer one nearly always has an unclosed quote and
/// would read the rest of the file into memory.
const MAX_ROW: usize = 16 << 20;

/// Advice for a file that was replaced. Under a new name its rows get unused entry numbers.
const REPLACED: &str = "give the new file another name or path: it is then read from its beginning, and entry \
                        numbers continue. `--from-start` reads everything again and numbers it from 0";

pub(super) struct Input {
    pub(super) name: Name,
    text: Text,
    /// The window is `buffer[start..end]`; up to `TAIL` bytes before it are kept.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    is_at_end: bool,
    head: Arc<Head>,
    /// The position of the window.
    cursor: Cursor,
}

/// The decompressed text of a file.
enum Text {
    Plain(File),
    /// The decompressed text, and a handle that shares the offset of the compressed file.
    Compressed(Box<dyn Read + Send>, File),
}

impl Input {
    /// Opens a file at its beginning.
    pub(super) fn open(path: &str, name: Name, compression: Compression) -> Result<Self> {
        let mut file = File::open(path).with_context(|| format!("opening {name}"))?;
        let metadata = file.metadata().with_context(|| format!("opening {name}"))?;
        let compression = match compression {
            Compression::Auto => Compression::detect(&mut file).with_context(|| format!("reading {name}"))?,
            given => given,
        };
        let snapshot = FileSnapshot::of(&file, &metadata, compression != Compression::None);
        let cursor = Cursor {
            path: path.into(),
            size: metadata.len(),
            modified: modified(&metadata),
            snapshot: Some(snapshot.with_context(|| format!("reading {name}"))?),
            ..Cursor::default()
        };
        let text = match compression {
            Compression::None => Text::Plain(file),
            _ => Text::Compressed(compression.decompress(file.try_clone()?)?, file),
        };
        let buffer = vec![0; HEAD + TAIL];
        let head = Arc::default();
        let mut input = Input { name, text, buffer, start: 0, end: 0, is_at_end: false, head, cursor };
        input.read_at_least(HEAD)?;
        input.head = Head::new(&input.window()[..input.end.min(HEAD)]);
        if matches!(input.head.bytes(), [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..]) {
            bail!("{name} is written in UTF-16; convert it with `iconv -f UTF-16 -t UTF-8`");
        }
        Ok(input)
    }

    /// Opens a file at a cursor. Fails if the part before the cursor has changed.
    pub(super) fn open_at(cursor: &Cursor, name: Name, compression: Compression) -> Result<Self> {
        let mut input = Input::open(&cursor.path, name, compression).with_context(|| {
            format!(
                "{name} was read up to line {} and cannot be opened now; restore it, or {REPLACED}",
                cursor.lines
            )
        })?;
        if let Some(what) = input.seek_to(cursor)? {
            bail!(
                "{name} has changed since it was read up to line {}: {what}. Restore the old file, or {REPLACED}",
                cursor.lines
            );
        }
        Ok(input)
    }

    /// Moves the window to the cursor. Returns what has changed before it, if anything.
    fn seek_to(&mut self, cursor: &Cursor) -> Result<Option<String>> {
        let (before, now) = (cursor.size, self.cursor.size);
        // The unread part may shrink, for example when a bad row is corrected.
        let min_size = match self.text {
            _ if cursor.end != End::NotReached => before,
            Text::Plain(_) => cursor.offset,
            Text::Compressed(..) => 0,
        };
        if now < min_size {
            return Ok(Some(format!("it has shrunk from {before} to {now} bytes")));
        }
        if let Some(fingerprint) = &cursor.head {
            let head = self.head.bytes();
            if !head.get(..fingerprint.bytes as usize).is_some_and(|head| fingerprint.matches(head)) {
                return Ok(Some(format!("its first {} bytes have changed", fingerprint.bytes)));
            }
        }
        if let Some(fingerprint) = &cursor.tail
            && !(self.skip_to(fingerprint.end)?
                && fingerprint.matches(self.before(fingerprint.bytes as usize)))
        {
            let start = fingerprint.end - fingerprint.bytes;
            return Ok(Some(format!("bytes {start} to {} have changed", fingerprint.end)));
        }
        if !self.skip_to(cursor.offset)? {
            return Ok(Some(format!("it has fewer than {} bytes of text", cursor.offset)));
        }
        self.read_at_least(1)?;
        let was_row_continued = match (cursor.end, self.window().first()) {
            (End::OpenRow, Some(next)) => !matches!(next, b'\n' | b'\r'),
            (End::OpenQuote, Some(_)) => true,
            _ => false,
        };
        if was_row_continued {
            return Ok(Some("its last row had no line end and has been continued".into()));
        }
        (self.cursor.lines, self.cursor.rows) = (cursor.lines, cursor.rows);
        if self.window().is_empty() {
            self.cursor.end = cursor.end;
        }
        Ok(None)
    }

    /// Moves the window forward to `offset`; `false` if the text ends before it.
    fn skip_to(&mut self, offset: u64) -> Result<bool> {
        if let Text::Plain(file) = &mut self.text
            && offset > self.cursor.offset + (self.end - self.start) as u64
        {
            let from = offset - (TAIL as u64).min(offset);
            let doing = || format!("seeking in {}", self.name);
            file.seek(SeekFrom::Start(from)).with_context(doing)?;
            (self.start, self.end, self.is_at_end) = (0, 0, false);
            self.cursor.offset = from;
        }
        while self.cursor.offset < offset {
            let n_bytes = self.window().len().min((offset - self.cursor.offset) as usize);
            self.advance(n_bytes, 0);
            if self.window().is_empty() && self.cursor.offset < offset {
                if self.is_at_end {
                    return Ok(false);
                }
                self.fill()?;
            }
        }
        Ok(true)
    }

    /// The next text, as far as it has been read from disk.
    pub(super) fn window(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Whether the window reaches to the end of the text.
    pub(super) fn is_at_end(&self) -> bool {
        self.is_at_end
    }

    /// Reads until the window has `n_bytes` or reaches the end.
    pub(super) fn read_at_least(&mut self, n_bytes: usize) -> Result<()> {
        while self.end - self.start < n_bytes && !self.is_at_end {
            self.fill()?;
        }
        Ok(())
    }

    /// Reads more into the window, or sets `is_at_end`.
    pub(super) fn fill(&mut self) -> Result<()> {
        if self.end == self.buffer.len() {
            let kept = self.start.saturating_sub(TAIL);
            self.buffer.copy_within(kept..self.end, 0);
            (self.start, self.end) = (self.start - kept, self.end - kept);
            if self.end - self.start > MAX_ROW {
                bail!(
                    "{}:{}: the row that begins here is longer than 16 MiB; is a quote in it never closed?",
                    self.name,
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
                    self.name
                ),
                read => break read.with_context(|| format!("reading {}", self.name))?,
            }
        };
        self.end += n_bytes;
        self.is_at_end = n_bytes == 0;
        Ok(())
    }

    /// Moves the window forward by `n_bytes`, which contain `n_lines` line ends.
    pub(super) fn advance(&mut self, n_bytes: usize, n_lines: u64) {
        self.start += n_bytes;
        self.cursor.offset += n_bytes as u64;
        self.cursor.lines += n_lines;
    }

    /// Moves the window forward by a row.
    pub(super) fn advance_row(&mut self, span: Span) {
        self.advance(span.len, span.n_lines);
        self.cursor.rows += 1;
    }

    /// Records how the text ends, unless that is known.
    pub(super) fn end_with(&mut self, end: End) {
        if self.cursor.end == End::NotReached {
            self.cursor.end = end;
        }
    }

    /// The physical line at the start of the window, counted from 1.
    pub(super) fn line(&self) -> u64 {
        self.cursor.lines + 1
    }

    /// The cursor at the start of the window.
    pub(super) fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// The cursor at the start of the window, with fingerprints of the text before it.
    pub(super) fn cursor_with_fingerprints(&self) -> Cursor {
        let offset = self.cursor.offset;
        let has_tail = offset > self.head.bytes().len() as u64;
        Cursor {
            head: Some(self.head.before(offset)),
            tail: has_tail.then(|| Fingerprint::of(self.before(TAIL), offset)),
            snapshot: self.cursor.snapshot.clone().filter(|_| self.cursor.end == End::NotReached),
            ..self.cursor.clone()
        }
    }

    pub(super) fn head(&self) -> &Arc<Head> {
        &self.head
    }

    /// Up to `n_bytes` before the window.
    fn before(&self, n_bytes: usize) -> &[u8] {
        &self.buffer[self.start.saturating_sub(n_bytes)..self.start]
    }

    /// How many bytes on disk have been read.
    pub(super) fn n_bytes_read(&self) -> u64 {
        match self.text {
            Text::Plain(_) => self.cursor.offset,
            Text::Compressed(_, ref file) => (&*file).stream_position().unwrap_or_default(),
        }
    }
}

impl Read for Text {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Text::Plain(file) => file.read(buffer),
            Text::Compressed(text, _) => text.read(buffer),
        }
    }
}
