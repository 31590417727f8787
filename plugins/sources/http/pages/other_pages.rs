//! What in a response says that there are other pages: headers, and members beside the records.

use reqwest::header::{CONTENT_RANGE, HeaderMap};
use serde_json::Value;

use super::super::client::header_text;
use super::super::json::Pointer;
use super::super::responses::{Items, Response};
use super::super::source::HttpSource;
use super::count::ValueShape;
use super::end_words::ENDS;
use super::envelope::{Envelope, envelope_of};
use super::link_header::{is_url, next_of_links, next_target};

/// Headers that name the next page; empty behind the last one.
const NEXT_HEADERS: &str = "x-next-page x-pagination-next-page";

/// Headers with a cursor for the next page.
const CURSOR_HEADERS: &str = "\
    x-next-cursor x-next-token next-cursor next-token next-range x-ms-continuationtoken x-ms-continuation \
    x-continuation-token sforce-locator";

/// Headers that count all records.
const TOTAL_HEADERS: &str = "\
    x-total-count x-total total-count x-wp-total x-pagination-total-count x-pagination-total x-total-records";

/// Headers that count the pages.
const PAGES_HEADERS: &str = "\
    x-total-pages x-wp-totalpages x-page-count x-pagination-page-count x-pagination-pages";

const COUNTED: &str = "`pagination`, for example `{ type = \"page\", param = \"page\" }` or \
                       `{ type = \"offset\", param = \"offset\" }`";

impl HttpSource {
    /// What says that there are other pages, and the option that reads them. `records` is the place of the records in
    /// JSON.
    pub(crate) fn other_pages(
        &self,
        response: &Response,
        items: &Items,
        records: Option<&Pointer>,
    ) -> Option<(String, String)> {
        if next_target(response.links()).is_some() {
            return Some((
                "the header `Link` names a next page".into(),
                "`pagination = { type = \"link\" }`".into(),
            ));
        }
        let n_items = at_least(items);
        let around = records.and_then(|records| envelope_of(response, records));
        let named = around.and_then(|around| self.named_in_body(response, &around, n_items));
        named
            .or_else(|| cursor_header(&response.headers))
            .or_else(|| Some((named_by_header(&response.headers, n_items)?, COUNTED.to_owned())))
    }

    /// What members beside the records say about other pages, and the option that reads them.
    fn named_in_body(
        &self,
        response: &Response,
        around: &Envelope,
        n_items: u64,
    ) -> Option<(String, String)> {
        for (path, value) in around.next_pages() {
            // A number there is most likely the offset of this page.
            let is_own =
                path.ends_with("/offset") && value.to_string().trim_matches('"').parse::<f64>().is_ok();
            let option = match value {
                _ if is_own => continue,
                Value::Array(links) if next_of_links(links).is_some() => {
                    format!("`pagination = {{ type = \"next_url\", next = \"{path}\" }}`")
                }
                Value::String(next) if is_url(next, &response.url) => {
                    format!("`pagination = {{ type = \"next_url\", next = \"{path}\" }}`")
                }
                // Query parameters, as those of MediaWiki.
                Value::Object(members) if path.ends_with("/continue") && !members.is_empty() => {
                    format!(
                        "`pagination = {{ type = \"cursor\", cursor = \"{path}\", param = \"continue\" }}`"
                    )
                }
                Value::String(next) if !ENDS.contains(&&**next) => self.cursor_option(&path),
                // Many APIs write such a number on the last page.
                Value::Number(next) if next.as_f64().is_some_and(|next| next > 0.0) => {
                    self.cursor_option(&path)
                }
                _ => continue,
            };
            return Some((format!("`{path}` names a next page"), option));
        }
        if let Some(path) = around.more_flags().next() {
            let option = if around.at(&path) == Some(&Value::Bool(true)) { "has_more" } else { "last" };
            return Some((
                format!("`{path}` says that there are more records"),
                format!("{COUNTED}, with `{option} = \"{path}\"`"),
            ));
        }
        if let Some(path) = around.records_above(n_items).next() {
            let why = format!("`{path}` is greater than the {n_items} records of the response");
            return Some((why, format!("{COUNTED}, with `total = \"{path}\"`")));
        }
        let path = around.pages_above(1).next()?;
        Some((
            format!("`{path}` says that there are several pages"),
            format!("{COUNTED}, with `last = \"{path}\"`"),
        ))
    }

    fn cursor_option(&self, path: &str) -> String {
        let place = if self.client.parts.body.is_some() {
            "; if the API reads it in the body, with `in = \"body\"` and `param` as a JSON pointer into `body`"
        } else {
            ""
        };
        format!(
            "`pagination = {{ type = \"cursor\", cursor = \"{path}\", param = \"…\" }}` with the parameter that takes \
             it{place}"
        )
    }
}

