//! Finds the request for the next page in a response.

use anyhow::anyhow;
use reqwest::Url;
use serde_json::Value;
use tracing::warn;

use super::super::client::header_text;
use super::super::error::HttpError;
use super::super::json::{Located, Pointer};
use super::super::responses::{Codec, Items, Response, Unreadable, not_json, text};
use super::super::source::{HttpSource, Warning};
use super::count::{PageCount, ReceivedPage};
use super::cursor_place::CursorPlace;
use super::end_words::{is_end, is_end_cursor, is_negative};
use super::history::PageHistory;
use super::link_header::{are_links, cleaned, next_of_links, next_target};
use super::page_request::{PagePlace, PageRequest};
use super::pagination::{EndOptions, Pagination, query_of};
use crate::shared::json_text::kind_of;

/// So many pages in a row without records are warned of.
const N_EMPTY: usize = 10;

impl HttpSource {
    /// The request for the next page. Pages that repeat are an error.
    pub(super) async fn next_request(
        &mut self,
        request: &PageRequest,
        response: &Response,
        items: &Items,
        count: PageCount,
    ) -> Result<Option<PageRequest>, HttpError> {
        let Some(pagination) = self.settings.pagination.clone().filter(|_| !response.has_no_records()) else {
            return Ok(None);
        };
        let page = ReceivedPage { pagination: &pagination, request, response, count };
        let next = self.named_next(&page, &self.history)?;
        let has_ended = next.is_none() || self.has_ended(&page)?;
        // A program may make nothing of pages that repeat.
        if count.n_items > 0 || items.is_empty() {
            self.check_overlap(&page, items, next.as_ref()).await?;
        }
        self.check_ends(&page);
        self.warn_of_deleted(&page);
        if has_ended {
            self.warn_of_missed(&page);
            return Ok(None);
        }
        self.warn_of_empty_pages(response, count);
        Ok(next)
    }

    /// Warns, once in a run, of an API that names a next page on every page without records.
    fn warn_of_empty_pages(&mut self, response: &Response, count: PageCount) {
        self.n_empty_pages = if count.n_items > 0 { 0 } else { self.n_empty_pages + 1 };
        if self.n_empty_pages < N_EMPTY {
            return;
        }
        let records = &self.settings.records;
        let advice = if self.settings.codec == Codec::Json {
            format!(
                "if an empty page is the end of the data, set `has_more = \"{records}/0\"` in `pagination`, which ends a \
                 walk at a page without a first record"
            )
        } else {
            "if an empty page is the end of the data, name it in `responses.empty`, or set `max_pages` in `pagination`"
                .to_owned()
        };
        let why =
            format!("{N_EMPTY} pages in a row hold no records, and each names another next page; {advice}");
        self.given_warnings.warn_once(Warning::EmptyPages, &response.title, why);
    }

    /// The request for the page that the response names, or that has the next number; an error if `history` has it.
    pub(crate) fn named_next(
        &self,
        page: &ReceivedPage<'_>,
        history: &PageHistory,
    ) -> Result<Option<PageRequest>, HttpError> {
        let ReceivedPage { pagination, request, response, count } = *page;
        let found = match pagination {
            Pagination::Page { .. } | Pagination::Offset { .. } => return Ok(next_number(request, count)),
            Pagination::Link { .. } => match next_target(response.links()) {
                Some(target) => {
                    Some((self.linked(response, target, "the next link")?, "the next link".to_owned()))
                }
                None => None,
            },
            Pagination::NextUrl { next, .. } => self.next_url(next, page)?,
            Pagination::Cursor { cursor, .. } => self.next_cursor(cursor, page)?,
        };
        let Some((place, named)) = found else { return Ok(None) };
        let next = request.next(place, count);
        let fingerprint = self.client.fingerprint(Some(pagination), &next).map_err(HttpError::Fatal)?;
        if !history.has_requested(fingerprint) {
            return Ok(Some(next));
        }
        // The last page of some APIs contains its own cursor.
        if count.n_items == 0 || self.begins_at_last_record(page, fingerprint, history) {
            return Ok(None);
        }
        // An API may name the last page as its own next one, and say elsewhere that it is the last one.
        if self.has_ended(page).is_ok_and(|has_ended| has_ended) {
            return Ok(None);
        }
        Err(self.repeat_error(page, &next, &named))
    }

