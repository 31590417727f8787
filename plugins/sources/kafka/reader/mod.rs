//! The thread that polls the client and fills batches. `watch` has its regular checks, `errors` what an error means.

mod errors;
mod watch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message as _, TopicPartitionList};
use runner_core::{Class, Error, Failure};
use tracing::{debug, warn};

use self::errors::{advice, classify, describe_position, is_missing, is_out_of_range};
use super::assignment::{AssignedPartition, Assignment, BatchBuilder, EntrySources, Partition};
use super::group::find_out_of_range;
use super::{Client, Settings, Stop, group};
use crate::shared::kafka::{ClientErrors, is_denied};

/// Polls the client, which also keeps the membership of the group alive.
pub(super) struct Reader {
    settings: Settings,
    client: Arc<Client>,
    assignment: Arc<Assignment>,
    errors: Arc<ClientErrors>,
    sources: EntrySources,
    /// The topics of the subscription.
    topics: Vec<String>,
    /// When topics that match a pattern were last looked for.
    last_search: Instant,
    /// The assignment of the fields below.
    epoch: u64,
    assigned: Vec<AssignedPartition>,
    partitions: Arc<[Partition]>,
    /// The next offset in each partition after all records in batches; negative before the first.
    next: Vec<i64>,
    /// The partitions of which a record after the end was skipped.
    is_past_end: Vec<bool>,
    /// The buffer size of the next batch: a little more than the last full one used.
    n_bytes: usize,
    last_record: Instant,
    last_check: Instant,
    /// When the committed offsets of other members were last requested.
    last_request: Option<Instant>,
    /// Since when no broker is reachable.
    unreachable_since: Option<Instant>,
    /// When a retriable error was last passed to the engine.
    last_error: Option<Instant>,
    has_read: bool,
    has_ended: bool,
}

/// How long the reader waits for room before it pauses the partitions.
/// Pausing discards the records that the client has fetched.
const BEFORE_PAUSE: Duration = Duration::from_secs(3);
/// The timeout of a poll, and so the longest wait of a close.
const POLL: Duration = Duration::from_millis(100);
/// The same once all has been read: no record ends such a poll early.
const END_POLL: Duration = Duration::from_millis(10);
/// How often the state is checked that no message changes.
const CHECK: Duration = Duration::from_secs(1);

impl Reader {
    /// `topics` are those of the subscription.
    pub(super) fn new(
        settings: Settings,
        client: Arc<Client>,
        assignment: Arc<Assignment>,
        topics: Vec<String>,
    ) -> Self {
        let now = Instant::now();
        let errors = Arc::clone(&client.context().errors);
        Reader {
            settings,
            client,
            assignment,
            errors,
            sources: EntrySources::default(),
            topics,
            last_search: now,
            epoch: 0,
            assigned: Vec::new(),
            partitions: Arc::new([]),
            next: Vec::new(),
            is_past_end: Vec::new(),
            n_bytes: 0,
            last_record: now,
            last_check: now,
            last_request: None,
            unreachable_since: None,
            last_error: None,
            has_read: false,
            has_ended: false,
        }
    }

    /// Reads until the source is closed, then leaves the group.
    pub(super) fn run(mut self) {
        while !self.assignment.is_closing() {
            if self.assignment.wait_for_room(BEFORE_PAUSE) {
                self.step();
            } else {
                self.poll_paused();
            }
        }
        self.leave();
    }

    /// Polls without reading until there is room: a consumer that does not poll is removed from the group.
    fn poll_paused(&mut self) {
        debug!("the sink is slow: pausing the partitions");
        let mut paused = None;
        while !self.assignment.wait_for_room(Duration::ZERO) {
            // A rebalance resumes the partitions.
            if paused != Some(self.epoch) {
                self.pause(true);
                paused = Some(self.epoch);
            }
            // A topic that is not read is not idle.
            self.last_record = Instant::now();
            self.step();
        }
        self.pause(false);
    }

    fn pause(&self, is_wanted: bool) {
        let mut list = TopicPartitionList::new();
        for (it, &next) in self.assigned.iter().zip(&self.next) {
            let has_ended = it.end.is_some_and(|end| next.max(it.start) >= end);
            if is_wanted || !has_ended {
                list.add_partition(it.partition.topic.as_str(), it.partition.number);
            }
        }
        let done = if is_wanted { self.client.pause(&list) } else { self.client.resume(&list) };
        if let Err(error) = done {
            warn!("pausing or resuming partitions: {error}");
        }
    }

    /// Waits for a message, adds all that the client has fetched to a batch and offers it to the engine.
    ///
    /// It does not wait for more messages, so that an idle pipeline adds no delay. While the engine is busy, the
    /// next step adds more messages to the same batch.
    fn step(&mut self) {
        let client = Arc::clone(&self.client);
        let mut polled = client.poll(if self.has_ended { END_POLL } else { POLL });
        let mut batch = None;
        loop {
            if self.epoch != self.assignment.epoch() {
                self.start_assignment();
                batch = None;
            }
            if self.end_recreated() {
                return;
            }
            match &polled {
                Some(Ok(message)) => self.add(message, &mut batch),
                Some(Err(error)) => self.handle_error(error),
                None => break,
            }
            if batch.as_ref().is_some_and(|batch| self.is_full(batch)) {
                break;
            }
            polled = client.poll(Duration::ZERO);
        }
        let (is_drained, is_idle) = (polled.is_none(), polled.is_none() && batch.is_none());
        if let Some(batch) = batch {
            self.offer(batch);
        }
        let may_end = (self.settings.stop == Stop::AtEnd && is_drained)
            || (self.settings.idle_timeout.is_some() && is_idle);
        if (may_end && !self.has_ended) || self.last_check.elapsed() >= CHECK {
            self.check();
        }
    }

