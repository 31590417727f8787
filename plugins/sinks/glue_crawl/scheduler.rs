//! When to crawl: at most once per `every` while records arrive, and once at the end of the input.

mod due;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Error, Result, bail};
use runner_core::{Gauges, HumanDuration, async_trait};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{info, warn};

use self::due::Due;
use crate::shared::aws::AwsError;

/// How long after the first new object the first crawl starts: a crawl of one object costs as much
/// as a crawl of all objects of half a minute.
const FIRST_CRAWL_DELAY: Duration = Duration::from_secs(30);
/// The first and the longest pause between two status requests; a crawl takes a minute or more.
const POLL_MIN: Duration = Duration::from_millis(500);
const POLL_MAX: Duration = Duration::from_secs(5);
/// How long a stopped run waits until its last crawl has started: the user does not expect a
/// stopped run to wait, and the records are stored already.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// What the scheduler needs from a Glue crawler.
#[async_trait]
pub(super) trait CrawlApi: Send + Sync {
    async fn status(&self) -> Result<Status, AwsError>;
    /// Starts a crawl; `false` if the crawler is running already.
    async fn start(&self) -> Result<bool, AwsError>;
    /// The tables of the crawler, one line each.
    async fn tables(&self) -> Result<Vec<String>, AwsError>;
    /// The kind and the name, for messages.
    fn name(&self) -> String;
    fn error(&self, error: AwsError) -> Error;
}

#[derive(Clone, Debug)]
pub(super) struct Status {
    /// Whether the crawler is idle.
    pub(super) is_ready: bool,
    /// When the crawl that is running has started, if Glue says so.
    pub(super) running_since: Option<Instant>,
    pub(super) last_crawl: Option<LastCrawl>,
}

/// The last crawl that has ended.
#[derive(Clone, Debug)]
pub(super) struct LastCrawl {
    /// Differs from the id of every other crawl.
    pub(super) id: String,
    /// When it has started, if Glue says so.
    pub(super) started: Option<Instant>,
    /// The reason and the location of the log, if the crawl has failed.
    pub(super) failure: Option<String>,
}

/// Schedules the crawls of one run.
pub(super) struct CrawlScheduler<C> {
    crawler: C,
    /// `None`: only at the end.
    every: Option<Duration>,
    /// `None`: no timeout.
    timeout: Option<Duration>,
    gauges: Arc<Gauges>,
    state: Mutex<State>,
    new_records: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// How many records have been stored, and how many of them a crawl has covered.
    n_stored: u64,
    n_crawled: u64,
    /// When the newest of them was stored.
    last_stored: Option<Instant>,
    /// Stays set when the future that waits for the crawl is dropped, as `run` is at the end of the input.
    in_flight: Option<Crawl>,
}

/// A crawl that is running and covers all records that were stored before it: started by this run or
/// by another one.
#[derive(Clone, Debug)]
struct Crawl {
    /// The id of the crawl before it.
    previous: Option<String>,
    /// How many records were stored when it started.
    n_stored: u64,
}

/// What the end of a run has to do.
enum Pending {
    Nothing,
    /// Wait for a crawl that covers all records.
    InFlight(Crawl),
    /// Start a crawl.
    NewRecords,
}

impl<C: CrawlApi> CrawlScheduler<C> {
    pub(super) fn new(
        crawler: C,
        every: Option<Duration>,
        timeout: Option<Duration>,
        gauges: Arc<Gauges>,
    ) -> Self {
        let (state, new_records) = (Mutex::default(), Notify::new());
        CrawlScheduler { crawler, every, timeout, gauges, state, new_records }
    }

