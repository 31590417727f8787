//! Makes an answer out of a response: its items, and what to ask for next.

use std::time::Duration;

use anyhow::anyhow;
use reqwest::StatusCode;
use runner_core::Result;
use serde::de::IgnoredAny;
use tokio::time::sleep;
use tracing::{info, warn};
use xxhash_rust::xxh3::xxh3_64;

use super::Codec;
use super::answer::{Items, Unreadable, misread, text};
use super::client::Response;
use super::link::next_target;
use super::pagination::Pagination;
use super::pointer::{Found, Pointer, kind};
use super::position::{Place, Prefix, Request};
use super::source::Http;
use super::trouble::Trouble;

/// A page that is missing and records that are `null` end a run as the last page does. An API that has
/// a bad moment answers like that as well, so it is asked again, for about ten seconds in all.
pub(super) const DOUBTS: [Duration; 6] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(3),
    Duration::from_secs(3),
];

/// One answer, and how much of it has been given.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) items: Items,
    /// In front of the next item.
    pub(super) at: Place,
    /// What to ask for when all of it has been given.
    pub(super) next: Option<Request>,
    /// Its bytes, and about how many of them have been given.
    pub(super) size: usize,
    pub(super) n_given: usize,
}

impl Http {
    /// Asks, and asks again before what may only pass is taken for the end.
    pub(super) async fn fetch(&mut self, request: &Request) -> Result<Answer, Trouble> {
        loop {
            let (answer, why) = self.look(request).await?;
            // Where there is a next poll, that one goes on here.
            let Some(why) = why.filter(|_| self.setup.interval.is_none()) else {
                self.n_doubts = 0;
                return Ok(answer);
            };
            let Some(pause) = self.setup.doubts.get(self.n_doubts) else {
                warn!(
                    "{why}, {} times in a row: this is taken for the end of all records",
                    self.n_doubts + 1
                );
                self.n_doubts = 0;
                return Ok(answer);
            };
            info!("{why}, which may be the end or pass; asking again in {} s", pause.as_secs_f64());
            self.n_doubts += 1;
            sleep(*pause).await;
        }
    }

    /// Asks, and passes over what has been given before; and why that may not be the end, if it looks like it.
    async fn look(&mut self, request: &Request) -> Result<(Answer, Option<String>), Trouble> {
        let pagination = self.setup.pagination.as_ref();
        self.walk.note(&self.client.url(pagination, request).map_err(Trouble::Final)?);
        let response = match self.client.ask(pagination, request).await {
            Ok(response) => response,
            // Some APIs answer 404 behind their last page.
            Err(Trouble::Missing(error))
                if matches!(request, Request::Page(_)) && *request != self.place.request =>
            {
                let error = self.client.redactor.error(error);
                return Ok((self.nothing(request), Some(format!("a page is missing ({error:#})"))));
            }
            Err(trouble) => return Err(trouble),
        };
        let mut items = self.decode(&response)?;
        let next = self.next_request(request, &response, &items)?;
        let is_end = matches!(items, Items::Null) && next.is_none();
        let why = is_end.then(|| {
            let records = &self.setup.records;
            let place = if records.is_whole() { "it".into() } else { format!("`{records}`") };
            format!("{}: {place} is null, where records have been before", response.title)
        });
        let size = response.body.len();
        let mut at = Place::before(request.clone(), self.place.offset);
        // Nothing at all is no answer that has changed.
        if *request == self.place.request && self.place.taken > 0 && !is_end {
            if pass_over(&mut items, &self.place) {
                at = self.place.clone();
            } else {
                warn!(
                    "{}: it no longer begins with the {} records that were delivered before; all of it is delivered again",
                    response.title, self.place.taken
                );
                items = self.decode(&response)?;
            }
        }
        self.has_succeeded = true;
        Ok((Answer { items, at, next, size, n_given: 0 }, why))
    }

    fn nothing(&self, request: &Request) -> Answer {
        let at = Place::before(request.clone(), self.place.offset);
        Answer { items: Items::none(), at, next: None, size: 0, n_given: 0 }
    }

    fn decode(&mut self, response: &Response) -> Result<Items, Trouble> {
        let body = &response.body;
        let is_blank = body.trim_ascii().is_empty();
        let setup = &self.setup;
        let decoded = match setup.codec {
            _ if response.status == StatusCode::NO_CONTENT => Ok(Items::none()),
            Codec::Ndjson | Codec::Csv if is_blank => Ok(Items::none()),
            Codec::Ndjson | Codec::Csv if is_web_page(response) => {
                Err(Unreadable::Unexpected("it is a web page".into()))
            }
            Codec::Csv if response.content_type.contains("json") => {
                Err(Unreadable::Unexpected("it is JSON where CSV was expected".into()))
            }
            Codec::Json => Items::of_json(body, &setup.records, self.place.offset > 0),
            Codec::Ndjson => Items::of_lines(body, self.client.redactor.url(&response.url)),
            Codec::Csv => Items::of_rows(body, &mut self.tables, setup.stream),
        };
        decoded.map_err(|unreadable| self.unreadable(response, unreadable))
    }

    fn unreadable(&self, response: &Response, unreadable: Unreadable) -> Trouble {
        let Response { title, content_type, .. } = response;
        let redactor = &self.client.redactor;
        let content_type = match content_type.as_str() {
            "" => "no content type".to_owned(),
            content_type => redactor.text(content_type),
        };
        match unreadable {
            Unreadable::BrokenOff(why) => Trouble::passing(anyhow!("{title} ({content_type}): {why}")),
            Unreadable::Unexpected(why) => {
                // It may name keys of the answer.
                let why = redactor.text(&why);
                let advice = advice(self.setup.codec, response);
                let dot = if advice.ends_with('?') { "" } else { "." };
                let excerpt = match self.client.excerpt(&response.body) {
                    excerpt if excerpt.is_empty() => excerpt,
                    excerpt => format!("{dot} It begins {excerpt}"),
                };
                Trouble::Refused(anyhow!("{title} ({content_type}): {why}{advice}{excerpt}"))
            }
        }
    }