    /// The group has changed: batches of the earlier assignment are not continued.
    fn start_assignment(&mut self) {
        self.epoch = self.assignment.epoch();
        self.assigned = self.assignment.partitions();
        self.partitions = self.assigned.iter().map(|it| it.partition).collect();
        self.next = vec![-1; self.assigned.len()];
        self.is_past_end = vec![false; self.assigned.len()];
        self.has_ended = self.assignment.has_ended();
        self.last_record = Instant::now();
        self.unreachable_since = None;
    }

    /// Adds a message to a batch, which may be one that the engine has not taken yet.
    fn add(&mut self, message: &BorrowedMessage<'_>, batch: &mut Option<BatchBuilder>) {
        self.last_record = Instant::now();
        self.unreachable_since = None;
        self.last_error = None;
        self.has_read = true;
        let is_of = |it: &AssignedPartition| {
            it.partition.number == message.partition() && it.partition.topic.as_str() == message.topic()
        };
        let Some(index) = self.assigned.iter().position(is_of) else { return };
        if self.has_ended || self.assigned[index].end.is_some_and(|end| message.offset() >= end) {
            // A later run reads it.
            self.is_past_end[index] = true;
            let mut list = TopicPartitionList::new();
            list.add_partition(message.topic(), message.partition());
            if let Err(error) = self.client.pause(&list) {
                warn!("pausing a partition at its end: {error}");
            }
            return;
        }
        let batch = batch.get_or_insert_with(|| {
            self.assignment.take_filling().unwrap_or_else(|| {
                BatchBuilder::new(self.epoch, Arc::clone(&self.partitions), self.next.clone(), self.n_bytes)
            })
        });
        batch.push(index, message, &mut self.sources);
    }

    fn is_full(&self, batch: &BatchBuilder) -> bool {
        let limits = &self.settings.batch;
        batch.len() >= limits.max_records || batch.n_bytes() >= limits.max_bytes
    }

    fn offer(&mut self, batch: BatchBuilder) {
        self.n_bytes = batch.n_bytes() + batch.n_bytes() / 8;
        self.next = batch.next();
        let is_full = self.is_full(&batch);
        self.assignment.put(batch, is_full);
    }

    /// Logs an error of the client, or passes it to the engine.
    fn handle_error(&mut self, error: &KafkaError) {
        if error.rdkafka_error_code().is_some_and(is_missing) && self.unsubscribe_from_deleted() {
            return;
        }
        let (topics, at) = (&self.settings.topics, &self.settings.bootstrap_servers);
        let fatal = |error: Error| self.assignment.fail(Failure::fatal(error));
        let Some(code) = error.rdkafka_error_code() else { return fatal(Error::new(error.clone())) };
        let reason = self.errors.last().map_or_else(|| code.to_string(), |(_, reason)| reason);
        if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
            return fatal(anyhow!("the Kafka client cannot continue to read {topics}: {reason}"));
        }
        match classify(code, self.has_read) {
            Class::Unreachable => {
                self.unreachable_since.get_or_insert_with(Instant::now);
            }
            Class::Transient if is_denied(code) || code == RDKafkaErrorCode::Unknown => {
                let error = if is_denied(code) {
                    self.denied(code, &reason)
                } else {
                    anyhow!("reading {topics} at {at}: {reason} ({code})")
                };
                self.last_error = Some(Instant::now());
                self.assignment.fail(Failure::transient(error));
            }
            Class::Transient if code == RDKafkaErrorCode::PollExceeded => {
                warn!("no poll for `max.poll.interval.ms`: the consumer has left the group and joins again");
            }
            Class::Transient => warn!("reading {topics}: {reason}; the client retries"),
            Class::Rejected | Class::Fatal | Class::OutputClosed => fatal(self.fatal_error(code, &reason)),
        }
    }

    fn denied(&self, code: RDKafkaErrorCode, reason: &str) -> Error {
        let Settings { topics, bootstrap_servers: at, group_id, .. } = &self.settings;
        anyhow!(
            "the cluster at {at} denies reading {topics} as group `{group_id}`: {reason} ({code}); \
             grant the user Read on the topics and on the group"
        )
    }

    /// The error that ends the run.
    fn fatal_error(&self, code: RDKafkaErrorCode, reason: &str) -> Error {
        let (topics, at) = (&self.settings.topics, &self.settings.bootstrap_servers);
        if is_out_of_range(code) {
            return find_out_of_range(&self.client, &self.settings, &self.assignment);
        }
        if is_missing(code) {
            return anyhow!("one of the topics {topics} is gone from the cluster at {at}: {reason}");
        }
        if is_denied(code) {
            return self.denied(code, reason);
        }
        let position = describe_position(reason, &self.assigned, &self.positions());
        let position = if position.is_empty() { topics.to_string() } else { position };
        let advice = advice(code);
        anyhow!("cannot read {position} of the cluster at {at}: {reason} ({code}); {advice}")
    }

    /// Commits and leaves the group, so that the other members need not wait for a timeout.
    fn leave(mut self) {
        if self.assignment.is_assigned() {
            // Read before the refresh, which may drop a record.
            let positions = self.positions();
            self.refresh_topic_ids();
            self.skip_markers(positions, CommitMode::Sync);
        }
        if self.settings.dry_run.is_some() {
            return;
        }
        if !group::commit(&self.client) {
            // Leaving sends a request to the coordinator, and librdkafka 2.12 may crash when
            // there is none. The process ends soon anyway.
            std::mem::forget(self.client);
        }
        // Otherwise this drops the client, which leaves the group: the engine closes a source after its committer.
    }
}
