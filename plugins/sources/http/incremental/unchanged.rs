//! The `unchanged` option: skips the rows that the walk before held as well, by their content.

use std::collections::HashMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::json::ContentHash;
use super::row_hashes::{Log, RowHashes};

/// What becomes of rows that the element's last delivered walk held as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unchanged {
    /// They are skipped, as often as that walk held them.
    #[default]
    Skip,
    /// Every answer is delivered.
    Deliver,
}

/// So many rows of a walk are remembered.
pub(super) const MAX_ROWS: usize = 1_000_000;

/// The rows of the last whole walk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeliveredRows {
    #[serde(default, skip_serializing_if = "RowHashes::is_empty")]
    pub(crate) rows: RowHashes,
}

/// How often each row is there.
type Counts = HashMap<u64, u32>;

/// The rows of one walk, as far as they have been read.
#[derive(Debug)]
pub(crate) struct UnchangedFilter {
    log: Log<Vec<u64>>,
    page_start: usize,
    is_partial: bool,
    /// Rows of the current page, or of a walk that begins again, that were read before.
    page_done: Counts,
    /// The same rows at the beginning of the log from `done_from` on, which has those that were seen since.
    done: Arc<[u64]>,
    done_from: usize,
    /// Rows of the previous walk that have not been seen in this one.
    remaining: Counts,
    /// Whether rows of the previous walk are skipped.
    skips: bool,
    /// Whether rows of the previous walk are not looked for, since the saved ones hold them.
    continues: bool,
    max_rows: usize,
}

/// The state of a [`UnchangedFilter`] at some row.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnchangedSnapshot {
    log: Log<Vec<u64>>,
    len: usize,
    page_start: usize,
    done: Arc<[u64]>,
    done_from: usize,
    is_partial: bool,
    continues: bool,
}

/// The state of a [`UnchangedFilter`] in a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedUnchanged {
    #[serde(default, skip_serializing_if = "RowHashes::is_empty")]
    pub(crate) rows: RowHashes,
    #[serde(default)]
    page_start: usize,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_partial: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    continues: bool,
}

impl SavedUnchanged {
    /// Takes all rows for rows of the page that is read next.
    pub(crate) fn forget_page(&mut self) {
        self.page_start = 0;
    }

    /// A walk whose earlier rows are not known.
    pub(crate) fn unknown() -> Self {
        SavedUnchanged { continues: true, ..SavedUnchanged::default() }
    }
}

fn count(rows: &[u64]) -> Counts {
    let mut counts = Counts::new();
    for row in rows {
        *counts.entry(*row).or_default() += 1;
    }
    counts
}

fn expand(counts: &Counts) -> impl Iterator<Item = u64> {
    counts.iter().flat_map(|(row, count)| std::iter::repeat_n(*row, *count as usize))
}

fn take(counts: &mut Counts, row: u64) -> bool {
    match counts.get_mut(&row) {
        Some(1) => counts.remove(&row).is_some(),
        Some(count) => {
            *count -= 1;
            true
        }
        None => false,
    }
}

/// Takes a row, also one that an earlier release has saved.
fn take_row(counts: &mut Counts, row: ContentHash) -> bool {
    take(counts, row.sorted) || row.written != row.sorted && take(counts, row.written)
}

impl UnchangedFilter {
    /// A walk after `previous`. If `skips`, its rows are skipped as often as it held them.
    pub(crate) fn new(previous: &DeliveredRows, skips: bool) -> Self {
        Self::resume(previous, skips, SavedUnchanged::default())
    }

    /// A walk that was begun before a restart, at the page of the last row in `saved`.
    pub(crate) fn resume(previous: &DeliveredRows, skips: bool, saved: SavedUnchanged) -> Self {
        let SavedUnchanged { rows: RowHashes(mut rows), page_start, is_partial, continues } = saved;
        let page_start = page_start.min(rows.len());
        let mut remaining = if skips && !continues { count(&previous.rows.0) } else { Counts::new() };
        for row in &rows {
            take(&mut remaining, *row);
        }
        let done: Arc<[u64]> = rows[page_start..].into();
        rows.truncate(page_start);
        UnchangedFilter {
            log: Log::new(rows),
            page_start,
            is_partial,
            page_done: count(&done),
            done,
            done_from: page_start,
            remaining,
            skips,
            continues,
            max_rows: MAX_ROWS,
        }
    }

