//! The thread that adds batches to the queue of the client and receives its delivery reports.
//!
//! The client library allocates memory for every record that is enqueued and frees it with the delivery
//! report. Both are cheap on one thread; two threads would contend for the heap.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, PurgeConfig};
use runner_core::Record;

use super::delivery::{self, Deliveries, DeliveryError};
use super::retention::Retention;
use super::template::Template;
use super::timestamp::TimestampField;
use super::topics::Topics;
use crate::shared::kafka::{ENTRY_HEADER, INCARNATION_HEADER, SOURCE_HEADER, is_entry_header};

/// How often the thread polls for delivery reports while it waits for a batch.
const POLL: Duration = Duration::from_millis(1);
/// How often it polls a client without records in flight for errors of its connections.
const IDLE_POLL: Duration = Duration::from_millis(100);

/// Batches are held while records are in flight, up to these limits. An idempotent client
/// sends one request per partition at a time, and spins on a whole processor while the records behind it have
/// waited for longer than [`LINGER`](super::LINGER).
const MAX_HELD: usize = super::MAX_IN_FLIGHT / 2;
/// A full request.
const MAX_BYTES: usize = 1 << 20;
const MAX_HOLD: Duration = Duration::from_millis(50);

pub(super) type Producer = BaseProducer<Deliveries>;

/// A batch for the queue of the client.
pub(super) struct Job {
    pub(super) slot: usize,
    pub(super) records: Arc<Vec<Record>>,
}

/// Builds messages from records.
pub(super) struct MessageBuilder {
    pub(super) topics: Topics,
    pub(super) key: Option<Template>,
    pub(super) timestamp: Option<TimestampField>,
    pub(super) retention: Arc<Retention>,
    pub(super) headers: BTreeMap<String, String>,
}

/// Starts the thread, with room for `n_slots` batches. It ends when the sender is dropped; the queue
/// of the client then gets one more second.
pub(super) fn start(
    producer: Arc<Producer>,
    messages: MessageBuilder,
    n_slots: usize,
) -> Result<SyncSender<Job>> {
    let (sender, jobs) = sync_channel(n_slots);
    let thread = ProducerThread { producer, messages, jobs };
    let builder = std::thread::Builder::new().name("kafka-producer".into());
    builder
        .spawn(move || thread.deliveries().run_producer(|| thread.run()))
        .context("starting a thread for the Kafka client")?;
    Ok(sender)
}

struct ProducerThread {
    producer: Arc<Producer>,
    messages: MessageBuilder,
    jobs: Receiver<Job>,
}

