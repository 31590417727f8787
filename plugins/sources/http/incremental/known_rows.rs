//! The delivered rows that a walk may meet again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::groups::{Groups, KnownRow};
use super::row_hashes::RowHashes;

/// The delivered rows by key and content.
///
/// With the option `key`, a row is new if it was not delivered with this content. Without it rows have no identity: of
/// equal ones as many are new as the walk has more of them than were delivered. If the walk begins with the newest rows, a
/// later page may repeat rows, since new ones have moved them; then the page with the most equal ones counts.
#[derive(Debug, Default)]
pub(super) struct KnownRows {
    has_key: bool,
    rows: HashMap<(u64, u64), Count>,
    /// With `key`: the contents of the rows of the page.
    on_page: HashMap<u64, u64>,
    has_equal_keys: bool,
    page: PageStart,
    first: FirstOfPage,
    /// The present part of the walk, in which equal rows are counted together.
    part: u32,
    is_restarted: bool,
}

/// How often a row was delivered, in this walk and before, and how often it was seen in a part of this walk.
#[derive(Debug, Default)]
struct Count {
    n_delivered: u32,
    n_seen: u32,
    part: u32,
}

/// The first row that the current page has delivered. A walk that continues there meets it again, unless the API has moved
/// its rows to other pages since.
#[derive(Clone, Copy, Debug, Default)]
struct FirstOfPage {
    key: Option<u64>,
    is_seen: bool,
}

/// Without `key`: which delivered rows of the walk are on the current page, so that a walk that continues there meets
/// them again.
#[derive(Clone, Debug, Default)]
pub(super) struct PageStart {
    /// How many rows the walk had delivered where the page began; `None` if it may meet all of them again.
    n_before: Option<usize>,
    /// The keys of the rows of the page that were delivered before a restart.
    done: Arc<[u64]>,
}

impl PageStart {
    /// The keys of the delivered rows of the page, of all those of the walk.
    pub(super) fn save(&self, delivered: impl Iterator<Item = u64>) -> Option<RowHashes> {
        let on_page = delivered.skip(self.n_before?);
        Some(RowHashes(self.done.iter().copied().chain(on_page).collect()))
    }
}

impl KnownRows {
    /// The rows that were delivered before the walk.
    pub(super) fn new(has_key: bool, before: &Groups) -> Self {
        let mut known = KnownRows { has_key, ..KnownRows::default() };
        for row in before.by_name.values().flat_map(|group| &group.recent) {
            known.add(row.key, row.content);
        }
        known
    }

    /// Adds what the walk has delivered before a restart: keys and contents, and the keys of the rows on the page to
    /// continue with.
    pub(super) fn resume(&mut self, delivered: &[[u64; 2]], page: Option<RowHashes>, first: Option<u64>) {
        self.first = FirstOfPage { key: first, is_seen: false };
        let mut n_before_page = counts(delivered.iter().map(|[key, _]| *key));
        if self.has_key {
            // The walk has replaced what was known of these rows.
            self.rows.retain(|(key, _), _| !n_before_page.contains_key(key));
        }
        for [key, content] in delivered {
            self.add(*key, *content);
        }
        let Some(RowHashes(page)) = page else { return };
        let n_on_page = counts(page.iter().copied());
        for (key, n) in &n_on_page {
            n_before_page.entry(*key).and_modify(|all| *all = all.saturating_sub(*n));
        }
        // A row is delivered after all known ones that equal it, so the pages before hold those, too. Pages before that
        // hold known rows alone are not counted: the checkpoint does not have them.
        for [key, content] in delivered.iter().filter(|[key, _]| n_before_page[key] > 0) {
            if let Some(count) = self.rows.get_mut(&(*key, *content)) {
                count.n_seen = count.n_delivered.saturating_sub(n_on_page.get(key).copied().unwrap_or(0));
            }
        }
        self.page = PageStart { n_before: Some(delivered.len()), done: page.into() };
    }