    /// The next page by the URL in a response, and the words for that URL in messages.
    fn next_url(
        &self,
        next: &Pointer,
        page: &ReceivedPage<'_>,
    ) -> Result<Option<(PagePlace, String)>, HttpError> {
        let ReceivedPage { response, count, .. } = *page;
        let unreadable = |why| self.unreadable(response, why);
        let found = read_next(next, response, self.is_first_response(count), "URL").map_err(unreadable)?;
        let Some(found) = found else { return Ok(None) };
        let target = match serde_json::from_str(&found) {
            Ok(Value::String(target)) => target,
            Ok(Value::Array(links)) if are_links(&links) => match next_of_links(&links) {
                Some(target) => target.to_owned(),
                None => return Ok(None),
            },
            _ => {
                let why = format!(
                    "`{next}` is {}, but the URL of the next page must be a string, or in a list of links with \
                     `rel`; check `pagination.next`",
                    kind_of(found.as_bytes())
                );
                return Err(unreadable(Unreadable::Unexpected(why)));
            }
        };
        let target = below_base(next, &target, response).unwrap_or(target);
        let what = format!("the URL at `{next}`");
        Ok(Some((self.linked(response, &target, &what)?, what)))
    }

    /// The next page by the cursor in a response, and the words for that cursor in messages.
    fn next_cursor(
        &self,
        cursor: &CursorPlace,
        page: &ReceivedPage<'_>,
    ) -> Result<Option<(PagePlace, String)>, HttpError> {
        let ReceivedPage { pagination, response, count, .. } = *page;
        let unreadable = |why| self.unreadable(response, why);
        let found = read_cursor(cursor, response, self.is_first_response(count)).map_err(unreadable)?;
        let Some(found) = found else { return Ok(None) };
        let plain = serde_json::from_str::<String>(&found).unwrap_or_else(|_| found.clone());
        let named = format!("the cursor `{}` {cursor}", self.client.redactor.text(&plain));
        let place = if pagination.is_in_body() {
            PagePlace::Cursor(found)
        } else if !found.starts_with(['[', '{']) && found != "true" {
            PagePlace::Cursor(plain)
        } else if pagination.is_in_query() && query_of(&found).is_some() {
            PagePlace::Parameters(found)
        } else {
            let why = format!(
                "the value {cursor} is {}, but a cursor must be a string, a number, or an object of query \
                 parameters; check `pagination.cursor`",
                kind_of(found.as_bytes())
            );
            return Err(unreadable(Unreadable::Unexpected(why)));
        };
        Ok(Some((place, named)))
    }

    /// The error about a link or a cursor that leads to a page that was already read; `named` are the words for it.
    fn repeat_error(&self, page: &ReceivedPage<'_>, next: &PageRequest, named: &str) -> HttpError {
        let ReceivedPage { pagination, request, response, .. } = *page;
        let advice = match (pagination, &request.place) {
            (Pagination::Cursor { cursor: CursorPlace::Body(cursor), .. }, PagePlace::Cursor(sent))
                if is_end_cursor(sent) =>
            {
                format!(
                    "the cursor before it is `{}`, which most likely marks the end: set `has_more = \"{cursor}\"`",
                    sent.trim_matches('"')
                )
            }
            _ => self.repeat_advice(pagination, Some(next)),
        };
        HttpError::Fatal(anyhow!(
            "{}: {named} repeats and leads to a page that was already read; {advice}",
            response.title
        ))
    }

    /// Whether this response is the first one with records, of all runs.
    fn is_first_response(&self, count: PageCount) -> bool {
        !self.has_succeeded && self.position.offset == 0 && count.n_items > 0
    }

    /// Whether the cursor is a field of the last record, such as its time, from which on the API returns records, and none
    /// follow: it leads to this page again, which is not a full one.
    fn begins_at_last_record(&self, page: &ReceivedPage<'_>, next: u64, history: &PageHistory) -> bool {
        let ReceivedPage { pagination, request, count, .. } = *page;
        let is_same = self.client.fingerprint(Some(pagination), request).is_ok_and(|it| it == next);
        let is_single =
            || count.n_items == 1 && !self.is_full(1) && pagination.is_of_last_record(&self.settings.records);
        let is_short = match history.n_last() {
            Some(n_before) => count.n_items < n_before || is_single(),
            // The request of the first page may contain the cursor, too.
            None => request.n_pages == 0 && !self.is_full(count.n_items),
        };
        is_same && is_short && matches!(pagination, Pagination::Cursor { .. })
    }

    /// The place that a link leads to, if it may be followed.
    fn linked(&self, response: &Response, target: &str, what: &str) -> Result<PagePlace, HttpError> {
        let Response { title, url, .. } = response;
        let Ok(link) = url.join(&cleaned(target)) else {
            let target = self.client.redactor.text(target);
            return Err(HttpError::FatalUntilSuccess(anyhow!(
                "{title}: {what} `{target}` is not a valid URL"
            )));
        };
        let link = self.client.on_tls(title, url, &link, what).unwrap_or(link);
        let checked = self.client.check_link(url, &link, what);
        checked.map_err(|error| HttpError::Fatal(error.context(title.clone())))?;
        Ok(self.client.link(link))
    }

    /// Whether the options that all types of pagination have say that this is the last page.
    pub(crate) fn has_ended(&self, page: &ReceivedPage<'_>) -> Result<bool, HttpError> {
        self.is_last(page).map_err(|unreadable| self.unreadable(page.response, unreadable))
    }

