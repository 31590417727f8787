//! The partitions assigned to this consumer, and their batches that wait for the engine.
//!
//! `assigned_partition` is one of the partitions, and how far it is read. `batch_builder` is a batch, and `offsets` are the
//! positions after its records.

mod assigned_partition;
mod batch_builder;
mod offsets;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};
use runner_core::{Error, Failure};
use tokio::sync::Notify;
use tracing::{debug, info, warn};

pub(super) use self::assigned_partition::{AssignedPartition, ClientPositions};
pub(super) use self::batch_builder::{BatchBuilder, EntrySources};
pub(super) use self::offsets::{Offsets, Partition};

/// State that the reader thread, the engine and the committer share.
#[derive(Default)]
pub(super) struct Assignment {
    state: Mutex<State>,
    /// The number of the current assignment; it grows whenever partitions are assigned or revoked.
    epoch: AtomicU64,
    /// No more offsets are added to a transaction.
    is_transaction_aborted: AtomicBool,
    /// Wakes the reader thread: there is room, an offset was stored, the source is closed.
    changed: Condvar,
    /// Wakes the engine: there is a batch, an error, the end.
    ready: Notify,
}

#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "they are independent of each other")]
struct State {
    partitions: Vec<AssignedPartition>,
    /// The group membership that holds this assignment.
    member: Option<Arc<ConsumerGroupMetadata>>,
    /// The assignment whose acks are accepted; 0 between two assignments.
    ackable: u64,
    /// Full batches, oldest first.
    full: VecDeque<BatchBuilder>,
    /// The newest batch. The reader thread takes it back to add more records until the engine takes it.
    filling: Option<BatchBuilder>,
    error: Option<Failure>,
    has_recovered: bool,
    has_ended: bool,
    is_closing: bool,
    /// A topic was deleted and created again.
    is_recreated: bool,
}

impl State {
    fn has_in_flight(&self) -> bool {
        self.partitions.iter().any(|it| it.stored < it.taken && !it.is_recreated)
    }

    fn is_empty(&self) -> bool {
        self.full.is_empty() && self.filling.is_none()
    }

    /// Drops the batches that the engine has not taken. If they were the last ones,
    /// the next owner of their partitions reaches the end again.
    fn drop_batches(&mut self) {
        self.has_ended &= self.is_empty();
        self.full.clear();
        self.filling = None;
    }
}

/// What the engine gets next.
pub(super) enum Next {
    Batch(BatchBuilder),
    /// An error that was reported before has not occurred again.
    Recovered,
    Error(Failure),
    End,
}

/// The limit of full batches that wait for the engine.
const MAX_FULL: usize = 2;

impl Assignment {
    /// The number of the current assignment.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The partitions of the current assignment.
    pub(super) fn partitions(&self) -> Vec<AssignedPartition> {
        self.state().partitions.clone()
    }

    /// Waits until there is something for the engine; called by the engine.
    pub(super) async fn next(&self) -> Result<runner_core::Next, Failure> {
        loop {
            let ready = self.ready.notified();
            match self.take() {
                Some(Next::Batch(batch)) => return Ok(runner_core::Next::Batch(batch.build())),
                Some(Next::Recovered) => return Ok(runner_core::Next::Idle),
                Some(Next::Error(error)) => return Err(error),
                Some(Next::End) => return Ok(runner_core::Next::End),
                None => ready.await,
            }
        }
    }

    pub(super) fn take(&self) -> Option<Next> {
        let mut state = self.state();
        let batch = state.full.pop_front().or_else(|| state.filling.take());
        if let Some(batch) = batch {
            for (partition, next) in state.partitions.iter_mut().zip(batch.next()) {
                partition.taken = partition.taken.max(next);
            }
            self.changed.notify_all();
            return Some(Next::Batch(batch));
        }
        if std::mem::take(&mut state.has_recovered) {
            return Some(Next::Recovered);
        }
        if let Some(error) = state.error.take() {
            return Some(Next::Error(error));
        }
        (state.has_ended || state.is_closing).then_some(Next::End)
    }

