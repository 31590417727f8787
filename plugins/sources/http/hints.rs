//! Warnings where a first run would mislead, each once per run, with the option that helps.

use std::collections::HashSet;

use serde_json::Value;
use tracing::warn;

use super::client::Response;
use super::codec::Codec;
use super::decode::Items;
use super::link::{is_url, next_target};
use super::pointer::{Located, Pointer};
use super::scan::Children;
use super::source::Http;
use crate::shared::json_paths::pointer_name;

/// A warning that is given once in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Hint {
    /// A line of text in place of CSV.
    Text,
    /// Other pages, which are not read. Examined once.
    Pages,
    Shape,
    /// Errors beside records.
    Errors,
    /// Pages with the same records.
    Overlap,
    /// Pages whose records differ in one member only.
    Alike,
    /// Options that end a walk and count something else.
    Ends,
    /// Records behind the end of a walk.
    Missed,
}

/// Which warnings were given.
#[derive(Debug, Default)]
pub(super) struct Hinted(HashSet<Hint>);

impl Hinted {
    pub(super) fn has(&self, hint: Hint) -> bool {
        self.0.contains(&hint)
    }

    /// Adds a warning. Returns whether it is given for the first time.
    pub(super) fn add(&mut self, hint: Hint) -> bool {
        self.0.insert(hint)
    }
}

/// Where APIs put the URL or the cursor of the next page.
const NEXT: [&str; 33] = [
    "/next",
    "/next_url",
    "/nextUrl",
    "/next_page_url",
    "/nextPageUrl",
    "/nextLink",
    "/@odata.nextLink",
    "/links/next",
    "/links/next/href",
    "/_links/next",
    "/_links/next/href",
    "/paging/next",
    "/pagination/next",
    "/pagination/next_url",
    "/pagination/links/next",
    "/meta/next",
    "/meta/pagination/links/next",
    "/info/next",
    "/next_page_token",
    "/nextPageToken",
    "/next_token",
    "/nextToken",
    "/NextToken",
    "/next_cursor",
    "/nextCursor",
    "/meta/next_cursor",
    "/meta/next_token",
    "/meta/nextCursor",
    "/response_metadata/next_cursor",
    "/pagination/next_cursor",
    "/paging/cursors/after",
    "/cursor/next",
    "/continuation",
];

/// Where APIs say whether there is more.
pub(super) const HAS_MORE: [&str; 9] = [
    "/has_more",
    "/hasMore",
    "/has_next",
    "/hasNext",
    "/hasNextPage",
    "/meta/has_more",
    "/pagination/has_more",
    "/pagination/has_next",
    "/pageInfo/hasNextPage",
];

/// Where APIs count all records.
pub(super) const TOTAL: [&str; 13] = [
    "/total",
    "/count",
    "/total_count",
    "/totalCount",
    "/total_results",
    "/totalResults",
    "/meta/total",
    "/meta/total_count",
    "/meta/pagination/total",
    "/pagination/total",
    "/paging/total",
    "/page/totalElements",
    "/0/total",
];

/// Where APIs count their pages.
pub(super) const PAGES: [&str; 21] = [
    "/pages",
    "/total_pages",
    "/totalPages",
    "/last_page",
    "/lastPage",
    "/page_count",
    "/pageCount",
    "/num_pages",
    "/numPages",
    "/info/pages",
    "/meta/pages",
    "/meta/total_pages",
    "/meta/totalPages",
    "/meta/last_page",
    "/meta/pagination/total_pages",
    "/pagination/pages",
    "/pagination/total_pages",
    "/pagination/last_page",
    "/paging/pages",
    "/page/totalPages",
    "/0/pages",
];

impl Http {
    /// Warns of what looks like a misunderstanding between the API and the options.
    pub(super) fn hint(&mut self, response: &Response, items: &Items) {
        self.warn_of_text(response, items);
        if items.is_empty() || self.settings.codec != Codec::Json {
            return;
        }
        // Only the first response with records is examined, since this takes time.
        if self.settings.pagination.is_none()
            && self.hinted.add(Hint::Pages)
            && let Some((why, option)) = self.other_pages(response, items)
        {
            warn!("{}: {why}, and only this page is read; to read all pages set {option}", response.title);
        }
        if !self.hinted.has(Hint::Errors) {
            self.warn_of_errors(response);
        }
        if !self.settings.is_shaped
            && !self.hinted.has(Hint::Shape)
            && let Some((why, option)) = self.odd_shape(items)
        {
            self.hinted.add(Hint::Shape);
            warn!("{}: {why}; {option}", response.title);
        }
    }

