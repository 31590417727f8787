//! Rests of files that are left for later, since another program may still be writing them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Why the rest of a file is left for later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// Its last row has no line end.
    OpenRow,
    /// The quote of a cell is not closed, in the last `n_bytes` of `n_lines` lines.
    OpenQuote { n_bytes: usize, n_lines: u64 },
    /// An archive ends in the middle of its data.
    Archive,
}

/// What a program has written at once is shorter than this: a longer cell that does not end soon most likely has a quote
/// that is never closed.
const LONG: usize = 64 << 10;

/// How long a followed file is left before a long cell with an open quote.
const AT_MOST: Duration = Duration::from_secs(60);

/// How long rows wait before a warning says so.
const SAID_AFTER: Duration = Duration::from_secs(10);

struct Held {
    why: Hold,
    /// Where the rest begins, and its line.
    offset: u64,
    line: u64,
    since: Instant,
    is_said: bool,
}

/// The rests that are left, by the indices of the files.
#[derive(Default)]
pub(super) struct Holds(BTreeMap<usize, Held>);

impl Holds {
    pub(super) fn insert(&mut self, file: usize, why: Hold, offset: u64, line: u64) {
        let (since, is_said) = match self.0.get(&file) {
            Some(held) if held.offset == offset => (held.since, held.is_said),
            _ => (Instant::now(), false),
        };
        self.0.insert(file, Held { why, offset, line, since, is_said });
    }

    pub(super) fn remove(&mut self, file: usize) {
        self.0.remove(&file);
    }

    pub(super) fn contains(&self, file: usize) -> bool {
        self.0.contains_key(&file)
    }

    /// Whether the reader has stopped waiting for the closing quote of a long cell.
    pub(super) fn is_over(&self, file: usize) -> bool {
        self.0.get(&file).is_some_and(|held| {
            matches!(held.why, Hold::OpenQuote { n_bytes: LONG.., .. }) && held.since.elapsed() > AT_MOST
        })
    }

    /// As [`is_over`](Self::is_over), for the rest at this offset.
    pub(super) fn is_over_at(&self, file: usize, offset: u64) -> bool {
        self.is_over(file) && self.0.get(&file).is_some_and(|held| held.offset == offset)
    }

    /// The warnings, each given once, about rests that have been waiting for long.
    pub(super) fn take_long(&mut self) -> Vec<(usize, String)> {
        let mut said = Vec::new();
        for (&file, held) in &mut self.0 {
            let what = match held.why {
                Hold::OpenQuote { n_lines: 2.., .. } => format!(
                    "a quote that opens in the row in line {} is not closed, and the rows behind it wait for its end. If \
                     quotes have no meaning in this file, set quote = \"\"",
                    held.line
                ),
                Hold::Archive => {
                    "the archive is incomplete, and the rows behind its end wait for the rest".into()
                }
                _ => continue,
            };
            if !held.is_said && held.since.elapsed() > SAID_AFTER {
                held.is_said = true;
                said.push((file, what));
            }
        }
        said
    }

    /// Lets all rests have waited for as long as possible.
    #[cfg(test)]
    pub(super) fn age(&mut self) {
        for held in self.0.values_mut() {
            held.since -= 2 * AT_MOST;
        }
    }
}
