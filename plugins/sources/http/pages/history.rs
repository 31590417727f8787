//! Detects an API that returns the same pages forever, pages that overlap, and pages that differ in one member only.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::super::answer::Items;
use super::page_request::PageRequest;

/// How many records of a page are compared with the page before.
const COMPARED: usize = 100_000;

/// The pages of one poll, to detect an API that returns the same pages forever.
#[derive(Debug, Default)]
pub(crate) struct PageHistory {
    requested: HashSet<u64>,
    /// The hashes of the records of the first page, in their order.
    first: Vec<u64>,
    last: Option<SeenPage>,
    /// How many records the API has counted on the last page.
    pub(super) total: Option<u64>,
    pub(super) near_copies: NearCopies,
}

#[derive(Debug)]
struct SeenPage {
    request: PageRequest,
    /// The hashes of its records, in their order.
    rows: Vec<u64>,
    /// The same hashes.
    set: HashSet<u64>,
    overlap: Overlap,
}

/// What a page has in common with the page before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overlap {
    Nothing,
    /// It begins with so many records with which that page ends.
    Front(usize),
    /// It begins with the second record of that page, and holds all that follow.
    AllButFirst,
    /// It holds every record of that page.
    Whole,
    /// It is the first page again.
    First,
}

impl PageHistory {
    /// Adds the fingerprint of a request.
    pub(crate) fn add(&mut self, fingerprint: u64) {
        self.requested.insert(fingerprint);
    }

    /// Whether a request with this fingerprint was already made.
    pub(super) fn has_requested(&self, fingerprint: u64) -> bool {
        self.requested.contains(&fingerprint)
    }

    /// Adds a page. Returns what it has in common with the page before it.
    pub(super) fn overlap(&mut self, request: &PageRequest, rows: Vec<u64>) -> Overlap {
        if let Some(last) = self.last.as_ref().filter(|last| last.request == *request) {
            return last.overlap;
        }
        let set: HashSet<u64> = rows.iter().copied().collect();
        let overlap = match &self.last {
            Some(_) if self.holds_last(&set) => Overlap::Whole,
            Some(_) if request.is_numbered() && !rows.is_empty() && rows == self.first => Overlap::First,
            Some(last) => last.overlap_with(&rows),
            None => Overlap::Nothing,
        };
        if request.n_pages == 0 {
            self.first.clone_from(&rows);
        }
        self.last = Some(SeenPage { request: request.clone(), rows, set, overlap });
        overlap
    }

    /// How many records of the last page differ.
    pub(super) fn n_distinct(&self) -> usize {
        self.last.as_ref().map_or(0, |last| last.set.len())
    }

    /// How many records the last page held.
    pub(super) fn n_last(&self) -> Option<usize> {
        Some(self.last.as_ref()?.rows.len())
    }

    /// Whether a page with these records holds every record of the last page.
    pub(super) fn holds_last(&self, set: &HashSet<u64>) -> bool {
        self.last.as_ref().is_some_and(|last| !last.set.is_empty() && last.set.is_subset(set))
    }
}

impl SeenPage {
    fn overlap_with(&self, next: &[u64]) -> Overlap {
        let Some(first) = next.first().filter(|first| self.set.contains(first)) else {
            return Overlap::Nothing;
        };
        let starts = self.rows.iter().enumerate().filter(|(_, row)| *row == first).map(|(start, _)| start);
        match starts.take(100).find(|&start| next.starts_with(&self.rows[start..])) {
            // Records may be equal by chance.
            Some(1) if self.rows.len() > 3 && self.set.len() == self.rows.len() => Overlap::AllButFirst,
            Some(start) => Overlap::Front(self.rows.len() - start),
            None => Overlap::Nothing,
        }
    }
}

/// The hashes of the records of a page, to compare it with others.
pub(crate) fn hashes(items: &Items) -> Vec<u64> {
    items.hashes(COMPARED)
}

/// How many records at the front of a page are compared member by member.
const FRONT: usize = 5;

/// So many pages in a row must be alike.
const N_ALIKE: usize = 2;

/// Records with fewer members may be alike by chance.
const MIN_MEMBERS: usize = 3;

/// The front of the last page.
#[derive(Debug, Default)]
pub(crate) struct NearCopies {
    request: Option<PageRequest>,
    front: Vec<Map<String, Value>>,
    n_alike: usize,
}

impl NearCopies {
    /// Adds a page. Returns the member in which it differs from those before it, if all else is the same.
    pub(crate) fn add(&mut self, request: &PageRequest, items: &Items) -> Option<String> {
        if self.request.as_ref() == Some(request) {
            return None;
        }
        let front = items.front(FRONT);
        let front: Vec<_> = front.iter().filter_map(|item| serde_json::from_slice(item).ok()).collect();
        let member = only_difference(&self.front, &front).map(str::to_owned);
        self.n_alike = if member.is_some() { self.n_alike + 1 } else { 0 };
        self.request = Some(request.clone());
        self.front = front;
        member.filter(|_| self.n_alike >= N_ALIKE)
    }
}

