//! The position of one element: the newest value, and the rows near it; one for each value of `by`.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Incremental;
use super::cursor_value::CursorValue;
use super::row_hashes::RowHashes;
use super::time_format::TimeFormat;

/// The positions of an element, by the values of `by`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Groups {
    pub(super) by_name: BTreeMap<String, Group>,
    /// Where a group without a position begins, in place of `start`.
    #[serde(skip)]
    pub(super) begin: Option<CursorValue>,
}

/// One position.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(into = "SavedGroup", try_from = "SavedGroup")]
pub(super) struct Group {
    /// The newest delivered value, unless all of them are more than a day ahead.
    pub(super) newest: Option<CursorValue>,
    /// The delivered rows that may come again.
    pub(super) recent: Vec<KnownRow>,
}

/// A delivered row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct KnownRow {
    pub(super) at: CursorValue,
    pub(super) key: u64,
    /// The hash of the fields that are compared.
    pub(super) content: u64,
}

/// A group in a checkpoint: for each value the keys and contents of its rows.
#[derive(Serialize, Deserialize)]
struct SavedGroup {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    newest: Option<CursorValue>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    recent: Vec<(CursorValue, RowHashes)>,
}

impl From<Group> for SavedGroup {
    fn from(group: Group) -> Self {
        let mut recent: Vec<(CursorValue, RowHashes)> = Vec::new();
        for KnownRow { at, key, content } in group.recent {
            match recent.last_mut() {
                Some((last, hashes)) if *last == at => hashes.0.extend([key, content]),
                _ => recent.push((at, RowHashes(vec![key, content]))),
            }
        }
        SavedGroup { newest: group.newest, recent }
    }
}

impl TryFrom<SavedGroup> for Group {
    type Error = &'static str;

    fn try_from(saved: SavedGroup) -> Result<Self, Self::Error> {
        let mut recent = Vec::new();
        for (at, hashes) in saved.recent {
            let (pairs, rest) = hashes.0.as_chunks::<2>();
            if !rest.is_empty() {
                return Err("a row has a key and no content");
            }
            recent.extend(pairs.iter().map(|&[key, content]| KnownRow { at: at.clone(), key, content }));
        }
        Ok(Group { newest: saved.newest, recent })
    }
}

impl Groups {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Whether they are one position, of rows that `by` does not tell apart.
    pub(super) fn are_one(&self) -> bool {
        self.by_name.len() == 1 && self.by_name.contains_key("")
    }

    /// New groups, all of which begin at the oldest of these positions.
    pub(super) fn begun_again(&self) -> Self {
        Groups { by_name: BTreeMap::new(), begin: self.position(Ordering::Less).cloned() }
    }

    /// The oldest position (`Less`), or the newest one (`Greater`).
    pub(super) fn position(&self, which: Ordering) -> Option<&CursorValue> {
        let values = self.by_name.values().filter_map(|group| group.newest.as_ref());
        values.reduce(|a, b| if b.compare(a) == Some(which) { b } else { a })
    }

    /// The value of `{{ since }}`: the oldest of the newest values less `lag`, or `start`.
    pub(crate) fn since(&self, options: &Incremental) -> Option<CursorValue> {
        let start = options.start();
        let Some(oldest) = self.position(Ordering::Less) else { return start };
        let since = options.less_lag(oldest);
        start.filter(|start| since.compare(start) == Some(Ordering::Less)).or(Some(since))
    }

    /// Whether `{{ since }}` is older than the newest position.
    pub(crate) fn are_behind(&self, options: &Incremental) -> bool {
        let since = self.since(options);
        let newest = self.position(Ordering::Greater);
        since.zip(newest).is_some_and(|(since, newest)| since.compare(newest) == Some(Ordering::Less))
    }

    /// Reads the values of a checkpoint as `format` says.
    pub(crate) fn read_as(&mut self, format: Option<&TimeFormat>) {
        for group in self.by_name.values_mut() {
            let recent = group.recent.iter_mut().map(|row| &mut row.at);
            for value in recent.chain(&mut group.newest) {
                *value = value.read_as(format);
            }
        }
    }
}

impl Group {
    /// The oldest value that is emitted; anything if there is none.
    pub(super) fn threshold(&self, options: &Incremental) -> Option<CursorValue> {
        let start = options.start();
        let Some(newest) = self.newest.as_ref().map(|newest| options.less_lag(newest)) else { return start };
        start.filter(|start| newest.compare(start) == Some(Ordering::Less)).or(Some(newest))
    }

    /// Adds rows, forgets those that are too old to come again, and moves to `newest`.
    pub(super) fn update(
        &mut self,
        rows: impl IntoIterator<Item = KnownRow>,
        newest: Option<CursorValue>,
        options: &Incremental,
    ) {
        self.newest = newest;
        let bound = self.newest.as_ref().map(|newest| options.less_lag(newest));
        let is_near =
            |row: &KnownRow| bound.as_ref().is_none_or(|bound| row.at.compare(bound) != Some(Ordering::Less));
        self.recent.extend(rows);
        self.recent.retain(is_near);
        // Rows with the same value stand together in a checkpoint.
        self.recent.sort_by(|a, b| {
            let order = a.at.compare(&b.at).unwrap_or(Ordering::Equal);
            order.then_with(|| a.at.text().cmp(b.at.text())).then(a.key.cmp(&b.key))
        });
    }
}
