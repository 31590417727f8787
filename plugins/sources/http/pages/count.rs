//! How many records a page holds, as its API counts them, and how far the walk is with it.

use std::collections::VecDeque;

use runner_core::Result;

use super::super::json::{Children, ScanError};
use super::super::records::{ShapedRecord, made_of_value};
use super::super::responses::{Items, Response};
use super::super::source::HttpSource;
use super::page_request::{PagePlace, PageRequest};
use super::pagination::Pagination;

/// How many records a page holds, as its API counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageCount {
    /// The elements; of a response that is one value, the records that it makes. A page without any is empty.
    pub(crate) n_items: usize,
    /// How far the next offset is, and so how many records of the API come before the next page.
    pub(crate) step: u64,
}

impl PageCount {
    /// Counts a page. If the response is one value, a program has made `n_made` records of it.
    pub(crate) fn of(items: &Items, n_made: Option<usize>, pagination: Option<&Pagination>) -> Self {
        let n_items = n_made.unwrap_or_else(|| items.len());
        let limit = match pagination {
            Some(Pagination::Offset { limit, .. }) => *limit,
            _ => None,
        };
        let step = match (items, limit) {
            // A program may make fewer or more records than the API counts.
            (Items::One { value: Some(value), .. }, Some(limit)) => {
                let n_inside = ValueShape::of(value).map_or(0, |inside| inside.n_rows());
                limit.min(n_items.max(n_inside) as u64)
            }
            _ => n_items as u64,
        };
        PageCount { n_items, step }
    }
}

impl HttpSource {
    /// What the program makes of a response that is one value, where the number of its records is needed to go on to
    /// the next page.
    pub(super) fn made_of_page(&self, items: &Items) -> Result<Option<VecDeque<ShapedRecord>>> {
        match (items, &self.settings.remap, &self.walk) {
            (Items::One { value: Some(value), url }, Some(remap), Some(walk))
                if self.settings.pagination.is_some() =>
            {
                let one = Items::One { value: Some(value.clone()), url: url.clone() };
                made_of_value(one, remap, walk).map(Some)
            }
            _ => Ok(None),
        }
    }
}

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

/// What an object holds, which may be rows: members that are objects, or an array for each column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ValueShape {
    pub(super) n_members: usize,
    /// How many of the members are objects.
    n_objects: usize,
    /// The length of the longest array among them.
    pub(super) longest: usize,
}

impl ValueShape {
    pub(crate) fn of(value: &[u8]) -> Result<Self, ScanError> {
        let mut inside = ValueShape::default();
        if !value.starts_with(b"{") {
            return Ok(inside);
        }
        let mut members = Children::of(0);
        while let Some((_, member)) = members.next_member(value)? {
            inside.n_members += 1;
            match value[member.start] {
                b'{' => inside.n_objects += 1,
                b'[' => {
                    let mut elements = Children::of(member.start);
                    let mut length = 0;
                    while elements.next_element(value)?.is_some() {
                        length += 1;
                    }
                    inside.longest = inside.longest.max(length);
                }
                _ => {}
            }
        }
        Ok(inside)
    }

    /// How many rows the object most likely holds.
    fn n_rows(self) -> usize {
        if self.n_objects == self.n_members { self.n_members } else { self.longest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn one(value: &Value) -> Items {
        Items::One { value: Some(value.to_string().into()), url: String::new() }
    }

    fn offset(limit: Option<u64>) -> Pagination {
        serde_json::from_value(json!({"type": "offset", "param": "skip", "limit": limit})).unwrap()
    }

    #[test]
    fn page_of_one_value_steps_by_the_limit_unless_it_holds_fewer_rows() {
        let map = json!({"a": {"v": 1}, "b": {"v": 2}, "c": {"v": 3}});
        let columns = json!({"name": "x", "t": [1, 2, 3], "c": [1, 2, 3], "d": [], "e": []});
        let by_symbol = json!({"A": [1, 2], "B": [1]});
        for (value, limit, n_made, step) in [
            (&map, Some(3), 3, 3),
            // The program leaves out rows, or makes several of one.
            (&map, Some(3), 1, 3),
            (&map, Some(3), 6, 3),
            // The API gives fewer than it is asked for.
            (&map, Some(10), 3, 3),
            (&columns, Some(10), 3, 3),
            (&columns, Some(3), 2, 3),
            (&by_symbol, Some(10), 3, 3),
            (&map, None, 2, 2),
            (&json!({"v": 1}), Some(10), 1, 1),
        ] {
            let count = PageCount::of(&one(value), Some(n_made), Some(&offset(limit)));
            assert_eq!(count, PageCount { n_items: n_made, step }, "{value} {limit:?}");
        }
        let none = PageCount::of(&one(&map), Some(0), Some(&offset(Some(3))));
        assert_eq!(none.n_items, 0);
    }
}
