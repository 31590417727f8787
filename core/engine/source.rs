//! The task of one source: room first, then data; and beside it the commit loop, who
//! commits what has been delivered.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Error, Result};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::ack_tracker::{AckTracker, Progress};
use super::backoff::{Backoff, RetryBudget};
use super::control::Control;
use super::dead_letter::DeadLetters;
use super::entry_allocator::EntryAllocator;
use super::outputs::Outputs;
use super::transaction_gate::{ROUND, TransactionGate};
use crate::batch::Batch;
use crate::error::{is_awaited, is_unreachable};
use crate::plugin::RetryLimits;
use crate::progress::{Counters, add};
use crate::source::{Committer, ReadError, Replay, Source};
use crate::transform::Flow;

/// Progress is written to the checkpoint at most this often; reservations of numbers come beside it, since
/// the records wait for them. Their steps grow, so they soon come as seldom.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);

pub(crate) struct SourceTask {
    pub(crate) node: usize,
    pub(crate) source: Box<dyn Source>,
    pub(crate) tracker: Arc<AckTracker>,
    /// `None` for a source whose records bring their numbers along.
    pub(crate) numbers: Option<Arc<EntryAllocator>>,
    /// Of the sink whose transactions hold the positions.
    pub(crate) gate: Option<Arc<TransactionGate>>,
    pub(crate) next: Outputs,
    pub(crate) limits: RetryLimits,
    pub(crate) stop: CancellationToken,
    pub(crate) control: Arc<Control>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) dead_letters: Arc<DeadLetters>,
}

impl SourceTask {
    pub(crate) async fn run(mut self) {
        let through = CancellationToken::new();
        let commit_loop = CommitLoop {
            node: self.node,
            tracker: Arc::clone(&self.tracker),
            committer: self.source.committer(),
            numbers: self.numbers.clone(),
            gate: self.gate.clone(),
            control: Arc::clone(&self.control),
            through: through.clone(),
        };
        let reading = async {
            if let Err(error) = self.read().await {
                self.control.fail(self.node, error);
            }
            // Closes the channels: whoever is behind drains and ends.
            self.next = Outputs::default();
            through.cancel();
        };
        tokio::join!(reading, commit_loop.run());
        if let Err(error) = self.source.close().await {
            self.control.fail(self.node, error.context("closing the source"));
        }
    }

    /// Reads until the source is through, or the pipeline stops.
    async fn read(&mut self) -> Result<()> {
        let mut failing: Option<Backoff> = None;
        let mut has_read = false;
        let stop = self.stop.clone();
        loop {
            let next = async {
                if self.next.ready().await == Flow::Stop {
                    return None;
                }
                self.tracker.has_room().await;
                Some(self.source.next().await)
            };
            let read = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                read = next => read,
            };
            match read {
                None | Some(Ok(None)) => return Ok(()),
                Some(Ok(Some(batch))) => {
                    has_read = true;
                    failing = None;
                    if self.pass_on(batch).await? == Flow::Stop {
                        return Ok(());
                    }
                }
                Some(Err(ReadError::Fatal(error))) => return Err(error),
                Some(Err(ReadError::Retry { error, after })) => {
                    let is_first_contact = !has_read && is_unreachable(&error);
                    let budget = if is_first_contact { RetryBudget::Connect } else { RetryBudget::Timeout };
                    let backoff = failing.get_or_insert_with(|| Backoff::new(&self.limits, budget));
                    if !backoff.wait(self.control.name(self.node), error, after, &stop).await? {
                        return Ok(());
                    }
                    add(&self.counters.retries, 1);
                }
            }
        }
    }

    /// EntryAllocator a batch, puts its rejects aside and sends the rest on.
    async fn pass_on(&mut self, mut batch: Batch) -> Result<Flow> {
        let (rejects, first) = self.tracker.open(&mut batch);
        if let Some(numbers) = &self.numbers {
            numbers.reserve(first + batch.len() as u64).await?;
            let is_anew = self.source.replay() == Replay::NonDeterministic;
            for (record, item) in batch.records_mut().iter_mut().zip(first..) {
                let entry = numbers.entry(item);
                if is_anew {
                    // Where the source stands names another record once it has answered anew.
                    record.origin.offset = entry.number;
                }
                record.entry = Some(entry);
            }
        }
        add(&self.counters.records_in, batch.len() as u64);
        add(&self.counters.bytes_in, batch.size() as u64);
        let (batch, goes_on) =
            self.dead_letters.reject(batch, rejects, self.node, &self.control, &self.counters).await;
        add(&self.counters.records_out, batch.len() as u64);
        add(&self.counters.bytes_out, batch.size() as u64);
        let flow = self.next.send(batch).await;
        Ok(if goes_on { flow } else { Flow::Stop })
    }
}

