//! The cast of the stories: a source, a transform and a sink that do as they are told.

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::testing::record;
use crate::{
    Batch, BuildContext, Committer, Failure, Flow, Output, Plugin, Position, ReadError, Record, Reject,
    Replay, Result, ShutdownReason, Sink, SinkConfig, Source, SourceConfig, Start, Transaction, Transform,
    TransformConfig, WriteError, async_trait,
};

crate::register! { Plugin::source::<CountConfig>("test_count") }
crate::register! { Plugin::transform::<MeddleConfig>("test_meddle") }
crate::register! { Plugin::sink::<KeepConfig>("test_keep") }

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
    anew: bool,
    #[serde(default)]
    what: String,
    /// Waits for ever instead of ending.
    #[serde(default)]
    endless: bool,
    /// Keeps its position nowhere else, and in no transaction.
    #[serde(default)]
    aloof: bool,
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
        if self.config.anew { Replay::NonDeterministic } else { Replay::Deterministic }
    }

    fn join_transaction(&mut self, transaction: Arc<dyn Any + Send + Sync>) -> Result<()> {
        anyhow::ensure!(!self.config.aloof, "it is aloof");
        self.transaction = transaction.downcast().ok();
        Ok(())
    }

    fn committer(&mut self) -> Option<Box<dyn Committer>> {
        let transaction = self.transaction.clone()?;
        Some(Box::new(transaction))
    }

    async fn open(&mut self, start: &Start) -> Result<()> {
        self.next = start.position.as_ref().and_then(|position| position.0.as_u64()).unwrap_or(0);
        // Who commits within a transaction goes on where the last one ended, whatever a file says.
        if let Some(pending) = &self.transaction {
            let commits = kept(&format!("{} commits", pending.config.name));
            self.next = commits.last().map_or(0, |position| position.parse().unwrap());
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Batch>, ReadError> {
        if self.next >= self.config.until {
            if self.config.endless {
                std::future::pending::<()>().await;
            }
            return Ok(None);
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
        let position = move |n: usize| Position(json!(first + n as u64));
        Ok(Some(Batch::new(records).with_rejects(rejects).with_positions(position)))
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
        let position = position.0.as_u64().unwrap();
        let written = std::mem::take(&mut *self.written.lock().unwrap());
        tokio::time::sleep(Duration::from_millis(*commit_takes)).await;
        assert!(self.written.lock().unwrap().is_empty(), "written while a transaction is committed");
        anyhow::ensure!(fail_commit.is_none_or(|at| position < at), "not {position}");
        assert!(
            written.iter().all(|(offset, _)| *offset < position),
            "{position} is in front of {written:?}"
        );
        let mut kept = KEPT.lock().unwrap();
        kept.entry(name.clone()).or_default().extend(written.into_iter().map(|(_, body)| body));
        kept.entry(format!("{name} commits")).or_default().push(position.to_string());
        Ok(())
    }
}

/// Does to batches what transforms do, and what they should not.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MeddleConfig {
    /// Stops after so many.
    stop_after: Option<usize>,
    /// Drops the batch that holds this one.
    drop: Option<u64>,
    /// Filters these out.
    #[serde(default)]
    filter: Vec<u64>,
    /// Waits so many seconds before each record.
    pause: Option<u64>,
    /// Rejects this one.
    reject: Option<u64>,
    /// Sends every other batch behind the one that comes after it.
    #[serde(default)]
    swap: bool,
}

struct Meddle(MeddleConfig, Option<Batch>);

impl TransformConfig for MeddleConfig {
    fn build(self, _: &BuildContext) -> Result<Box<dyn Transform>> {
        Ok(Box::new(Meddle(self, None)))
    }
}

#[async_trait]
impl Transform for Meddle {
    async fn apply(&mut self, mut batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let holds = |batch: &Batch, n: u64| batch.records().iter().position(|it| it.origin.offset == n);
        if self.0.drop.is_some_and(|n| holds(&batch, n).is_some()) {
            return Ok(Flow::Continue);
        }
        if self.0.swap {
            let Some(held) = self.1.take() else {
                self.1 = Some(batch);
                return Ok(Flow::Continue);
            };
            if out.send(batch).await? == Flow::Stop {
                held.release();
                return Ok(Flow::Stop);
            }
            batch = held;
        }
        batch.retain(|record| !self.0.filter.contains(&record.origin.offset));
        if let Some(at) = self.0.reject.and_then(|n| holds(&batch, n)) {
            batch = out.reject(batch, vec![(at, anyhow::anyhow!("not this one"))]).await?;
        }
        if let Some(seconds) = self.0.pause {
            while !batch.is_empty() {
                if out.sleep_until_or_stop(Instant::now() + Duration::from_secs(seconds)).await
                    || out.send(batch.split_front(1)).await? == Flow::Stop
                {
                    batch.release();
                    return Ok(Flow::Stop);
                }
            }
        }
        let Some(left) = &mut self.0.stop_after else { return out.send(batch).await };
        let front = batch.split_front(*left);
        *left -= front.len();
        let is_done = *left == 0;
        let flow = out.send(front).await?;
        batch.release();
        Ok(if is_done { Flow::Stop } else { flow })
    }

    async fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        if let Some(held) = self.1.take() {
            // It was the last one either way.
            let _ = out.send(held).await?;
        }
        Ok(())
    }
}

