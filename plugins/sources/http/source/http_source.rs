//! The source: polls, walks its elements one after another, and fetches their pages.

use std::sync::Arc;

use runner_core::{Error, Failure, Next, ReadsFixture, Replay, Result, Source, Start, async_trait};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::super::client::Client;
use super::super::elements::Element;
use super::super::error::HttpError;
use super::super::incremental::RulesChange;
use super::super::pages::{Page, PageHistory, PageRequest};
use super::page_walk::PageWalk;
use super::poll::{AfterFailure, Poll};
use super::position::HttpPosition;
use super::settings::Settings;
use super::warnings::GivenWarnings;
use crate::shared::csv::DocumentReader;

pub(crate) struct HttpSource {
    pub(crate) client: Client,
    pub(crate) settings: Settings,
    /// The position after the last emitted record.
    pub(crate) position: HttpPosition,
    pub(crate) poll: Poll,
    /// The walk of the current element.
    pub(crate) walk: Option<PageWalk>,
    pub(crate) history: PageHistory,
    pub(crate) given_warnings: GivenWarnings,
    /// Reads CSV responses, which share their column types.
    pub(crate) csv_reader: DocumentReader,
    /// Whether a request has succeeded in this run.
    pub(crate) has_succeeded: bool,
    /// How often in a row a possible end of the data was checked.
    pub(crate) n_end_checks: usize,
    /// How many pages in a row held no record, though each names another one.
    pub(crate) n_empty_pages: usize,
    /// How many responses of this run held records.
    pub(crate) n_with_records: usize,
    /// Whether the rows of this run have given a record, or a bad one.
    pub(crate) has_made: bool,
    /// Whether to report a success without records: at first, and after a failed request.
    must_report_success: bool,
    progress: Progress,
    /// When the current poll started.
    started: Instant,
    pub(crate) state: State,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    Started,
    /// A poll has begun.
    Polled,
    /// A poll has read an element to its end, and others follow: a request that fails has succeeded before.
    Read,
}

/// What `next` does next.
#[derive(Debug)]
pub(crate) enum State {
    /// Waits, then starts a poll.
    Wait(Instant),
    /// Finds out which elements there are.
    Load,
    NextElement,
    Fetch(PageRequest),
    Emit(Box<Page>),
    /// The request of an element cannot be made.
    Refused(HttpError),
    End,
}

#[async_trait]
impl Source for HttpSource {
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

    fn fixture(&mut self) -> Option<&mut dyn ReadsFixture> {
        Some(self)
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
                    self.state = State::Load;
                }
                State::Load => {
                    self.started = Instant::now();
                    // The state changes only after a response, so a failed or cancelled request is repeated.
                    match self.load_elements().await {
                        Ok(elements) => self.begin_poll(elements),
                        Err(error) => {
                            self.must_report_success = true;
                            return Err(self.failure(error));
                        }
                    }
                }
                State::NextElement => self.next_element()?,
                State::Fetch(request) => {
                    let request = request.clone();
                    match self.fetch(&request).await {
                        Ok(page) => self.state = State::Emit(page.into()),
                        Err(error) => self.element_failed(Some(request), error)?,
                    }
                }
                State::Emit(_) => {
                    let State::Emit(page) = std::mem::replace(&mut self.state, State::NextElement) else {
                        continue;
                    };
                    let emitted = self.emit(page);
                    let batch = emitted.map_err(|error| self.failure(HttpError::Fatal(error)))?;
                    let must_report_success = std::mem::take(&mut self.must_report_success);
                    if let Some(batch) = batch {
                        return Ok(Next::Batch(batch));
                    }
                    if must_report_success {
                        return Ok(Next::Idle);
                    }
                    yield_now().await;
                }
                State::Refused(_) => {
                    if let State::Refused(error) = std::mem::replace(&mut self.state, State::NextElement) {
                        self.element_failed(None, error)?;
                    }
                }
                State::End => return Ok(Next::End),
            }
        }
    }
}

impl HttpSource {
    pub(crate) fn new(client: Client, settings: Settings, csv_reader: DocumentReader) -> Self {
        let now = Instant::now();
        HttpSource {
            position: HttpPosition::default(),
            poll: Poll::default(),
            walk: None,
            client,
            settings,
            history: PageHistory::default(),
            given_warnings: GivenWarnings::default(),
            csv_reader,
            has_succeeded: false,
            n_end_checks: 0,
            n_empty_pages: 0,
            n_with_records: 0,
            has_made: false,
            must_report_success: true,
            progress: Progress::Started,
            started: now,
            state: State::Load,
        }
    }

    /// Resumes at a saved position.
    fn resume(&mut self, start: &Start) {
        match start.position::<HttpPosition>() {
            Ok(None) => {}
            Ok(Some(position)) => {
                if let Some(columns) = &position.csv {
                    self.csv_reader.resume(columns);
                }
                let format = self.settings.incremental.as_ref().and_then(|options| options.format.as_ref());
                self.position = match format {
                    Some(format) => position.read_as(format),
                    None => position,
                };
                self.adopt_options();
            }
            Err(error) => warn!("the saved position cannot be read ({error:#}); reading from the beginning"),
        }
    }

