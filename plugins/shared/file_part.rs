//! Reads a file, or bytes in memory, in parts, each behind what was not used of the one before.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;

/// How many bytes are read at once.
pub(crate) const CHUNK: usize = 256 << 10;

/// A part of a file, or all bytes in memory.
#[derive(Clone, Debug)]
pub(crate) struct FilePart {
    file: Option<Arc<File>>,
    pub(crate) bytes: Bytes,
    /// Where the part begins, and where the file ends.
    start: u64,
    end: u64,
    chunk: usize,
}

impl From<Bytes> for FilePart {
    fn from(bytes: Bytes) -> Self {
        FilePart { file: None, start: 0, end: bytes.len() as u64, bytes, chunk: CHUNK }
    }
}

impl FilePart {
    /// At `start` in a file of `end` bytes, of which `chunk` are read at once; empty, until it is grown.
    pub(crate) fn of_file(file: Arc<File>, start: u64, end: u64, chunk: usize) -> Self {
        FilePart { file: Some(file), bytes: Bytes::new(), start, end, chunk }
    }

    /// Whether nothing follows this part.
    pub(crate) fn is_last(&self) -> bool {
        self.start + self.bytes.len() as u64 == self.end
    }

    /// The place in the file of a byte of this part.
    pub(crate) fn place(&self, at: usize) -> u64 {
        self.start + at as u64
    }

    /// How many bytes this part and what follows it have.
    pub(crate) fn n_left(&self) -> u64 {
        self.end - self.start
    }

    /// Drops the first bytes of this part.
    pub(crate) fn skip(&mut self, n_bytes: usize) {
        self.bytes = self.bytes.slice(n_bytes..);
        self.start += n_bytes as u64;
    }

    /// What is left without its first bytes, as many as `n_bytes`, which may not be in this part.
    pub(crate) fn behind(&self, n_bytes: u64) -> FilePart {
        let mut behind = self.clone();
        behind.bytes = self.bytes.slice(self.bytes.len().min(n_bytes as usize)..);
        behind.start += n_bytes;
        behind
    }

    /// Drops the first `n_used` bytes, and reads more: as many as remain, so that a long value is not read many times.
    pub(crate) fn grow(&mut self, n_used: usize) -> io::Result<()> {
        self.skip(n_used);
        self.read(self.chunk.max(self.bytes.len()))
    }

    /// Reads until this part has so many bytes, if there are so many.
    pub(crate) fn fill(&mut self, at_least: usize) -> io::Result<()> {
        self.read(at_least.saturating_sub(self.bytes.len()))
    }

    /// Leaves out the last byte of all, if it is this one.
    pub(crate) fn without_last(&mut self, byte: u8) -> io::Result<()> {
        if self.n_left() == 0 {
            return Ok(());
        }
        let mut last = [0];
        match (&self.file, self.is_last()) {
            (Some(file), false) => file.read_exact_at(&mut last, self.end - 1)?,
            _ => last.copy_from_slice(&self.bytes[self.bytes.len() - 1..]),
        }
        if last == [byte] {
            if self.is_last() {
                self.bytes.truncate(self.bytes.len() - 1);
            }
            self.end -= 1;
        }
        Ok(())
    }

    fn read(&mut self, n_bytes: usize) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let n_rest = self.bytes.len();
        let read_from = self.place(n_rest);
        let n_more = (n_bytes as u64).min(self.end - read_from) as usize;
        if n_more == 0 {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(n_rest + n_more);
        bytes.extend_from_slice(&self.bytes);
        bytes.resize(n_rest + n_more, 0);
        file.read_exact_at(&mut bytes[n_rest..], read_from)?;
        self.bytes = bytes.into();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn parts_follow_each_other_and_keep_what_was_not_used() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789!").unwrap();
        let mut file_part = FilePart::of_file(file.into(), 1, 11, 2);
        file_part.grow(0).unwrap();
        assert_eq!((&file_part.bytes[..], file_part.place(1), file_part.is_last()), (&b"12"[..], 2, false));
        file_part.grow(0).unwrap();
        assert_eq!(file_part.bytes, "1234");
        file_part.skip(3);
        file_part.fill(4).unwrap();
        assert_eq!((&file_part.bytes[..], file_part.n_left()), (&b"4567"[..], 7));
        file_part.without_last(b'?').unwrap();
        file_part.without_last(b'!').unwrap();
        file_part.fill(100).unwrap();
        assert_eq!((&file_part.bytes[..], file_part.is_last()), (&b"456789"[..], true));
        file_part.without_last(b'9').unwrap();
        file_part.grow(5).unwrap();
        assert_eq!((file_part.bytes.len(), file_part.n_left(), file_part.is_last()), (0, 0, true));
    }

    #[test]
    fn bytes_in_memory_are_one_part() {
        let mut file_part = FilePart::from(Bytes::from_static(b"abc"));
        file_part.without_last(b'c').unwrap();
        file_part.grow(1).unwrap();
        assert_eq!((&file_part.bytes[..], file_part.is_last()), (&b"b"[..], true));
    }
}
