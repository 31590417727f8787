//! Fetches one page: its items, and the request for the next page.

use std::time::Duration;

use runner_core::Result;
use tokio::time::sleep;
use tracing::{info, warn};

use super::decode::Items;
use super::error::HttpError;
use super::page_request::PageRequest;
use super::position::{HttpPosition, RecordsHash};
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
        self.history.add(self.client.fingerprint(pagination, request).map_err(HttpError::Fatal)?);
        let response = match self.client.request(pagination, request).await {
            Ok(response) => response,
            // Some APIs return 404 after the last page.
            Err(HttpError::NotFound(error)) if request.is_numbered() && *request != self.position.request => {
                let error = self.client.redactor.error(error);
                return Ok((self.empty_page(request), Some(format!("page not found ({error:#})"))));
            }
            Err(error) => return Err(error),
        };
        let mut items = self.decode(&response)?;
        let next = self.next_request(request, &response, &items).await?;
        self.hint(&response, &items);
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