    /// Warns if the rules of `incremental` are others than those of the saved position.
    fn adopt_options(&mut self) {
        let Some(options) = &self.settings.incremental else {
            if self.position.is_of_incremental() {
                warn!(
                    "`incremental` was removed, and its position is not used without it: rows that were delivered may be \
                     delivered again"
                );
            }
            return;
        };
        if let Some(why) = self.position.change_before(options, &self.settings.records) {
            warn!(
                "{why}, and the position stays: rows that are older than it are not delivered; `runner run --from-start` \
                 delivers all rows again"
            );
        }
        match self.position.adopt_options(options) {
            Some(RulesChange::OtherGroups) => warn!(
                "`incremental.by` has changed: the positions begin again at the oldest one of before, and rows from there \
                 on may be delivered again"
            ),
            Some(RulesChange::OtherRows) => warn!(
                "`incremental.key`, `compare` or `lag` has changed: rows at the newest position, or within `lag` of it, may \
                 be delivered again"
            ),
            None => {}
        }
    }

    /// Begins a poll of these elements.
    fn begin_poll(&mut self, elements: Vec<Arc<Element>>) {
        // Only an interrupted poll leaves elements that are done.
        let done = std::mem::take(&mut self.position.done);
        let remaining: Vec<_> =
            elements.iter().filter(|element| !done.contains(&element.id)).cloned().collect();
        let is_continued = self.progress == Progress::Started && !remaining.is_empty() && !done.is_empty();
        self.progress = self.progress.max(Progress::Polled);
        self.poll = if is_continued {
            self.position.done = done;
            Poll::new(remaining)
        } else {
            Poll::new(elements)
        };
        self.state = State::NextElement;
    }

    /// Begins the walk of the next element, or ends the poll.
    fn next_element(&mut self) -> Result<(), Failure> {
        if let Some(element) = self.poll.next() {
            let position = self.position.element(&element.id);
            self.begin_pages(PageWalk::new(&element, &position, &self.settings));
            return Ok(());
        }
        let polls_again = self.settings.interval.is_some();
        if polls_again && self.poll.has_success() {
            self.progress = Progress::Read;
        }
        self.state = match self.settings.interval {
            Some(interval) => State::Wait(self.started + interval),
            None => State::End,
        };
        match self.poll.finish(polls_again) {
            Some(failure) => {
                self.state = State::Load;
                Err(failure)
            }
            None => Ok(()),
        }
    }

    /// Makes the request of a walk, or of its next window.
    pub(crate) fn begin_pages(&mut self, mut walk: PageWalk) {
        self.history = PageHistory::default();
        self.n_empty_pages = 0;
        // The first page tells the columns.
        let is_continued = walk.is_resumed() && *walk.entry() != self.settings.first_request();
        self.csv_reader.begin_walk(is_continued);
        let made = self.make_request(&mut walk);
        self.state = match made {
            Ok(()) => State::Fetch(walk.entry().clone()),
            Err(error) => State::Refused(HttpError::Fatal(error)),
        };
        self.walk = Some(walk);
    }

    /// Restarts a walk at its first page.
    pub(crate) fn restart(&mut self, mut walk: PageWalk) {
        self.history = PageHistory::default();
        self.csv_reader.begin_walk(false);
        self.state = State::Fetch(walk.restart(&self.settings));
        self.walk = Some(walk);
    }

    /// Decides what to do after a request of an element has failed.
    fn element_failed(&mut self, request: Option<PageRequest>, error: HttpError) -> Result<(), Failure> {
        self.must_report_success = true;
        let Some(walk) = self.walk.take() else { return Err(self.failure(error)) };
        // An API may refuse a page that has expired with any error.
        if let Some(request) = &request
            && !matches!(error, HttpError::Retryable(_))
            && walk.is_saved_page(request, &self.settings)
        {
            warn!(
                "{:#}; this is the saved page, so the walk starts again at its first page",
                self.failure(error).error()
            );
            self.restart(walk);
            return Ok(());
        }
        let failure = self.failure(error);
        match self.poll.failed(&walk.element, failure, self.settings.interval.is_some()) {
            AfterFailure::Retry(failure) => {
                self.state = match request {
                    Some(request) => State::Fetch(request),
                    None => State::Refused(HttpError::Fatal(Error::msg("the request cannot be made"))),
                };
                self.walk = Some(walk);
                Err(failure)
            }
            AfterFailure::Later(failure) => {
                // The walk continues at its page, also if nothing on it was new.
                if let Some(saved) = walk.interrupted() {
                    let mut element = self.position.element(&walk.element.id);
                    element.walk = Some(saved.into());
                    self.position = self.position.with_element(&walk.element.id, element);
                }
                self.state = State::NextElement;
                failure.map_or(Ok(()), Err)
            }
        }
    }

    fn failure(&self, error: HttpError) -> Failure {
        let redacted = |error: Error| self.client.redactor.error(error);
        match error {
            HttpError::Retryable(failure) => {
                let (class, after) = (failure.class(), failure.retry_after());
                Failure::new(class, redacted(failure.into_error())).with_retry_after(after)
            }
            HttpError::FatalUntilSuccess(error) if self.has_succeeded => Failure::transient(redacted(error)),
            HttpError::NotFound(error) | HttpError::Refused(_, error) if self.progress == Progress::Read => {
                Failure::transient(redacted(error))
            }
            HttpError::FatalUntilSuccess(error)
            | HttpError::Fatal(error)
            | HttpError::NotFound(error)
            | HttpError::Refused(_, error) => Failure::fatal(redacted(error)),
        }
    }
}
