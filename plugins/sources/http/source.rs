//! The source walks from answer to answer and gives out what they hold, batch by batch.

use std::sync::Arc;
use std::time::Duration;

use runner_core::{
    Batch, BatchLimits, Body, Error, Gauges, Name, Origin, Position, ReadError, Record, Reject, Replay,
    Result, Source, Start, async_trait,
};
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::Codec;
use super::client::Client;
use super::fetch::Answer;
use super::pagination::{Pagination, Walk};
use super::pointer::Pointer;
use super::position::{Place, Prefix, Request};
use super::trouble::Trouble;
use crate::shared::csv::Answers;

/// What does not change while the source runs.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) timeout: Option<Duration>,
    pub(super) codec: Codec,
    pub(super) records: Pointer,
    pub(super) pagination: Option<Pagination>,
    pub(super) interval: Option<Duration>,
    /// How long to wait before each further look at what may be the end.
    pub(super) doubts: &'static [Duration],
    pub(super) limits: BatchLimits,
    pub(super) gauges: Arc<Gauges>,
    pub(super) stream: Name,
    pub(super) identity: String,
}

pub(super) struct Http {
    pub(super) client: Client,
    pub(super) setup: Setup,
    /// How far records have been given out.
    pub(super) place: Place,
    pub(super) walk: Walk,
    /// The tables of CSV answers, which share their types.
    pub(super) tables: Answers,
    /// Whether the API has given a good answer in this run.
    pub(super) has_succeeded: bool,
    /// How often in a row what may be the end was doubted.
    pub(super) n_doubts: usize,
    /// Whether the engine has yet to hear that the API answers: at first, and when a request has failed.
    is_awaited: bool,
    /// When the walk began.
    began: Instant,
    step: Step,
}

/// What `next` does next.
#[derive(Debug)]
enum Step {
    /// Waits, then begins a walk.
    Wait(Instant),
    Ask(Request),
    Give(Box<Answer>),
    End,
}

#[async_trait]
impl Source for Http {
    fn identity(&self) -> String {
        self.setup.identity.clone()
    }

    /// An API may answer the same request with something else tomorrow.
    fn replay(&self) -> Replay {
        Replay::NonDeterministic
    }

    fn can_resume_from(&self, identity: &str) -> bool {
        self.client.is_former_identity(&self.setup.identity, identity)
    }

    async fn open(&mut self, start: &Start) -> Result<()> {
        if let Some(position) = &start.position {
            self.take_up(position);
        }
        self.client.open(self.setup.timeout)
    }

    async fn next(&mut self) -> Result<Option<Batch>, ReadError> {
        loop {
            match &mut self.step {
                Step::Wait(until) => {
                    sleep_until(*until).await;
                    self.walk = Walk::default();
                    let request = self.place.request.clone();
                    self.began = Instant::now();
                    self.step = Step::Ask(request);
                }
                Step::Ask(request) => {
                    // The step stays what it is until there is an answer: a failed
                    // or abandoned request is made again.
                    let request = request.clone();
                    match self.fetch(&request).await {
                        Ok(answer) => self.step = Step::Give(answer.into()),
                        Err(trouble) => {
                            self.is_awaited = true;
                            return Err(self.read_error(&request, trouble));
                        }
                    }
                }
                Step::Give(answer) => {
                    let batch = give(answer, &mut self.place, &self.setup);
                    if std::mem::take(&mut self.is_awaited) || batch.is_some() {
                        // Even nothing new tells the engine that the API is there and well.
                        return Ok(Some(batch.unwrap_or_else(|| empty(&self.place))));
                    }
                    self.step = match (answer.next.take(), self.setup.interval) {
                        (Some(request), _) => Step::Ask(request),
                        (None, Some(interval)) => Step::Wait(self.began + interval),
                        (None, None) => Step::End,
                    };
                }
                Step::End => return Ok(None),
            }
        }
    }
}

impl Http {
    pub(super) fn new(client: Client, setup: Setup) -> Self {
        let now = Instant::now();
        Http {
            place: Place::before(Pagination::first(setup.pagination.as_ref()), 0),
            client,
            setup,
            walk: Walk::default(),
            tables: Answers::default(),
            has_succeeded: false,
            n_doubts: 0,
            is_awaited: true,
            began: now,
            step: Step::Wait(now),
        }
    }

