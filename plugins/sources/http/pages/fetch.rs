//! Fetches one page: its items, and the request for the next page.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::anyhow;
use reqwest::StatusCode;
use runner_core::{Error, Result};
use tokio::time::sleep;
use tracing::{info, warn};

use super::super::error::HttpError;
use super::super::records::{On, ShapedRecord, array_of, made_of_answer};
use super::super::responses::{Items, Response};
use super::super::source::{HttpSource, RecordsHash, Validators};
use super::count::PageCount;
use super::page_request::PageRequest;

/// A missing page (404) and `null` instead of records may be the end of the data or a temporary failure of
/// the API. The request is repeated after these delays, about ten seconds in all, before it is taken as the end.
pub(crate) const END_CHECK_DELAYS: [Duration; 6] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(3),
    Duration::from_secs(3),
];

/// The items of one response that have not been emitted.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) items: Items,
    /// Records that were made of an item, and come before the other items.
    pub(crate) shaped: VecDeque<ShapedRecord>,
    /// How many items the response held, and the hash of the first one.
    pub(crate) n_items: usize,
    pub(crate) first: Option<u64>,
    /// The request for the next page.
    pub(crate) next: Option<PageRequest>,
    pub(crate) validators: Option<Validators>,
    /// Whether the server says that the response is still the last one.
    pub(crate) is_not_modified: bool,
    /// The size of the response, and about how many of its bytes have been emitted.
    pub(crate) size: usize,
    pub(crate) n_bytes_emitted: usize,
}

impl Page {
    /// Whether no item remains.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.shaped.is_empty() && self.items.is_empty()
    }

    fn empty() -> Self {
        Page {
            items: Items::none(),
            shaped: VecDeque::new(),
            n_items: 0,
            first: None,
            next: None,
            validators: None,
            is_not_modified: false,
            size: 0,
            n_bytes_emitted: 0,
        }
    }
}

impl HttpSource {
    /// Fetches a page and begins it. Repeats the request while the response may be the end of the data or a
    /// temporary failure.
    pub(crate) async fn fetch(&mut self, request: &PageRequest) -> Result<Page, HttpError> {
        let page = loop {
            let (page, why) = self.fetch_once(request).await?;
            if !self.checks_end_again(why).await {
                break page;
            }
        };
        if let Some(walk) = &mut self.walk {
            walk.begin_page(request, page.n_items, page.first);
        }
        Ok(page)
    }

    /// Waits before a page is requested again that may be the end of the data, for the reason `why`. Returns false if it is
    /// taken as it is.
    pub(crate) async fn checks_end_again(&mut self, why: Option<String>) -> bool {
        // With `interval` the next poll repeats the request.
        let why = why.filter(|_| self.settings.interval.is_none());
        let pause = self.settings.end_check_delays.get(self.n_end_checks).filter(|_| why.is_some());
        match (why, pause) {
            (Some(why), Some(pause)) => {
                info!(
                    "{why}; checking again in {} s whether this is the end of the data",
                    pause.as_secs_f64()
                );
                self.n_end_checks += 1;
                sleep(*pause).await;
                true
            }
            (why, _) => {
                if let Some(why) = why {
                    warn!(
                        "{why}, {} times in a row; treating it as the end of the data",
                        self.n_end_checks + 1
                    );
                }
                self.n_end_checks = 0;
                false
            }
        }
    }

