//! Detects an API that returns the same pages forever, and pages that overlap.

use std::collections::HashSet;

use super::super::responses::Items;
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

#[cfg(test)]
mod tests {
    use super::super::page_request::PagePlace;
    use super::*;

    fn request(page: u64) -> PageRequest {
        PageRequest::first(PagePlace::Page(page))
    }

    #[test]
    fn page_that_holds_the_page_before_it_is_detected() {
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
    fn first_page_again_is_detected() {
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
    fn page_that_begins_inside_the_page_before_it_is_detected() {
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
}
