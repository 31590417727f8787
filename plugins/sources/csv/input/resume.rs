//! Goes on in a file where an earlier run has stopped, if what was read is still there.

use std::fmt;
use std::io::{Seek as _, SeekFrom};

use anyhow::{Context as _, Result};

use super::super::files::{Fingerprint, TAIL};
use super::super::position::{Cursor, End};
use super::Input;
use super::text::Text;

/// What has changed in a file since its rows were read.
pub(crate) enum Changed {
    /// A part that was read.
    Read(String),
    /// The last row had no line end and goes on.
    LastRow,
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Changed::Read(what) => f.write_str(what),
            Changed::LastRow => f.write_str("its last row had no line end and has been continued"),
        }
    }
}

impl Input {
    /// Moves the window to the cursor. Returns what has changed before it, if anything.
    pub(crate) fn seek_to(&mut self, cursor: &Cursor) -> Result<Option<Changed>> {
        let (before, now) = (cursor.size, self.cursor.size);
        // The unread part may shrink, for example when a bad row is corrected.
        let min_size = match self.text {
            // The same text may have other sizes.
            Text::Decoded { is_compressed: true, .. } | Text::Stream(_) => 0,
            _ if cursor.end != End::NotReached => before,
            Text::Plain(_) => cursor.offset,
            Text::Decoded { .. } => 0,
        };
        if now < min_size {
            return Ok(Some(Changed::Read(format!("it has shrunk from {before} to {now} bytes"))));
        }
        if !self.has_head_of(cursor) {
            let n_bytes = cursor.head.as_ref().map_or(0, |head| head.bytes);
            return Ok(Some(Changed::Read(format!("its first {n_bytes} bytes have changed"))));
        }
        if let Some(fingerprint) = &cursor.tail
            && !(self.skip_to(fingerprint.end)?
                && fingerprint.matches(self.before(fingerprint.bytes as usize)))
        {
            let start = fingerprint.end - fingerprint.bytes;
            let what = format!("bytes {start} to {} have changed", fingerprint.end);
            return Ok(Some(Changed::Read(what)));
        }
        if !self.skip_to(cursor.offset)? {
            return Ok(Some(Changed::Read(format!("it has fewer than {} bytes of text", cursor.offset))));
        }
        self.read_at_least(1)?;
        let was_row_continued = match (cursor.end, self.window().first()) {
            (End::OpenRow, Some(next)) => !matches!(next, b'\n' | b'\r'),
            (End::OpenQuote, Some(_)) => true,
            _ => false,
        };
        if was_row_continued {
            return Ok(Some(Changed::LastRow));
        }
        (self.cursor.lines, self.cursor.rows) = (cursor.lines, cursor.rows);
        self.cursor.n_columns = cursor.n_columns;
        self.cursor.is_moved = cursor.is_moved;
        if self.window().is_empty() {
            (self.cursor.end, self.cursor.open_row) = (cursor.end, cursor.open_row);
        }
        Ok(None)
    }

    /// Whether the file begins as the one that was read up to the cursor.
    pub(crate) fn has_head_of(&self, cursor: &Cursor) -> bool {
        cursor.head.as_ref().is_none_or(|fingerprint| {
            let head = self.head.bytes().get(..fingerprint.bytes as usize);
            head.is_some_and(|head| fingerprint.matches(head))
        })
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

    /// The cursor at the start of the window, with fingerprints of the text before it.
    pub(crate) fn cursor_with_fingerprints(&self) -> Cursor {
        let offset = self.cursor.offset;
        let has_tail = offset > self.head.bytes().len() as u64;
        Cursor {
            head: Some(self.head.before(offset)),
            tail: has_tail.then(|| Fingerprint::of(self.before(TAIL), offset)),
            snapshot: self.cursor.snapshot.clone().filter(|_| self.cursor.end == End::NotReached),
            ..self.cursor.clone()
        }
    }

    /// Up to `n_bytes` before the window.
    fn before(&self, n_bytes: usize) -> &[u8] {
        &self.buffer[self.start.saturating_sub(n_bytes)..self.start]
    }
}
