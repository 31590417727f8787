//! Plugins for the tests of pipelines: a source, a transform and a sink that misbehave as configured.

mod dedupe;
mod meddle;
mod route;

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::testing::record;
use crate::{
    Background, Batch, BuildContext, Class, Committer, Failure, Next, Plugin, Position, ReadBatch, Record,
    Reject, Replay, Result, Sink, SinkConfig, Source, SourceConfig, Start, StopReason, TransactionalSink,
    TransactionalSource, WriteError, async_trait,
};

crate::register! { Plugin::source::<CountConfig>("test_count") }
crate::register! { Plugin::sink::<KeepConfig>("test_keep") }

/// How a source fails at its end.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Breaks {
    #[default]
    Never,
    /// What it has returned can be read again.
    Kept,
    /// What it has returned cannot be read again.
    Lost,
}

/// Counts: record `n` has the body `n`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CountConfig {
    until: u64,
    #[serde(default = "ten")]
    per_batch: u64,
    /// These are rejects.
    #[serde(default)]
    bad: Vec<u64>,
    #[serde(default)]
    nondeterministic: bool,
    #[serde(default)]
    what: String,
    /// Never ends.
    #[serde(default)]
    endless: bool,
    /// Cannot be read again, and has read so many records ahead.
    ahead: Option<u64>,
    /// Whether it fails for good at its end.
    #[serde(default)]
    breaks: Breaks,
    /// Cannot commit its position in a transaction.
    #[serde(default)]
    no_transactions: bool,
}

fn ten() -> u64 {
    10
}

struct Count {
    config: CountConfig,
    next: u64,
    transaction: Option<Arc<Pending>>,
}

impl SourceConfig for CountConfig {
    fn build(self, _: &BuildContext) -> Result<Box<dyn Source>> {
        Ok(Box::new(Count { config: self, next: 0, transaction: None }))
    }
}

#[async_trait]
impl Source for Count {
    fn identity(&self) -> String {
        self.config.what.clone()
    }

    fn replay(&self) -> Replay {
        if self.config.ahead.is_some() {
            return Replay::Impossible;
        }
        if self.config.nondeterministic { Replay::NonDeterministic } else { Replay::Deterministic }
    }

    fn transactional(&mut self) -> Option<&mut dyn TransactionalSource> {
        (!self.config.no_transactions).then_some(self)
    }

    fn committer(&mut self) -> Option<Box<dyn Committer>> {
        let transaction = self.transaction.clone()?;
        Some(Box::new(transaction))
    }

    async fn open(&mut self, start: &Start) -> Result<(), Failure> {
        self.next = start.position()?.unwrap_or(0);
        // A transactional source resumes where the last transaction ended, whatever the file holds.
        if let Some(pending) = &self.transaction {
            let commits = kept(&format!("{} commits", pending.config.name));
            self.next = commits.last().map_or(0, |position| position.parse().unwrap());
        }
        Ok(())
    }

    fn end_reading(&mut self) {
        self.config.until = self.config.until.min(self.next + self.config.ahead.unwrap_or_default());
        self.config.endless = false;
    }

    async fn next(&mut self) -> Result<Next, Failure> {
        if self.next >= self.config.until {
            if self.config.endless {
                std::future::pending::<()>().await;
            }
            if self.config.breaks != Breaks::Never {
                let failure = Failure::fatal(anyhow::anyhow!("cannot read on"));
                return Err(if self.config.breaks == Breaks::Lost {
                    failure.deliver_first()
                } else {
                    failure
                });
            }
            return Ok(Next::End);
        }
        let first = self.next;
        self.next = (first + self.config.per_batch).min(self.config.until);
        let (mut records, mut rejects) = (Vec::new(), Vec::new());
        for n in first..self.next {
            if self.config.bad.contains(&n) {
                let reason = anyhow::anyhow!("{n} is bad");
                rejects.push(Reject { record: record(n.to_string(), n), reason, n_before: records.len() });
            } else {
                records.push(record(n.to_string(), n));
            }
        }
        let positions = move |n: usize| Position::new(first + n as u64);
        Ok(Next::Batch(ReadBatch::new(records).with_rejects(rejects).with_positions(positions)))
    }
}

