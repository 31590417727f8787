//! The state of a walk at some row, and its form in a checkpoint.

use std::cmp::Ordering;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Incremental;
use super::cursor_value::{CursorValue, Nanos};
use super::groups::{Groups, KnownRow};
use super::known_rows::PageStart;
use super::row_hashes::{Log, RowHashes};
use super::time_format::TimeFormat;

/// A row that this walk has delivered.
#[derive(Clone, Debug)]
pub(super) struct LoggedRow {
    pub(super) group: u32,
    pub(super) key: u64,
    pub(super) content: u64,
    /// `None` for a row that was too old to be saved with its value.
    pub(super) at: Option<CursorValue>,
}

#[derive(Debug, Default)]
pub(super) struct LogRows {
    pub(super) groups: Vec<String>,
    pub(super) rows: Vec<LoggedRow>,
}

/// The state of [`IncrementalFilter`] at some row.
#[derive(Clone, Debug)]
pub(crate) struct IncrementalSnapshot {
    pub(super) options: Arc<Incremental>,
    pub(super) now: Nanos,
    pub(super) log: Log<LogRows>,
    pub(super) len: usize,
    pub(super) page: PageStart,
    pub(super) first: Option<u64>,
}

/// The state of [`IncrementalFilter`] in a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedIncremental {
    /// Keys and contents of delivered rows that are older than the newest value less `lag`.
    #[serde(default, skip_serializing_if = "RowHashes::is_empty")]
    pub(super) older: RowHashes,
    /// The other delivered rows.
    #[serde(default, skip_serializing_if = "Groups::is_empty")]
    pub(super) groups: Groups,
    /// Without `key`: the keys of those rows that are on the page to continue with; `None` if all may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) page: Option<RowHashes>,
    /// The key of the first row that was delivered of that page.
    #[serde(default, skip_serializing_if = "RowHashes::is_empty")]
    pub(super) first: RowHashes,
}

impl SavedIncremental {
    /// Reads the values of a checkpoint as `format` says.
    pub(crate) fn read_as(&mut self, format: Option<&TimeFormat>) {
        self.groups.read_as(format);
    }

    /// Whether its groups are not those of `by`, as far as their names show.
    pub(crate) fn has_other_groups(&self, options: &Incremental) -> bool {
        self.groups.change(None, options).is_some()
    }
}

impl IncrementalSnapshot {
    pub(crate) fn save(&self) -> SavedIncremental {
        let log = self.log.lock();
        let rows = &log.rows[..self.len];
        let mut newest: Vec<Option<&CursorValue>> = vec![None; log.groups.len()];
        for row in rows {
            if let Some(at) = row.at.as_ref().filter(|at| !at.is_later_than(self.now))
                && at.is_newer(newest[row.group as usize])
            {
                newest[row.group as usize] = Some(at);
            }
        }
        let bounds: Vec<Option<CursorValue>> =
            newest.iter().map(|newest| newest.map(|newest| self.options.less_lag(newest))).collect();
        let page = self.page.save(rows.iter().map(|row| row.key));
        let first = RowHashes(self.first.into_iter().collect());
        let mut saved = SavedIncremental { page, first, ..SavedIncremental::default() };
        for LoggedRow { group, key, content, at } in rows {
            let bound = bounds.get(*group as usize).and_then(Option::as_ref);
            let near =
                at.as_ref().filter(|at| bound.is_none_or(|bound| at.compare(bound) != Some(Ordering::Less)));
            let Some(at) = near else {
                saved.older.0.extend([*key, *content]);
                continue;
            };
            let group = saved.groups.by_name.entry(log.groups[*group as usize].clone()).or_default();
            group.recent.push(KnownRow { at: at.clone(), key: *key, content: *content });
        }
        saved
    }
}
