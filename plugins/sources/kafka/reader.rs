//! The thread that polls the client and fills batches.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use runner_core::{Batch, Error, ReadError, Unreachable};
use tracing::{debug, info, warn};

use super::arena::{Arena, Sources};
use super::group;
use super::held::{Held, Lane};
use super::places::Partition;
use super::trouble::{Meaning, meaning_of, place_of};
use super::{Client, Settings, Stop, start};
use crate::shared::kafka::Heard;

/// Polls the client, which also is how the group hears that we are alive.
pub(super) struct Reader {
    settings: Settings,
    client: Arc<Client>,
    held: Arc<Held>,
    heard: Arc<Heard>,
    sources: Sources,
    /// The assignment that the fields below belong to.
    epoch: u64,
    lanes: Vec<Lane>,
    partitions: Arc<[Partition]>,
    /// What comes next in each lane behind all that was read; below 0 at first.
    next: Vec<i64>,
    /// Lanes in which a record was passed over because it came after the end.
    is_passed_over: Vec<bool>,
    filling: Option<(Arena, Instant)>,
    /// How large the last batch was, so that the next one seldom grows.
    n_bytes: usize,
    last_record: Instant,
    last_look: Instant,
    /// When the group was last asked how far it has come.
    last_question: Option<Instant>,
    /// Since when nobody could be reached.
    silent_since: Option<Instant>,
    /// When the engine was last told of an error that may pass.
    last_doubt: Option<Instant>,
    has_read: bool,
    has_ended: bool,
}

/// How long a full hand-over is waited for before partitions are paused.
/// Pausing throws away what the client has fetched ahead.
const BEFORE_PAUSE: Duration = Duration::from_secs(3);
/// How long a poll waits when nothing comes; closing may take as long.
const POLL: Duration = Duration::from_millis(100);
/// How often things are looked at that need no haste.
const LOOK: Duration = Duration::from_secs(1);
/// An error that has not come again for so long has passed.
const PASSED: Duration = Duration::from_secs(10);

impl Reader {
    pub(super) fn new(settings: Settings, client: Arc<Client>, held: Arc<Held>) -> Self {
        let now = Instant::now();
        let heard = client.context().heard();
        Reader {
            settings,
            client,
            held,
            heard,
            sources: Sources::default(),
            epoch: 0,
            lanes: Vec::new(),
            partitions: Arc::new([]),
            next: Vec::new(),
            is_passed_over: Vec::new(),
            filling: None,
            n_bytes: 0,
            last_record: now,
            last_look: now,
            last_question: None,
            silent_since: None,
            last_doubt: None,
            has_read: false,
            has_ended: false,
        }
    }

    /// Reads until the source is closed, then leaves the group.
    pub(super) fn run(mut self) {
        while !self.held.is_closing() {
            if !self.held.has_room(BEFORE_PAUSE) {
                self.wait_paused();
                continue;
            }
            self.step(POLL);
        }
        self.leave();
    }

    /// Keeps polling, so that the group keeps us, while the sink catches up.
    fn wait_paused(&mut self) {
        debug!("the sink is slow: pausing the partitions");
        let mut paused = None;
        while !self.held.has_room(Duration::ZERO) {
            // What a change of the group brings is resumed.
            if paused != Some(self.epoch) {
                self.pause(true);
                paused = Some(self.epoch);
            }
            self.step(POLL);
        }
        self.pause(false);
        self.last_record = Instant::now();
    }

    fn pause(&self, is_wanted: bool) {
        let mut list = TopicPartitionList::new();
        for (lane, &next) in self.lanes.iter().zip(&self.next) {
            let is_through = lane.end.is_some_and(|end| next.max(lane.start) >= end);
            if is_wanted || !is_through {
                list.add_partition(lane.partition.topic.as_str(), lane.partition.number);
            }
        }
        let done = if is_wanted { self.client.pause(&list) } else { self.client.resume(&list) };
        if let Err(error) = done {
            warn!("pausing or resuming partitions: {error}");
        }
    }

    /// Polls once and does what follows from it.
    fn step(&mut self, at_most: Duration) {
        let due = self.filling.as_ref().map(|(_, begun)| *begun + self.settings.batch.timeout);
        let wait = due.map_or(at_most, |due| due.saturating_duration_since(Instant::now()).min(at_most));
        let client = Arc::clone(&self.client);
        let polled = client.poll(wait);
        if self.epoch != self.held.epoch() {
            self.start_anew();
        }
        match polled {
            Some(Ok(message)) => self.take(&message),
            Some(Err(error)) => self.meet(&error),
            None => {}
        }
        if due.is_some_and(|due| due <= Instant::now()) {
            self.hand_over();
        }
        let may_end = self.settings.stop == Stop::AtEnd || self.settings.idle_timeout.is_some();
        let is_near = may_end && !self.has_ended && self.filling.is_none();
        if is_near || self.last_look.elapsed() >= LOOK {
            self.look_around();
        }
    }