/// At least so many records the response holds, also if it is one value whose members are records.
fn at_least(items: &Items) -> u64 {
    let inside = match items {
        Items::One { value: Some(value), .. } => ValueShape::of(value).unwrap_or_default(),
        _ => ValueShape::default(),
    };
    items.len().max(inside.n_members).max(inside.longest) as u64
}

/// Which header has a cursor for the next page, and the option that reads it.
fn cursor_header(headers: &HeaderMap) -> Option<(String, String)> {
    let name = named_next(headers, CURSOR_HEADERS)?;
    let option = format!(
        "`pagination = {{ type = \"cursor\", cursor = {{ header = \"{name}\" }}, param = \"…\" }}` with the parameter that \
         takes it, or with `in = \"header\"` and the header that takes it"
    );
    Some((format!("the header `{name}` has a cursor for the next page"), option))
}

/// The first of some headers that names a next page.
fn named_next(headers: &HeaderMap, names: &'static str) -> Option<&'static str> {
    names.split(' ').find(|name| header_text(headers, *name).is_some_and(|next| !ENDS.contains(&next)))
}

/// Why headers say that there are more than `n_items` records.
fn named_by_header(headers: &HeaderMap, n_items: u64) -> Option<String> {
    let text = |name: &str| header_text(headers, name);
    let number = |name: &&str| text(name).and_then(|text| text.parse::<u64>().ok());
    if let Some(name) = named_next(headers, NEXT_HEADERS) {
        return Some(format!("the header `{name}` names a next page"));
    }
    if let Some(name) =
        TOTAL_HEADERS.split(' ').find(|name| number(name).is_some_and(|total| total > n_items))
    {
        return Some(format!("the header `{name}` is greater than the {n_items} records of the response"));
    }
    if let Some(name) = PAGES_HEADERS.split(' ').find(|name| number(name).is_some_and(|pages| pages > 1)) {
        return Some(format!("the header `{name}` says that there are several pages"));
    }
    let range = text(CONTENT_RANGE.as_str())?;
    is_cut_off(range).then(|| "the header `Content-Range` says that there are more records".to_owned())
}

/// Whether a range such as `items 0-99/250` ends before the last record.
fn is_cut_off(range: &str) -> bool {
    let (unit, range) = range.rsplit_once([' ', '=']).unwrap_or(("", range));
    let ends = || {
        let (range, total) = range.split_once('/')?;
        let (_, last) = range.split_once('-')?;
        Some((last.trim().parse::<u64>().ok()?, total.trim().parse::<u64>().ok()?))
    };
    !unit.trim().eq_ignore_ascii_case("bytes") && ends().is_some_and(|(last, total)| last + 1 < total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_name_more_than_was_read_are_detected() {
        let why = |name: &'static str, value: &str| {
            let value = value.parse().unwrap();
            named_by_header(&HeaderMap::from_iter([(name.parse().unwrap(), value)]), 100).is_some()
        };
        for (name, value) in [
            ("x-total-count", "250"),
            ("x-total", "101"),
            ("x-next-page", "2"),
            ("x-pagination-next-page", "2"),
            ("x-wp-totalpages", "3"),
            ("content-range", "0-99/250"),
            ("content-range", "items 0-99/250"),
            ("content-range", "rows=100-199/250"),
        ] {
            assert!(why(name, value), "{name}: {value}");
        }
        for (name, value) in [
            ("x-total-count", "100"),
            ("x-total-count", "many"),
            ("x-next-page", ""),
            ("x-next-page", "0"),
            ("x-total-pages", "1"),
            ("content-range", "0-99/100"),
            ("content-range", "items 100-199/200"),
            ("content-range", "0-99/*"),
            ("content-range", "*/0"),
            ("content-range", "bytes 0-99/250"),
            ("x-other", "250"),
        ] {
            assert!(!why(name, value), "{name}: {value}");
        }
    }

    #[test]
    fn cursor_in_a_header_is_detected() {
        let why = |value: &'static str| {
            let value = value.parse().unwrap();
            cursor_header(&HeaderMap::from_iter([("x-ms-continuationtoken".parse().unwrap(), value)]))
        };
        let (why_not, option) = why("abc").unwrap();
        assert!(why_not.contains("`x-ms-continuationtoken` has a cursor"));
        assert!(option.contains("cursor = { header = \"x-ms-continuationtoken\" }"), "{option}");
        assert_eq!(why(""), None);
    }
}
