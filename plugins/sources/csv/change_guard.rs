//! Notices that a file is cut or rewritten while it is read, and says what has changed between two runs.

use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use runner_core::{Error, Failure};

use super::position::TAIL;

/// The error of a file whose rows cannot be read again: those that were read are delivered before the run ends.
pub(super) fn unrepeatable(message: String) -> Error {
    Failure::fatal(Error::msg(message)).deliver_first().into()
}

/// What has changed in a file since its rows were read.
pub(super) enum Changed {
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

/// What every write to a file changes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Stamp {
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Compares an open file with what it was, after every read. A file may grow; what was there must stay.
pub(super) struct ChangeGuard {
    stamp: Stamp,
    /// The first bytes, as they were.
    first: Vec<u8>,
    /// The last bytes, as they were.
    last: Vec<u8>,
}

impl ChangeGuard {
    pub(super) fn new(file: &File, metadata: &Metadata) -> io::Result<Self> {
        let stamp = Stamp::of(metadata);
        let first = bytes_at(file, 0, stamp.size.min(TAIL as u64) as usize)?;
        Ok(ChangeGuard { stamp, first, last: last_bytes(file, stamp.size)? })
    }

    /// What has changed since the last call, if anything. `before` are the bytes that end at `offset`, as they
    /// were read; the file has been read up to `n_read`.
    pub(super) fn check(
        &mut self,
        file: &File,
        n_read: u64,
        before: &[u8],
        offset: u64,
    ) -> io::Result<Option<String>> {
        let stamp = Stamp::of(&file.metadata()?);
        if stamp == self.stamp {
            return Ok(None);
        }
        let size = self.stamp.size.max(n_read);
        if stamp.size < size {
            return Ok(Some(format!("it has shrunk from {size} to {} bytes", stamp.size)));
        }
        let has = |bytes: &[u8], end: u64| -> io::Result<bool> {
            Ok(bytes_at(file, end - bytes.len() as u64, bytes.len())? == bytes)
        };
        let is_same = has(&self.first, self.first.len() as u64)?
            && has(&self.last, self.stamp.size)?
            && has(before, offset)?;
        if !is_same {
            return Ok(Some("another program has written over it".into()));
        }
        *self = ChangeGuard {
            stamp,
            first: std::mem::take(&mut self.first),
            last: last_bytes(file, stamp.size)?,
        };
        Ok(None)
    }
}

/// The bytes at `offset`; fewer where the file ends.
fn bytes_at(file: &File, offset: u64, n_bytes: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; n_bytes];
    let mut n_read = 0;
    while n_read < n_bytes {
        match file.read_at(&mut bytes[n_read..], offset + n_read as u64) {
            Ok(0) => break,
            Ok(n) => n_read += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(n_read);
    Ok(bytes)
}

/// The last bytes before the offset `end`.
pub(super) fn last_bytes(file: &File, end: u64) -> io::Result<Vec<u8>> {
    let n_bytes = end.min(TAIL as u64);
    bytes_at(file, end - n_bytes, n_bytes as usize)
}
