//! A plan is what there is to read behind a position: the files in their order, as they were when they were lined up.
//!
//! Entry numbers count rows. Those that were given behind a position, to rows that were read ahead and perhaps
//! stored, are right for the same rows only while all that stood in the plan is there still, in the same order. What
//! comes behind it changes none of them.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::position::{End, Print, Saved, TAIL};

/// A file as it was when it was lined up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    size: u64,
    modified: u64,
    /// Of its last bytes on disk: rows that were put in or taken out in front of them have moved them.
    tail: Print,
    /// Whether it ended where a row does, so that nothing behind its end belongs to a row before.
    is_closed: bool,
}

impl Seen {
    /// Looks at a file; of a packed one nobody knows how its text ends.
    pub(super) fn of(file: &File, metadata: &Metadata, is_packed: bool) -> io::Result<Seen> {
        let size = metadata.len();
        let tail = last_bytes(file, size)?;
        Ok(Seen {
            size,
            modified: modified(metadata),
            tail: Print::of(&tail, size),
            is_closed: !is_packed && matches!(tail.last(), None | Some(b'\n' | b'\r')),
        })
    }

    /// Whether the rows that it had are those of the file as it is now, as far as that can be told without reading it
    /// all. A file that was copied back is told by its end, and so is one in which a row was
    /// replaced by one of the same length: rows are counted, and their number is the same.
    fn is_front_of(&self, now: &Seen, path: &str, may_have_grown: bool) -> bool {
        let is_same = self.size == now.size && (self.modified == now.modified || self.tail == now.tail);
        is_same || (may_have_grown && self.is_closed && now.size > self.size && self.is_still_in(path))
    }

    fn is_still_in(&self, path: &str) -> bool {
        let tail = File::open(path).and_then(|file| last_bytes(&file, self.size));
        tail.is_ok_and(|tail| self.tail.is_of(&tail))
    }
}

/// The last bytes in front of `end`.
fn last_bytes(file: &File, end: u64) -> io::Result<Vec<u8>> {
    let start = end.saturating_sub(TAIL as u64);
    let mut bytes = vec![0; (end - start) as usize];
    file.read_exact_at(&mut bytes, start)?;
    Ok(bytes)
}

/// When a file was changed last, in nanoseconds since 1970; 0 where nobody knows.
pub(super) fn modified(metadata: &Metadata) -> u64 {
    let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_nanos() as u64)
}

/// Whether what was behind a position is read again by who goes on with `now`, in the same order and in front of all else.
pub(super) fn holds(was: &Saved, now: &Saved) -> bool {
    if (was.delimiter, was.header, &was.columns) != (now.delimiter, now.header, &now.columns) {
        return false;
    }
    let current = &was.files[was.file];
    // Whoever has written this position noted no plan.
    if current.end == End::NotReached && current.ahead.is_none() {
        return false;
    }
    let mut files = planned(was).peekable();
    let mut now = planned(now);
    while let Some((path, seen)) = files.next() {
        let is_last = files.peek().is_none();
        if !now.next().is_some_and(|(path_now, now)| path_now == path && seen.is_front_of(now, path, is_last))
        {
            return false;
        }
    }
    true
}

/// The files with rows to read, in the order in which they are read.
fn planned(saved: &Saved) -> impl Iterator<Item = (&str, &Seen)> {
    let (before, rest) = saved.files.split_at(saved.file);
    rest.iter().chain(before).filter_map(|cursor| Some((&*cursor.path, cursor.ahead.as_ref()?)))
}