/// The member in which all records of two pages differ, if they differ in no other.
fn only_difference<'a>(before: &[Map<String, Value>], now: &'a [Map<String, Value>]) -> Option<&'a str> {
    if before.is_empty() || before.len() != now.len() {
        return None;
    }
    let mut found = None;
    for (before, now) in before.iter().zip(now) {
        if now.len() < MIN_MEMBERS || before.len() != now.len() {
            return None;
        }
        let mut differing = now.iter().filter(|(name, value)| before.get(*name) != Some(*value));
        let (Some((name, _)), None) = (differing.next(), differing.next()) else { return None };
        if found.is_some_and(|found| found != name) {
            return None;
        }
        found = Some(name);
    }
    found.map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::super::super::json::Pointer;
    use super::super::page_request::PagePlace;
    use super::*;
    use serde_json::json;

    fn request(page: u64) -> PageRequest {
        PageRequest::first(PagePlace::Page(page))
    }

    #[test]
    fn page_that_holds_the_page_before_it_is_noticed() {
        let mut history = PageHistory::default();
        let mut repeats = |page, rows| history.overlap(&request(page), rows) == Overlap::Whole;
        assert!(!repeats(1, vec![1, 2]));
        // The same request again, after an error.
        assert!(!repeats(1, vec![1, 2]));
        assert!(repeats(2, vec![2, 1, 3]));
        assert!(repeats(2, vec![2, 1, 3]));
        assert!(!repeats(3, vec![2, 1]));
        assert!(!repeats(4, vec![]));
        assert!(!repeats(5, vec![1]));
    }

    #[test]
    fn first_page_again_is_noticed() {
        let pages = [vec![1, 2], vec![3], vec![1, 2], vec![1], vec![], vec![1, 2]];
        let mut history = PageHistory::default();
        let overlaps: Vec<_> = (0..)
            .zip(pages)
            .map(|(n, rows)| {
                let request = PageRequest { n_pages: n, ..request(n + 1) };
                history.overlap(&request, rows)
            })
            .collect();
        let none = Overlap::Nothing;
        assert_eq!(overlaps, [none, none, Overlap::First, none, none, Overlap::First]);
    }

    #[test]
    fn page_that_begins_inside_the_page_before_it_is_noticed() {
        for (first, second, overlap) in [
            (vec![1, 2, 3, 4], vec![2, 3, 4, 5], Overlap::AllButFirst),
            (vec![1, 2, 3, 4], vec![2, 3, 4, 5, 6, 7], Overlap::AllButFirst),
            (vec![1, 2, 3, 4], vec![3, 4, 5, 6], Overlap::Front(2)),
            (vec![1, 2, 3, 4], vec![4, 5, 6, 7], Overlap::Front(1)),
            (vec![1, 2], vec![2, 3], Overlap::Front(1)),
            (vec![1, 2, 3, 4], vec![2, 3, 5, 6], Overlap::Nothing),
            (vec![1, 2, 3, 4], vec![5, 2, 3, 4], Overlap::Nothing),
            (vec![1, 2, 3, 4], vec![2, 3], Overlap::Nothing),
            (vec![1, 1, 1, 1], vec![1, 1, 1], Overlap::Whole),
            (vec![5, 0, 0, 0], vec![0, 0, 0, 2], Overlap::Front(3)),
            (vec![1, 2, 3, 4], vec![], Overlap::Nothing),
        ] {
            let mut history = PageHistory::default();
            history.overlap(&request(1), first.clone());
            assert_eq!(history.overlap(&request(2), second.clone()), overlap, "{first:?} {second:?}");
        }
    }

    fn alike(pages: &[Value]) -> Vec<Option<String>> {
        let mut near_copies = NearCopies::default();
        let add = |(number, page): (usize, &Value)| {
            let body = bytes::Bytes::from(page.to_string());
            let items = Items::of_json(&body, &Pointer::default(), false, String::new()).unwrap();
            let request = PageRequest::first(PagePlace::Page(number as u64));
            let found = near_copies.add(&request, &items);
            assert_eq!(near_copies.add(&request, &items), None, "the same page again");
            found
        };
        pages.iter().enumerate().map(add).collect()
    }

    #[test]
    fn pages_that_differ_in_one_member_are_noticed_at_the_third() {
        let page = |at: u64| json!([{"n": 1, "p": 2.5, "at": at}, {"n": 2, "p": 3.5, "at": at}]);
        let at = Some("at".to_owned());
        assert_eq!(alike(&[page(1), page(2), page(3), page(4)]), [None, None, at.clone(), at]);
    }

    #[test]
    fn other_pages_are_not_alike() {
        let page = |s: &str, p: f64| json!([{"s": s, "day": 1, "p": p}, {"s": s, "day": 2, "p": p}]);
        let few = |p: f64| json!([{"day": 1, "p": p}]);
        for pages in [
            [page("a", 1.0), page("b", 2.0), page("c", 3.0)],
            [few(1.0), few(2.0), few(3.0)],
            [json!([]), json!([]), json!([])],
            [json!([1, 2]), json!([1, 3]), json!([1, 4])],
            [page("a", 1.0), page("a", 1.0), page("a", 1.0)],
        ] {
            assert_eq!(alike(&pages), [None, None, None], "{pages:?}");
        }
    }
}
