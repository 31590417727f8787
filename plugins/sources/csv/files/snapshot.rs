//! Snapshots of the unread files, to detect whether unread input has changed since the last run.
//!
//! Entry numbers count rows. Numbers given to rows that were read ahead of the position, and perhaps
//! stored, stay correct only while the unread files are unchanged and in the same order. Files
//! and rows added after them change no number.

use std::fs::{File, Metadata};
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::fingerprint::{Fingerprint, last_bytes};

/// The state of a file when it was queued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileSnapshot {
    size: u64,
    modified: u64,
    /// Fingerprint of the last bytes on disk; it moves when rows before them are added or removed.
    tail: Fingerprint,
    /// Whether the file ended with a line end, so that appended bytes begin a new row.
    is_closed: bool,
}

impl FileSnapshot {
    /// Takes a snapshot. How the text of a compressed file ends is unknown.
    pub(crate) fn of(file: &File, metadata: &Metadata, is_compressed: bool) -> io::Result<FileSnapshot> {
        let size = metadata.len();
        let tail = last_bytes(file, size)?;
        Ok(FileSnapshot {
            size,
            modified: modified(metadata),
            tail: Fingerprint::of(&tail, size),
            is_closed: !is_compressed && matches!(tail.last(), None | Some(b'\n' | b'\r')),
        })
    }

    /// Whether the rows of the snapshot are still the first rows of the file, as far as can be told without
    /// reading it all: a file that was copied back has the same tail. A row replaced by one of the same
    /// length goes unnoticed, which is harmless: the number of rows is the same.
    pub(crate) fn is_prefix_of(&self, now: &FileSnapshot, path: &str, may_have_grown: bool) -> bool {
        let is_same = self.size == now.size && (self.modified == now.modified || self.tail == now.tail);
        is_same || (may_have_grown && self.is_closed && now.size > self.size && self.has_same_tail(path))
    }

    fn has_same_tail(&self, path: &str) -> bool {
        let tail = File::open(path).and_then(|file| last_bytes(&file, self.size));
        tail.is_ok_and(|tail| self.tail.matches(&tail))
    }
}

/// The modification time in nanoseconds since 1970; 0 if it is unknown.
pub(crate) fn modified(metadata: &Metadata) -> u64 {
    let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_nanos() as u64)
}

/// A file that was written to within this time may still be growing.
const SETTLED: Duration = Duration::from_secs(5);

/// Whether a file was written to within the last seconds.
pub(crate) fn is_being_written(metadata: &Metadata) -> bool {
    metadata.modified().is_ok_and(|modified| match SystemTime::now().duration_since(modified) {
        Ok(age) => age < SETTLED,
        Err(ahead) => ahead.duration() < SETTLED,
    })
}

/// The time in nanoseconds since 1970 at which the file was made, which tells it from an earlier one with its inode; 0 if
/// the file system does not know it.
pub(crate) fn created(metadata: &Metadata) -> u64 {
    let since = metadata.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_nanos() as u64)
}