    /// The same walk, read again from its first page.
    pub(crate) fn restart(&self, previous: &DeliveredRows) -> Self {
        let mut rows = self.log.lock().clone();
        rows.extend(expand(&self.page_done));
        let saved = SavedUnchanged {
            rows: RowHashes(rows),
            is_partial: self.is_partial,
            ..SavedUnchanged::default()
        };
        Self::resume(previous, self.skips, saved)
    }

    /// Begins a page that has rows.
    pub(crate) fn begin_page(&mut self) {
        let n_rows = self.log.lock().len();
        // Positions before this page keep the log that they have.
        if !self.skips || n_rows >= self.max_rows {
            self.log = Log::default();
            (self.done, self.done_from) = (Arc::default(), 0);
            self.is_partial |= self.skips;
        }
        self.page_start = self.log.lock().len();
    }

    /// Adds a row. Returns whether it is new.
    pub(crate) fn add(&mut self, row: ContentHash) -> bool {
        let mut log = self.log.lock();
        if log.len() < self.max_rows {
            log.push(row.sorted);
        } else {
            self.is_partial = true;
        }
        !take_row(&mut self.page_done, row) && !take_row(&mut self.remaining, row)
    }

    /// Whether the previous walk has delivered a row that this one has not seen.
    pub(crate) fn take_previous(&mut self, row: ContentHash) -> bool {
        take_row(&mut self.remaining, row)
    }

    /// Whether rows were forgotten.
    pub(crate) fn is_partial(&self) -> bool {
        self.is_partial
    }

    /// How many different rows of the previous walk this one has not seen.
    pub(crate) fn n_missing(&self) -> usize {
        self.remaining.len()
    }

    pub(crate) fn snapshot(&self) -> UnchangedSnapshot {
        UnchangedSnapshot {
            len: self.log.lock().len(),
            log: self.log.clone(),
            page_start: self.page_start,
            done: Arc::clone(&self.done),
            done_from: self.done_from,
            is_partial: self.is_partial,
            continues: self.continues,
        }
    }

    /// The rows of the whole walk.
    pub(crate) fn finish(&self) -> DeliveredRows {
        let log = self.log.lock();
        if !self.skips {
            return DeliveredRows::default();
        }
        DeliveredRows { rows: RowHashes(log.clone()) }
    }
}

impl UnchangedSnapshot {
    pub(crate) fn save(&self) -> SavedUnchanged {
        let mut rows = self.log.lock()[..self.len].to_vec();
        let mut unseen = count(&self.done);
        for row in rows.iter().skip(self.done_from) {
            take(&mut unseen, *row);
        }
        rows.extend(expand(&unseen));
        SavedUnchanged {
            rows: RowHashes(rows),
            page_start: self.page_start,
            is_partial: self.is_partial,
            continues: self.continues,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(walk: &mut UnchangedFilter, rows: &[u64]) -> Vec<u64> {
        rows.iter().copied().filter(|row| walk.add(ContentHash::of_bytes(*row))).collect()
    }

    #[test]
    fn row_is_skipped_as_often_as_the_previous_walk_held_it() {
        let mut first = UnchangedFilter::new(&DeliveredRows::default(), true);
        first.begin_page();
        assert_eq!(read(&mut first, &[1, 1, 2]), [1, 1, 2]);
        let mut second = UnchangedFilter::new(&first.finish(), true);
        assert_eq!(read(&mut second, &[1, 2, 1, 1, 2, 3]), [1, 2, 3]);
        let mut third = UnchangedFilter::new(&second.finish(), true);
        assert_eq!(read(&mut third, &[3, 1]), [0; 0]);
        assert_eq!(third.n_missing(), 2);
        let mut all = UnchangedFilter::new(&second.finish(), false);
        assert_eq!(read(&mut all, &[3, 1]), [3, 1]);
    }

    #[test]
    fn state_of_an_earlier_release_is_read_and_its_last_page_ignored() {
        let held = serde_json::to_value(DeliveredRows { rows: RowHashes(vec![1, 2, 3]) }).unwrap();
        let mut earlier = held.clone();
        earlier["n_last_page"] = 2.into();
        earlier["is_partial"] = true.into();
        let read: DeliveredRows = serde_json::from_value(earlier).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), held);
    }