    fn add(&mut self, key: u64, content: u64) {
        self.rows.entry((key, content)).or_default().n_delivered += 1;
    }

    /// Begins the walk again at its first page.
    pub(super) fn restart(&mut self) {
        self.part += 1;
        self.page = PageStart::default();
        self.first = FirstOfPage::default();
        self.is_restarted = true;
    }

    /// Begins a page after `n_delivered` rows of the walk, which may repeat rows of the pages before.
    pub(super) fn begin_page(&mut self, n_delivered: usize, may_repeat: bool) {
        self.on_page.clear();
        self.first = FirstOfPage::default();
        if self.has_key {
            return;
        }
        self.part += u32::from(may_repeat);
        let n_before = Some(n_delivered).filter(|_| !may_repeat && !self.is_restarted);
        self.page = PageStart { n_before, done: Arc::default() };
    }

    /// Whether a row was not delivered; if so, it is now.
    pub(super) fn is_new(&mut self, key: u64, content: u64) -> bool {
        if self.has_key {
            let other = self.on_page.insert(key, content);
            self.has_equal_keys |= other.is_some_and(|other| other != content);
        }
        let count = self.rows.entry((key, content)).or_default();
        if count.part != self.part {
            (count.part, count.n_seen) = (self.part, 0);
        }
        count.n_seen += 1;
        let is_new = if self.has_key { count.n_delivered == 0 } else { count.n_seen > count.n_delivered };
        count.n_delivered += u32::from(is_new);
        if is_new {
            self.first.key.get_or_insert(key);
        }
        self.first.is_seen |= self.first.key == Some(key);
        is_new
    }

    /// The key of the first row that the page has delivered.
    pub(super) fn first_of_page(&self) -> Option<u64> {
        self.first.key
    }

    /// Whether the page does not hold that row any more.
    pub(super) fn has_lost_first(&self) -> bool {
        self.first.key.is_some() && !self.first.is_seen
    }

    /// Whether a row is known with this content.
    pub(super) fn has(&self, key: u64, content: u64) -> bool {
        self.rows.contains_key(&(key, content))
    }

    /// Forgets the contents that the walk has replaced by others: those of the delivered keys that it has not seen.
    pub(super) fn forget_replaced(&self, groups: &mut Groups, delivered: impl Iterator<Item = u64>) {
        if !self.has_key {
            return;
        }
        let delivered: HashSet<u64> = delivered.collect();
        let is_seen =
            |row: &KnownRow| self.rows.get(&(row.key, row.content)).is_some_and(|count| count.n_seen > 0);
        for group in groups.by_name.values_mut() {
            group.recent.retain(|row| !delivered.contains(&row.key) || is_seen(row));
        }
    }

    /// Whether rows of one page have the same key and other contents.
    pub(super) fn has_equal_keys(&self) -> bool {
        self.has_equal_keys
    }

    /// Forgets all rows but those with these keys.
    pub(super) fn keep(&mut self, keys: &HashSet<u64>) {
        self.rows.retain(|(key, _), _| keys.contains(key));
        self.page = PageStart::default();
    }

    pub(super) fn page(&self) -> PageStart {
        self.page.clone()
    }
}