    /// The group has changed: nothing that was read before is ours to go on with.
    fn start_anew(&mut self) {
        self.epoch = self.held.epoch();
        self.lanes = self.held.lanes();
        self.partitions = self.lanes.iter().map(|lane| lane.partition).collect();
        self.next = vec![-1; self.lanes.len()];
        self.is_passed_over = vec![false; self.lanes.len()];
        self.filling = None;
        self.has_ended = self.held.has_ended();
        self.last_record = Instant::now();
        self.silent_since = None;
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) {
        self.last_record = Instant::now();
        self.silent_since = None;
        self.last_doubt = None;
        self.has_read = true;
        let is_of = |lane: &Lane| {
            lane.partition.number == message.partition() && lane.partition.topic.as_str() == message.topic()
        };
        let Some(index) = self.lanes.iter().position(is_of) else { return };
        let lane = &self.lanes[index];
        if self.has_ended || lane.end.is_some_and(|end| message.offset() >= end) {
            // It came after the end: another run reads it.
            self.is_passed_over[index] = true;
            let mut list = TopicPartitionList::new();
            list.add_partition(message.topic(), message.partition());
            if let Err(error) = self.client.pause(&list) {
                warn!("pausing a partition at its end: {error}");
            }
            return;
        }
        let (epoch, n_bytes) = (self.epoch, self.n_bytes);
        let (arena, _) = self.filling.get_or_insert_with(|| {
            let arena = Arena::new(epoch, Arc::clone(&self.partitions), self.next.clone(), n_bytes);
            (arena, self.last_record)
        });
        arena.push(index, message, &mut self.sources);
        let limits = &self.settings.batch;
        if arena.len() >= limits.max_records || arena.n_bytes() >= limits.max_bytes {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let Some((arena, _)) = self.filling.take() else { return };
        self.n_bytes = arena.n_bytes() + arena.n_bytes() / 8;
        self.next = arena.next();
        self.held.put(arena.epoch(), arena.into_batch(), self.next.clone());
    }

    /// What is to be done now and then: the end, marks of transactions, silence.
    fn look_around(&mut self) {
        self.last_look = Instant::now();
        self.check_doubt();
        // Between two assignments nothing is ours, which is not the end.
        if !self.held.is_assigned() {
            return self.check_silence();
        }
        let is_idle = self.settings.idle_timeout.is_some_and(|timeout| self.last_record.elapsed() >= timeout);
        let positions = self.positions();
        let is_read = |lane: &Lane| {
            let key = (lane.partition.topic.as_str().to_owned(), lane.partition.number);
            let position = match positions.get(&key) {
                Some(&Offset::Offset(position)) => position,
                _ => lane.start,
            };
            lane.end.is_some_and(|end| position >= end)
        };
        let is_at_end =
            self.settings.stop == Stop::AtEnd && self.lanes.iter().all(is_read) && self.are_others_through();
        if !self.has_ended && (is_idle || is_at_end) {
            self.hand_over();
            self.has_ended = true;
            let why =
                if is_at_end { "everything that was there has been read" } else { "no record has come" };
            info!("the source ends: {why}");
            self.held.end();
        }
        self.pass_marks(positions, CommitMode::Async);
        self.check_silence();
    }

    /// Whether the others have read everything that is not ours; asked once a second.
    fn are_others_through(&mut self) -> bool {
        if self.last_question.is_some_and(|last| last.elapsed() < LOOK) {
            return false;
        }
        let are_through = self.client.context().are_others_through(&self.client, &self.lanes);
        self.last_question = (!are_through).then(Instant::now);
        are_through
    }

    /// How far the client has come, marks of transactions included.
    fn positions(&self) -> HashMap<(String, i32), Offset> {
        self.client.position().map(|list| list.to_topic_map()).unwrap_or_default()
    }

    /// Behind the last record of a partition may lie marks of transactions.
    /// A group that never passed them would seem to miss records once
    /// retention takes them.
    fn pass_marks(&self, mut positions: HashMap<(String, i32), Offset>, mode: CommitMode) {
        if self.filling.is_some() || !self.held.is_empty() {
            return;
        }
        let passed_over = self.lanes.iter().zip(&self.is_passed_over).filter(|(_, is_so)| **is_so);
        for (lane, _) in passed_over {
            positions.remove(&(lane.partition.topic.as_str().to_owned(), lane.partition.number));
        }
        let is_transacted = self.settings.transactions.is_some();
        self.held.pass_marks(&positions, |list| {
            if is_transacted {
                // There is no record that they would have to share a transaction with.
                self.client.commit(list, mode)
            } else {
                self.client.store_offsets(list)
            }
        });
    }

    /// An idle topic is well again without a record to show it: a batch of none ends the engine's
    /// patience with the error, which would else run on until the next one.
    fn check_doubt(&mut self) {
        if self.last_doubt.is_some_and(|last| last.elapsed() >= PASSED) {
            self.last_doubt = None;
            self.held.put(self.epoch, Batch::default(), self.next.clone());
        }
    }

    fn check_silence(&mut self) {
        let Some(since) = self.silent_since else { return };
        // Whether somebody answers again only a question tells: an idle topic is silent too.
        if self.client.fetch_metadata(Some(&self.settings.topics[0]), LOOK).is_ok() {
            info!("the Kafka cluster answers again");
            self.silent_since = None;
        } else if self.settings.retry.timeout.is_some_and(|timeout| since.elapsed() >= timeout) {
            let reason = self.heard.trouble().map(|(_, reason)| reason).unwrap_or_default();
            let message = format!(
                "the cluster at {} has not answered for {:?} (`retry.timeout`): {reason}",
                self.settings.bootstrap_servers,
                since.elapsed()
            );
            self.held.fail(ReadError::Fatal(Unreachable(message).into()));
        }
    }

    /// Does what an error of the client calls for.
    fn meet(&mut self, error: &KafkaError) {
        let topics = self.settings.topics.join(", ");
        let at = &self.settings.bootstrap_servers;
        let fatal = |error: Error| self.held.fail(ReadError::Fatal(error));
        let last_doubt = &mut self.last_doubt;
        let mut again = |error: Error| {
            *last_doubt = Some(Instant::now());
            self.held.fail(ReadError::Retry { error, after: None });
        };
        let Some(code) = error.rdkafka_error_code() else { return fatal(Error::new(error.clone())) };
        let reason = self.heard.trouble().map_or_else(|| code.to_string(), |(_, reason)| reason);
        if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
            return fatal(anyhow::anyhow!("the Kafka client cannot go on reading {topics}: {reason}"));
        }
        match meaning_of(code) {
            Meaning::Overtaken => fatal(start::overtaken(&self.client, &self.settings, &self.held)),
            Meaning::Gone => {
                fatal(anyhow::anyhow!(
                    "one of the topics {topics} is gone from the cluster at {at}: {reason}"
                ));
            }
            Meaning::Denied => {
                let error = anyhow::anyhow!(
                    "the cluster at {at} denies reading {topics} as group `{}`: {reason} ({code}); \
                     grant the user Read on the topics and on the group",
                    self.settings.group_id,
                );
                // After the first record it is a passing state, not a slip in the file.
                if self.has_read { again(error) } else { fatal(error) }
            }
            Meaning::Outage => {
                self.silent_since.get_or_insert_with(Instant::now);
            }
            Meaning::PutOut => {
                warn!("the group has gone on without us: no poll for `max.poll.interval.ms`; joining again");
            }
            Meaning::Passing => warn!("reading {topics}: {reason}; the client asks again"),
            Meaning::Doubtful => again(anyhow::anyhow!("reading {topics} at {at}: {reason} ({code})")),
            Meaning::Broken(advice) => {
                let place = match place_of(&reason, &self.lanes, &self.positions()) {
                    place if place.is_empty() => topics,
                    place => place,
                };
                fatal(anyhow::anyhow!(
                    "cannot read {place} of the cluster at {at}: {reason} ({code}); {advice}"
                ));
            }
        }
    }

    /// Commits and leaves, so that the others need not wait for us to time out.
    fn leave(self) {
        if self.held.is_assigned() {
            self.pass_marks(self.positions(), CommitMode::Sync);
        }
        let Reader { mut client, .. } = self;
        if !group::commit(&client) {
            // Leaving asks the coordinator, and librdkafka 2.12 may crash when
            // there is none. The process is about to end anyway.
            std::mem::forget(client);
            return;
        }
        // The committer borrows the client for a moment; the last owner leaves
        // the group, and that is to be this thread.
        loop {
            match Arc::try_unwrap(client) {
                Ok(last) => return drop(last),
                Err(shared) => client = shared,
            }
            std::thread::yield_now();
        }
    }
}
