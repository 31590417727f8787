//! Fetches one page: its items, and the request for the next page.

use std::time::Duration;

use anyhow::anyhow;
use reqwest::StatusCode;
use runner_core::Result;
use serde::de::IgnoredAny;
use tokio::time::sleep;
use tracing::{info, warn};
use xxhash_rust::xxh3::xxh3_64;

use super::Codec;
use super::client::Response;
use super::decode::{Items, Unreadable, invalid_json, text};
use super::error::HttpError;
use super::link::next_target;
use super::pagination::Pagination;
use super::pointer::{Lookup, Pointer, type_name};
use super::position::{HttpPosition, PageRequest, RecordsHash};
use super::source::Http;

/// A missing page (404) and `null` instead of records may be the end of the data or a temporary failure of
/// the API. The request is repeated after these delays, about ten seconds in all, before it is taken as the end.
pub(super) const END_CHECK_DELAYS: [Duration; 6] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(3),
    Duration::from_secs(3),
];

/// The items of one response that have not been emitted.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) items: Items,
    /// The position before the next item.
    pub(super) position: HttpPosition,
    /// The request for the next page.
    pub(super) next: Option<PageRequest>,
    /// The size of the response, and about how many of its bytes have been emitted.
    pub(super) size: usize,
    pub(super) n_bytes_emitted: usize,
}

impl Http {
    /// Fetches a page. Repeats the request while the response may be the end of the data or a temporary failure.
    pub(super) async fn fetch(&mut self, request: &PageRequest) -> Result<Page, HttpError> {
        loop {
            let (page, why) = self.fetch_once(request).await?;
            // With `interval` the next poll repeats the request.
            let Some(why) = why.filter(|_| self.settings.interval.is_none()) else {
                self.n_end_checks = 0;
                return Ok(page);
            };
            let Some(pause) = self.settings.end_check_delays.get(self.n_end_checks) else {
                warn!("{why}, {} times in a row; treating it as the end of the data", self.n_end_checks + 1);
                self.n_end_checks = 0;
                return Ok(page);
            };
            info!("{why}; checking again in {} s whether this is the end of the data", pause.as_secs_f64());
            self.n_end_checks += 1;
            sleep(*pause).await;
        }
    }

    /// Sends the request once and skips delivered records. Also returns why the page may be the end, if it may.
    async fn fetch_once(&mut self, request: &PageRequest) -> Result<(Page, Option<String>), HttpError> {
        let pagination = self.settings.pagination.as_ref();
        self.history.add(&self.client.url(pagination, request).map_err(HttpError::Fatal)?);
        let response = match self.client.request(pagination, request).await {
            Ok(response) => response,
            // Some APIs return 404 after the last page.
            Err(HttpError::NotFound(error))
                if matches!(request, PageRequest::Page(_)) && *request != self.position.request =>
            {
                let error = self.client.redactor.error(error);
                return Ok((self.empty_page(request), Some(format!("page not found ({error:#})"))));
            }
            Err(error) => return Err(error),
        };
        let mut items = self.decode(&response)?;
        let next = self.next_request(request, &response, &items)?;
        let is_end = matches!(items, Items::Null) && next.is_none();
        let why = is_end.then(|| {
            let records = &self.settings.records;
            let place = if records.is_root() { "the response".into() } else { format!("`{records}`") };
            format!("{}: {place} is null, but contained records before", response.title)
        });
        let size = response.body.len();
        let mut position = HttpPosition::before(request.clone(), self.position.offset);
        // A possible end of the data is not a changed response.
        if *request == self.position.request && self.position.taken > 0 && !is_end {
            if skip_delivered(&mut items, &self.position) {
                position = self.position.clone();
            } else {
                warn!(
                    "{}: the response no longer begins with the {} records that were delivered; delivering all of it again",
                    response.title, self.position.taken
                );
                items = self.decode(&response)?;
            }
        }
        self.has_succeeded = true;
        Ok((Page { items, position, next, size, n_bytes_emitted: 0 }, why))
    }

