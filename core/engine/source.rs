//! The task of one source: it reads while there is room, and its commit loop commits what has been
//! delivered.

use std::ops::ControlFlow::{Break, Continue};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::ack_tracker::{AckTracker, Progress, TrackedBatch};
use super::backoff::{Backoff, RetryBudget};
use super::entry_allocator::EntryAllocator;
use super::node::Node;
use super::outputs::Outputs;
use super::transaction_gate::{COMMIT_INTERVAL, TransactionGate};
use crate::error::{Class, Failure};
use crate::progress::add;
use crate::read_batch::ReadBatch;
use crate::source::{Committer, Next, Replay, Source};
use crate::stop::Flow;

/// Progress is written to the checkpoint at most this often. Reservations of entry numbers are
/// written when they are needed, since records wait for them; they grow, and so become rare.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);

pub(crate) struct SourceTask {
    pub(crate) source: Box<dyn Source>,
    pub(crate) node: Node,
    pub(crate) tracker: Arc<AckTracker>,
    /// `None` for a source whose records bring their entry numbers along.
    pub(crate) entries: Option<Arc<EntryAllocator>>,
    /// Of the sink whose transactions hold the positions.
    pub(crate) gate: Option<Arc<TransactionGate>>,
    pub(crate) outputs: Outputs,
}

impl SourceTask {
    pub(crate) async fn run(mut self) {
        let input_ended = CancellationToken::new();
        let commit_loop = CommitLoop {
            node: self.node.clone(),
            tracker: Arc::clone(&self.tracker),
            committer: if self.node.stores_nothing { None } else { self.source.committer() },
            entries: self.entries.clone(),
            gate: self.gate.clone(),
            input_ended: input_ended.clone(),
        };
        let reading = async {
            if let Err(failure) = self.read().await {
                self.node.fail(failure);
            }
            // Closes the channels, so that everything after this source finishes and ends.
            self.outputs = Outputs::default();
            input_ended.cancel();
        };
        tokio::join!(reading, commit_loop.run());
        if let Err(error) = self.source.close().await {
            self.node.fail(error.context("closing the source"));
        }
    }

    /// Reads until the source ends or the pipeline stops.
    async fn read(&mut self) -> Result<(), Failure> {
        let mut failing: Option<Backoff> = None;
        let mut had_contact = false;
        let mut stop = self.node.stop.clone();
        let mut has_ended_reading = false;
        loop {
            let next = async {
                self.outputs.ready().await?;
                self.tracker.has_room().await;
                Continue(self.source.next().await)
            };
            let next = tokio::select! {
                biased;
                () = stop.cancelled() => None,
                next = next => Some(next),
            };
            let Some(next) = next else {
                if has_ended_reading || !self.must_deliver_what_was_read() {
                    return Ok(());
                }
                self.source.end_reading();
                has_ended_reading = true;
                stop = self.node.control.failed();
                continue;
            };
            let Continue(next) = next else { return Ok(()) };
            match next {
                Ok(Next::End) => return Ok(()),
                Ok(Next::Idle) => (had_contact, failing) = (true, None),
                Ok(Next::Batch(batch)) => {
                    (had_contact, failing) = (true, None);
                    if self.pass_on(batch).await?.is_break() {
                        return Ok(());
                    }
                }
                Err(failure) if !failure.is_retryable() => {
                    self.node.fail_source(failure);
                    return Ok(());
                }
                Err(failure) => {
                    let is_first_contact = !had_contact && failure.class() == Class::Unreachable;
                    let budget = if is_first_contact { RetryBudget::Connect } else { RetryBudget::Timeout };
                    let backoff = failing.get_or_insert_with(|| Backoff::new(&self.node.retry, budget));
                    match backoff.wait(self.node.name(), failure, &stop).await {
                        Ok(Continue(())) => add(&self.node.counters.retries, 1),
                        Ok(Break(())) => return Ok(()),
                        Err(failure) => {
                            self.node.fail_source(failure);
                            return Ok(());
                        }
                    }
                }
            }
        }
    }

    /// Whether the source has to return the rest of what it has read before it stops.
    fn must_deliver_what_was_read(&self) -> bool {
        let control = &self.node.control;
        !control.can_read_again(self.node.index) && control.is_stop_requested() && !control.has_failed()
    }

