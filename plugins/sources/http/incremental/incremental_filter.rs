//! Decides row by row what is new, and remembers what a walk has delivered.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anyhow::Context as _;
use runner_core::Result;
use serde::{Deserialize, Serialize};
use tracing::warn;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::super::json::{Members, content_hash};
use super::Incremental;
use super::cursor_value::{CursorValue, Nanos};
use super::groups::{Group, Groups, KnownRow};
use super::row_hashes::{Log, RowHashes};
use super::time_format::TimeFormat;
use super::unchanged::MAX_ROWS;

/// A value further ahead than this does not move the position: 24 hours.
const DAY: Nanos = 86_400_000_000_000;

/// What becomes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Emit,
    Skip,
}

/// The rows of one walk, as far as they have been read.
#[derive(Debug)]
pub(crate) struct IncrementalFilter {
    options: Arc<Incremental>,
    /// When the walk began.
    now: Nanos,
    /// The positions before the walk.
    before: Arc<Groups>,
    groups: Vec<GroupProgress>,
    group_of: HashMap<String, usize>,
    /// The delivered rows that may be met again: key and content.
    known: HashMap<u64, u64>,
    log: Log<LogRows>,
    n_rows_on_page: usize,
    n_older_on_page: usize,
    has_held_back: bool,
    max_rows: usize,
}

#[derive(Debug)]
struct GroupProgress {
    /// Rows with an older value are not emitted.
    threshold: Option<CursorValue>,
    /// Whether this is the value of `start`, since no row was delivered before the walk.
    is_start: bool,
    /// The newest value so far.
    newest: Option<CursorValue>,
}

/// A row that this walk has delivered.
#[derive(Clone, Debug)]
struct LoggedRow {
    group: u32,
    key: u64,
    content: u64,
    /// `None` for a row that was too old to be saved with its value.
    at: Option<CursorValue>,
}

#[derive(Debug, Default)]
struct LogRows {
    groups: Vec<String>,
    rows: Vec<LoggedRow>,
}

/// The state of [`IncrementalFilter`] at some row.
#[derive(Clone, Debug)]
pub(crate) struct IncrementalSnapshot {
    options: Arc<Incremental>,
    now: Nanos,
    log: Log<LogRows>,
    len: usize,
}

/// The state of [`IncrementalFilter`] in a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedIncremental {
    /// Keys and contents of delivered rows that are older than the newest value less `lag`.
    #[serde(default, skip_serializing_if = "RowHashes::is_empty")]
    older: RowHashes,
    /// The other delivered rows.
    #[serde(default, skip_serializing_if = "Groups::is_empty")]
    groups: Groups,
}

impl SavedIncremental {
    /// Reads the values of a checkpoint as `format` says.
    pub(crate) fn read_as(&mut self, format: Option<&TimeFormat>) {
        self.groups.read_as(format);
    }
}

impl IncrementalFilter {
    /// A walk that began at `now` and, if it continues after a restart, has delivered `saved`.
    pub(crate) fn new(
        options: &Arc<Incremental>,
        before: &Arc<Groups>,
        now: Nanos,
        saved: Option<SavedIncremental>,
    ) -> Self {
        let mut rows = IncrementalFilter {
            options: Arc::clone(options),
            now,
            before: Arc::clone(before),
            groups: Vec::new(),
            group_of: HashMap::new(),
            known: HashMap::new(),
            log: Log::default(),
            n_rows_on_page: 0,
            n_older_on_page: 0,
            has_held_back: false,
            max_rows: MAX_ROWS,
        };
        rows.known
            .extend(before.0.values().flat_map(|group| &group.recent).map(|row| (row.key, row.content)));
        let saved = saved.unwrap_or_default();
        for &[key, content] in saved.older.0.as_chunks::<2>().0 {
            rows.known.insert(key, content);
            rows.log.lock().rows.push(LoggedRow { group: 0, key, content, at: None });
        }
        for (name, group) in saved.groups.0 {
            let index = rows.group(&name);
            for row in group.recent {
                rows.known.insert(row.key, row.content);
                rows.see(index, &row.at);
                rows.push(index, row);
            }
        }
        rows
    }