impl TransactionalSource for Count {
    fn join(&mut self, handle: Arc<dyn Any + Send + Sync>) -> Result<()> {
        self.transaction = handle.downcast().ok();
        Ok(())
    }
}

/// What has been written and not been committed.
struct Pending {
    config: KeepConfig,
    written: Mutex<Vec<(u64, String)>>,
}

#[async_trait]
impl Committer for Arc<Pending> {
    async fn commit(&mut self, position: &Position) -> Result<()> {
        let KeepConfig { name, commit_takes, fail_commit, .. } = &self.config;
        let position: u64 = *position.downcast_ref().unwrap();
        let written = std::mem::take(&mut *self.written.lock().unwrap());
        tokio::time::sleep(Duration::from_millis(*commit_takes)).await;
        assert!(self.written.lock().unwrap().is_empty(), "written while a transaction is committed");
        anyhow::ensure!(fail_commit.is_none_or(|at| position < at), "not {position}");
        assert!(written.iter().all(|(offset, _)| *offset < position), "{position} is before {written:?}");
        let mut kept = KEPT.lock().unwrap();
        kept.entry(name.clone()).or_default().extend(written.into_iter().map(|(_, body)| body));
        kept.entry(format!("{name} commits")).or_default().push(position.to_string());
        Ok(())
    }
}

/// Stores what is written, under a name that the test knows.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct KeepConfig {
    name: String,
    /// Fails so many times before each success.
    #[serde(default)]
    stumble: usize,
    /// Fails so many times for one record, and stores the others.
    #[serde(default)]
    stumble_in_part: usize,
    /// Never stores this one, and says so.
    refuse: Option<u64>,
    /// Stores all but this one, and fails for good.
    fail: Option<u64>,
    /// Panics for this one.
    panic: Option<u64>,
    /// Never answers for this one.
    hang: Option<u64>,
    /// Panics if more writes overlap.
    #[serde(default = "one")]
    concurrency: usize,
    /// Panics if a write begins while so many records are in flight in others.
    max_in_flight_records: Option<usize>,
    /// How many milliseconds each write takes.
    #[serde(default)]
    takes: u64,
    /// How many milliseconds each write blocks its thread, so that it cannot be aborted.
    #[serde(default)]
    blocks: u64,
    /// Yields after it has stored and before it returns.
    #[serde(default)]
    hesitates: bool,
    /// Stores nothing.
    #[serde(default)]
    forgets: bool,
    /// Writes in transactions.
    #[serde(default)]
    transactional: bool,
    /// How many milliseconds each commit takes.
    #[serde(default)]
    commit_takes: u64,
    /// Commits no position from this one on.
    fail_commit: Option<u64>,
    /// Filters these records.
    #[serde(default)]
    skip: Vec<u64>,
}

fn one() -> usize {
    1
}

struct Keep {
    config: KeepConfig,
    n_stumbles: Mutex<usize>,
    turns: Semaphore,
    n_in_flight: AtomicUsize,
    pending: Arc<Pending>,
}

static KEPT: LazyLock<Mutex<HashMap<String, Vec<String>>>> = LazyLock::new(Mutex::default);

pub(crate) fn kept(name: &str) -> Vec<String> {
    KEPT.lock().unwrap().get(name).cloned().unwrap_or_default()
}