    /// Sends the request once. Also returns why the page may be the end, if it may.
    async fn fetch_once(&mut self, request: &PageRequest) -> Result<(Page, Option<String>), HttpError> {
        let pagination = self.settings.pagination.as_deref();
        self.history.add(self.client.fingerprint(pagination, request).map_err(HttpError::Fatal)?);
        let is_entry = self.walk.as_ref().is_none_or(|walk| walk.entry() == request);
        let response = match self.client.request_page(pagination, request).await {
            Ok(response) => response,
            // Some APIs return 404 after the last page.
            Err(HttpError::NotFound(error)) if request.is_numbered() && !is_entry => {
                let error = self.client.redactor.error(error);
                return Ok((Page::empty(), Some(format!("page not found ({error:#})"))));
            }
            Err(HttpError::Refused(status, error)) if request.is_numbered() && !is_entry => {
                return Err(HttpError::Refused(status, with_end_advice(status, error)));
            }
            Err(error) => return Err(error),
        };
        if response.status == StatusCode::NOT_MODIFIED {
            self.has_succeeded = true;
            return Ok((Page { is_not_modified: true, ..Page::empty() }, None));
        }
        let mut items = self.decode(&response)?;
        let first = items.hashes(1).pop();
        if self.walk.as_ref().is_some_and(|walk| walk.has_moved_rows(request, first, &self.settings)) {
            let why =
                anyhow!("{}: rows have moved between pages since the walk was interrupted", response.title);
            return Err(HttpError::Refused(response.status, why));
        }
        let is_first_again = self.is_first_again(request, &items).await?;
        if is_first_again {
            items = Items::none();
        }
        let made = self.made_of_page(&items).map_err(HttpError::Fatal)?;
        let pagination = self.settings.pagination.as_deref();
        let count = PageCount::of(&items, made.as_ref().map(VecDeque::len), pagination);
        let next =
            if is_first_again { None } else { self.next_request(request, &response, &items, count).await? };
        // An API may answer a cursor that has expired as if there were no more records.
        if count.n_items == 0
            && next.is_none()
            && !request.is_numbered()
            && self.walk.as_ref().is_some_and(|walk| walk.is_saved_page(request, &self.settings))
        {
            let why = anyhow!("{}: the response holds no records and names no next page", response.title);
            return Err(HttpError::Refused(response.status, why));
        }
        self.warn_of_wrong_options(&response, &items);
        let is_null = matches!(items, Items::Null);
        // Nothing on the first page is an answer without records; behind it, it may be a failure that cuts off the walk.
        let is_end = is_null && next.is_none() && *request != self.settings.first_request();
        let why = is_end.then(|| {
            let records = &self.settings.records;
            let place = if records.is_root() { "the response".into() } else { format!("`{records}`") };
            format!(
                "{}: {place} is missing or null, but contained records in an earlier response",
                response.title
            )
        });
        self.has_succeeded = true;
        self.found_records(&response, &items, count.n_items);
        // A possible end of the data is not a changed response.
        if !is_null && is_entry {
            self.skip_prefix(&response, &mut items)?;
        }
        let mut page = Page { n_items: count.n_items, first, next, size: response.size, ..Page::empty() };
        page.validators = self.validators(&response);
        match (made, &self.settings.remap, &self.walk) {
            (Some(made), ..) => {
                if !items.is_empty() {
                    page.shaped = made;
                }
            }
            (None, Some(remap), Some(walk)) if remap.on == On::Answer && count.n_items > 0 => {
                let json = array_of(&mut items).map_err(HttpError::Fatal)?;
                page.shaped = made_of_answer(json, remap, walk);
            }
            _ => page.items = items,
        }
        Ok((page, why))
    }

    /// Skips what an earlier release has delivered of a response.
    fn skip_prefix(&mut self, response: &Response, items: &mut Items) -> Result<(), HttpError> {
        let Some(prefix) = self.walk.as_mut().and_then(|walk| walk.prefix.take()) else { return Ok(()) };
        let (mut hash, mut delivered) = (RecordsHash::default(), Vec::new());
        while (delivered.len() as u64) < prefix.taken
            && let Some(item) = items.next().map_err(HttpError::Fatal)?
        {
            hash = hash.with(&item.raw);
            delivered.push(item.raw);
        }
        if hash != prefix.hash || delivered.len() as u64 != prefix.taken {
            warn!(
                "{}: the response no longer begins with the {} records that were delivered; delivering all of it again",
                response.title, prefix.taken
            );
            *items = self.decode(response)?;
        } else if let Some(walk) = &mut self.walk {
            for raw in &delivered {
                walk.add_delivered(raw);
            }
        }
        Ok(())
    }
}

/// The error for a page that may be behind the last one.
pub(crate) fn with_end_advice(status: StatusCode, error: Error) -> Error {
    let may_be_end = matches!(
        status,
        StatusCode::BAD_REQUEST | StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::UNPROCESSABLE_ENTITY
    );
    if !may_be_end {
        return error;
    }
    error.context(format!(
        "if the page before this one is the last, name its number with `last` (or the number of all records with \
         `total`) of `pagination`, or this response with `responses = {{ empty = [{{ status = {} }}] }}`",
        status.as_u16()
    ))
}