    /// Begins a page.
    pub(crate) fn begin_page(&mut self) {
        (self.n_rows_on_page, self.n_older_on_page) = (0, 0);
    }

    /// Whether the page had rows, and all of them are older than the newest value less `lag`.
    pub(crate) fn is_page_older(&self) -> bool {
        self.n_rows_on_page > 0 && self.n_rows_on_page == self.n_older_on_page
    }

    /// Whether rows were kept back, so that the same response may have new rows later.
    pub(crate) fn has_held_back(&self) -> bool {
        self.has_held_back
    }

    /// Decides about a record, whose JSON text is `text`.
    pub(crate) fn add(&mut self, text: &[u8]) -> Result<Decision> {
        self.n_rows_on_page += 1;
        let options = Arc::clone(&self.options);
        let cursor = &options.cursor;
        let members = Members::of(text).with_context(|| {
            format!(
                "the record is not an object, so it has no field `{cursor}`, which `incremental.cursor` names"
            )
        })?;
        let at = options.value_of(&members)?;
        let name = group_name(&members, &options)?;
        if let Some(hold) = options.hold {
            let time = at.moment().ok_or_else(|| options.not_a_time("hold"))?;
            if time > self.now - hold.0.as_nanos() as Nanos {
                self.has_held_back = true;
                return Ok(Decision::Skip);
            }
        }
        let group = self.group(&name);
        let GroupProgress { threshold, is_start, .. } = &self.groups[group];
        if let Some(threshold) = threshold {
            let order = at.compare(threshold).ok_or_else(|| options.mismatch(&at, threshold, *is_start))?;
            if order == Ordering::Less {
                self.n_older_on_page += 1;
                return Ok(Decision::Skip);
            }
        }
        let whole = content_hash(text);
        let key = options.key.as_ref().map_or(whole, |key| members.hash(key));
        let key = xxh3_64_with_seed(name.as_bytes(), key);
        let content = options.compare.as_ref().map_or(whole, |compare| members.hash(compare));
        self.see(group, &at);
        if self.known.insert(key, content) == Some(content) {
            return Ok(Decision::Skip);
        }
        self.push(group, KnownRow { at, key, content });
        Ok(Decision::Emit)
    }

    /// The index of a group, which begins where its position is.
    fn group(&mut self, name: &str) -> usize {
        if let Some(index) = self.group_of.get(name) {
            return *index;
        }
        let fresh = Group::default();
        let before = self.before.0.get(name).unwrap_or(&fresh);
        let newest = before.newest.clone();
        let walk =
            GroupProgress { threshold: before.threshold(&self.options), is_start: newest.is_none(), newest };
        self.groups.push(walk);
        self.group_of.insert(name.to_owned(), self.groups.len() - 1);
        self.log.lock().groups.push(name.to_owned());
        self.groups.len() - 1
    }

    /// Moves the newest value of a group, unless `at` is too far ahead.
    fn see(&mut self, group: usize, at: &CursorValue) {
        let newest = &mut self.groups[group].newest;
        if !is_ahead(at, self.now) && is_newer(at, newest.as_ref()) {
            *newest = Some(at.clone());
        }
    }

    fn push(&mut self, group: usize, row: KnownRow) {
        let KnownRow { at, key, content } = row;
        let row = LoggedRow { group: group as u32, key, content, at: Some(at) };
        let n_rows = {
            let mut log = self.log.lock();
            log.rows.push(row);
            log.rows.len()
        };
        if n_rows >= self.max_rows {
            self.forget_older();
        }
    }

    /// Forgets the older rows of a long walk. Positions before this one keep the log that they have.
    fn forget_older(&mut self) {
        warn!(
            "a walk has delivered {} rows, of which the older ones are not remembered: a restart before the end \
             of the walk may repeat rows; `incremental.step`, or `{{{{ since }}}}` in the request, makes walks shorter",
            self.max_rows
        );
        let old = std::mem::take(&mut self.log);
        let old = old.lock();
        let groups = &self.groups;
        let is_near = |row: &&LoggedRow| {
            let newest = groups.get(row.group as usize).and_then(|group| group.newest.as_ref());
            match (&row.at, newest) {
                (Some(at), Some(newest)) => {
                    at.compare(&self.options.less_lag(newest)) != Some(Ordering::Less)
                }
                (at, _) => at.is_some(),
            }
        };
        let mut kept: Vec<LoggedRow> = old.rows.iter().filter(is_near).cloned().collect();
        let surplus = kept.len().saturating_sub(self.max_rows / 2);
        kept.drain(..surplus);
        self.known = kept.iter().map(|row| (row.key, row.content)).collect();
        let recent = self.before.0.values().flat_map(|group| &group.recent);
        for row in recent {
            self.known.entry(row.key).or_insert(row.content);
        }
        *self.log.lock() = LogRows { groups: old.groups.clone(), rows: kept };
    }

