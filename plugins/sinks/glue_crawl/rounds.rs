//! Rounds of a crawler: when one is due, and what it takes to see one through.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use runner_core::{Gauges, async_trait};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{info, warn};

use crate::shared::aws::{Service, Trouble};

/// How long after the first new object the first crawl begins: a crawl over one
/// object costs as much as one over what half a minute brings.
const FIRST_AFTER: Duration = Duration::from_secs(30);
/// How often a running crawler is looked at, at first and later; a crawl takes a minute or more.
const LOOK_FIRST: Duration = Duration::from_millis(500);
const LOOK_LATER: Duration = Duration::from_secs(5);
/// How long a run that was stopped waits for the start of its last crawl: whoever stops it does not wait
/// for long, and the records are stored already.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// A crawler as rounds see it.
#[async_trait]
pub(super) trait Crawls: Send + Sync {
    /// What it is doing, and how its last crawl has ended.
    async fn look(&self) -> Result<Look>;
    /// Starts a crawl; `false` if one is running already.
    async fn start(&self) -> Result<bool>;
    /// The tables of the target, each in a line for people.
    async fn tables(&self) -> Result<Vec<String>>;
    /// What it is called, with its kind.
    fn name(&self) -> String;
    /// Where Glue is, for messages.
    fn place(&self) -> String;
    /// Why a crawl that went well may have found no table.
    fn why_no_table(&self) -> String;
}

/// What a crawler is doing.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) is_ready: bool,
    pub(super) last: Option<Crawl>,
}

/// How a crawl has ended.
#[derive(Clone, Debug)]
pub(super) struct Crawl {
    /// Tells one crawl from another.
    pub(super) id: String,
    /// `None` if it went well, else why not and where to read more.
    pub(super) failure: Option<String>,
}

/// Sees to it that what is stored gets crawled: not too often, and at the end for certain.
pub(super) struct Rounds<C> {
    pub(super) crawler: C,
    /// `None` crawls at the end only.
    every: Option<Duration>,
    /// `None` waits for ever.
    timeout: Option<Duration>,
    gauges: Arc<Gauges>,
    /// How many records have been stored, and how many of them a finished crawl has seen.
    n_stored: AtomicU64,
    n_crawled: AtomicU64,
    news: Notify,
    /// The crawl that was begun and has not been seen to end; kept here so that whoever waits may be dropped.
    begun: Mutex<Option<Begun>>,
}

#[derive(Clone, Debug)]
struct Begun {
    /// The crawl before this one.
    before: Option<String>,
    n_stored: u64,
}

impl<C: Crawls> Rounds<C> {
    pub(super) fn new(
        crawler: C,
        every: Option<Duration>,
        timeout: Option<Duration>,
        gauges: Arc<Gauges>,
    ) -> Self {
        Rounds {
            crawler,
            every,
            timeout,
            gauges,
            n_stored: AtomicU64::new(0),
            n_crawled: AtomicU64::new(0),
            news: Notify::new(),
            begun: Mutex::default(),
        }
    }

    /// Hears of records that have been stored.
    pub(super) fn hear(&self, n_records: usize) {
        self.n_stored.fetch_add(n_records as u64, Ordering::Relaxed);
        self.news.notify_one();
    }

    fn is_news(&self) -> bool {
        self.n_stored.load(Ordering::Relaxed) > self.n_crawled.load(Ordering::Relaxed)
    }

    /// Crawls now and then while records come in; a failure is worth a warning,
    /// since the crawl at the end covers what this one has missed.
    pub(super) async fn run(&self) {
        let Some(every) = self.every else { return std::future::pending().await };
        let mut due = None;
        loop {
            while !self.is_news() {
                self.news.notified().await;
            }
            let now = Instant::now();
            sleep_until(due.map_or(now + FIRST_AFTER, |due: Instant| due.max(now + FIRST_AFTER.min(every))))
                .await;
            due = Some(Instant::now() + every);
            if let Err(error) = self.crawl().await {
                let next = humantime(every);
                warn!(
                    "{error:#}; records go on being stored, and the next crawl comes in {next} or at the end"
                );
            }
        }
    }

    /// The natural end of the input: what has not been crawled is crawled now, and waited for.
    pub(super) async fn finish(&self) -> Result<()> {
        let begun = self.begun();
        if let Some(begun) = begun
            && begun.n_stored == self.n_stored.load(Ordering::Relaxed)
        {
            return self.wait_for(begun).await;
        }
        if !self.is_news() {
            info!(
                "nothing new was stored since the last crawl, so that {} is not started",
                self.crawler.name()
            );
            return Ok(());
        }
        self.crawl().await
    }