    /// Goes on where an earlier run has ended, as far as that still has a meaning.
    fn take_up(&mut self, position: &Position) {
        let pagination = self.setup.pagination.as_ref();
        match Place::from_position(position) {
            Ok(place) if Pagination::knows(pagination, &place.request) => self.place = place,
            Ok(place) => {
                warn!("the saved position does not go with `pagination` as it is now; reading starts afresh");
                self.place.offset = place.offset;
            }
            Err(error) => warn!("the saved position cannot be read ({error}); reading starts afresh"),
        }
    }

    fn read_error(&self, request: &Request, trouble: Trouble) -> ReadError {
        let shown = |error: Error| self.client.redactor.error(error);
        let fatal = |error: Error| {
            let is_taken_up =
                !self.has_succeeded && *request != Pagination::first(self.setup.pagination.as_ref());
            ReadError::Fatal(shown(if is_taken_up {
                error.context(
                    "reading goes on from the saved position; if the API has forgotten it, \
                     `--from-start` reads from the beginning",
                )
            } else {
                error
            }))
        };
        match trouble {
            Trouble::Passing { error, after } => ReadError::Retry { error: shown(error), after },
            Trouble::Refused(error) if self.has_succeeded => {
                ReadError::Retry { error: shown(error), after: None }
            }
            Trouble::Refused(error) | Trouble::Final(error) | Trouble::Missing(error) => fatal(error),
        }
    }
}

/// Cuts the next batch off an answer; none once all of it has been given.
fn give(answer: &mut Answer, place: &mut Place, setup: &Setup) -> Option<Batch> {
    let previous = place.clone();
    let (mut records, mut rejects, mut hashes) = (Vec::new(), Vec::new(), Vec::new());
    let first = answer.at.clone();
    let mut n_bytes = 0;
    while hashes.len() < setup.limits.max_records
        && n_bytes < setup.limits.max_bytes
        && let Some(item) = answer.items.next()
    {
        n_bytes += item.raw.len();
        let origin = Origin { source: setup.stream, partition: 0, offset: answer.at.offset };
        answer.at.taken += 1;
        answer.at.offset += 1;
        answer.at.hash = answer.at.hash.with(&item.raw);
        hashes.push(answer.at.hash);
        match item.body {
            Ok(body) => records.push(Record::new(body, origin)),
            Err(reason) => {
                let record = Record::new(Body::Bytes(item.raw), origin);
                rejects.push(Reject { record, reason, n_before: records.len() });
            }
        }
    }
    answer.n_given =
        if answer.items.is_empty() { answer.size } else { answer.size.min(answer.n_given + n_bytes) };
    setup.gauges.set_position(answer.n_given as u64, answer.size as u64);
    // An answer without pages is through with its last record: the next is another one.
    let is_through = setup.pagination.is_none() && answer.items.is_empty();
    if hashes.is_empty() && !(is_through && previous.taken > 0) {
        return None;
    }
    let n_items = hashes.len();
    let positions = Positions { previous, first, hashes, is_through };
    *place = positions.place_after(n_items);
    let batch = Batch::new(records).with_rejects(rejects);
    Some(batch.with_positions(move |n_items| positions.place_after(n_items).to_position()))
}

/// Nothing, read at this place.
fn empty(place: &Place) -> Batch {
    let place = place.clone();
    Batch::default().with_positions(move |_| place.to_position())
}

/// Where to go on inside and behind a batch.
struct Positions {
    /// In front of the batch, as it was saved last.
    previous: Place,
    first: Place,
    /// Of the answer up to each item of the batch.
    hashes: Vec<Prefix>,
    is_through: bool,
}

impl Positions {
    fn place_after(&self, n_items: usize) -> Place {
        let offset = self.first.offset + n_items as u64;
        if self.is_through && n_items == self.hashes.len() {
            return Place::before(Request::First, offset);
        }
        let Some(&hash) = n_items.checked_sub(1).and_then(|last| self.hashes.get(last)) else {
            return self.previous.clone();
        };
        Place { request: self.first.request.clone(), taken: self.first.taken + n_items as u64, hash, offset }
    }
}