    /// What comes after this answer; an API that leads in a circle is an error.
    fn next_request(
        &mut self,
        request: &Request,
        response: &Response,
        items: &Items,
    ) -> Result<Option<Request>, Trouble> {
        let (next, named) = match &self.setup.pagination {
            None => return Ok(None),
            Some(Pagination::Page { param, .. }) => {
                let Request::Page(page) = *request else { return Ok(None) };
                if items.is_empty() {
                    return Ok(None);
                }
                if !self.walk.is_new_page(xxh3_64(items.as_written(&response.body))) {
                    return Err(Trouble::Final(anyhow!(
                        "{}: page {page} is the same as the page before it, and so would be all that follow; \
                         does the API count its pages in the parameter `{param}`?",
                        response.title
                    )));
                }
                return Ok(Some(Request::Page(page + 1)));
            }
            Some(Pagination::Link {}) => {
                let links = response.links.iter().filter_map(|link| link.to_str().ok());
                let Some(target) = next_target(links) else { return Ok(None) };
                let next = self.client.link(response, target).map_err(|_| {
                    let target = self.client.redactor.text(target);
                    Trouble::Refused(anyhow!(
                        "{}: its next link `{target}` is not a valid URL",
                        response.title
                    ))
                })?;
                (next, "the next link".to_owned())
            }
            Some(Pagination::Cursor { cursor: pointer, .. }) => {
                let is_first = !self.has_succeeded && !items.is_empty();
                let found = find_cursor(pointer, response, is_first);
                let Some(cursor) = found.map_err(|unreadable| self.unreadable(response, unreadable))? else {
                    return Ok(None);
                };
                let named = format!("the cursor `{}` at `{pointer}`", self.client.redactor.text(&cursor));
                (Request::Cursor(cursor), named)
            }
        };
        let url = self.client.url(self.setup.pagination.as_ref(), &next).map_err(Trouble::Final)?;
        if !self.walk.has_asked(&url) {
            return Ok(Some(next));
        }
        // An API that has nothing new may name the place it is at.
        if items.is_empty() {
            return Ok(None);
        }
        let advice = match &self.setup.pagination {
            Some(Pagination::Cursor { param, .. }) => format!("does the API read its cursor from `{param}`?"),
            _ => "the API would be read for ever".into(),
        };
        Err(Trouble::Final(anyhow!(
            "{}: {named} repeats, and leads back to what has been read already; {advice}",
            response.title
        )))
    }
}

/// Passes over what has been delivered; false if the answer begins otherwise.
fn pass_over(items: &mut Items, place: &Place) -> bool {
    let mut hash = Prefix::default();
    for _ in 0..place.taken {
        let Some(item) = items.next() else { return false };
        hash = hash.with(&item.raw);
    }
    hash == place.hash
}

/// The cursor of an answer; none, `null` and an empty one end the walk.
fn find_cursor(pointer: &Pointer, response: &Response, is_first: bool) -> Result<Option<String>, Unreadable> {
    let text = text(&response.body)?;
    let misread = |error: serde_json::Error| misread(text, &error);
    let value = match pointer.find(text).map_err(misread)? {
        Found::At(value) => value,
        Found::Nothing(why) => {
            if is_first {
                warn!(
                    "{}: there is no cursor at `{pointer}` ({why}), so this is taken for all there is",
                    response.title
                );
            }
            return Ok(None);
        }
    };
    match value.get().as_bytes().first() {
        Some(b'"') => {
            let cursor: String = serde_json::from_str(value.get()).map_err(misread)?;
            Ok((!cursor.is_empty()).then_some(cursor))
        }
        Some(b'n') => Ok(None),
        Some(b'-' | b'0'..=b'9') => Ok(Some(value.get().to_owned())),
        _ if value.get() == "false" => Ok(None),
        _ => Err(Unreadable::Unexpected(format!(
            "`{pointer}` is {}, and a cursor is a string or a number; check `pagination.cursor`",
            kind(value)
        ))),
    }
}

fn is_web_page(response: &Response) -> bool {
    let front = response.body.trim_ascii_start();
    let begins = |with: &[u8]| front.get(..with.len()).is_some_and(|front| front.eq_ignore_ascii_case(with));
    begins(b"<!doctype html") || begins(b"<html") || response.content_type.starts_with("text/html")
}

/// Whether a text that is not JSON as a whole begins with a line that is.
fn is_lines(body: &[u8]) -> bool {
    let line = body.split(|&byte| byte == b'\n').next().unwrap_or_default();
    line.len() < body.len() && serde_json::from_slice::<IgnoredAny>(line).is_ok()
}

/// What to do about an answer that is something else.
fn advice(codec: Codec, response: &Response) -> String {
    let content_type = response.content_type.to_ascii_lowercase();
    let is_called = |name: &str| content_type.contains(name);
    let other = match codec {
        _ if is_web_page(response) => {
            return ": check that `endpoint` is the API and not its web page; a page to log in asks for `auth`".into();
        }
        Codec::Json if is_called("csv") => Codec::Csv,
        Codec::Json if is_called("ndjson") || is_called("jsonl") || is_called("json-seq") => Codec::Ndjson,
        Codec::Json if is_lines(&response.body) => Codec::Ndjson,
        Codec::Csv if is_called("json") => Codec::Json,
        _ => return String::new(),
    };
    format!("; should it be codec = \"{}\"?", other.name())
}
