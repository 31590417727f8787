//! `kafka`: writes records to a topic and waits until the brokers have them.

mod config;
mod delivery;
mod key;
mod topic;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use config::KafkaSinkConfig;
use delivery::{Deliveries, Failed};
use key::KeyField;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use runner_core::{
    BuildContext, Error, Failure, Plugin, Record, Result, RetryLimits, Sink, Unreachable, WriteError,
    async_trait,
};
use tokio::sync::{Mutex, mpsc, oneshot};
use topic::{CreateTopic, Topic};

use crate::shared::kafka::{Heard, is_denied};

runner_core::register! {
    Plugin::sink::<KafkaSinkConfig>("kafka").example(
        r#"type = "kafka"
inputs = ["json"]
bootstrap_servers = "127.0.0.1:9092"
topic = "stock_market"
compression = "zstd"
"#,
    )
}

/// How many writes may overlap: enough that a batch is on its way to the
/// brokers while the next ones are filled, at a thousand records each.
const CONCURRENCY: usize = 32;

/// The header that carries the entry number, in ASCII decimal.
const ENTRY: &str = "runner-entry";
/// The header that says who counted: `pipeline/component`.
const SOURCE: &str = "runner-source";

type Producer = ThreadedProducer<Deliveries>;

struct Kafka {
    config: ClientConfig,
    bootstrap_servers: String,
    topic: String,
    create_topic: CreateTopic,
    key_field: Option<KeyField>,
    headers: Vec<(String, String)>,
    retry: RetryLimits,
    opened: Option<Opened>,
    /// After the first success a denial is a passing state, not a slip in the file.
    has_succeeded: AtomicBool,
}

struct Opened {
    producer: Arc<Producer>,
    /// Slots that no write holds. Whoever has this lock enqueues, all of its
    /// batch: the lock is fair, so batches reach a partition in their order.
    free: Mutex<mpsc::Receiver<usize>>,
    /// How large a record may be, as the topic says.
    max_bytes: usize,
}

#[async_trait]
impl Sink for Kafka {
    async fn open(&mut self) -> Result<()> {
        let topic = Topic {
            config: self.config.clone(),
            bootstrap_servers: self.bootstrap_servers.clone(),
            name: self.topic.clone(),
            timeout: self.retry.connect,
        };
        let max_bytes = topic.prepare(&self.create_topic).await?;
        let mut config = self.config.clone();
        for (name, value) in topic::size_settings(max_bytes) {
            if config.get(name).is_none() {
                config.set(name, value);
            }
        }
        let (slots, free) = mpsc::channel(CONCURRENCY);
        let heard = Arc::new(Heard::default());
        let deliveries = Deliveries::new(CONCURRENCY, slots, Arc::clone(&heard));
        let producer: Producer = config.create_with_context(deliveries)?;
        heard.made_contact();
        let max_bytes = config.get("message.max.bytes").and_then(|n| n.parse().ok()).unwrap_or(max_bytes);
        self.opened = Some(Opened { producer: producer.into(), free: Mutex::new(free), max_bytes });
        Ok(())
    }

    async fn write(&self, records: &[Record]) -> Result<(), WriteError> {
        let opened = self.opened.as_ref().expect("opened before it is written to");
        let mut failures = Vec::new();
        let done = self.enqueue(opened, records, &mut failures).await?;
        let failed = done.await.map_err(|_| anyhow::anyhow!("the Kafka client has ended"))?;
        if failed.len() + failures.len() < records.len() {
            self.has_succeeded.store(true, Ordering::Relaxed);
        }
        if failed.iter().any(|failed| is_denied(failed.code)) {
            self.ask_again(opened).await;
        }
        for Failed { index, code } in failed {
            failures.push(self.judge(opened, records, index, code)?);
        }
        failures.sort_by_key(|failure| failure.index);
        WriteError::unless_empty(failures)
    }

    fn concurrency(&self) -> usize {
        CONCURRENCY
    }
}

impl Kafka {
    /// Puts a batch into the client's queue; the answer comes once the brokers
    /// have acknowledged or refused every record of it.
    async fn enqueue(
        &self,
        opened: &Opened,
        records: &[Record],
        failures: &mut Vec<Failure>,
    ) -> Result<oneshot::Receiver<Vec<Failed>>, WriteError> {
        let mut free = opened.free.lock().await;
        let slot = free.recv().await.ok_or_else(|| anyhow::anyhow!("the Kafka client has ended"))?;
        let deliveries = opened.producer.client().context();
        let (mut enqueuing, done) = deliveries.begin(slot, records.len());
        for (index, record) in records.iter().enumerate() {
            let opaque = delivery::opaque(slot, index);
            loop {
                match self.send(&opened.producer, record, opaque) {
                    Ok(()) => {
                        enqueuing.n_left -= 1;
                        break;
                    }
                    Err(Refusal::Full) => tokio::time::sleep(Duration::from_millis(1)).await,
                    Err(Refusal::Key(error)) => {
                        failures.push(Failure { index, error, retry: false });
                        break;
                    }
                    Err(Refusal::Client(code)) => {
                        failures.push(self.judge(opened, records, index, code)?);
                        break;
                    }
                }
            }
        }
        drop(enqueuing);
        Ok(done)
    }