    /// Numbers a batch, rejects what the source could not turn into records, and sends the rest.
    async fn pass_on(&mut self, read: ReadBatch) -> Result<Flow, Failure> {
        let TrackedBatch { mut batch, rejects, first } = self.tracker.open(read);
        batch.enter(&self.node.counters);
        if let Some(entries) = &self.entries {
            if let Err(error) = entries.reserve(first + batch.len() as u64).await {
                batch.release();
                return Err(error.into());
            }
            let is_deterministic = self.source.replay() == Replay::Deterministic;
            for (record, item) in batch.records_mut().iter_mut().zip(first..) {
                let entry = entries.entry(item);
                if !is_deterministic {
                    // A count by the source would name another record when it is read again.
                    record.origin.offset = entry.number;
                }
                record.entry = Some(entry);
            }
        }
        let (batch, rejected) = self.node.reject(batch, rejects).await;
        let sent = self.outputs.send(batch).await;
        Ok(if rejected.is_break() { rejected } else { sent })
    }
}

/// Commits the delivered prefix until no record of the source is in flight.
struct CommitLoop {
    node: Node,
    tracker: Arc<AckTracker>,
    committer: Option<Box<dyn Committer>>,
    entries: Option<Arc<EntryAllocator>>,
    gate: Option<Arc<TransactionGate>>,
    /// Cancelled once nothing more will be read.
    input_ended: CancellationToken,
}

impl CommitLoop {
    async fn run(mut self) {
        if let Err(failure) = self.commit_until_settled().await {
            self.node.fail(failure);
        }
        if let Some(gate) = &self.gate {
            gate.end();
        }
    }

    async fn commit_until_settled(&mut self) -> Result<(), Failure> {
        // A source that waits for its first record has its start in the checkpoint as well. The first progress does not
        // wait for the interval after this: a run that is always killed soon would make none.
        if let Some(entries) = &self.entries {
            entries.write().await?;
        }
        let mut write_at: Option<Instant> = None;
        let mut last_write: Option<Instant> = None;
        // What has been delivered and not been committed.
        let mut delivered: Option<Progress> = None;
        let mut last_commit: Option<Instant> = None;
        loop {
            let has_ended = self.input_ended.is_cancelled();
            let is_last = has_ended && self.tracker.is_settled();
            if let Some(progress) = self.tracker.advance() {
                delivered = Some(progress.after(delivered));
            }
            let mut commit_at = None;
            if let Some(gate) = &self.gate {
                if self.tracker.is_blocked() {
                    gate.end();
                }
                commit_at = last_commit
                    .map(|last| last + COMMIT_INTERVAL)
                    .filter(|&at| !is_last && Instant::now() < at);
            }
            let may_commit = |progress: &mut Progress| {
                commit_at.is_none() && self.gate.as_ref().is_none_or(|gate| gate.close(progress.n_items))
            };
            if let Some(progress) = delivered.take_if(may_commit) {
                if let (Some(committer), Some(position)) = (&mut self.committer, &progress.position) {
                    committer.commit(position).await.context("committing the position")?;
                }
                if let Some(gate) = &self.gate {
                    gate.committed();
                    last_commit = Some(Instant::now());
                }
                if let Some(entries) = &self.entries {
                    entries.delivered(progress);
                    let due = last_write.map_or_else(Instant::now, |last| last + CHECKPOINT_INTERVAL);
                    write_at.get_or_insert(due);
                }
            }
            if is_last {
                break;
            }
            let commit_at = commit_at.filter(|_| delivered.is_some());
            tokio::select! {
                () = self.tracker.changed() => {}
                () = self.input_ended.cancelled(), if !has_ended => {}
                () = sleep_until_some(commit_at), if commit_at.is_some() => {}
                () = sleep_until_some(write_at), if write_at.is_some() => {
                    if let Some(entries) = &self.entries {
                        entries.write().await?;
                    }
                    last_write = Some(Instant::now());
                    write_at = None;
                }
            }
        }
        match &self.entries {
            Some(entries) => Ok(entries.write_last(self.tracker.n_tried()).await?),
            None => Ok(()),
        }
    }
}

async fn sleep_until_some(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