    /// Remembers fewer rows, for tests.
    #[cfg(test)]
    pub(super) fn limit_rows(&mut self, max_rows: usize) {
        self.max_rows = max_rows;
    }

    pub(crate) fn snapshot(&self) -> IncrementalSnapshot {
        IncrementalSnapshot {
            options: Arc::clone(&self.options),
            now: self.now,
            len: self.log.lock().rows.len(),
            log: self.log.clone(),
        }
    }

    /// The positions after the whole walk.
    pub(crate) fn finish(&self) -> Groups {
        let mut rows: BTreeMap<&str, Vec<KnownRow>> = BTreeMap::new();
        let log = self.log.lock();
        for row in &log.rows {
            let Some(at) = &row.at else { continue };
            let known = KnownRow { at: at.clone(), key: row.key, content: row.content };
            rows.entry(&log.groups[row.group as usize]).or_default().push(known);
        }
        let mut after = Groups::clone(&self.before);
        for (name, index) in log.groups.iter().zip(0..) {
            let newest = self.groups.get::<usize>(index).and_then(|group| group.newest.clone());
            let rows = rows.remove(name.as_str()).unwrap_or_default();
            if newest.is_some() || !rows.is_empty() {
                after.0.entry(name.clone()).or_default().update(rows, newest, &self.options);
            }
        }
        after
    }
}

impl IncrementalSnapshot {
    pub(crate) fn save(&self) -> SavedIncremental {
        let log = self.log.lock();
        let rows = &log.rows[..self.len];
        let mut newest: Vec<Option<&CursorValue>> = vec![None; log.groups.len()];
        for row in rows {
            if let Some(at) = row.at.as_ref().filter(|at| !is_ahead(at, self.now))
                && is_newer(at, newest[row.group as usize])
            {
                newest[row.group as usize] = Some(at);
            }
        }
        let bounds: Vec<Option<CursorValue>> =
            newest.iter().map(|newest| newest.map(|newest| self.options.less_lag(newest))).collect();
        let mut saved = SavedIncremental::default();
        for LoggedRow { group, key, content, at } in rows {
            let bound = bounds.get(*group as usize).and_then(Option::as_ref);
            let near =
                at.as_ref().filter(|at| bound.is_none_or(|bound| at.compare(bound) != Some(Ordering::Less)));
            let Some(at) = near else {
                saved.older.0.extend([*key, *content]);
                continue;
            };
            let group = saved.groups.0.entry(log.groups[*group as usize].clone()).or_default();
            group.recent.push(KnownRow { at: at.clone(), key: *key, content: *content });
        }
        saved
    }
}

/// Whether a value is so far ahead that it is more likely an error than the newest row.
fn is_ahead(at: &CursorValue, now: Nanos) -> bool {
    at.certain_time().is_some_and(|time| time > now + DAY)
}

fn is_newer(at: &CursorValue, newest: Option<&CursorValue>) -> bool {
    newest.is_none_or(|newest| at.compare(newest) == Some(Ordering::Greater))
}

/// The value of `by`.
fn group_name(members: &Members<'_>, options: &Incremental) -> Result<String> {
    let mut name = String::new();
    for field in &options.by.0 {
        let value = members
            .get(field)
            .with_context(|| format!("the record has no field `{field}`, which `incremental.by` names"))?;
        if !name.is_empty() {
            name.push(' ');
        }
        match serde_json::from_str::<String>(value) {
            Ok(text) if options.by.0.len() == 1 => name.push_str(&text),
            _ => name.push_str(value),
        }
    }
    Ok(name)
}
