//! Warnings where a first run would mislead, each once per run, with the option that helps.

use serde_json::Value;
use tracing::warn;

use super::client::Response;
use super::codec::Codec;
use super::decode::Items;
use super::link::next_target;
use super::pointer::{Located, Pointer};
use super::scan::Children;
use super::source::Http;
use crate::shared::json_paths::pointer_name;

/// Which warnings were given.
#[derive(Debug, Default)]
pub(super) struct Hinted {
    pub(super) text: bool,
    pages: bool,
    shape: bool,
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
const HAS_MORE: [&str; 9] = [
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
const TOTAL: [&str; 13] = [
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
const PAGES: [&str; 9] = [
    "/pages",
    "/total_pages",
    "/totalPages",
    "/meta/total_pages",
    "/meta/last_page",
    "/pagination/pages",
    "/pagination/total_pages",
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
            && !std::mem::replace(&mut self.hinted.pages, true)
            && let Some((why, option)) = self.other_pages(response, items)
        {
            warn!("{}: {why}, and only this page is read; to read all pages set {option}", response.title);
        }
        if !self.settings.is_shaped
            && !self.hinted.shape
            && let Some((why, option)) = self.odd_shape(items)
        {
            self.hinted.shape = true;
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
        let at = |path: &str| {
            let pointer = Pointer::try_from(path.to_owned()).ok()?;
            let Ok(Located::At(range)) = pointer.locate(around.as_bytes()) else { return None };
            serde_json::from_str::<Value>(&around[range]).ok()
        };
        for path in NEXT {
            let option = match at(path) {
                Some(Value::String(next)) if next.starts_with("http") || next.starts_with(['/', '?']) => {
                    format!("`pagination = {{ type = \"next_url\", next = \"{path}\" }}`")
                }
                Some(Value::String(next)) if !next.is_empty() => cursor_option(path),
                Some(Value::Number(_)) => cursor_option(path),
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
        let number = |path: &&str| at(path).and_then(|value| value.as_u64());
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
    fn around_records(&self, response: &Response) -> Option<String> {
        let text = std::str::from_utf8(&response.body).ok()?;
        let Ok(Located::At(range)) = self.settings.records.locate(text.as_bytes()) else { return None };
        if self.settings.records.is_root() && text[range.clone()].starts_with('{') {
            return Some(text.to_owned());
        }
        Some([&text[..range.start], "[]", &text[range.end..]].concat())
    }

    /// What is odd about the records, and what to do.
    fn odd_shape(&self, items: &Items) -> Option<(String, String)> {
        match items {
            Items::One { value: Some(value), .. } => {
                let members = nested_members(value)?;
                let (name, array) =
                    members.iter().find(|(_, is_array)| *is_array).unwrap_or(members.first()?);
                let records = &self.settings.records;
                let path = format!("{records}/{}", pointer_name(name));
                let option = if *array {
                    format!("if the records are inside, set `records`, for example to \"{path}\"")
                } else {
                    "if the records are inside, set `records` to their place, or make them with `remap`"
                        .to_owned()
                };
                Some(("the response is one record whose members are all objects or arrays".into(), option))
            }
            Items::Elements { other_type: Some(other), .. } => {
                let why = format!("a record is {other}, not an object, which SQL does not read as a row");
                Some((why, "make an object from it with `remap`".into()))
            }
            _ => None,
        }
    }
}

fn cursor_option(path: &str) -> String {
    format!(
        "`pagination = {{ type = \"cursor\", cursor = \"{path}\", param = \"…\" }}` with the parameter that takes it"
    )
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