    /// What says that there are other pages, and the option that reads them.
    fn other_pages(&self, response: &Response, items: &Items) -> Option<(String, String)> {
        if next_target(response.links()).is_some() {
            return Some((
                "the header `Link` names a next page".into(),
                "`pagination = { type = \"link\" }`".into(),
            ));
        }
        let around = self.around_records(response)?;
        let at = |path: &str| around.at(path);
        for path in NEXT {
            let option = match at(path) {
                Some(Value::String(next)) if is_url(&next, &response.url) => {
                    format!("`pagination = {{ type = \"next_url\", next = \"{path}\" }}`")
                }
                Some(Value::String(next)) if !next.is_empty() => self.cursor_option(path),
                Some(Value::Number(_)) => self.cursor_option(path),
                _ => continue,
            };
            return Some((format!("`{path}` names a next page"), option));
        }
        let counted = "`pagination`, for example `{ type = \"page\", param = \"page\" }` or \
                       `{ type = \"offset\", param = \"offset\" }`";
        if let Some(path) = HAS_MORE.into_iter().find(|path| at(path) == Some(Value::Bool(true))) {
            return Some((
                format!("`{path}` says that there are more records"),
                format!("{counted}, with `has_more = \"{path}\"`"),
            ));
        }
        let number = |path: &&str| around.number_at(path);
        let n_items = items.len() as u64;
        if let Some(path) = TOTAL.into_iter().find(|path| number(path).is_some_and(|total| total > n_items)) {
            let why = format!("`{path}` is greater than the {n_items} records of the response");
            return Some((why, format!("{counted}, with `total = \"{path}\"`")));
        }
        let path = PAGES.into_iter().find(|path| number(path).is_some_and(|pages| pages > 1))?;
        Some((
            format!("`{path}` says that there are several pages"),
            format!("{counted}, with `last = \"{path}\"`"),
        ))
    }

    /// The response with an empty array in the place of the records.
    pub(super) fn around_records(&self, response: &Response) -> Option<Around> {
        let body = &response.body;
        let Ok(Located::At(range)) = self.settings.records.locate(body) else { return None };
        let around = if self.settings.records.is_root() && body[range.start] == b'{' {
            body.to_vec()
        } else {
            [&body[..range.start], b"[]", &body[range.end..]].concat()
        };
        Some(Around(String::from_utf8(around).ok()?))
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

    /// Warns of records beside errors, as GraphQL and JSON:API return them.
    fn warn_of_errors(&mut self, response: &Response) {
        let is_named = memchr::memmem::find(&response.body, b"\"errors\"").is_some();
        if !is_named || self.client.responses.is_some() || self.settings.records.is_root() {
            return;
        }
        let errors = self.around_records(response).and_then(|around| around.at("/errors"));
        let has_errors = errors.is_some_and(|errors| match errors {
            Value::Array(errors) => !errors.is_empty(),
            Value::Object(errors) => !errors.is_empty(),
            _ => false,
        });
        if has_errors {
            self.hinted.add(Hint::Errors);
            warn!(
                "{}: the response has records and `/errors`, so that records may be missing; to make it an error set \
                 `responses = {{ fail = [\"/errors\"] }}`",
                response.title
            );
        }
    }

    /// What is odd about the records, and what to do.
    fn odd_shape(&self, items: &Items) -> Option<(String, String)> {
        let only = match items {
            Items::One { value: Some(value), .. } => Some((value.clone(), "")),
            // The last page often holds one record.
            _ if items.len() == 1 && !self.has_succeeded => items.front(1).pop().map(|value| (value, "/0")),
            _ => None,
        };
        if let Some((value, place)) = only.filter(|(value, _)| value.starts_with(b"{")) {
            let members = nested_members(&value)?;
            let (name, array) = members.iter().find(|(_, is_array)| *is_array).unwrap_or(members.first()?);
            if !place.is_empty() && !array {
                return None;
            }
            let records = &self.settings.records;
            let path = format!("{records}{place}/{}", pointer_name(name));
            let option = if *array {
                format!(
                    "if the records are inside, set `records`, for example to \"{path}\", or make them of several arrays \
                     with `remap`"
                )
            } else {
                "if the records are inside, set `records` to their place, or make them with `remap`"
                    .to_owned()
            };
            return Some((
                "the response is one record whose members are all objects or arrays".into(),
                option,
            ));
        }
        let other = items.other_type()?;
        let why = format!("a record is {other}, not an object, which SQL does not read as a row");
        Some((why, "make an object from it with `remap`".into()))
    }
}

/// A response with an empty array in the place of the records.
pub(super) struct Around(String);

impl Around {
    /// The value at a path.
    pub(super) fn at(&self, path: &str) -> Option<Value> {
        let pointer = Pointer::try_from(path.to_owned()).ok()?;
        let Ok(Located::At(range)) = pointer.locate(self.0.as_bytes()) else { return None };
        serde_json::from_str(&self.0[range]).ok()
    }

    /// The number at a path, which may also be written as a string.
    pub(super) fn number_at(&self, path: &str) -> Option<u64> {
        let value = self.at(path)?;
        value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
    }
}

/// The names of the members of an object, and whether each is an array; `None` if one is neither object nor array.
fn nested_members(object: &[u8]) -> Option<Vec<(String, bool)>> {
    let mut members = Children::of(0);
    let mut found = Vec::new();
    while let Some((key, value)) = members.next_member(object).ok()? {
        let is_array = match object[value.start] {
            b'[' => true,
            b'{' => false,
            _ => return None,
        };
        found.push((serde_json::from_slice(&object[key]).ok()?, is_array));
    }
    (!found.is_empty()).then_some(found)
}
