//! What in a response says that there are other pages: headers, and members beside the records.

use reqwest::header::{CONTENT_RANGE, HeaderMap};
use serde_json::Value;

use super::super::answer::{Items, Response};
use super::super::json::{Located, Pointer, without_nan};
use super::super::source::HttpSource;
use super::count::ValueShape;
use super::link_header::{is_url, next_target};

/// Where APIs put the URL or the cursor of the next page.
const NEXT: &str = "\
    /next /next_url /nextUrl /next_page_url /nextPageUrl /nextLink /@odata.nextLink /links/next \
    /links/next/href /_links/next /_links/next/href /paging/next /pagination/next /pagination/next_url \
    /pagination/links/next /meta/next /meta/pagination/links/next /info/next /next_page_token /nextPageToken \
    /next_token /nextToken /NextToken /next_cursor /nextCursor /meta/next_cursor /meta/next_token \
    /meta/nextCursor /response_metadata/next_cursor /pagination/next_cursor /paging/cursors/after \
    /cursor/next /continuation";

/// Where APIs say whether there is more.
pub(super) const HAS_MORE: &str = "\
    /has_more /hasMore /has_next /hasNext /hasNextPage /meta/has_more /pagination/has_more \
    /pagination/has_next /pageInfo/hasNextPage";

/// Where APIs count all records.
pub(super) const TOTAL: &str = "\
    /total /count /total_count /totalCount /total_results /totalResults /meta/total /meta/total_count \
    /meta/pagination/total /pagination/total /paging/total /page/totalElements /0/total";

/// Where APIs count their pages.
pub(super) const PAGES: &str = "\
    /pages /total_pages /totalPages /last_page /lastPage /page_count /pageCount /num_pages /numPages \
    /info/pages /meta/pages /meta/total_pages /meta/totalPages /meta/last_page /meta/pagination/total_pages \
    /pagination/pages /pagination/total_pages /pagination/last_page /paging/pages /page/totalPages /0/pages";

/// Headers that name the next page; empty behind the last one.
const NEXT_HEADERS: &str = "x-next-page x-next-cursor x-next-token x-pagination-next-page";

/// Headers that count all records.
const TOTAL_HEADERS: &str = "\
    x-total-count x-total total-count x-wp-total x-pagination-total-count x-pagination-total x-total-records";

/// Headers that count the pages.
const PAGES_HEADERS: &str = "\
    x-total-pages x-wp-totalpages x-page-count x-pagination-page-count x-pagination-pages";

/// What APIs write in the place of the next page on the last one.
const ENDS: [&str; 6] = ["", "0", "-1", "null", "false", "none"];

/// A longer text around the records is not examined.
const MAX_AROUND: usize = 4 << 20;

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
        named.or_else(|| Some((named_by_header(&response.headers, n_items)?, COUNTED.to_owned())))
    }

    /// What members beside the records say about other pages, and the option that reads them.
    fn named_in_body(
        &self,
        response: &Response,
        around: &Envelope,
        n_items: u64,
    ) -> Option<(String, String)> {
        let at = |path: &str| around.at(path);
        for path in NEXT.split(' ') {
            let option = match at(path) {
                Some(Value::String(next)) if is_url(next, &response.url) => {
                    format!("`pagination = {{ type = \"next_url\", next = \"{path}\" }}`")
                }
                Some(Value::String(next)) if !ENDS.contains(&&**next) => self.cursor_option(path),
                // Many APIs write such a number on the last page.
                Some(Value::Number(next)) if next.as_f64().is_some_and(|next| next > 0.0) => {
                    self.cursor_option(path)
                }
                _ => continue,
            };
            return Some((format!("`{path}` names a next page"), option));
        }
        if let Some(path) = HAS_MORE.split(' ').find(|path| at(path) == Some(&Value::Bool(true))) {
            return Some((
                format!("`{path}` says that there are more records"),
                format!("{COUNTED}, with `has_more = \"{path}\"`"),
            ));
        }
        let number = |path: &&str| around.number_at(path);
        if let Some(path) = TOTAL.split(' ').find(|path| number(path).is_some_and(|total| total > n_items)) {
            let why = format!("`{path}` is greater than the {n_items} records of the response");
            return Some((why, format!("{COUNTED}, with `total = \"{path}\"`")));
        }
        let path = PAGES.split(' ').find(|path| number(path).is_some_and(|pages| pages > 1))?;
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

/// Why headers say that there are more than `n_items` records.
fn named_by_header(headers: &HeaderMap, n_items: u64) -> Option<String> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |name: &&str| text(name).and_then(|text| text.parse::<u64>().ok());
    if let Some(name) =
        NEXT_HEADERS.split(' ').find(|name| text(name).is_some_and(|next| !ENDS.contains(&next)))
    {
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

/// The response with an empty array in the place of the records.
pub(crate) fn envelope_of(response: &Response, records: &Pointer) -> Option<Envelope> {
    let body = &response.body;
    let Ok(Located::At(range)) = records.locate(body) else { return None };
    let around = if records.is_root() && body[range.start] == b'{' {
        if body.len() > MAX_AROUND {
            return None;
        }
        body.to_vec()
    } else {
        if body.len() - range.len() > MAX_AROUND {
            return None;
        }
        [&body[..range.start], b"[]", &body[range.end..]].concat()
    };
    let around = String::from_utf8(around).ok()?;
    serde_json::from_str(&around).or_else(|_| serde_json::from_str(&without_nan(&around))).ok().map(Envelope)
}

/// A response with an empty array in the place of the records.
pub(crate) struct Envelope(Value);

impl Envelope {
    /// The value at a path.
    pub(crate) fn at(&self, path: &str) -> Option<&Value> {
        self.0.pointer(path)
    }

    /// The number at a path, which may also be written as a string.
    pub(super) fn number_at(&self, path: &str) -> Option<u64> {
        let value = self.at(path)?;
        value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_name_more_than_was_read_are_noticed() {
        let why = |name: &'static str, value: &str| {
            let value = value.parse().unwrap();
            named_by_header(&HeaderMap::from_iter([(name.parse().unwrap(), value)]), 100).is_some()
        };
        for (name, value) in [
            ("x-total-count", "250"),
            ("x-total", "101"),
            ("x-next-page", "2"),
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
}
