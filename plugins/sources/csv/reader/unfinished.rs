//! Rests of files that are left for later, since another program may still be writing them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Why the rest of a file is left for later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfinished {
    /// Its last row has no line end.
    OpenRow,
    /// The quote of a cell is not closed, in the last `n_bytes` of `n_lines` lines.
    OpenQuote { n_bytes: usize, n_lines: u64 },
    /// An archive ends in the middle of its data.
    Archive,
}

/// What a program has written at once is shorter than this: a longer cell that does not end soon most likely has a quote
/// that is never closed.
const LONG_CELL: usize = 64 << 10;

/// How long a followed file is left before a long cell with an open quote.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// How long rows wait before a warning says so.
const WARNING_AFTER: Duration = Duration::from_secs(10);

struct Rest {
    why: Unfinished,
    /// Where the rest begins, and its line.
    offset: u64,
    line: u64,
    since: Instant,
    is_warned: bool,
}

/// The rests that are left, by the indices of the files.
#[derive(Default)]
pub(super) struct UnfinishedFiles(BTreeMap<usize, Rest>);

impl UnfinishedFiles {
    pub(super) fn insert(&mut self, file: usize, why: Unfinished, offset: u64, line: u64) {
        let (since, is_warned) = match self.0.get(&file) {
            Some(rest) if rest.offset == offset => (rest.since, rest.is_warned),
            _ => (Instant::now(), false),
        };
        self.0.insert(file, Rest { why, offset, line, since, is_warned });
    }

    pub(super) fn remove(&mut self, file: usize) {
        self.0.remove(&file);
    }

    pub(super) fn contains(&self, file: usize) -> bool {
        self.0.contains_key(&file)
    }

    /// Whether the reader has stopped waiting for the closing quote of a long cell in the rest at this offset.
    pub(super) fn is_wait_over(&self, file: usize, offset: u64) -> bool {
        self.0.get(&file).is_some_and(|rest| {
            matches!(rest.why, Unfinished::OpenQuote { n_bytes: LONG_CELL.., .. })
                && rest.offset == offset
                && rest.since.elapsed() > MAX_WAIT
        })
    }

    /// The warnings, each given once, about rests that have been waiting for long.
    pub(super) fn take_warnings(&mut self) -> Vec<(usize, String)> {
        let mut warnings = Vec::new();
        for (&file, rest) in &mut self.0 {
            let what = match rest.why {
                Unfinished::OpenQuote { n_lines: 2.., .. } => format!(
                    "a quote that opens in the row in line {} is not closed, and the rows behind it wait for its end. If \
                     quotes have no meaning in this file, set quote = \"\"",
                    rest.line
                ),
                Unfinished::Archive => {
                    "the archive is incomplete, and the rows behind its end wait for the rest".into()
                }
                _ => continue,
            };
            if !rest.is_warned && rest.since.elapsed() > WARNING_AFTER {
                rest.is_warned = true;
                warnings.push((file, what));
            }
        }
        warnings
    }

    /// Lets all rests have waited for as long as possible.
    #[cfg(test)]
    pub(super) fn age(&mut self) {
        for rest in self.0.values_mut() {
            rest.since -= 2 * MAX_WAIT;
        }
    }
}
