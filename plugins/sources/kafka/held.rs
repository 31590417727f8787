//! The partitions that are ours, and the batches of them that wait for the engine.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};
use runner_core::{Batch, ReadError};
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
    /// Wakes the thread that reads: there is room, something was stored, close.
    moved: Condvar,
    /// Wakes the engine: there is a batch, an error, the end.
    ready: Notify,
}

#[derive(Default)]
struct State {
    lanes: Vec<Lane>,
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

    /// Tells the engine of an error.
    pub(super) fn fail(&self, error: ReadError) {
        self.state().trouble = Some(error);
        self.ready.notify_one();
    }

    /// Tells the engine that there will be no more.
    pub(super) fn end(&self) {
        self.state().has_ended = true;
        self.ready.notify_one();
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
        let mut list = TopicPartitionList::with_capacity(places.next.len());
        for &(partition, next) in &places.next {
            let lane = state.lanes.iter_mut().find(|lane| lane.partition == partition);
            let Some(lane) = lane.filter(|lane| lane.stored < next) else { continue };
            lane.stored = next;
            if let Err(error) =
                list.add_partition_offset(partition.topic.as_str(), partition.number, Offset::Offset(next))
            {
                warn!("an offset that cannot be stored: {error}");
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
    pub(super) fn take_on(&self, lanes: Vec<Lane>) {
        let mut state = self.state();
        state.waiting.clear();
        state.lanes = lanes;
        state.is_assigned = true;
        state.ackable = self.epoch.fetch_add(1, Ordering::AcqRel) + 1;
    }

    /// Hands out nothing more and waits until what the engine has is delivered.
    pub(super) fn drain(&self, at_most: Duration) {
        let mut state = self.state();
        self.epoch.fetch_add(1, Ordering::AcqRel);
        give_back(&mut state.waiting);
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

    /// Forgets the lanes, and whoever still acknowledges records of theirs.
    pub(super) fn let_go(&self) {
        let mut state = self.state();
        self.epoch.fetch_add(1, Ordering::AcqRel);
        give_back(&mut state.waiting);
        state.lanes.clear();
        state.is_assigned = false;
        state.ackable = 0;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Batches that the engine never saw are owed to nobody.
fn give_back(waiting: &mut VecDeque<Prepared>) {
    waiting.drain(..).for_each(|prepared| prepared.batch.give_back());
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use runner_core::Name;
    use runner_core::testing::records;

    use super::*;

    const PARTITION: i32 = 3;

    fn partition() -> Partition {
        Partition { topic: Name::new("stock_market"), number: PARTITION }
    }

    /// One partition, read from offset 10.
    fn held() -> Held {
        let held = Held::default();
        let lane = Lane { partition: partition(), start: 10, handed: 10, stored: 10, end: None };
        held.take_on(vec![lane]);
        held
    }

    /// What the client is told to store.
    fn stored(held: &Held, epoch: u64, next: i64) -> Option<i64> {
        let mut told = None;
        held.store(&Places { epoch, next: vec![(partition(), next)] }, |list| {
            told = list.find_partition("stock_market", PARTITION).map(|it| it.offset());
            Ok(())
        });
        told.map(|offset| if let Offset::Offset(offset) = offset { offset } else { -1 })
    }

    #[test]
    fn an_offset_never_goes_back() {
        let held = held();
        assert_eq!(stored(&held, held.epoch(), 15), Some(15));
        assert_eq!(stored(&held, held.epoch(), 12), None);
        assert_eq!(stored(&held, held.epoch(), 16), Some(16));
    }

    #[test]
    fn an_acknowledgement_for_a_partition_that_went_and_came_back_is_ignored() {
        let held = held();
        let old = held.epoch();
        held.let_go();
        assert_eq!(stored(&held, old, 15), None);
        held.take_on(vec![Lane { partition: partition(), start: 12, handed: 12, stored: 12, end: None }]);
        assert_eq!(stored(&held, old, 15), None);
        assert_eq!(stored(&held, held.epoch(), 13), Some(13));
    }

    #[test]
    fn a_batch_of_an_assignment_that_is_over_is_not_handed_out() {
        let held = held();
        let old = held.epoch();
        held.put(old, records(["a"]), vec![11]);
        held.let_go();
        held.put(old, records(["b"]), vec![12]);
        assert!(held.is_empty());
        assert!(held.take().is_none());
    }

    #[test]
    fn a_partition_is_given_away_once_what_was_handed_out_is_stored() {
        let held = Arc::new(held());
        let epoch = held.epoch();
        held.put(epoch, records(["a", "b"]), vec![12]);
        let Some(Outcome::Batch(batch)) = held.take() else { panic!("there is a batch") };
        let draining = {
            let held = Arc::clone(&held);
            std::thread::spawn(move || held.drain(Duration::from_secs(60)))
        };
        while held.epoch() == epoch {
            std::thread::yield_now();
        }
        assert_eq!(stored(&held, epoch, 11), Some(11), "acknowledgements still count");
        assert!(!draining.is_finished());
        assert_eq!(stored(&held, epoch, 12), Some(12));
        draining.join().unwrap();
        batch.sign();
    }

    #[test]
    fn marks_are_passed_only_where_all_that_was_read_is_delivered() {
        let held = held();
        let positions = HashMap::from([(("stock_market".to_owned(), PARTITION), Offset::Offset(13))]);
        let pass = |held: &Held| {
            let mut told = None;
            held.pass_marks(&positions, |list| {
                told = list.find_partition("stock_market", PARTITION).map(|it| it.offset());
                Ok(())
            });
            told
        };
        held.put(held.epoch(), records(["a", "b"]), vec![12]);
        let Some(Outcome::Batch(batch)) = held.take() else { panic!("there is a batch") };
        assert_eq!(stored(&held, held.epoch(), 11), Some(11));
        assert_eq!(pass(&held), None, "offset 11 is under way still");
        assert_eq!(stored(&held, held.epoch(), 12), Some(12));
        assert_eq!(pass(&held), Some(Offset::Offset(13)));
        batch.sign();
    }

    #[tokio::test]
    async fn batches_come_before_the_error_and_the_error_before_the_end() {
        let held = held();
        held.put(held.epoch(), records(["a"]), vec![11]);
        held.fail(ReadError::Fatal(anyhow::anyhow!("gone")));
        held.end();
        let Outcome::Batch(batch) = held.next().await else { panic!("a batch comes first") };
        batch.sign();
        assert!(matches!(held.next().await, Outcome::Trouble(_)));
        assert!(matches!(held.next().await, Outcome::End));
    }
}