    /// Offers a batch to the engine; drops one of an earlier assignment, whose records
    /// another member of the group reads now.
    pub(super) fn put(&self, batch: BatchBuilder, is_full: bool) {
        let mut state = self.state();
        if batch.epoch() != self.epoch() {
            return;
        }
        if is_full {
            state.full.push_back(batch);
        } else {
            state.filling = Some(batch);
        }
        self.ready.notify_one();
    }

    /// Takes the newest batch back, to add more records, if the engine has not taken it.
    pub(super) fn take_filling(&self) -> Option<BatchBuilder> {
        self.state().filling.take()
    }

    /// Passes an error to the engine; a retriable error does not replace a fatal one.
    pub(super) fn fail(&self, error: Failure) {
        let mut state = self.state();
        if state.error.as_ref().is_none_or(Failure::is_retryable) {
            state.error = Some(error);
        }
        self.ready.notify_one();
    }

    /// The error of a topic that was created again, if the engine has not taken it: the source was being closed.
    pub(super) fn last_error(&self) -> Result<(), Error> {
        let mut state = self.state();
        let error = state.error.take().filter(|_| state.is_recreated);
        error.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Ignores acks for a topic from now on, and drops its records that the engine has not taken: it was deleted and
    /// created again.
    pub(super) fn set_recreated(&self, topic: &str) {
        let mut state = self.state();
        state.drop_batches();
        state.is_recreated = true;
        self.is_transaction_aborted.store(true, Ordering::SeqCst);
        for it in state.partitions.iter_mut().filter(|it| it.partition.topic.as_str() == topic) {
            it.is_recreated = true;
        }
        self.changed.notify_all();
    }

    /// Tells the engine that the last retriable error has not occurred again.
    pub(super) fn recover(&self) {
        self.state().has_recovered = true;
        self.ready.notify_one();
    }

    /// Tells the engine that there are no more records.
    pub(super) fn finish(&self) {
        self.state().has_ended = true;
        self.ready.notify_one();
    }

    /// Whether the engine has been told that there are no more records.
    pub(super) fn has_ended(&self) -> bool {
        self.state().has_ended
    }

    /// Whether no batch waits for the engine.
    pub(super) fn is_empty(&self) -> bool {
        self.state().is_empty()
    }

    /// Waits until there is room for a full batch; false after `timeout`.
    pub(super) fn wait_for_room(&self, timeout: Duration) -> bool {
        self.wait(self.state(), timeout, |state| state.full.len() < MAX_FULL || state.is_closing)
    }

    /// Waits until the source is closed; false after `timeout`.
    pub(super) fn wait_until_closing(&self, timeout: Duration) -> bool {
        self.wait(self.state(), timeout, |state| state.is_closing)
    }

    fn wait(
        &self,
        state: MutexGuard<'_, State>,
        timeout: Duration,
        is_done: impl Fn(&State) -> bool,
    ) -> bool {
        let waited = self.changed.wait_timeout_while(state, timeout, |state| !is_done(state));
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Ends reading; called when the source is closed.
    pub(super) fn close(&self) {
        self.state().is_closing = true;
        self.changed.notify_all();
        self.ready.notify_one();
    }

    /// Whether the source has been closed.
    pub(super) fn is_closing(&self) -> bool {
        self.state().is_closing
    }

    /// Whether the group has assigned partitions, possibly none.
    pub(super) fn is_assigned(&self) -> bool {
        self.state().ackable != 0
    }

    /// The offsets that have not been stored yet, and the membership that holds their partitions;
    /// `None` if the partitions have been revoked since.
    pub(super) fn unstored(
        &self,
        offsets: &Offsets,
    ) -> Option<(TopicPartitionList, Arc<ConsumerGroupMetadata>)> {
        let state = self.state();
        if offsets.epoch != state.ackable || self.is_transaction_aborted.load(Ordering::SeqCst) {
            return None;
        }
        Some((unstored(&state.partitions, offsets), state.member.clone()?))
    }

    /// Notes what has been delivered and calls `store` with the new offsets; false if the
    /// partitions have been revoked since.
    pub(super) fn store(
        &self,
        offsets: &Offsets,
        store: impl FnOnce(&TopicPartitionList) -> KafkaResult<()>,
    ) -> bool {
        // Holds the lock until the client has the offsets, so that the partitions
        // cannot be revoked and assigned again in between.
        let mut state = self.state();
        if offsets.epoch != state.ackable {
            return false;
        }
        let list = unstored(&state.partitions, offsets);
        for &(partition, next) in &offsets.next {
            if let Some(found) = state.partitions.iter_mut().find(|it| it.partition == partition) {
                found.stored = found.stored.max(next);
            }
        }
        if list.count() > 0
            && let Err(error) = store(&list)
        {
            debug!("the Kafka client does not store the offsets: {error}");
        }
        self.changed.notify_all();
        true
    }

    /// Stores offsets behind transaction markers, which are not records: `positions` is greater than the
    /// next offset of the last record. Only where all records have been delivered. Does nothing once batches
    /// were dropped for a topic that was created again: the positions include their records.
    pub(super) fn skip_markers(
        &self,
        positions: &ClientPositions,
        store: impl FnOnce(&TopicPartitionList) -> KafkaResult<()>,
    ) {
        let skipped = {
            let state = self.state();
            if state.is_recreated {
                return;
            }
            let delivered = state.partitions.iter().filter(|it| it.taken == it.stored);
            let next = delivered.map(|it| (it, it.position(positions)));
            let next = next.filter(|(it, position)| *position > it.stored);
            Offsets {
                epoch: state.ackable,
                next: next.map(|(it, position)| (it.partition, position)).collect(),
            }
        };
        if !skipped.next.is_empty() && self.store(&skipped, store) {
            for partition in &mut self.state().partitions {
                partition.taken = partition.taken.max(partition.stored);
            }
        }
    }

    /// Starts an assignment.
    pub(super) fn assign(
        &self,
        partitions: Vec<AssignedPartition>,
        member: Option<Arc<ConsumerGroupMetadata>>,
    ) {
        let mut state = self.state();
        state.full.clear();
        state.filling = None;
        state.partitions = partitions;
        state.member = member;
        state.ackable = self.epoch.fetch_add(1, Ordering::AcqRel) + 1;
    }

    /// Gives the engine no more batches and waits until the records that it has taken are delivered.
    pub(super) fn drain(&self, timeout: Duration) {
        let mut state = self.state();
        self.epoch.fetch_add(1, Ordering::AcqRel);
        state.drop_batches();
        let is_drained = |state: &State| !state.has_in_flight() || state.is_closing;
        if !is_drained(&state) {
            info!("partitions are revoked: waiting up to {timeout:?} for records in flight");
        }
        if !self.wait(state, timeout, is_drained) {
            warn!("partitions are revoked with records in flight: another member will read these again");
        }
    }

    /// Whether the engine has records that are not delivered yet.
    pub(super) fn has_in_flight(&self) -> bool {
        self.state().has_in_flight()
    }

    /// Commits no more transactions and ends the run: the open transaction may contain
    /// records that the next owner of the partitions reads again.
    pub(super) fn abort_transaction(&self) {
        self.is_transaction_aborted.store(true, Ordering::SeqCst);
        self.fail(Failure::fatal(revoked_in_transaction()));
    }

    /// Ends the assignment; later acks for it are ignored.
    pub(super) fn revoke(&self) {
        let mut state = self.state();
        self.epoch.fetch_add(1, Ordering::AcqRel);
        state.drop_batches();
        state.partitions.clear();
        state.ackable = 0;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those of `offsets` that are greater than the stored ones.
fn unstored(partitions: &[AssignedPartition], offsets: &Offsets) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(offsets.next.len());
    for &(partition, next) in &offsets.next {
        if partitions.iter().any(|it| it.partition == partition && it.stored < next && !it.is_recreated)
            && let Err(error) =
                list.add_partition_offset(partition.topic.as_str(), partition.number, Offset::Offset(next))
        {
            warn!("an offset cannot be stored: {error}");
        }
    }
    list
}

/// The error for partitions that were revoked while a transaction contained their records.
pub(super) fn revoked_in_transaction() -> Error {
    anyhow::anyhow!(
        "the group has revoked partitions of this consumer while a transaction contained their records; the \
         transaction is aborted and the new owner of the partitions reads the records again: start the pipeline again"
    )
}

#[cfg(test)]
mod tests;