    #[test]
    fn rows_of_an_earlier_release_are_known_by_their_text() {
        let [first, second] =
            [r#"{"b":1,"a":2}"#, r#"{"a":2, "b":1}"#].map(|row| ContentHash::of(row.as_bytes()));
        let earlier = DeliveredRows { rows: RowHashes(vec![first.written]) };
        let mut walk = UnchangedFilter::new(&earlier, true);
        assert!(!walk.add(first));
        let mut next = UnchangedFilter::new(&walk.finish(), true);
        assert!(!next.add(second) && next.add(second));
    }

    #[test]
    fn walk_that_begins_again_and_is_interrupted_repeats_nothing() {
        let before = DeliveredRows { rows: RowHashes(vec![1]) };
        let mut walk = UnchangedFilter::new(&before, true);
        walk.begin_page();
        read(&mut walk, &[1, 2]);
        walk.begin_page();
        read(&mut walk, &[3, 3]);
        // The rows have moved.
        let resumed = UnchangedFilter::resume(&before, true, walk.snapshot().save());
        let mut again = resumed.restart(&before);
        again.begin_page();
        assert_eq!(read(&mut again, &[9, 1]), [9]);
        let mut rest = UnchangedFilter::resume(&before, true, again.snapshot().save());
        assert_eq!(read(&mut rest, &[9, 1]), [0; 0]);
        rest.begin_page();
        assert_eq!(read(&mut rest, &[2, 3, 3, 3]), [3]);
        assert_eq!(rest.finish().rows.0, [9, 1, 2, 3, 3, 3]);
    }

    #[test]
    fn rows_beyond_the_limit_are_forgotten_page_by_page() {
        let mut walk =
            UnchangedFilter { max_rows: 3, ..UnchangedFilter::new(&DeliveredRows::default(), true) };
        for page in [[1, 2], [3, 4], [5, 6]] {
            walk.begin_page();
            read(&mut walk, &page);
        }
        assert!(walk.is_partial());
        assert_eq!(walk.finish().rows.0, [5, 6]);
    }

    proptest! {
        /// A walk that is killed after any row delivers the rest of it and nothing twice.
        #[test]
        fn resumed_walk_delivers_what_an_uninterrupted_one_does(
            previous in prop::collection::vec(0_u64..6, 0..8),
            pages in prop::collection::vec(prop::collection::vec(0_u64..6, 1..6), 1..4),
            kill_at in 0_usize..20,
            skips in any::<bool>(),
        ) {
            let mut walk = UnchangedFilter::new(&DeliveredRows::default(), true);
            read(&mut walk, &previous);
            let held = walk.finish();
            let mut whole = UnchangedFilter::new(&held, skips);
            let mut expected = Vec::new();
            let mut positions = vec![(0, 0, UnchangedSnapshot::default().save())];
            for (index, page) in pages.iter().enumerate() {
                whole.begin_page();
                for row in page {
                    if whole.add(ContentHash::of_bytes(*row)) {
                        expected.push(*row);
                    }
                    positions.push((index, expected.len(), whole.snapshot().save()));
                }
            }
            let (page, n_delivered, saved) = positions.swap_remove(kill_at % positions.len());
            let saved: SavedUnchanged = serde_json::from_value(serde_json::to_value(saved).unwrap()).unwrap();
            let mut resumed = UnchangedFilter::resume(&held, skips, saved);
            let mut delivered = expected[..n_delivered].to_vec();
            for (index, rows) in pages.iter().enumerate().skip(page) {
                if index > page {
                    resumed.begin_page();
                }
                delivered.extend(read(&mut resumed, rows));
            }
            prop_assert_eq!(delivered, expected);
            prop_assert_eq!(resumed.finish(), whole.finish());
        }
    }
}
