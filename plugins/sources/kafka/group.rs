//! The partitions that the group has given to this source, and what becomes
//! of them when they are taken away.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use runner_core::{Batch, Gauges, ReadError};
use tokio::sync::Notify;
use tracing::{debug, info, warn};

use super::places::{Partition, Places};
use super::start::{self, Beginning};
use super::{Client, Settings};
use crate::shared::kafka::Heard;

/// A partition that is ours for now.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    pub(super) partition: Partition,
    /// Where reading began.
    pub(super) start: i64,
    /// What comes next behind all that the engine has been given.
    handed: i64,
    /// What comes next behind all that has been delivered.
    stored: i64,
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
    fn take_on(&self, lanes: Vec<Lane>) {
        let mut state = self.state();
        state.waiting.clear();
        state.lanes = lanes;
        state.ackable = self.epoch.fetch_add(1, Ordering::AcqRel) + 1;
    }

    /// Hands out nothing more and waits until what the engine has is delivered.
    fn drain(&self, at_most: Duration) {
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
    fn let_go(&self) {
        let mut state = self.state();
        self.epoch.fetch_add(1, Ordering::AcqRel);
        give_back(&mut state.waiting);
        state.lanes.clear();
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

/// Answers the client library when the group gives and takes partitions; all
/// of it happens on the thread that polls.
pub(super) struct Group {
    settings: Settings,
    held: Arc<Held>,
    heard: Arc<Heard>,
    beginning: Beginning,
    gauges: Arc<Gauges>,
}

impl Group {
    pub(super) fn new(settings: &Settings, held: Arc<Held>) -> Self {
        Group {
            settings: settings.clone(),
            held,
            heard: Arc::default(),
            beginning: Beginning::default(),
            gauges: Arc::clone(&settings.gauges),
        }
    }

    pub(super) fn heard(&self) -> Arc<Heard> {
        Arc::clone(&self.heard)
    }

    fn assign(&self, client: &Client, partitions: &TopicPartitionList) -> KafkaResult<()> {
        let found = self.beginning.of(client, partitions, &self.settings, &self.held);
        let places = match found {
            Ok(places) => places,
            Err(error) => {
                self.held.fail(error);
                return client.unassign();
            }
        };
        let mut list = TopicPartitionList::with_capacity(places.len());
        let mut at_end = TopicPartitionList::new();
        for place in &places {
            let (topic, number) = (place.partition.topic.as_str(), place.partition.number);
            list.add_partition_offset(topic, number, place.offset)?;
            if place.is_new && self.settings.reset == super::Reset::Latest {
                at_end.add_partition_offset(topic, number, Offset::Offset(place.start))?;
            }
            info!("reads {topic}/{number} from offset {}", place.start);
        }
        if places.is_empty() {
            info!("reads nothing: other members of the group have all of the partitions");
        }
        let lanes = places.into_iter().map(|place: start::Place| Lane {
            partition: place.partition,
            start: place.start,
            handed: place.start,
            stored: place.start,
            end: place.end,
        });
        self.held.take_on(lanes.collect());
        client.assign(&list)?;
        if at_end.count() > 0 {
            // "From now on" is said once: what comes before the first commit is not to be missed.
            client.store_offsets(&at_end)?;
        }
        Ok(())
    }

    fn revoke(&self, client: &Client) -> KafkaResult<()> {
        if client.assignment_lost() {
            warn!("the group has taken the partitions away: it has not heard of us for too long");
        } else {
            self.held.drain(self.settings.drain);
            if !self.held.is_closing() {
                commit(client);
            }
        }
        self.held.let_go();
        client.unassign()
    }
}

/// Commits what has been stored, and waits for the answer; false if nobody
/// could be reached.
pub(super) fn commit(client: &Client) -> bool {
    match client.commit_consumer_state(CommitMode::Sync) {
        // There was nothing to commit.
        Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => true,
        Err(error) => {
            warn!("the last offsets could not be committed, their records will be read again: {error}");
            !error.rdkafka_error_code().is_some_and(crate::shared::kafka::is_outage)
        }
    }
}

impl ClientContext for Group {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        Heard::line(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.heard.note(&error, reason);
    }

    /// The lag counts what is not delivered, not what is not read.
    fn stats(&self, statistics: Statistics) {
        let lag = |lane: &Lane| {
            let topic = statistics.topics.get(lane.partition.topic.as_str())?;
            let found = topic.partitions.get(&lane.partition.number)?;
            let end = found.ls_offset.max(found.hi_offset);
            (end >= 0).then(|| u64::try_from(end - lane.stored).unwrap_or(0))
        };
        let lags: Option<u64> = self.held.lanes().iter().map(lag).sum();
        if let Some(lag) = lags {
            self.gauges.set_lag(lag);
        }
    }
}

impl ConsumerContext for Group {
    fn rebalance(&self, client: &BaseConsumer<Self>, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let answered = match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(client, list),
            _ => self.revoke(client),
        };
        if let Err(error) = answered {
            self.held.fail(ReadError::Fatal(error.into()));
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        match result {
            Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
            Err(error) => warn!("offsets could not be committed, the next commit will have them: {error}"),
        }
    }
}
