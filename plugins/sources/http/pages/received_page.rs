//! A page of a walk as it was received, and how far the walk is with it.

use super::super::answer::Response;
use super::count::PageCount;
use super::page_request::{PagePlace, PageRequest};
use super::pagination::Pagination;

/// A page of a walk as it was received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceivedPage<'a> {
    pub(crate) pagination: &'a Pagination,
    pub(crate) request: &'a PageRequest,
    pub(crate) response: &'a Response,
    pub(crate) count: PageCount,
}

impl ReceivedPage<'_> {
    /// The number of the page, counted from 1.
    pub(super) fn number(&self) -> u64 {
        match (&self.request.place, self.pagination) {
            (PagePlace::Page(page), Pagination::Page { start, .. }) => page.saturating_sub(*start) + 1,
            _ => self.request.n_pages + 1,
        }
    }

    /// How many elements the pages up to this one held.
    pub(super) fn n_elements(&self) -> u64 {
        let before = match (&self.request.place, self.pagination) {
            (PagePlace::Offset(offset), Pagination::Offset { start, .. }) => offset.saturating_sub(*start),
            _ => self.request.n_elements,
        };
        before + self.count.step
    }
}