    pub(super) fn add_records(&self, n_records: usize) {
        {
            let mut state = self.state();
            state.n_stored += n_records as u64;
            state.last_stored = Some(Instant::now());
        }
        self.new_records.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pending(&self) -> Pending {
        let state = self.state();
        match &state.in_flight {
            Some(crawl) if crawl.n_stored == state.n_stored => Pending::InFlight(crawl.clone()),
            _ if state.n_stored > state.n_crawled => Pending::NewRecords,
            _ => Pending::Nothing,
        }
    }

    /// Crawls while records arrive. A failed crawl is only a warning: the last crawl covers its records.
    pub(super) async fn run(&self) {
        let Some(every) = self.every else { return std::future::pending().await };
        let mut next = None;
        loop {
            while !matches!(self.pending(), Pending::NewRecords) {
                self.new_records.notified().await;
            }
            let now = Instant::now();
            let earliest = next.map_or(now + FIRST_CRAWL_DELAY, |next: Instant| {
                next.max(now + FIRST_CRAWL_DELAY.min(every))
            });
            sleep_until(earliest).await;
            let in_time = Instant::now() + every;
            next = Some(match self.crawl_if_due(every).await {
                Ok(next) => next.unwrap_or(in_time),
                Err(error) => {
                    let every = human(every);
                    warn!(
                        "{error:#}; records are still stored, the next crawl starts in {every} or at the end of the run"
                    );
                    in_time
                }
            });
        }
    }

    /// Crawls, unless another run has done so within `every`. Returns when the next crawl may start, if
    /// that is not `every` from now.
    async fn crawl_if_due(&self, every: Duration) -> Result<Option<Instant>> {
        match self.due(Some(every)).await? {
            Due::Covered => {
                self.report_tables().await?;
                Ok(None)
            }
            Due::Running(crawl) => self.wait(crawl).await.map(|()| None),
            Due::Busy => Ok(None),
            Due::Later(next) => Ok(Some(next)),
            Due::Now(status) => {
                // `false`: another run was faster by an instant.
                if let Some(crawl) = self.start(status).await? {
                    self.wait(crawl).await?;
                }
                Ok(None)
            }
        }
    }

    /// At the end of the input: crawls what has not been crawled, and waits.
    pub(super) async fn finish(&self) -> Result<()> {
        match self.pending() {
            Pending::InFlight(crawl) => self.wait(crawl).await,
            Pending::NewRecords => match self.due(None).await? {
                Due::Covered => {
                    info!("the {} has run since the last object was stored", self.crawler.name());
                    self.report_tables().await
                }
                Due::Running(crawl) => self.wait(crawl).await,
                Due::Busy | Due::Later(_) | Due::Now(_) => self.crawl().await,
            },
            Pending::Nothing => self.make_up().await,
        }
    }

    /// At the end of an input without new objects: makes up for a crawl that an earlier run has missed.
    async fn make_up(&self) -> Result<()> {
        let name = self.crawler.name();
        if self.state().n_stored == 0 {
            let status =
                self.retry(&format!("reading the status of the {name}"), || self.crawler.status()).await?;
            match status.last_crawl {
                _ if !status.is_ready => {}
                None => {
                    info!(
                        "the {name} has never run: starting it, since earlier runs may have stored objects"
                    );
                    return self.crawl().await;
                }
                Some(LastCrawl { failure: Some(_), .. }) => {
                    info!("the last crawl of the {name} has failed: starting it again");
                    return self.crawl().await;
                }
                Some(_) => {}
            }
        }
        info!("nothing was stored since the last crawl, so the {name} is not started");
        Ok(())
    }

    /// When the run is stopped: starts a crawl if one is due, and does not wait for it.
    pub(super) async fn stop(&self) {
        match self.pending() {
            Pending::Nothing => {}
            Pending::InFlight(_) => {
                let name = self.crawler.name();
                info!("the {name} continues in Glue; the run does not wait for it");
            }
            Pending::NewRecords => self.start_without_waiting().await,
        }
    }

    async fn start_without_waiting(&self) {
        let name = self.crawler.name();
        let start = async {
            let status = self.crawler.status().await?;
            Ok(match self.due_by(status, self.every) {
                Due::Covered | Due::Running(_) => {
                    info!(
                        "a crawl of another run covers the objects of this one, so the {name} is not started"
                    );
                    true
                }
                Due::Later(next) => {
                    let wait = human(next - Instant::now());
                    info!(
                        "the {name} is not started: the next crawl is due in {wait} (`every`). The next run that stores \
                         objects starts it then; `runner crawl` starts one at once"
                    );
                    true
                }
                // The next crawl covers what this one may miss.
                Due::Busy if self.every.is_some() => {
                    let every = human(self.every.unwrap_or_default());
                    info!(
                        "the {name} is not started: it is running, and the next crawl is due within {every} (`every`). The \
                         next run that stores objects starts it then; `runner crawl` starts one at once"
                    );
                    true
                }
                Due::Busy => false,
                Due::Now(_) => {
                    let has_started = self.crawler.start().await?;
                    if has_started {
                        info!("the {name} has started and continues in Glue; the run does not wait for it");
                    }
                    has_started
                }
            })
        };
        let problem = match timeout(STOP_TIMEOUT, start).await {
            Ok(Ok(true)) => return,
            Ok(Ok(false)) => format!("the {name} was running already and may miss the newest objects"),
            Ok(Err(error)) => format!("starting the {name}: {:#}", self.crawler.error(error)),
            Err(_) => {
                let timeout = human(STOP_TIMEOUT);
                format!("Glue has not responded within {timeout}, so the {name} may not have started")
            }
        };
        warn!("{problem}; start it with `runner crawl`");
    }

    /// Starts a crawl, waits until it has ended, and reports its tables.
    pub(super) async fn crawl(&self) -> Result<()> {
        loop {
            let status = self.poll(|status| status.is_ready).await?;
            if let Some(crawl) = self.start(status).await? {
                return self.wait(crawl).await;
            }
            let name = self.crawler.name();
            info!(
                "the {name} is running already and may miss the newest objects: starting it again afterwards"
            );
            sleep(POLL_MIN).await;
        }
    }

    /// Starts a crawl; none if the crawler is running already.
    async fn start(&self, before: Status) -> Result<Option<Crawl>> {
        let name = self.crawler.name();
        let n_stored = self.state().n_stored;
        if !self.retry(&format!("starting the {name}"), || self.crawler.start()).await? {
            return Ok(None);
        }
        info!("the {name} has started");
        let crawl = Crawl { previous: before.last_crawl.map(|last| last.id), n_stored };
        self.state().in_flight = Some(crawl.clone());
        Ok(Some(crawl))
    }

    async fn wait(&self, crawl: Crawl) -> Result<()> {
        let name = self.crawler.name();
        let started = Instant::now();
        // A ready crawler is not enough: right after the start Glue may still return the state from before.
        let has_ended = |status: &Status| {
            status.is_ready
                && status.last_crawl.as_ref().is_some_and(|last| crawl.previous.as_ref() != Some(&last.id))
        };
        let status = self.poll(has_ended).await?;
        self.state().in_flight = None;
        if let Some(failure) = status.last_crawl.and_then(|last| last.failure) {
            bail!("the {name} has failed: {failure}");
        }
        {
            let mut state = self.state();
            state.n_crawled = state.n_crawled.max(crawl.n_stored);
        }
        info!("the {name} has crawled for {}", human(started.elapsed()));
        self.report_tables().await
    }

    async fn report_tables(&self) -> Result<()> {
        let name = self.crawler.name();
        let tables =
            self.retry(&format!("reading the tables of the {name}"), || self.crawler.tables()).await?;
        if tables.is_empty() {
            self.gauges.note(format!("{name} has found no table"));
        }
        for table in tables {
            info!("{table}");
            self.gauges.note(table);
        }
        Ok(())
    }

    async fn poll(&self, is_done: impl Fn(&Status) -> bool) -> Result<Status> {
        let name = self.crawler.name();
        let started = Instant::now();
        let mut pause = POLL_MIN;
        loop {
            let status =
                self.retry(&format!("reading the status of the {name}"), || self.crawler.status()).await?;
            if is_done(&status) {
                return Ok(status);
            }
            if let Some(timeout) = self.timeout.filter(|timeout| started.elapsed() >= *timeout) {
                bail!(
                    "the {name} is still running after {} (`timeout`); it continues in Glue",
                    human(timeout)
                );
            }
            sleep(pause).await;
            pause = (pause * 2).min(POLL_MAX);
        }
    }

    /// Repeats a request after transient errors, until `timeout`.
    async fn retry<T, F>(&self, action: &str, request: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, AwsError>>,
    {
        let started = Instant::now();
        loop {
            let error = match request().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if !error.is_transient() || self.timeout.is_some_and(|timeout| started.elapsed() >= timeout) {
                return Err(self.crawler.error(error)).with_context(|| action.to_owned());
            }
            warn!("{action}: {error}; retrying");
            sleep(POLL_MAX).await;
        }
    }
}

/// A duration for messages, rounded to seconds.
fn human(duration: Duration) -> HumanDuration {
    HumanDuration::from_secs(duration.as_secs_f64().round() as u64)
}

#[cfg(test)]
mod tests;
