//! Notices that a file is cut or rewritten while it is read.

use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;

use runner_core::{Error, Failure};

use super::super::files::{TAIL, bytes_at, last_bytes};

/// The error of a file whose rows cannot be read again: those that were read are delivered before the run ends.
pub(crate) fn cannot_read_again(message: String) -> Error {
    Failure::fatal(Error::msg(message)).deliver_first().into()
}

/// The error of a followed file that was cut or written over: the rest of its rows may be in another file by now.
#[derive(Debug)]
pub(crate) struct WrittenOver(pub(crate) String);

impl fmt::Display for WrittenOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrittenOver {}

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
pub(crate) struct ChangeDetector {
    stamp: Stamp,
    /// The first bytes, as they were.
    first: Vec<u8>,
    /// The last bytes, as they were.
    last: Vec<u8>,
}

impl ChangeDetector {
    pub(crate) fn new(file: &File, metadata: &Metadata) -> io::Result<Self> {
        let stamp = Stamp::of(metadata);
        let first = bytes_at(file, 0, stamp.size.min(TAIL as u64) as usize)?;
        Ok(ChangeDetector { stamp, first, last: last_bytes(file, stamp.size)? })
    }

    /// What has changed since the last call, if anything. `before` are the bytes that end at `offset`, as they
    /// were read; the file has been read up to `n_read`.
    pub(crate) fn check(
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
        *self = ChangeDetector {
            stamp,
            first: std::mem::take(&mut self.first),
            last: last_bytes(file, stamp.size)?,
        };
        Ok(None)
    }
}