    fn is_last(&self, page: &ReceivedPage<'_>) -> Result<bool, Unreadable> {
        let response = page.response;
        let EndOptions { last, total, has_more, max_pages } = page.pagination.ends();
        if max_pages.is_some_and(|max_pages| page.number() >= max_pages) {
            return Ok(true);
        }
        if let Some(pointer) = has_more {
            let is_first = self.is_first_response(page.count);
            let found = read_next(pointer, response, is_first, "value of `has_more`")?;
            if found.is_none_or(|found| is_negative(&found)) {
                return Ok(true);
            }
        }
        if let Some(last) = last.map(|pointer| read_number(pointer, response, "last")).transpose()?.flatten()
        {
            let number = match page.request.place {
                PagePlace::Page(number) => number,
                _ => page.number(),
            };
            if number >= last {
                return Ok(true);
            }
        }
        // Pages that begin at the last record of the page before hold it again.
        let total = total.filter(|_| !page.pagination.is_of_last_record(&self.settings.records));
        let total = total.map(|pointer| read_number(pointer, response, "total")).transpose()?.flatten();
        // A smaller number does not count the records.
        Ok(total == Some(page.n_elements()))
    }
}

/// The path of the next page, if it is relative to the URL in a member `base` beside it, as in Confluence. Only the path of
/// `base` counts: behind a gateway the API has another host and a longer path.
fn below_base(next: &Pointer, target: &str, response: &Response) -> Option<String> {
    let next = next.to_string();
    let base = Pointer::try_from(format!("{}/base", next.rsplit_once('/')?.0)).ok()?;
    let Located::At(range) = locate(&base, response).ok()? else { return None };
    let base = Url::parse(&serde_json::from_slice::<String>(&response.body[range]).ok()?).ok()?;
    let context = base.path().trim_end_matches('/');
    let begin = response.url.path().find(&format!("{context}/")).filter(|_| !context.is_empty())?;
    let gateway = &response.url.path()[..begin];
    let context = if target.starts_with(&format!("{context}/")) { "" } else { context };
    target.starts_with('/').then(|| [gateway, context, target].concat())
}

/// The request for the next page number or offset; `None` after a page without records.
fn next_number(request: &PageRequest, count: PageCount) -> Option<PageRequest> {
    let place = match request.place {
        PagePlace::Page(page) => PagePlace::Page(page + 1),
        PagePlace::Offset(offset) => PagePlace::Offset(offset + count.step),
        _ => return None,
    };
    (count.n_items > 0).then(|| request.next(place, count))
}

/// The cursor of the next page as a JSON text.
fn read_cursor(
    cursor: &CursorPlace,
    response: &Response,
    is_first: bool,
) -> Result<Option<String>, Unreadable> {
    let name = match cursor {
        CursorPlace::Body(pointer) => return read_next(pointer, response, is_first, "cursor"),
        CursorPlace::Header(name) => name,
    };
    let found = header_text(&response.headers, name);
    if found.is_none() && is_first {
        warn!("{}: no header `{name}` with a cursor; treating this as the last page", response.title);
    }
    Ok(found.map(|text| Value::from(text).to_string()).filter(|json| !is_end(json)))
}

/// The JSON text at `pointer`; `None` on the last page.
fn read_next(
    pointer: &Pointer,
    response: &Response,
    is_first: bool,
    what: &str,
) -> Result<Option<String>, Unreadable> {
    match locate(pointer, response)? {
        Located::At(range) => {
            let found = text(&response.body[range])?;
            Ok((!is_end(found)).then(|| found.to_owned()))
        }
        Located::Nowhere(why) => {
            if is_first {
                warn!("{}: no {what} at `{pointer}` ({why}); treating this as the last page", response.title);
            }
            Ok(None)
        }
    }
}

/// The number at `pointer`, which may also be written as a string; `None` if it is missing or null. `last` may also be true
/// on the last page.
fn read_number(pointer: &Pointer, response: &Response, option: &str) -> Result<Option<u64>, Unreadable> {
    let Located::At(range) = locate(pointer, response)? else { return Ok(None) };
    let found = text(&response.body[range])?;
    match (found, option) {
        ("null", _) | ("false", "last") => return Ok(None),
        // Every page has this number, or a greater one.
        ("true", "last") => return Ok(Some(0)),
        _ => {}
    }
    match found.trim_matches('"').trim().parse::<f64>() {
        Ok(number) if number >= 0.0 => Ok(Some(number as u64)),
        _ => Err(Unreadable::Unexpected(format!("`{pointer}` is not a number; check `pagination.{option}`"))),
    }
}

fn locate(pointer: &Pointer, response: &Response) -> Result<Located, Unreadable> {
    let body = &response.body;
    pointer.locate(body).or_else(|found| Err(not_json(text(body)?, found)))
}