    /// Somebody stops the run: a crawl is started, and goes on without us.
    pub(super) async fn leave(&self) {
        let name = self.crawler.name();
        if !self.is_news() {
            return;
        }
        if let Some(begun) = self.begun()
            && begun.n_stored == self.n_stored.load(Ordering::Relaxed)
        {
            info!("{name} goes on with its crawl in Glue; nobody waits for it");
            return;
        }
        let Ok(started) = timeout(LEAVE_WITHIN, self.crawler.start()).await else {
            warn!(
                "Glue {} has not answered within {}, so that {name} may not have been started; `runner crawl` starts \
                 it by hand",
                self.crawler.place(),
                humantime(LEAVE_WITHIN)
            );
            return;
        };
        match started {
            Ok(true) => info!("{name} has been started and goes on in Glue; nobody waits for it"),
            Ok(false) => warn!(
                "{name} is running already and may miss what was stored last: `runner crawl` starts it once more"
            ),
            Err(error) => warn!("starting {name}: {error:#}; `runner crawl` starts it by hand"),
        }
    }

    /// One crawl from its start to the report.
    pub(super) async fn crawl(&self) -> Result<()> {
        let name = self.crawler.name();
        loop {
            let look = self.until(|look| look.is_ready).await?;
            let n_stored = self.n_stored.load(Ordering::Relaxed);
            if self.patiently(|| self.crawler.start()).await.with_context(|| format!("starting {name}"))? {
                let before = look.last.map(|crawl| crawl.id);
                info!("{name} has started");
                let begun = Begun { before, n_stored };
                *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = Some(begun.clone());
                return self.wait_for(begun).await;
            }
            info!(
                "{name} is running already and may not see what was just stored: waiting to start it once more"
            );
            sleep(LOOK_FIRST).await;
        }
    }

    /// Until the crawl that was begun has ended; reports its tables.
    async fn wait_for(&self, begun: Begun) -> Result<()> {
        let name = self.crawler.name();
        let started = Instant::now();
        // READY alone could still be the state from before the start.
        let is_new =
            |look: &Look| look.last.as_ref().is_some_and(|crawl| Some(&crawl.id) != begun.before.as_ref());
        let look = self.until(|look| look.is_ready && is_new(look)).await?;
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(failure) = look.last.and_then(|crawl| crawl.failure) {
            bail!("{name} has failed: {failure}");
        }
        self.n_crawled.fetch_max(begun.n_stored, Ordering::Relaxed);
        let tables = self.patiently(|| self.crawler.tables()).await;
        let tables = tables.with_context(|| format!("looking for the tables of {name}"))?;
        if tables.is_empty() {
            warn!("{name} has found no table: {}", self.crawler.why_no_table());
            self.gauges.note(format!("{name} has found no table"));
        }
        for table in tables {
            info!("{table}, crawled in {}", humantime(started.elapsed()));
            self.gauges.note(table);
        }
        Ok(())
    }

    async fn until(&self, is_so: impl Fn(&Look) -> bool) -> Result<Look> {
        let name = self.crawler.name();
        let started = Instant::now();
        let mut pause = LOOK_FIRST;
        loop {
            let look = self.patiently(|| self.crawler.look()).await;
            let look = look.with_context(|| format!("asking for the state of {name}"))?;
            if is_so(&look) {
                return Ok(look);
            }
            if let Some(timeout) = self.timeout.filter(|timeout| started.elapsed() >= *timeout) {
                bail!(
                    "{name} is still running after {}; it goes on in Glue, and `timeout` sets how long to wait",
                    humantime(timeout)
                );
            }
            sleep(pause).await;
            pause = (pause * 2).min(LOOK_LATER);
        }
    }

    /// Asks again while Glue cannot be reached or has too much to do.
    async fn patiently<T, A: Future<Output = Result<T>>>(&self, ask: impl Fn() -> A) -> Result<T> {
        let started = Instant::now();
        loop {
            let error = match ask().await {
                Err(error) if error.downcast_ref().is_some_and(Trouble::is_passing) => error,
                answer => return answer,
            };
            if self.timeout.is_some_and(|timeout| started.elapsed() >= timeout) {
                return Err(match error.downcast::<Trouble>() {
                    Ok(trouble) => trouble.into_error(Service::GLUE, &self.crawler.place()),
                    Err(error) => error,
                });
            }
            warn!("{}: {error:#}; asking again", self.crawler.name());
            sleep(LOOK_LATER).await;
        }
    }

    fn begun(&self) -> Option<Begun> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn humantime(duration: Duration) -> String {
    runner_core::HumanDuration::from_secs(duration.as_secs_f64().round() as u64).to_string()
}

#[cfg(test)]
mod tests;
