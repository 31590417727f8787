//! The `pagination` option, and detection of repeated pages.

use std::collections::HashSet;

use reqwest::Url;
use schemars::JsonSchema;
use serde::Deserialize;
use xxhash_rust::xxh3::xxh3_64;

use super::page_request::{PageRequest, Place};
use super::pointer::Pointer;

/// How to request the next page.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Pagination {
    /// Each response contains the cursor of the next page; the last one has none or an empty one.
    Cursor {
        /// The location of the cursor in the response, as a JSON pointer such as `"/meta/next_cursor"`.
        cursor: Pointer,
        /// The query parameter for the cursor.
        param: String,
    },
    /// Pages are numbered; the first page without records is the end.
    Page {
        /// The query parameter for the page number.
        param: String,
        /// The number of the first page.
        #[serde(default = "first_page")]
        start: u64,
    },
    /// Each response except the last has a header `Link: <…>; rel="next"`, as in RFC 8288.
    Link {},
}

fn first_page() -> u64 {
    1
}

impl Pagination {
    /// The request for the first page.
    pub(super) fn first_request(pagination: Option<&Pagination>) -> PageRequest {
        match pagination {
            Some(Pagination::Page { start, .. }) => PageRequest::first(Place::Page(*start)),
            _ => PageRequest::first(Place::First),
        }
    }

    /// Whether a saved request fits this pagination; the option may have been edited.
    pub(super) fn accepts(pagination: Option<&Pagination>, request: &PageRequest) -> bool {
        match (pagination, &request.place) {
            (Some(Pagination::Page { start, .. }), Place::Page(page)) => page >= start,
            (Some(Pagination::Page { .. }), _) => false,
            (_, Place::First)
            | (Some(Pagination::Cursor { .. }), Place::Cursor(_))
            | (Some(Pagination::Link {}), Place::Link(_)) => true,
            _ => false,
        }
    }
}

/// The pages requested in one poll, to detect an API that returns the same pages forever.
#[derive(Debug, Default)]
pub(super) struct PageHistory {
    requested: HashSet<u64>,
    last_page: Option<u64>,
}

impl PageHistory {
    /// Adds a request.
    pub(super) fn add(&mut self, url: &Url) {
        self.requested.insert(xxh3_64(url.as_str().as_bytes()));
    }

    /// Whether this request was already made.
    pub(super) fn has_requested(&self, url: &Url) -> bool {
        self.requested.contains(&xxh3_64(url.as_str().as_bytes()))
    }

    /// Adds the fingerprint of a page; false if it equals that of the page before.
    pub(super) fn is_new_page(&mut self, fingerprint: u64) -> bool {
        self.last_page.replace(fingerprint) != Some(fingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(table: Value) -> Result<Pagination, String> {
        serde_json::from_value(table).map_err(|error| error.to_string())
    }

    #[test]
    fn pagination_accepts_the_options_of_each_type() {
        let page = read(json!({"type": "page", "param": "p"})).unwrap();
        assert!(matches!(page, Pagination::Page { start: 1, .. }));
        assert!(matches!(read(json!({"type": "link"})), Ok(Pagination::Link {})));
        assert!(read(json!({"type": "link", "param": "p"})).is_err());
        assert!(read(json!({"type": "cursor", "param": "p"})).is_err());
        assert!(
            read(json!({"type": "cursor", "param": "p", "cursor": "next"}))
                .unwrap_err()
                .contains("\"/next\"")
        );
    }

    #[test]
    fn pagination_schema_is_one_closed_table_per_type() {
        let schema = serde_json::to_value(schemars::schema_for!(Pagination)).unwrap();
        let tables = schema["oneOf"].as_array().unwrap();
        let names: Vec<_> =
            tables.iter().map(|it| it["properties"]["type"]["const"].as_str().unwrap()).collect();
        assert_eq!(names, ["cursor", "page", "link"]);
        assert!(tables.iter().all(|it| it["additionalProperties"] == false), "{schema:#}");
        assert_eq!(tables[1]["required"], json!(["type", "param"]), "{schema:#}");
        assert_eq!(tables[1]["properties"]["start"]["default"], 1);
    }

    #[test]
    fn pagination_does_not_accept_a_request_of_another_type() {
        let page = read(json!({"type": "page", "param": "p", "start": 1})).unwrap();
        assert!(Pagination::accepts(Some(&page), &PageRequest::first(Place::Page(3))));
        assert!(!Pagination::accepts(Some(&page), &PageRequest::first(Place::Cursor("x".into()))));
        assert!(!Pagination::accepts(Some(&page), &PageRequest::first(Place::First)));
        assert!(Pagination::accepts(None, &PageRequest::first(Place::First)));
        assert!(!Pagination::accepts(None, &PageRequest::first(Place::Link("http://a/".into()))));
    }
}
