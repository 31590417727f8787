//! Detects an API that returns the same pages forever.

use std::collections::HashSet;

use super::decode::Items;
use super::page_request::PageRequest;

/// How many records of a page are compared with the page before.
const COMPARED: usize = 100_000;

/// The pages of one poll, to detect an API that returns the same pages forever.
#[derive(Debug, Default)]
pub(super) struct PageHistory {
    requested: HashSet<u64>,
    last: Option<SeenPage>,
}

#[derive(Debug)]
struct SeenPage {
    request: PageRequest,
    /// The hashes of its records.
    hashes: HashSet<u64>,
    /// Whether it holds every record of the page before it.
    repeats: bool,
}

impl PageHistory {
    /// Adds the fingerprint of a request.
    pub(super) fn add(&mut self, fingerprint: u64) {
        self.requested.insert(fingerprint);
    }

    /// Whether a request with this fingerprint was already made.
    pub(super) fn has_requested(&self, fingerprint: u64) -> bool {
        self.requested.contains(&fingerprint)
    }

    /// Adds a page. Returns whether it holds every record of the page before it.
    pub(super) fn repeats(&mut self, request: &PageRequest, hashes: Vec<u64>) -> bool {
        if let Some(last) = self.last.as_ref().filter(|last| last.request == *request) {
            return last.repeats;
        }
        let hashes = HashSet::from_iter(hashes);
        let repeats = self.holds_last(&hashes);
        self.last = Some(SeenPage { request: request.clone(), hashes, repeats });
        repeats
    }

    /// Whether a page with these records holds every record of the last page.
    pub(super) fn holds_last(&self, hashes: &HashSet<u64>) -> bool {
        self.last.as_ref().is_some_and(|last| !last.hashes.is_empty() && last.hashes.is_subset(hashes))
    }
}

/// The hashes of the records of a page, to compare it with others.
pub(super) fn hashes(items: &Items) -> Vec<u64> {
    items.hashes(COMPARED)
}

#[cfg(test)]
mod tests {
    use super::super::page_request::Place;
    use super::*;

    #[test]
    fn page_that_holds_the_page_before_it_is_noticed() {
        let mut history = PageHistory::default();
        let request = |page| PageRequest::first(Place::Page(page));
        assert!(!history.repeats(&request(1), vec![1, 2]));
        // The same request again, after an error.
        assert!(!history.repeats(&request(1), vec![1, 2]));
        assert!(history.repeats(&request(2), vec![2, 1, 3]));
        assert!(history.repeats(&request(2), vec![2, 1, 3]));
        assert!(!history.repeats(&request(3), vec![2, 1]));
        assert!(!history.repeats(&request(4), vec![]));
        assert!(!history.repeats(&request(5), vec![1]));
    }
}