    fn send(&self, producer: &Producer, record: &Record, opaque: usize) -> Result<(), Refusal> {
        let payload = record.to_bytes();
        let named = match &self.key_field {
            Some(field) => field.of(record).map_err(Refusal::Key)?,
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
                Err(Refusal::Client(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail)))
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

    /// The client refuses a topic that was denied once, without asking, until
    /// it hears of the topic anew.
    async fn ask_again(&self, opened: &Opened) {
        let (producer, topic) = (Arc::clone(&opened.producer), self.topic.clone());
        let ask = move || producer.client().fetch_metadata(Some(&topic), Duration::from_secs(5)).map(drop);
        // What it does not hear now it will hear with the next try.
        let _ = tokio::task::spawn_blocking(ask).await;
    }

    /// What a code means for the record that met it.
    fn judge(
        &self,
        opened: &Opened,
        records: &[Record],
        index: usize,
        code: RDKafkaErrorCode,
    ) -> Result<Failure, WriteError> {
        use RDKafkaErrorCode as Code;
        let topic = &self.topic;
        let at = &self.bootstrap_servers;
        let failure = |error: Error, retry| Ok(Failure { index, error, retry });
        let fatal = |error: Error| Err(WriteError::Fatal(error));
        match code {
            Code::MessageSizeTooLarge | Code::InvalidMessageSize | Code::MessageBatchTooLarge => {
                let size = records[index].size();
                let limit = opened.max_bytes;
                let message = format!(
                    "the record has {size} bytes and topic `{topic}` takes {limit} at most \
                     (`max.message.bytes` of the topic, `message.max.bytes` of the client)"
                );
                failure(anyhow::anyhow!(message), false)
            }
            Code::InvalidMessage | Code::BadMessage | Code::InvalidTimestamp => {
                let message = format!(
                    "topic `{topic}` refuses the record ({code}): a compacted topic wants a key (`key_field`)"
                );
                failure(anyhow::anyhow!(message), false)
            }
            Code::MessageTimedOut => {
                let (_, reason) = opened.heard().trouble().unwrap_or((code, code.to_string()));
                let waited = self.retry.timeout.unwrap_or_default();
                let message = format!(
                    "the cluster at {at} has not acknowledged a record for topic `{topic}` within {waited:?} \
                     (`retry.timeout`): {reason}"
                );
                fatal(Unreachable(message).into())
            }
            Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => fatal(
                anyhow::anyhow!("topic `{topic}` is gone from the cluster at {at}: somebody has deleted it"),
            ),
            code if is_denied(code) && !self.has_succeeded.load(Ordering::Relaxed) => fatal(anyhow::anyhow!(
                "the cluster at {at} does not let this user write to topic `{topic}` ({code}): \
                     grant the user Write on the topic"
            )),
            code => {
                if let Some((code, reason)) = opened.producer.client().fatal_error() {
                    let message = format!("the Kafka client cannot go on: {reason} ({code})");
                    return fatal(anyhow::anyhow!(message));
                }
                failure(anyhow::anyhow!("writing to topic `{topic}` at {at}: {code}"), true)
            }
        }
    }
}

impl Opened {
    fn heard(&self) -> &Heard {
        &self.producer.client().context().heard
    }
}

impl Drop for Opened {
    /// What is left in the queue gets a chance, beside whatever comes next.
    fn drop(&mut self) {
        let producer = Arc::clone(&self.producer);
        std::thread::spawn(move || {
            // What does not make it has not been acknowledged and is read again.
            let _ = producer.flush(Duration::from_secs(1));
        });
    }
}

/// Why a record did not get into the client's queue.
enum Refusal {
    Full,
    Key(Error),
    Client(RDKafkaErrorCode),
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

impl Kafka {
    fn new(config: KafkaSinkConfig, client: ClientConfig, context: &BuildContext) -> Self {
        Kafka {
            config: client,
            bootstrap_servers: config.bootstrap_servers,
            topic: config.topic,
            create_topic: config.create_topic,
            key_field: config.key_field.map(KeyField),
            headers: config.headers.into_iter().collect(),
            retry: context.retry,
            opened: None,
            has_succeeded: AtomicBool::new(false),
        }
    }
}

#[cfg(test)]
mod tests;
