//! The source fetches page after page and emits their records in batches.

use std::sync::Arc;
use std::time::Duration;

use runner_core::{
    BatchLimits, Body, Error, Failure, Gauges, Name, Next, Origin, Position, ReadBatch, Record, Reject,
    Replay, Source, Start, async_trait,
};
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::client::Client;
use super::codec::Codec;
use super::error::HttpError;
use super::hints::Hinted;
use super::page::Page;
use super::page_history::PageHistory;
use super::page_request::{PageRequest, Place};
use super::pagination::Pagination;
use super::pointer::Pointer;
use super::position::{HttpPosition, RecordsHash};
use crate::shared::csv::DocumentReader;

/// The validated options.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) timeout: Option<Duration>,
    pub(super) codec: Codec,
    pub(super) records: Pointer,
    pub(super) pagination: Option<Pagination>,
    pub(super) interval: Option<Duration>,
    /// Whether `max_answer` is set.
    pub(super) has_max_answer: bool,
    /// Whether a program makes the records from what the response contains.
    pub(super) is_shaped: bool,
    /// The delays of repeated requests at a possible end of the data.
    pub(super) end_check_delays: &'static [Duration],
    pub(super) limits: BatchLimits,
    pub(super) gauges: Arc<Gauges>,
    pub(super) source_name: Name,
    pub(super) identity: String,
}

pub(super) struct Http {
    pub(super) client: Client,
    pub(super) settings: Settings,
    /// The position after the last emitted record.
    pub(super) position: HttpPosition,
    pub(super) history: PageHistory,
    pub(super) hinted: Hinted,
    /// Reads CSV responses, which share their column types.
    pub(super) csv_reader: DocumentReader,
    /// Whether a request has succeeded in this run.
    pub(super) has_succeeded: bool,
    /// How often in a row a possible end of the data was checked.
    pub(super) n_end_checks: usize,
    /// Whether to report a success without records: at first, and after a failed request.
    must_report_success: bool,
    /// When the current poll started.
    started: Instant,
    state: State,
}

/// What `next` does next.
#[derive(Debug)]
enum State {
    /// Waits, then starts a poll.
    Wait(Instant),
    Fetch(PageRequest),
    Emit(Box<Page>),
    End,
}

#[async_trait]
impl Source for Http {
    fn identity(&self) -> String {
        self.settings.identity.clone()
    }

    // An API may return a different response to the same request.
    fn replay(&self) -> Replay {
        Replay::NonDeterministic
    }

    fn can_resume_from(&self, identity: &str) -> bool {
        self.client.is_former_identity(&self.settings.identity, identity)
    }

    async fn open(&mut self, start: &Start) -> Result<(), Failure> {
        self.resume(start);
        Ok(self.client.open(self.settings.timeout)?)
    }

    async fn next(&mut self) -> Result<Next, Failure> {
        loop {
            match &mut self.state {
                State::Wait(until) => {
                    sleep_until(*until).await;
                    self.history = PageHistory::default();
                    let request = self.position.request.clone();
                    self.started = Instant::now();
                    self.state = State::Fetch(request);
                }
                State::Fetch(request) => {
                    // The state changes only after a response, so a failed or cancelled request is repeated.
                    let request = request.clone();
                    match self.fetch(&request).await {
                        Ok(page) => self.state = State::Emit(page.into()),
                        Err(error) => {
                            self.must_report_success = true;
                            return Err(self.failure(&request, error));
                        }
                    }
                }
                State::Emit(page) => {
                    let batch = next_batch(page, &mut self.position, &self.settings);
                    let must_report_success = std::mem::take(&mut self.must_report_success);
                    if let Some(batch) = batch {
                        return Ok(Next::Batch(batch));
                    }
                    if must_report_success {
                        return Ok(Next::Idle);
                    }
                    self.state = match (page.next.take(), self.settings.interval) {
                        (Some(request), _) => State::Fetch(request),
                        (None, Some(interval)) => State::Wait(self.started + interval),
                        (None, None) => State::End,
                    };
                }
                State::End => return Ok(Next::End),
            }
        }
    }
}

impl Http {
    pub(super) fn new(client: Client, settings: Settings) -> Self {
        let now = Instant::now();
        Http {
            position: HttpPosition::before(Pagination::first_request(settings.pagination.as_ref()), 0),
            client,
            settings,
            history: PageHistory::default(),
            hinted: Hinted::default(),
            csv_reader: DocumentReader::default(),
            has_succeeded: false,
            n_end_checks: 0,
            must_report_success: true,
            started: now,
            state: State::Wait(now),
        }
    }

