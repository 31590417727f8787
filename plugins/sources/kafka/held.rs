//! The partitions that are ours, and the batches of them that wait for the engine.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};
use runner_core::{Batch, Error, ReadError};
use tokio::sync::Notify;
use tracing::{debug, info, warn};

use super::places::{Partition, Places};

/// A partition that is ours for now.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    pub(super) partition: Partition,
    /// Where reading began.
    pub(super) start: i64,
    /// What comes next behind all that the engine has been given.
    pub(super) handed: i64,
    /// What comes next behind all that has been delivered.
    pub(super) stored: i64,
    /// Where reading ends, with `stop = "at_end"`.
    pub(super) end: Option<i64>,
}

/// What the thread that reads, the engine and the committer share.
#[derive(Default)]
pub(super) struct Held {
    state: Mutex<State>,
    /// Which assignment is in force; grows whenever partitions come or go.
    epoch: AtomicU64,
    /// Nothing more is part of any transaction.
    is_abandoned: AtomicBool,
    /// Wakes the thread that reads: there is room, something was stored, close.
    moved: Condvar,
    /// Wakes the engine: there is a batch, an error, the end.
    ready: Notify,
}

#[derive(Default)]
struct State {
    lanes: Vec<Lane>,
    /// As whom the group knows us in this assignment.
    member: Option<Arc<ConsumerGroupMetadata>>,
    /// The group has said what is ours, if only that nothing is.
    is_assigned: bool,
    /// The assignment whose acknowledgements still count.
    ackable: u64,
    waiting: VecDeque<Prepared>,
    trouble: Option<ReadError>,
    has_ended: bool,
    is_closing: bool,
}

struct Prepared {
    batch: Batch,
    /// What comes next in each lane behind the batch; below 0 where nothing was read.
    next: Vec<i64>,
}

/// What comes next for the engine.
pub(super) enum Outcome {
    Batch(Batch),
    End,
    Trouble(ReadError),
}

/// Batches that wait to be handed over: one to take, one to fill meanwhile.
const ROOM: usize = 2;

impl Held {
    /// Which assignment is in force.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The lanes of the assignment in force.
    pub(super) fn lanes(&self) -> Vec<Lane> {
        self.state().lanes.clone()
    }

    /// Waits for what comes next; called by the engine.
    pub(super) async fn next(&self) -> Outcome {
        loop {
            let ready = self.ready.notified();
            if let Some(outcome) = self.take() {
                return outcome;
            }
            ready.await;
        }
    }

    fn take(&self) -> Option<Outcome> {
        let mut state = self.state();
        if let Some(Prepared { batch, next }) = state.waiting.pop_front() {
            for (lane, next) in state.lanes.iter_mut().zip(next) {
                lane.handed = lane.handed.max(next);
            }
            self.moved.notify_all();
            return Some(Outcome::Batch(batch));
        }
        if let Some(error) = state.trouble.take() {
            return Some(Outcome::Trouble(error));
        }
        (state.has_ended || state.is_closing).then_some(Outcome::End)
    }

    /// Puts a batch in front of the engine; one of another assignment is
    /// dropped, since its records are somebody else's to read now.
    pub(super) fn put(&self, epoch: u64, batch: Batch, next: Vec<i64>) {
        let mut state = self.state();
        if epoch == self.epoch() {
            state.waiting.push_back(Prepared { batch, next });
            self.ready.notify_one();
        }
    }

    /// Tells the engine of an error; one that ends the run is not replaced by one that may pass.
    pub(super) fn fail(&self, error: ReadError) {
        let mut state = self.state();
        if !matches!(state.trouble, Some(ReadError::Fatal(_))) {
            state.trouble = Some(error);
        }
        self.ready.notify_one();
    }

    /// Tells the engine that there will be no more.
    pub(super) fn end(&self) {
        self.state().has_ended = true;
        self.ready.notify_one();
    }

    /// Whether the engine has been told that there will be no more.
    pub(super) fn has_ended(&self) -> bool {
        self.state().has_ended
    }

    /// Whether nothing waits to be handed over.
    pub(super) fn is_empty(&self) -> bool {
        self.state().waiting.is_empty()
    }

