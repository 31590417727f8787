//! Decides row by row what is new, and remembers what a walk has delivered.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use anyhow::Context as _;
use runner_core::Result;
use tracing::warn;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::super::json::{ContentHash, Members};
use super::cursor_value::{CursorValue, Nanos, SECOND, now};
use super::groups::{Group, Groups, KnownRow};
use super::known_rows::KnownRows;
use super::named_fields::NamedFields;
use super::row_hashes::Log;
use super::snapshot::{IncrementalSnapshot, LogRows, LoggedRow, SavedIncremental};
use super::time_window::TimeWindow;
use super::unchanged::MAX_ROWS;
use super::value_range::ValueRange;
use super::{Incremental, Order};

/// Values that are more than this ahead of the clock are local times, or times to come.
const SKEW: Nanos = 300 * SECOND;

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
    /// The oldest of them less `lag`.
    since: Option<CursorValue>,
    groups: Vec<GroupProgress>,
    group_of: HashMap<String, usize>,
    known: KnownRows,
    fields: NamedFields,
    log: Log<LogRows>,
    n_rows_on_page: usize,
    n_older_on_page: usize,
    /// How many pages with rows come before this one.
    n_pages: usize,
    has_held_back: bool,
    /// The values of all rows of the walk.
    range: ValueRange,
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
    /// The newest of those that are not later than the beginning of the walk.
    settled: Option<CursorValue>,
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
            since: before.since(options),
            groups: Vec::new(),
            group_of: HashMap::new(),
            known: KnownRows::new(options.key.is_some(), before),
            fields: NamedFields::default(),
            log: Log::default(),
            n_rows_on_page: 0,
            n_older_on_page: 0,
            n_pages: usize::from(saved.is_some()),
            has_held_back: false,
            range: ValueRange::default(),
            max_rows: MAX_ROWS,
        };
        rows.resume(saved.unwrap_or_default());
        rows
    }

    /// Adds what the walk has delivered before a restart.
    fn resume(&mut self, saved: SavedIncremental) {
        let mut delivered = saved.older.0.as_chunks::<2>().0.to_vec();
        for &[key, content] in &delivered {
            self.log.lock().rows.push(LoggedRow { group: 0, key, content, at: None });
        }
        for (name, group) in saved.groups.by_name {
            let index = self.group(&name);
            for row in group.recent {
                delivered.push([row.key, row.content]);
                self.see(index, &row.at);
                self.push(index, row);
            }
        }
        self.known.resume(&delivered, saved.page, saved.first.0.first().copied());
    }

    /// Begins the walk again at its first page.
    pub(crate) fn restart(&mut self) {
        self.known.restart();
    }

    /// Begins a page, or continues the one at which the walk was interrupted.
    pub(crate) fn begin_page(&mut self, is_continued: bool) {
        self.n_pages += usize::from(self.n_rows_on_page > 0);
        (self.n_rows_on_page, self.n_older_on_page) = (0, 0);
        if !is_continued {
            let n_delivered = self.log.lock().rows.len();
            self.known.begin_page(n_delivered, self.is_newest_first());
        }
    }

    fn is_newest_first(&self) -> bool {
        self.options.order == Order::NewestFirst || self.range.is_newest_first()
    }

    /// Whether rows that a page repeats of the one before are delivered once.
    pub(crate) fn skips_repeats(&self) -> bool {
        self.options.key.is_some() || self.is_newest_first()
    }

    /// Whether rows have moved to other pages since the walk was interrupted on this one.
    pub(crate) fn has_moved_pages(&self) -> bool {
        self.known.has_lost_first()
    }

    /// Whether the page had rows, and all of them are older than the oldest position less `lag`.
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
        self.range.add(&at);
        let name = options.group_name(&members)?;
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
                // Behind it, other values of `by` may still have new rows.
                let is_older =
                    self.since.as_ref().is_none_or(|since| at.compare(since) == Some(Ordering::Less));
                self.n_older_on_page += usize::from(is_older);
                return Ok(Decision::Skip);
            }
        }
        // Of the first walk the rows before this one say what is compared.
        if let Some(newest) = &self.groups[group].newest
            && at.compare(newest).is_none()
        {
            return Err(options.mixed_kinds(&at, newest));
        }
        let has_key = self.fields.add(&options, &members);
        let key = options.key.as_ref().filter(|_| has_key).map(|key| members.hash(key));
        let compared = options.compare.as_ref().map(|compare| members.hash(compare));
        let row_of =
            |whole| (xxh3_64_with_seed(name.as_bytes(), key.unwrap_or(whole)), compared.unwrap_or(whole));
        let ContentHash { sorted, written } = ContentHash::of_members(&members, text);
        // An earlier release has saved the hash of the text.
        let earlier = Some(row_of(written)).filter(|(key, content)| self.known.has(*key, *content));
        let (key, content) = earlier.unwrap_or_else(|| row_of(sorted));
        self.see(group, &at);
        if !self.known.is_new(key, content) {
            return Ok(Decision::Skip);
        }
        self.push(group, KnownRow { at, key, content });
        Ok(Decision::Emit)
    }

    /// Whether rows of one page have the same `key` and are not equal.
    pub(crate) fn has_equal_keys(&self) -> bool {
        self.known.has_equal_keys()
    }

    /// The option none of whose fields is in any row.
    pub(crate) fn missing_option(&self) -> Option<&'static str> {
        self.fields.missing(&self.options)
    }

    /// How many rows the page has, if the API returns rows from `{{ since }}` on.
    pub(crate) fn n_rows_since(&self) -> Option<usize> {
        Some(self.n_rows_on_page).filter(|_| self.range.begins_at(self.since.as_ref()))
    }

    /// Whether a response of so many rows leaves out an end of its window.
    pub(crate) fn leaves_gap(&self, n_rows: usize, window: TimeWindow) -> bool {
        let (from, to) = window.times();
        self.range.leaves_gap(n_rows, from, to)
    }

    /// The index of a group, which begins where its position is.
    fn group(&mut self, name: &str) -> usize {
        if let Some(index) = self.group_of.get(name) {
            return *index;
        }
        let fresh = Group { newest: self.before.begin.clone(), ..Group::default() };
        let before = self.before.by_name.get(name).unwrap_or(&fresh);
        let newest = before.newest.clone();
        self.groups.push(GroupProgress {
            threshold: before.threshold(&self.options),
            is_start: newest.is_none(),
            settled: newest.clone(),
            newest,
        });
        self.group_of.insert(name.to_owned(), self.groups.len() - 1);
        self.log.lock().groups.push(name.to_owned());
        self.groups.len() - 1
    }

    /// Moves the newest value of a group, unless `at` is too far ahead.
    fn see(&mut self, group: usize, at: &CursorValue) {
        let GroupProgress { newest, settled, .. } = &mut self.groups[group];
        if !at.is_ahead(self.now) && at.is_newer(newest.as_ref()) {
            *newest = Some(at.clone());
        }
        if !at.is_later_than(self.now) && at.is_newer(settled.as_ref()) {
            *settled = Some(at.clone());
        }
    }

    /// The position of a group after the walk. Rows of the pages before may have changed since the walk began, and have a
    /// value again that it has passed. With the newest rows first they come before the first page.
    fn position(&self, group: &GroupProgress) -> Option<CursorValue> {
        let has_pages = self.n_pages + usize::from(self.n_rows_on_page > 0) > 1;
        let is_of_this_clock =
            || !group.newest.as_ref().is_some_and(|newest| newest.is_later_than(now() + SKEW));
        let is_settled = has_pages && self.options.order != Order::NewestFirst && is_of_this_clock();
        if is_settled { group.settled.clone() } else { group.newest.clone() }
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
            let newest = groups.get(row.group as usize).and_then(|group| group.settled.as_ref());
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
        let recent = self.before.by_name.values().flat_map(|group| &group.recent);
        let keys: HashSet<u64> = kept.iter().map(|row| row.key).chain(recent.map(|row| row.key)).collect();
        self.known.keep(&keys);
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
            page: self.known.page(),
            first: self.known.first_of_page(),
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
        let mut after = Groups { by_name: self.before.by_name.clone(), begin: None };
        self.known.forget_replaced(&mut after, log.rows.iter().map(|row| row.key));
        for (name, index) in log.groups.iter().zip(0..) {
            let newest = self.groups.get::<usize>(index).and_then(|group| self.position(group));
            let rows = rows.remove(name.as_str()).unwrap_or_default();
            if newest.is_some() || !rows.is_empty() {
                after.by_name.entry(name.clone()).or_default().update(rows, newest, &self.options);
            }
        }
        after
    }
}