/// Commits the delivered prefix for as long as anything is under way.
struct CommitLoop {
    node: usize,
    tracker: Arc<AckTracker>,
    committer: Option<Box<dyn Committer>>,
    numbers: Option<Arc<EntryAllocator>>,
    gate: Option<Arc<TransactionGate>>,
    control: Arc<Control>,
    /// Cancelled once nothing more will be read.
    through: CancellationToken,
}

impl CommitLoop {
    async fn run(mut self) {
        if let Err(error) = self.keep().await {
            self.control.fail(self.node, error);
        }
        if let Some(gate) = &self.gate {
            gate.end();
        }
    }

    async fn keep(&mut self) -> Result<()> {
        let mut write_at: Option<Instant> = None;
        let mut last_write: Option<Instant> = None;
        // What has been delivered and not been committed.
        let mut delivered: Option<Progress> = None;
        let mut last_commit: Option<Instant> = None;
        loop {
            let is_through = self.through.is_cancelled();
            let is_last = is_through && self.tracker.is_settled();
            if let Some(progress) = self.tracker.advance() {
                delivered = Some(progress.after(delivered));
            }
            let mut commit_at = None;
            if let Some(gate) = &self.gate {
                if self.tracker.is_blocked() {
                    gate.end();
                }
                commit_at =
                    last_commit.map(|last| last + ROUND).filter(|&at| !is_last && Instant::now() < at);
            }
            let may_commit = |progress: &mut Progress| {
                commit_at.is_none() && self.gate.as_ref().is_none_or(|gate| gate.close(progress.n_items))
            };
            if let Some(progress) = delivered.take_if(may_commit) {
                if let (Some(committer), Some(position)) = (&mut self.committer, &progress.position) {
                    committer.commit(position).await.context("committing the position")?;
                }
                if let Some(gate) = &self.gate {
                    gate.next();
                    last_commit = Some(Instant::now());
                }
                if let Some(numbers) = &self.numbers {
                    numbers.delivered(progress);
                    let due = last_write.map_or_else(Instant::now, |last| last + CHECKPOINT_EVERY);
                    write_at.get_or_insert(due);
                }
            }
            if is_last {
                break;
            }
            let commit_at = commit_at.filter(|_| delivered.is_some());
            let due = write_at;
            tokio::select! {
                () = self.tracker.changed() => {}
                () = self.through.cancelled(), if !is_through => {}
                () = async { sleep_until(commit_at.expect("guarded")).await }, if commit_at.is_some() => {}
                () = async { sleep_until(due.expect("guarded")).await }, if due.is_some() => {
                    if let Some(numbers) = &self.numbers {
                        numbers.write().await?;
                    }
                    last_write = Some(Instant::now());
                    write_at = None;
                }
            }
        }
        match &self.numbers {
            Some(numbers) => numbers.write_last(self.tracker.n_tried()).await,
            None => Ok(()),
        }
    }
}

/// Opens a component: while it cannot be reached it is tried again, as long as
/// first contact may take. False if `stop` came first.
pub(crate) async fn connect(
    component: &str,
    limits: &RetryLimits,
    stop: &CancellationToken,
    mut open: impl AsyncFnMut() -> Result<()>,
) -> Result<bool> {
    let mut backoff = Backoff::new(limits, RetryBudget::Connect);
    loop {
        let opened = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(false),
            opened = open() => opened,
        };
        let error: Error = match opened {
            Ok(()) => return Ok(true),
            Err(error) => error,
        };
        if !is_awaited(&error) {
            return Err(error);
        }
        if !backoff.wait(component, error, None, stop).await? {
            return Ok(false);
        }
    }
}