    /// Waits until there is room for a batch; false if there is none in time.
    pub(super) fn has_room(&self, within: Duration) -> bool {
        let state = self.state();
        let is_full = |state: &mut State| state.waiting.len() >= ROOM && !state.is_closing;
        let waited = self.moved.wait_timeout_while(state, within, is_full);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Ends reading; called when the source is closed.
    pub(super) fn close(&self) {
        self.state().is_closing = true;
        self.moved.notify_all();
        self.ready.notify_one();
    }

    /// Whether the group has said what is ours, if only that nothing is.
    pub(super) fn is_assigned(&self) -> bool {
        self.state().is_assigned
    }

    /// Waits until the source is closed; false if it is not in time.
    pub(super) fn closes(&self, within: Duration) -> bool {
        let waited = self.moved.wait_timeout_while(self.state(), within, |state| !state.is_closing);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Whether the source has been closed.
    pub(super) fn is_closing(&self) -> bool {
        self.state().is_closing
    }

    /// The offsets that have not been stored yet, and as whom we hold their partitions;
    /// `None` if those have been given away since.
    pub(super) fn fresh(&self, places: &Places) -> Option<(TopicPartitionList, Arc<ConsumerGroupMetadata>)> {
        let state = self.state();
        if places.epoch != state.ackable || self.is_abandoned.load(Ordering::SeqCst) {
            return None;
        }
        Some((unstored(&state.lanes, places), state.member.clone()?))
    }

    /// Notes what has been delivered and has `store` pass it on; false if it is
    /// of partitions that have been given away since.
    pub(super) fn store(
        &self,
        places: &Places,
        store: impl FnOnce(&TopicPartitionList) -> KafkaResult<()>,
    ) -> bool {
        // The lock is held until the client has it, so that the partitions
        // cannot go and come back in between.
        let mut state = self.state();
        if places.epoch != state.ackable {
            return false;
        }
        let list = unstored(&state.lanes, places);
        for &(partition, next) in &places.next {
            if let Some(lane) = state.lanes.iter_mut().find(|lane| lane.partition == partition) {
                lane.stored = lane.stored.max(next);
            }
        }
        if list.count() > 0
            && let Err(error) = store(&list)
        {
            debug!("offsets that the client does not take: {error}");
        }
        self.moved.notify_all();
        true
    }

    /// Stores places behind the marks of transactions, which are no records:
    /// where all that was read is delivered, `positions` is further by those.
    pub(super) fn pass_marks(
        &self,
        positions: &HashMap<(String, i32), Offset>,
        store: impl FnOnce(&TopicPartitionList) -> KafkaResult<()>,
    ) {
        let passed = {
            let state = self.state();
            let next = state.lanes.iter().filter(|lane| lane.handed == lane.stored).filter_map(|lane| {
                let key = (lane.partition.topic.as_str().to_owned(), lane.partition.number);
                match positions.get(&key) {
                    Some(&Offset::Offset(position)) if position > lane.stored => {
                        Some((lane.partition, position))
                    }
                    _ => None,
                }
            });
            Places { epoch: state.ackable, next: next.collect() }
        };
        if !passed.next.is_empty() && self.store(&passed, store) {
            let mut state = self.state();
            for lane in &mut state.lanes {
                lane.handed = lane.handed.max(lane.stored);
            }
        }
    }

    /// Takes lanes on.
    pub(super) fn take_on(&self, lanes: Vec<Lane>, member: Option<Arc<ConsumerGroupMetadata>>) {
        let mut state = self.state();
        state.waiting.clear();
        state.lanes = lanes;
        state.member = member;
        state.is_assigned = true;
        state.ackable = self.epoch.fetch_add(1, Ordering::AcqRel) + 1;
    }

    /// Hands out nothing more and waits until what the engine has is delivered.
    pub(super) fn drain(&self, at_most: Duration) {
        let mut state = self.state();
        self.epoch.fetch_add(1, Ordering::AcqRel);
        release(&mut state);
        let deadline = Instant::now() + at_most;
        let is_under_way =
            |state: &mut State| state.lanes.iter().any(|lane| lane.stored < lane.handed) && !state.is_closing;
        if is_under_way(&mut state) {
            info!("the group changes: waiting for records under way, at most {at_most:?}");
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.moved.wait_timeout_while(state, left, is_under_way);
        if waited.unwrap_or_else(PoisonError::into_inner).1.timed_out() {
            warn!("the group changes and records are under way still: another member will read them again");
        }
    }

    /// Whether the engine has records that are not delivered yet.
    pub(super) fn is_under_way(&self) -> bool {
        self.state().lanes.iter().any(|lane| lane.stored < lane.handed)
    }

    /// Commits no transaction any more and ends the run: the open one may hold
    /// records that whoever has the partitions next reads again.
    pub(super) fn abandon(&self) {
        self.is_abandoned.store(true, Ordering::SeqCst);
        self.fail(ReadError::Fatal(taken_away()));
    }

    /// Forgets the lanes, and whoever still acknowledges records of theirs.
    pub(super) fn let_go(&self) {
        let mut state = self.state();
        self.epoch.fetch_add(1, Ordering::AcqRel);
        release(&mut state);
        state.lanes.clear();
        state.is_assigned = false;
        state.ackable = 0;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those of `places` that are further than what has been delivered so far.
fn unstored(lanes: &[Lane], places: &Places) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(places.next.len());
    for &(Partition { topic, number }, next) in &places.next {
        let is_of = |lane: &Lane| lane.partition == Partition { topic, number };
        if lanes.iter().any(|lane| is_of(lane) && lane.stored < next)
            && let Err(error) = list.add_partition_offset(topic.as_str(), number, Offset::Offset(next))
        {
            warn!("an offset that cannot be stored: {error}");
        }
    }
    list
}

/// Why a transaction cannot hold the offsets of what it has records of.
pub(super) fn taken_away() -> Error {
    anyhow::anyhow!(
        "the group has given our partitions to others while records of them were in a transaction, which is given \
         up; they are read again by whoever has the partitions now: start the pipeline again"
    )
}

/// Batches that the engine never saw are owed to nobody. If they were the last
/// ones, whoever has their partitions next comes to the end once more.
fn release(state: &mut State) {
    state.has_ended &= state.waiting.is_empty();
    state.waiting.drain(..).for_each(|prepared| prepared.batch.release());
}

#[cfg(test)]
mod tests;