/// Keeps what is written, under a name that the test knows.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct KeepConfig {
    name: String,
    /// Fails so many times before each success.
    #[serde(default)]
    stumble: usize,
    /// Fails so many times over one record, and stores the others.
    #[serde(default)]
    stumble_in_part: usize,
    /// Never stores this one, and says so.
    refuse: Option<u64>,
    /// Stores all but this one, and will write no more.
    fail: Option<u64>,
    /// Panics over this one.
    panic: Option<u64>,
    /// Never answers for this one.
    hang: Option<u64>,
    /// Panics if more writes overlap.
    #[serde(default = "one")]
    concurrency: usize,
    /// Panics if a write begins while so many records are under way in others.
    max_in_flight_records: Option<usize>,
    /// How many milliseconds each write takes.
    #[serde(default)]
    takes: u64,
    /// Lets others take a turn when it has stored, and nobody knows yet.
    #[serde(default)]
    hesitates: bool,
    /// Keeps nothing.
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
}

fn one() -> usize {
    1
}

struct Keep {
    config: KeepConfig,
    n_stumbles: Mutex<usize>,
    turns: Semaphore,
    n_under_way: AtomicUsize,
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
            n_under_way: AtomicUsize::new(0),
            pending,
            config: self,
        }))
    }
}

#[async_trait]
impl Sink for Keep {
    async fn write(&self, records: &[Record]) -> Result<(), WriteError> {
        let holds = |n: Option<u64>| records.iter().position(|it| Some(it.origin.offset) == n);
        if holds(self.config.hang).is_some() {
            std::future::pending::<()>().await;
        }
        assert!(holds(self.config.panic).is_none(), "as the story tells");
        let _turn = self.turns.try_acquire().expect("no more writes at once than were asked for");
        let n_others = self.n_under_way.fetch_add(records.len(), Ordering::SeqCst);
        assert!(n_others == 0 || n_others < self.max_in_flight_records(), "{n_others} under way");
        if self.config.takes > 0 {
            tokio::time::sleep(Duration::from_millis(self.config.takes)).await;
        }
        self.n_under_way.fetch_sub(records.len(), Ordering::SeqCst);
        let mut stumbled_over = None;
        {
            let mut n_stumbles = self.n_stumbles.lock().unwrap();
            let KeepConfig { stumble, stumble_in_part, .. } = self.config;
            if *n_stumbles < stumble.max(stumble_in_part) {
                *n_stumbles += 1;
                if stumble_in_part == 0 || records.len() == 1 {
                    return Err(WriteError::Retry(anyhow::anyhow!("stumbled")));
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
            // A moment under way, as on a network.
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
        if let Some(index) = failed {
            return Err(WriteError::FatalFor { error: anyhow::anyhow!("broken"), not_stored: vec![index] });
        }
        let failure = |index| Failure { index, error: anyhow::anyhow!("refused"), retry: false };
        let stumbled = |index| Failure { index, error: anyhow::anyhow!("stumbled"), retry: true };
        let failures = refused.map(failure).into_iter();
        WriteError::unless_empty(failures.chain(stumbled_over.map(stumbled)).collect())
    }

    fn transaction(&self) -> Option<Transaction> {
        let handle = Arc::clone(&self.pending) as Arc<dyn Any + Send + Sync>;
        self.config.transactional.then_some(Transaction { option: "transactional", handle })
    }

    fn concurrency(&self) -> usize {
        self.config.concurrency
    }

    fn max_in_flight_records(&self) -> usize {
        self.config.max_in_flight_records.unwrap_or(usize::MAX)
    }

    fn keeps_records(&self) -> bool {
        !self.config.forgets
    }

    async fn run_background(&self) -> Result<()> {
        KEPT.lock().unwrap().entry(format!("{} beside", self.config.name)).or_default().push("begun".into());
        std::future::pending().await
    }

    async fn flush(&self, ending: ShutdownReason) -> Result<()> {
        let name = format!("{} flushed", self.config.name);
        KEPT.lock().unwrap().entry(name).or_default().push(format!("{ending:?}"));
        Ok(())
    }
}