    fn empty_page(&self, request: &PageRequest) -> Page {
        let position = HttpPosition::before(request.clone(), self.position.offset);
        Page { items: Items::none(), position, next: None, size: 0, n_bytes_emitted: 0 }
    }

    fn decode(&mut self, response: &Response) -> Result<Items, HttpError> {
        let body = &response.body;
        let is_blank = body.trim_ascii().is_empty();
        let settings = &self.settings;
        let decoded = match settings.codec {
            _ if response.status == StatusCode::NO_CONTENT => Ok(Items::none()),
            Codec::Ndjson | Codec::Csv if is_blank => Ok(Items::none()),
            Codec::Ndjson | Codec::Csv if is_web_page(response) => {
                Err(Unreadable::Unexpected("the response is a web page".into()))
            }
            Codec::Csv if response.content_type.contains("json") => {
                Err(Unreadable::Unexpected("expected CSV, got JSON".into()))
            }
            Codec::Json => Items::of_json(body, &settings.records, self.position.offset > 0),
            Codec::Ndjson => Items::of_ndjson(body, self.client.redactor.url(&response.url)),
            Codec::Csv => Items::of_csv(body, &mut self.csv_reader, settings.source_name),
        };
        decoded.map_err(|unreadable| self.unreadable(response, unreadable))
    }

    fn unreadable(&self, response: &Response, unreadable: Unreadable) -> HttpError {
        let Response { title, content_type, .. } = response;
        let redactor = &self.client.redactor;
        let content_type = match content_type.as_str() {
            "" => "no content type".to_owned(),
            content_type => redactor.text(content_type),
        };
        match unreadable {
            Unreadable::Truncated(why) => HttpError::transient(anyhow!("{title} ({content_type}): {why}")),
            Unreadable::Unexpected(why) => {
                // It may contain keys of the response.
                let why = redactor.text(&why);
                let advice = advice(self.settings.codec, response);
                let dot = if advice.ends_with('?') { "" } else { "." };
                let excerpt = match self.client.excerpt(&response.body) {
                    excerpt if excerpt.is_empty() => excerpt,
                    excerpt => format!("{dot} The response begins with {excerpt}"),
                };
                HttpError::FatalUntilSuccess(anyhow!("{title} ({content_type}): {why}{advice}{excerpt}"))
            }
        }
    }

    /// The request for the next page; a page that was already read is an error.
    fn next_request(
        &mut self,
        request: &PageRequest,
        response: &Response,
        items: &Items,
    ) -> Result<Option<PageRequest>, HttpError> {
        let (next, named) = match &self.settings.pagination {
            None => return Ok(None),
            Some(Pagination::Page { param, .. }) => {
                let PageRequest::Page(page) = *request else { return Ok(None) };
                if items.is_empty() {
                    return Ok(None);
                }
                if !self.history.is_new_page(xxh3_64(items.as_written(&response.body))) {
                    return Err(HttpError::Fatal(anyhow!(
                        "{}: page {page} is identical to the page before it; \
                         does the API read the page number from the parameter `{param}`?",
                        response.title
                    )));
                }
                return Ok(Some(PageRequest::Page(page + 1)));
            }
            Some(Pagination::Link {}) => {
                let links = response.links.iter().filter_map(|link| link.to_str().ok());
                let Some(target) = next_target(links) else { return Ok(None) };
                let next = self.client.link(response, target).map_err(|_| {
                    let target = self.client.redactor.text(target);
                    HttpError::FatalUntilSuccess(anyhow!(
                        "{}: the next link `{target}` is not a valid URL",
                        response.title
                    ))
                })?;
                (next, "the next link".to_owned())
            }
            Some(Pagination::Cursor { cursor: pointer, .. }) => {
                let is_first = !self.has_succeeded && !items.is_empty();
                let found = read_cursor(pointer, response, is_first);
                let Some(cursor) = found.map_err(|unreadable| self.unreadable(response, unreadable))? else {
                    return Ok(None);
                };
                let named = format!("the cursor `{}` at `{pointer}`", self.client.redactor.text(&cursor));
                (PageRequest::Cursor(cursor), named)
            }
        };
        let url = self.client.url(self.settings.pagination.as_ref(), &next).map_err(HttpError::Fatal)?;
        if !self.history.has_requested(&url) {
            return Ok(Some(next));
        }
        // The last page of some APIs contains its own cursor.
        if items.is_empty() {
            return Ok(None);
        }
        let advice = match &self.settings.pagination {
            Some(Pagination::Cursor { param, .. }) => format!("does the API read its cursor from `{param}`?"),
            _ => "the source would never end".into(),
        };
        Err(HttpError::Fatal(anyhow!(
            "{}: {named} repeats and leads to a page that was already read; {advice}",
            response.title
        )))
    }
}