impl ProducerThread {
    fn run(&self) {
        let mut held: Vec<Job> = Vec::new();
        let (mut n_held, mut n_bytes_held) = (0, 0);
        let mut held_since = Instant::now();
        let mut is_open = true;
        while is_open {
            let is_busy = !held.is_empty() || self.producer.in_flight_count() > 0;
            match self.jobs.recv_timeout(if is_busy { POLL } else { IDLE_POLL }) {
                Ok(job) => {
                    if held.is_empty() {
                        held_since = Instant::now();
                    }
                    n_held += job.records.len();
                    n_bytes_held += job.records.iter().map(Record::size).sum::<usize>();
                    held.push(job);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => is_open = false,
            }
            self.poll();
            let is_full = n_held >= MAX_HELD || n_bytes_held >= MAX_BYTES;
            let is_due = is_full || held_since.elapsed() >= MAX_HOLD || !is_open;
            if is_due || self.producer.in_flight_count() == 0 {
                for job in held.drain(..) {
                    self.enqueue(&job);
                    self.poll();
                }
                (n_held, n_bytes_held) = (0, 0);
            }
        }
        // Records that are not delivered by then have not been acknowledged and are read again.
        let _ = self.producer.flush(Duration::from_secs(1));
    }

    /// Receives all delivery reports. A poll never waits: the library waits in whole milliseconds, and
    /// spins in the last one.
    fn poll(&self) {
        // On this thread, so that no record is enqueued after the purge.
        if self.deliveries().is_aborted() && self.producer.in_flight_count() > 0 {
            self.producer.purge(PurgeConfig::default().queue().inflight());
        }
        loop {
            let n_before = self.producer.in_flight_count();
            self.producer.poll(Duration::ZERO);
            if self.producer.in_flight_count() >= n_before {
                break;
            }
        }
        self.deliveries().note_progress();
    }

    fn deliveries(&self) -> &Deliveries {
        self.producer.client().context()
    }

    fn enqueue(&self, job: &Job) {
        let mut n_left = job.records.len() + 1;
        let now = DateTime::<Utc>::from(SystemTime::now()).timestamp_millis();
        for (index, record) in job.records.iter().enumerate() {
            let opaque = delivery::opaque(job.slot, index);
            loop {
                let sent = if self.deliveries().is_aborted() {
                    Err(DeliveryError::Queue(RDKafkaErrorCode::PurgeQueue))
                } else {
                    self.messages.send(&self.producer, record, opaque, now)
                };
                match sent {
                    Ok(()) => n_left -= 1,
                    Err(DeliveryError::Queue(RDKafkaErrorCode::QueueFull)) => {
                        std::thread::park_timeout(POLL);
                        self.poll();
                        continue;
                    }
                    Err(error) => self.deliveries().fail(job.slot, index, error),
                }
                break;
            }
        }
        self.deliveries().settle(job.slot, n_left);
    }
}

impl MessageBuilder {
    /// Adds a record to the queue of the client. `now` is in milliseconds since 1970.
    fn send(
        &self,
        producer: &Producer,
        record: &Record,
        opaque: usize,
        now: i64,
    ) -> Result<(), DeliveryError> {
        let payload = record.to_bytes();
        let topic = match self.topics.single() {
            Some(topic) => Cow::Borrowed(topic),
            None => Cow::Owned(self.topics.of(record).map_err(DeliveryError::Record)?),
        };
        let key = match &self.key {
            Some(key) => key.key(record).map_err(DeliveryError::Record)?,
            None => None,
        };
        let mut message = BaseRecord::<[u8], [u8], usize>::with_opaque_to(&topic, opaque);
        message.payload = payload.as_deref();
        message.key = key.as_deref().or(record.key.as_deref());
        message.timestamp = match &self.timestamp {
            Some(field) => Some(field.get(record).map_err(DeliveryError::Record)?),
            None => record.timestamp,
        };
        self.retention.check(&topic, message.timestamp, now);
        message.headers = self.headers(record);
        producer.send(message).map_err(|(error, _)| {
            DeliveryError::Queue(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail))
        })
    }

    fn headers(&self, record: &Record) -> Option<OwnedHeaders> {
        let kept = record.headers.iter().filter(|header| {
            let is_ours = record.entry.is_some() && is_entry_header(&header.name);
            !is_ours && !self.headers.contains_key(&*header.name)
        });
        let kept = kept.map(|header| (&*header.name, header.value.as_deref()));
        let fixed = self.headers.iter().map(|(name, value)| (&**name, Some(value.as_bytes())));
        let mut digits = itoa::Buffer::new();
        let split = record.entry.as_ref().filter(|entry| !entry.parts().is_empty());
        let split = split.map(|entry| entry.text().to_string());
        let entry = record.entry.as_ref().map(|entry| {
            let number = split.as_deref().unwrap_or_else(|| digits.format(entry.number)).as_bytes();
            [(ENTRY_HEADER, Some(number)), (SOURCE_HEADER, Some(entry.source.as_str().as_bytes()))]
        });
        let incarnation = record.entry.as_ref().and_then(|entry| entry.incarnation).map(|it| it.to_string());
        let incarnation = incarnation.as_ref().map(|it| (INCARNATION_HEADER, Some(it.as_bytes())));
        let mut all = kept.chain(fixed).chain(entry.into_iter().flatten()).chain(incarnation).peekable();
        all.peek()?;
        let headers = OwnedHeaders::new_with_capacity(4);
        Some(all.fold(headers, |headers, (key, value)| headers.insert(Header { key, value })))
    }
}
