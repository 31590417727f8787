//! Reads a file in parts, each behind what was not used of the one before.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;

/// How many bytes are read at once.
pub(super) const CHUNK: usize = 256 << 10;

/// A part of a file.
#[derive(Clone, Debug)]
pub(super) struct Window {
    file: Arc<File>,
    pub(super) bytes: Bytes,
    /// Where the part begins, and where the file ends.
    start: u64,
    end: u64,
    chunk: usize,
}

impl Window {
    /// At `start` in a file of `end` bytes; empty, so that the first use needs [`Self::grow`].
    pub(super) fn new(file: Arc<File>, start: u64, end: u64, chunk: usize) -> Self {
        Window { file, bytes: Bytes::new(), start, end, chunk }
    }

    /// Whether the file has nothing behind this part.
    pub(super) fn is_last(&self) -> bool {
        self.start + self.bytes.len() as u64 == self.end
    }

    /// The place in the file of a byte of this part.
    pub(super) fn place(&self, at: usize) -> u64 {
        self.start + at as u64
    }

    /// Drops the first `n_used` bytes, and reads more: as many as remain, so that a long value is not read many times.
    pub(super) fn grow(&mut self, n_used: usize) -> io::Result<()> {
        let rest = self.bytes.split_off(n_used);
        self.start += n_used as u64;
        let read_from = self.start + rest.len() as u64;
        let n_more = (self.chunk.max(rest.len()) as u64).min(self.end - read_from) as usize;
        let mut bytes = Vec::with_capacity(rest.len() + n_more);
        bytes.extend_from_slice(&rest);
        bytes.resize(rest.len() + n_more, 0);
        self.file.read_exact_at(&mut bytes[rest.len()..], read_from)?;
        self.bytes = bytes.into();
        Ok(())
    }
}