/// Skips the delivered records; false if the response begins with other records.
fn skip_delivered(items: &mut Items, delivered: &HttpPosition) -> bool {
    let mut hash = RecordsHash::default();
    for _ in 0..delivered.taken {
        let Some(item) = items.next() else { return false };
        hash = hash.with(&item.raw);
    }
    hash == delivered.hash
}

/// The cursor of the next page; on the last page it is missing, `null` or empty.
fn read_cursor(pointer: &Pointer, response: &Response, is_first: bool) -> Result<Option<String>, Unreadable> {
    let text = text(&response.body)?;
    let invalid_json = |error: serde_json::Error| invalid_json(text, &error);
    let value = match pointer.find(text).map_err(invalid_json)? {
        Lookup::Value(value) => value,
        Lookup::NotFound(why) => {
            if is_first {
                warn!("{}: no cursor at `{pointer}` ({why}); treating this as the last page", response.title);
            }
            return Ok(None);
        }
    };
    match value.get().as_bytes().first() {
        Some(b'"') => {
            let cursor: String = serde_json::from_str(value.get()).map_err(invalid_json)?;
            Ok((!cursor.is_empty()).then_some(cursor))
        }
        Some(b'n') => Ok(None),
        Some(b'-' | b'0'..=b'9') => Ok(Some(value.get().to_owned())),
        _ if value.get() == "false" => Ok(None),
        _ => Err(Unreadable::Unexpected(format!(
            "`{pointer}` is {}, but a cursor must be a string or a number; check `pagination.cursor`",
            type_name(value)
        ))),
    }
}

fn is_web_page(response: &Response) -> bool {
    let front = response.body.trim_ascii_start();
    let begins = |with: &[u8]| front.get(..with.len()).is_some_and(|front| front.eq_ignore_ascii_case(with));
    begins(b"<!doctype html") || begins(b"<html") || response.content_type.starts_with("text/html")
}

/// Whether the first line of an invalid JSON text is valid JSON.
fn is_ndjson(body: &[u8]) -> bool {
    let line = body.split(|&byte| byte == b'\n').next().unwrap_or_default();
    line.len() < body.len() && serde_json::from_slice::<IgnoredAny>(line).is_ok()
}

/// Advice for a response in another format.
fn advice(codec: Codec, response: &Response) -> String {
    let content_type = response.content_type.to_ascii_lowercase();
    let is_called = |name: &str| content_type.contains(name);
    let other = match codec {
        _ if is_web_page(response) => {
            return ": check that `endpoint` is the API and not its web page; a login page means that `auth` is missing".into();
        }
        Codec::Json if is_called("csv") => Codec::Csv,
        Codec::Json if is_called("ndjson") || is_called("jsonl") || is_called("json-seq") => Codec::Ndjson,
        Codec::Json if is_ndjson(&response.body) => Codec::Ndjson,
        Codec::Csv if is_called("json") => Codec::Json,
        _ => return String::new(),
    };
    format!("; should it be codec = \"{}\"?", other.name())
}
