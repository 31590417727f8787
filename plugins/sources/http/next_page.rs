//! Finds the request for the next page in a response.

use anyhow::anyhow;
use tracing::warn;
use xxhash_rust::xxh3::xxh3_64;

use super::client::Response;
use super::decode::{Items, Unreadable, invalid_json, text};
use super::error::HttpError;
use super::link::next_target;
use super::page_request::{PageRequest, Place};
use super::pagination::Pagination;
use super::pointer::{Lookup, Pointer, type_name};
use super::source::Http;

impl Http {
    /// The request for the next page; a page that was already read is an error.
    pub(super) fn next_request(
        &mut self,
        request: &PageRequest,
        response: &Response,
        items: &Items,
    ) -> Result<Option<PageRequest>, HttpError> {
        let (next, named) = match &self.settings.pagination {
            None => return Ok(None),
            Some(Pagination::Page { param, .. }) => {
                let Place::Page(page) = request.place else { return Ok(None) };
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
                return Ok(Some(request.next(Place::Page(page + 1), items)));
            }
            Some(Pagination::Link {}) => {
                let Some(target) = next_target(response.links()) else { return Ok(None) };
                let next = self.client.link(response, target).map_err(|_| {
                    let target = self.client.redactor.text(target);
                    HttpError::FatalUntilSuccess(anyhow!(
                        "{}: the next link `{target}` is not a valid URL",
                        response.title
                    ))
                })?;
                (request.next(next, items), "the next link".to_owned())
            }
            Some(Pagination::Cursor { cursor: pointer, .. }) => {
                let is_first = !self.has_succeeded && !items.is_empty();
                let found = read_cursor(pointer, response, is_first);
                let Some(cursor) = found.map_err(|unreadable| self.unreadable(response, unreadable))? else {
                    return Ok(None);
                };
                let named = format!("the cursor `{}` at `{pointer}`", self.client.redactor.text(&cursor));
                (request.next(Place::Cursor(cursor), items), named)
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
