//! From which value to which the rows of a response reach, to find out whether the API has cut it off.

use std::cmp::Ordering;

use super::cursor_value::{CursorValue, Nanos};

/// The oldest and the newest value of the rows of a walk.
#[derive(Debug, Default)]
pub(super) struct ValueRange {
    ends: Option<(CursorValue, CursorValue)>,
    /// How many rows were newer than all before them, and how many were older.
    n_newer: usize,
    n_older: usize,
}

impl ValueRange {
    pub(super) fn add(&mut self, at: &CursorValue) {
        let Some((oldest, newest)) = &mut self.ends else {
            self.ends = Some((at.clone(), at.clone()));
            return;
        };
        if at.compare(newest) == Some(Ordering::Greater) {
            *newest = at.clone();
            self.n_newer += 1;
        } else if at.compare(oldest) == Some(Ordering::Less) {
            *oldest = at.clone();
            self.n_older += 1;
        }
    }

    /// Whether the rows begin with the newest ones.
    pub(super) fn is_newest_first(&self) -> bool {
        self.n_older > self.n_newer
    }

    /// Whether there are rows, and none of them is older than `since`.
    pub(super) fn begins_at(&self, since: Option<&CursorValue>) -> bool {
        let oldest = self.ends.as_ref().map(|(oldest, _)| oldest);
        oldest.zip(since).and_then(|(oldest, since)| oldest.compare(since)).is_some_and(Ordering::is_ge)
    }

    /// Whether `n_rows` rows leave a gap at an end of a span of time where several more would have place.
    pub(super) fn leaves_gap(&self, n_rows: usize, from: Nanos, to: Nanos) -> bool {
        let Some((oldest, newest)) = &self.ends else { return false };
        let (Some(oldest), Some(newest)) = (oldest.moment(), newest.moment()) else { return false };
        let between = (newest - oldest) / (n_rows.max(2) as Nanos - 1);
        // The last row of a whole response begins less than two of these before the end.
        (to - newest).max(oldest - from) > 3 * between.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_that_ends_early_leaves_a_gap() {
        let time = |hour: u32| CursorValue::of_text(&format!("2024-01-01T{hour:02}:00:00Z"), None).unwrap();
        let range = |hours: &[u32]| {
            let mut range = ValueRange::default();
            for hour in hours {
                range.add(&time(*hour));
            }
            range
        };
        let [from, to] = [0, 12].map(|hour| time(hour).moment().unwrap());
        for (hours, has_gap) in [
            (&[0, 1, 2, 3, 4][..], true),
            (&[8, 9, 10, 11], true),
            (&[11, 10, 9, 8], true),
            (&[0, 3, 6, 9], false),
            (&[], false),
        ] {
            assert_eq!(range(hours).leaves_gap(hours.len(), from, to), has_gap, "{hours:?}");
        }
        let rows = range(&[3, 5, 4]);
        assert!(range(&[8, 9, 7, 6, 5]).is_newest_first() && !rows.is_newest_first());
        assert!(rows.begins_at(Some(&time(3))) && rows.begins_at(Some(&time(2))));
        assert!(!rows.begins_at(Some(&time(4))) && !rows.begins_at(None));
        assert!(!range(&[]).begins_at(Some(&time(0))));
    }
}