pub(crate) fn numbers(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

impl SinkConfig for KeepConfig {
    fn build(self, _: &BuildContext) -> Result<Box<dyn Sink>> {
        let pending = Arc::new(Pending { config: self.clone(), written: Mutex::default() });
        Ok(Box::new(Keep {
            n_stumbles: Mutex::default(),
            turns: Semaphore::new(self.concurrency),
            n_in_flight: AtomicUsize::new(0),
            pending,
            config: self,
        }))
    }
}

#[async_trait]
impl Sink for Keep {
    fn skips(&self, record: &Record) -> bool {
        self.config.skip.contains(&record.origin.offset)
    }

    async fn write(&self, batch: &Batch) -> Result<(), WriteError> {
        let records = batch.records();
        let holds = |n: Option<u64>| records.iter().position(|it| Some(it.origin.offset) == n);
        if holds(self.config.hang).is_some() {
            std::future::pending::<()>().await;
        }
        assert!(holds(self.config.panic).is_none(), "as configured");
        let _turn = self.turns.try_acquire().expect("no more writes at the same time than configured");
        let n_others = self.n_in_flight.fetch_add(records.len(), Ordering::SeqCst);
        assert!(n_others == 0 || n_others < self.max_in_flight_records(), "{n_others} in flight");
        if self.config.takes > 0 {
            tokio::time::sleep(Duration::from_millis(self.config.takes)).await;
        }
        if self.config.blocks > 0 {
            tokio::task::yield_now().await;
            #[expect(clippy::disallowed_methods, reason = "a thread that is busy")]
            std::thread::sleep(Duration::from_millis(self.config.blocks));
        }
        self.n_in_flight.fetch_sub(records.len(), Ordering::SeqCst);
        let mut stumbled_over = None;
        {
            let mut n_stumbles = self.n_stumbles.lock().unwrap();
            let KeepConfig { stumble, stumble_in_part, .. } = self.config;
            if *n_stumbles < stumble.max(stumble_in_part) {
                *n_stumbles += 1;
                if stumble_in_part == 0 || records.len() == 1 {
                    return Err(Failure::transient(anyhow::anyhow!("stumbled")).into());
                }
                stumbled_over = Some(*n_stumbles % records.len());
            } else {
                *n_stumbles = 0;
            }
        }
        let failed = holds(self.config.fail);
        let refused = holds(self.config.refuse).or(failed);
        let is_stored = |index: usize| Some(index) != refused && Some(index) != stumbled_over;
        let good = records.iter().enumerate().filter(|(index, _)| is_stored(*index));
        let body = |record: &Record| String::from_utf8(record.to_bytes().unwrap().to_vec()).unwrap();
        let stored: Vec<_> = good.map(|(_, record)| (record.origin.offset, body(record))).collect();
        if self.config.transactional {
            // A moment in flight, as on a network.
            self.pending.written.lock().unwrap().extend(stored);
            tokio::time::sleep(Duration::from_millis(1)).await;
        } else {
            let (offsets, bodies): (Vec<_>, Vec<_>) = stored.into_iter().unzip();
            {
                let mut kept = KEPT.lock().unwrap();
                kept.entry(self.config.name.clone()).or_default().extend(bodies);
                let origins = kept.entry(format!("{} origins", self.config.name)).or_default();
                origins.extend(offsets.iter().map(u64::to_string));
            }
            if self.config.hesitates {
                tokio::task::yield_now().await;
            }
        }
        let failure =
            |class, text: &'static str| move |index| (index, Failure::new(class, anyhow::anyhow!(text)));
        if let Some(index) = failed {
            return Err(WriteError::Records(vec![failure(Class::Fatal, "broken")(index)]));
        }
        let rejected = refused.map(failure(Class::Rejected, "refused")).into_iter();
        let retried = stumbled_over.map(failure(Class::Transient, "stumbled"));
        WriteError::of_records(rejected.chain(retried).collect())
    }

    fn transactional(&self) -> Option<&dyn TransactionalSink> {
        self.config.transactional.then_some(self)
    }

    fn concurrency(&self) -> usize {
        self.config.concurrency
    }

    fn max_in_flight_records(&self) -> usize {
        self.config.max_in_flight_records.unwrap_or(usize::MAX)
    }

    fn stores_records(&self) -> bool {
        !self.config.forgets
    }

    fn background(&self) -> Option<&dyn Background> {
        Some(self)
    }

    async fn flush(&self, reason: StopReason) -> Result<(), Failure> {
        let name = format!("{} flushed", self.config.name);
        KEPT.lock().unwrap().entry(name).or_default().push(format!("{reason:?}"));
        Ok(())
    }
}

#[async_trait]
impl Background for Keep {
    async fn run(&self) -> Result<(), Failure> {
        let name = format!("{} background", self.config.name);
        KEPT.lock().unwrap().entry(name).or_default().push("started".into());
        std::future::pending().await
    }
}

impl TransactionalSink for Keep {
    fn option(&self) -> &'static str {
        "transactional"
    }

    fn handle(&self) -> Arc<dyn Any + Send + Sync> {
        Arc::clone(&self.pending) as _
    }
}