/// How often each key is there.
fn counts(keys: impl Iterator<Item = u64>) -> BTreeMap<u64, u32> {
    let mut counts = BTreeMap::new();
    for key in keys {
        *counts.entry(key).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::super::cursor_value::CursorValue;
    use super::super::groups::Group;
    use super::*;

    /// Reads pages of keys, each of which is its own content. Returns which are new.
    fn read(known: &mut KnownRows, pages: &[&[u64]]) -> Vec<u64> {
        let mut new = Vec::new();
        for page in pages {
            known.begin_page(new.len(), false);
            new.extend(page.iter().copied().filter(|key| known.is_new(*key, *key)));
        }
        new
    }

    fn add_all(known: &mut KnownRows, keys: &[u64]) {
        for key in keys {
            known.add(*key, *key);
        }
    }

    #[test]
    fn equal_rows_without_a_key_are_as_many_rows() {
        let mut walk = KnownRows::default();
        assert_eq!(read(&mut walk, &[&[1, 1, 2], &[2, 3]]), [1, 1, 2, 2, 3]);
        let mut keyed = KnownRows { has_key: true, ..KnownRows::default() };
        assert_eq!(read(&mut keyed, &[&[1, 1, 2], &[2, 3]]), [1, 2, 3]);
        assert!(!keyed.has_equal_keys());
        // The second page repeats the end of the first one.
        let mut moved = KnownRows::default();
        moved.begin_page(0, true);
        assert!([5, 4, 4, 3].into_iter().all(|key| moved.is_new(key, key)));
        moved.begin_page(4, true);
        let new: Vec<u64> = [4, 3, 2, 2].into_iter().filter(|key| moved.is_new(*key, *key)).collect();
        assert_eq!(new, [2, 2]);
    }

    #[test]
    fn walk_that_is_killed_after_any_row_delivers_all_and_none_twice() {
        let pages: [&[u64]; 3] = [&[1, 2, 2], &[2, 1, 3], &[3, 3, 2]];
        let before = [2];
        let expected = {
            let mut known = KnownRows::default();
            add_all(&mut known, &before);
            read(&mut known, &pages)
        };
        assert_eq!(expected, [1, 2, 2, 1, 3, 3, 3, 2]);
        for n_before_kill in 0..=expected.len() {
            let mut known = KnownRows::default();
            add_all(&mut known, &before);
            let (mut delivered, mut at) = (Vec::new(), None);
            for (index, page) in pages.iter().enumerate() {
                known.begin_page(delivered.len(), false);
                for key in *page {
                    if at.is_none() && delivered.len() == n_before_kill {
                        at = Some((index, known.page().save(delivered.iter().copied())));
                    }
                    if at.is_none() && known.is_new(*key, *key) {
                        delivered.push(*key);
                    }
                }
            }
            let Some((index, page)) = at else { continue };
            let mut resumed = KnownRows::default();
            add_all(&mut resumed, &before);
            let pairs: Vec<[u64; 2]> = delivered.iter().map(|key| [*key, *key]).collect();
            resumed.resume(&pairs, page, None);
            for (number, page) in pages.iter().enumerate().skip(index) {
                if number > index {
                    resumed.begin_page(delivered.len(), false);
                }
                let new: Vec<u64> = page.iter().copied().filter(|key| resumed.is_new(*key, *key)).collect();
                delivered.extend(new);
            }
            let sorted = |rows: &[u64]| {
                let mut rows = rows.to_vec();
                rows.sort_unstable();
                rows
            };
            assert_eq!(sorted(&delivered), sorted(&expected), "{n_before_kill}");
        }
    }

    #[test]
    fn contents_of_a_key_on_one_page_are_all_kept() {
        let row = |content| KnownRow { at: CursorValue::of_text("5", None).unwrap(), key: 7, content };
        let mut walk = KnownRows { has_key: true, ..KnownRows::default() };
        walk.begin_page(0, false);
        assert!(walk.is_new(7, 1) && walk.is_new(7, 2) && walk.has_equal_keys());
        let groups = |contents: &[u64]| {
            let group = Group { newest: None, recent: contents.iter().copied().map(row).collect() };
            Groups { by_name: [(String::new(), group)].into(), begin: None }
        };
        // A content that comes again is known; one that was replaced is not.
        let mut known = groups(&[1, 2]);
        let mut next = KnownRows::new(true, &known);
        assert!(!next.is_new(7, 1) && next.is_new(7, 3));
        next.forget_replaced(&mut known, [7].into_iter());
        assert_eq!(known, groups(&[1]));
    }
}