    /// Resumes at a saved position, if it fits the options.
    fn resume(&mut self, start: &Start) {
        let pagination = self.settings.pagination.as_ref();
        match start.position::<HttpPosition>() {
            Ok(None) => {}
            Ok(Some(position)) if Pagination::accepts(pagination, &position.request) => {
                self.position = position;
            }
            Ok(Some(position)) => {
                warn!("the saved position does not match `pagination`; reading from the beginning");
                self.position.offset = position.offset;
            }
            Err(error) => warn!("the saved position cannot be read ({error:#}); reading from the beginning"),
        }
    }

    fn failure(&self, request: &PageRequest, error: HttpError) -> Failure {
        let redacted = |error: Error| self.client.redactor.error(error);
        match error {
            HttpError::Retryable(failure) => {
                let (class, after) = (failure.class(), failure.retry_after());
                Failure::new(class, redacted(failure.into_error())).with_retry_after(after)
            }
            HttpError::FatalUntilSuccess(error) if self.has_succeeded => Failure::transient(redacted(error)),
            HttpError::FatalUntilSuccess(error) | HttpError::Fatal(error) | HttpError::NotFound(error) => {
                let is_resumed = !self.has_succeeded
                    && *request != Pagination::first_request(self.settings.pagination.as_ref());
                Failure::fatal(redacted(if is_resumed {
                    error.context(
                        "resuming at the saved position; if the API no longer accepts it, \
                         `--from-start` reads from the beginning",
                    )
                } else {
                    error
                }))
            }
        }
    }
}

/// The next batch of a page; `None` once all of it has been emitted.
fn next_batch(page: &mut Page, position: &mut HttpPosition, settings: &Settings) -> Option<ReadBatch> {
    let previous = position.clone();
    let (mut records, mut rejects, mut hashes) = (Vec::new(), Vec::new(), Vec::new());
    let first = page.position.clone();
    let mut n_bytes = 0;
    while hashes.len() < settings.limits.max_records
        && n_bytes < settings.limits.max_bytes
        && let Some(item) = page.items.next()
    {
        n_bytes += item.raw.len();
        let origin = Origin { source: settings.source_name, partition: 0, offset: page.position.offset };
        page.position.taken += 1;
        page.position.offset += 1;
        page.position.hash = page.position.hash.with(&item.raw);
        hashes.push(page.position.hash);
        match item.body {
            Ok(body) => records.push(Record::new(body, origin)),
            Err(reason) => {
                let record = Record::new(Body::Bytes(item.raw), origin);
                rejects.push(Reject { record, reason, n_before: records.len() });
            }
        }
    }
    page.n_bytes_emitted =
        if page.items.is_empty() { page.size } else { page.size.min(page.n_bytes_emitted + n_bytes) };
    settings.gauges.set_position(page.n_bytes_emitted as u64, page.size as u64);
    // Without pagination the next poll delivers the whole response again.
    let is_complete = settings.pagination.is_none() && page.items.is_empty();
    if hashes.is_empty() && !(is_complete && previous.taken > 0) {
        return None;
    }
    let n_items = hashes.len();
    let positions = BatchPositions { previous, first, hashes, is_complete };
    *position = positions.position_after(n_items);
    let batch = ReadBatch::new(records).with_rejects(rejects);
    Some(batch.with_positions(move |n_items| Position::new(positions.position_after(n_items))))
}

/// The positions inside and after a batch.
struct BatchPositions {
    /// The position before the batch.
    previous: HttpPosition,
    first: HttpPosition,
    /// The hash of the response up to each item of the batch.
    hashes: Vec<RecordsHash>,
    is_complete: bool,
}

impl BatchPositions {
    fn position_after(&self, n_items: usize) -> HttpPosition {
        let offset = self.first.offset + n_items as u64;
        if self.is_complete && n_items == self.hashes.len() {
            return HttpPosition::before(PageRequest::first(Place::First), offset);
        }
        let Some(&hash) = n_items.checked_sub(1).and_then(|last| self.hashes.get(last)) else {
            return self.previous.clone();
        };
        HttpPosition {
            request: self.first.request.clone(),
            taken: self.first.taken + n_items as u64,
            hash,
            offset,
        }
    }
}
