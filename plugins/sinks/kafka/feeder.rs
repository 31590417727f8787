//! The feeder: one thread that puts batches into the client's queue and hears of deliveries.
//!
//! The client library allocates for every record when it is enqueued and frees when its delivery is
//! reported. On one thread both are cheap; on two they wait for each other's heap.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, PurgeConfig};
use runner_core::Record;

use super::delivery::{self, Deliveries, Enqueuing, Fault};
use super::key::KeyField;

/// The header that carries the entry number, in ASCII decimal.
const ENTRY: &str = "runner-entry";
/// The header that says who counted: `pipeline/component`.
const SOURCE: &str = "runner-source";

/// How soon the thread hears of a delivery while it has nothing else to do.
const LISTEN: Duration = Duration::from_millis(1);
/// How often an idle client is asked for errors of its connections.
const IDLE: Duration = Duration::from_millis(100);

pub(super) type Producer = BaseProducer<Deliveries>;

/// A batch on its way into the client's queue.
pub(super) struct Job {
    pub(super) slot: usize,
    pub(super) records: Vec<Record>,
}

/// What a message is made of, beside the record.
pub(super) struct Shape {
    pub(super) topic: String,
    pub(super) key_field: Option<KeyField>,
    pub(super) headers: Vec<(String, String)>,
}

/// Feeds the client until nobody sends batches any more; then what is left in
/// its queue gets one more second. There is room for `n_slots` batches.
pub(super) fn start(producer: Arc<Producer>, shape: Shape, n_slots: usize) -> Result<SyncSender<Job>> {
    let (sender, jobs) = sync_channel(n_slots);
    let feeder = Feeder { producer, shape, jobs };
    let thread = std::thread::Builder::new().name("kafka-feeder".into());
    thread.spawn(move || feeder.feed()).context("starting a thread for the Kafka client")?;
    Ok(sender)
}

struct Feeder {
    producer: Arc<Producer>,
    shape: Shape,
    jobs: Receiver<Job>,
}

impl Feeder {
    fn feed(self) {
        loop {
            let is_waited_for = self.producer.in_flight_count() > 0;
            match self.jobs.recv_timeout(if is_waited_for { LISTEN } else { IDLE }) {
                Ok(job) => self.enqueue(&job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.hear();
        }
        // What does not make it has not been acknowledged and is read again.
        let _ = self.producer.flush(Duration::from_secs(1));
    }

    /// Hears of all that has happened. The library is never asked to wait: it does so in whole milliseconds, and
    /// takes a processor for itself in the last one.
    fn hear(&self) {
        // By this thread, so that nothing is enqueued behind it.
        if self.is_given_up() && self.producer.in_flight_count() > 0 {
            self.producer.purge(PurgeConfig::default().queue().inflight());
        }
        loop {
            let n_before = self.producer.in_flight_count();
            self.producer.poll(Duration::ZERO);
            if self.producer.in_flight_count() >= n_before {
                break;
            }
        }
        self.producer.client().context().note_progress();
    }

    fn is_given_up(&self) -> bool {
        self.producer.client().context().is_given_up()
    }

    fn enqueue(&self, job: &Job) {
        let mut enqueuing = Enqueuing::of(self.producer.client().context(), job.slot, job.records.len());
        for (index, record) in job.records.iter().enumerate() {
            let opaque = delivery::opaque(job.slot, index);
            loop {
                if self.is_given_up() {
                    enqueuing.refuse(index, Fault::Queue(RDKafkaErrorCode::PurgeQueue));
                    break;
                }
                match self.shape.send(&self.producer, record, opaque) {
                    Ok(()) => {
                        enqueuing.n_left -= 1;
                        break;
                    }
                    Err(Refusal::Full) => {
                        std::thread::park_timeout(LISTEN);
                        self.hear();
                    }
                    Err(Refusal::Record(fault)) => {
                        enqueuing.refuse(index, fault);
                        break;
                    }
                }
            }
        }
    }
}

impl Shape {
    fn send(&self, producer: &Producer, record: &Record, opaque: usize) -> Result<(), Refusal> {
        let payload = record.to_bytes();
        let named = match &self.key_field {
            Some(field) => field.of(record).map_err(|error| Refusal::Record(Fault::Key(error)))?,
            None => None,
        };
        let mut message = BaseRecord::<[u8], [u8], usize>::with_opaque_to(&self.topic, opaque);
        message.payload = payload.as_deref();
        message.key = named.as_deref().or(record.key.as_deref());
        message.timestamp = record.timestamp;
        message.headers = self.headers_of(record);
        match producer.send(message) {
            Ok(()) => Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Err(Refusal::Full),
            Err((error, _)) => {
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
                Err(Refusal::Record(Fault::Queue(code)))
            }
        }
    }

    fn headers_of(&self, record: &Record) -> Option<OwnedHeaders> {
        let kept = record.headers.iter().filter(|header| {
            let is_ours = record.entry.is_some() && matches!(&*header.name, ENTRY | SOURCE);
            !is_ours && !self.headers.iter().any(|(name, _)| **name == *header.name)
        });
        let kept = kept.map(|header| (&*header.name, header.value.as_deref()));
        let fixed = self.headers.iter().map(|(name, value)| (&**name, Some(value.as_bytes())));
        let mut digits = [0; 20];
        let entry = record.entry.map(|entry| {
            let number = decimal(entry.number, &mut digits);
            [(ENTRY, Some(number)), (SOURCE, Some(entry.source.as_str().as_bytes()))]
        });
        let entry = entry.into_iter().flatten();
        let mut all = kept.chain(fixed).chain(entry).peekable();
        all.peek()?;
        let headers = OwnedHeaders::new_with_capacity(4);
        Some(all.fold(headers, |headers, (key, value)| headers.insert(Header { key, value })))
    }
}

/// Why a record did not get into the client's queue.
enum Refusal {
    Full,
    Record(Fault),
}

/// `number` in ASCII decimal.
fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[start..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_entries_are_written_in_decimal() {
        for number in [0, 7, 10, 1_234_567_890, u64::MAX] {
            assert_eq!(decimal(number, &mut [0; 20]), number.to_string().as_bytes());
        }
    }
}
