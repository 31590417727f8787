//! `kafka`: writes records to a topic and waits until the brokers have stored them.

mod config;
mod delivery;
mod errors;
mod isolated_retry;
mod letter_store;
mod producer_thread;
mod retention;
mod template;
mod timestamp;
mod topic;
mod topics;

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use config::KafkaSinkConfig;
use delivery::{Deliveries, DeliveryError, FailedRecord};
use letter_store::TopicLetters;
use producer_thread::{Job, MessageBuilder, Producer};
use rdkafka::ClientConfig;
use rdkafka::producer::Producer as _;
use retention::Retention;
use runner_core::{
    Batch, Body, Class, Error, Failure, LetterStore, Plugin, Record, Result, RetryLimits, Sink,
    TransactionalSink, WriteError, Written, async_trait,
};
use template::Template;
use timestamp::TimestampField;
use tokio::sync::{Mutex, mpsc, oneshot};
use topic::Topic;
use topics::Topics;
use tracing::warn;

use crate::shared::kafka::{
    ClientErrors, RefusedTopic, SYSTEM, Transactions, is_denied, request_timeout, servers_of,
};

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

/// How many writes may overlap: enough that small batches do not wait for each other's [`LINGER`].
const CONCURRENCY: usize = 64;

/// How many records may be in flight: enough to fill the next request while one is sent, and few
/// enough for the caches of the processor.
const MAX_IN_FLIGHT: usize = 16_000;

/// How long a request waits for more records, in milliseconds, if nothing is in flight. A record that is alone waits
/// this long. At full speed a longer wait costs less processor time: see the producer thread.
const LINGER: &str = "10";

struct Kafka {
    options: KafkaSinkConfig,
    /// The name of the pipeline.
    pipeline: String,
    /// Whether it writes dead letters.
    is_dead_letter: bool,
    topics: Topics,
    /// The key of records, from their fields; without it a record keeps its key.
    key: Option<Template>,
    timestamp: Option<TimestampField>,
    retention: Arc<Retention>,
    client: ClientConfig,
    retry: RetryLimits,
    /// With `delivery = "exactly_once"`.
    transactions: Option<Arc<Transactions>>,
    opened: Option<Connection>,
    /// After the first success a denial is transient: the pipeline file is correct.
    has_succeeded: AtomicBool,
    /// Whether the user was warned of rows that are not JSON.
    has_warned_of_rows: AtomicBool,
    /// Whether the topic has rejected a record because it has no key.
    requires_keys: AtomicBool,
}

struct Connection {
    producer: Arc<Producer>,
    /// The producer thread ends when this is dropped.
    jobs: SyncSender<Job>,
    /// Free slots. The lock is fair, so batches reach the producer thread, and through it
    /// a partition, in order.
    free: Mutex<mpsc::Receiver<usize>>,
    /// The size limit of a record of the topic.
    max_bytes: usize,
    /// How long a batch may wait without progress; `None` is without a limit.
    stall_timeout: Option<Duration>,
}

#[async_trait]
impl Sink for Kafka {
    async fn open(&mut self) -> Result<(), Failure> {
        let max_bytes = match self.topics.single() {
            Some(topic) => {
                let settings = self.topic(topic).prepare(&self.options.create_topic).await?;
                self.retention.add(topic, &settings);
                settings.max_bytes
            }
            None => self.topic("").find_cluster().await?,
        };
        let mut config = self.client.clone();
        for (name, value) in topic::size_settings(max_bytes) {
            if config.get(name).is_none() {
                config.set(name, value);
            }
        }
        let max_bytes = config.get("message.max.bytes").and_then(|n| n.parse().ok()).unwrap_or(max_bytes);
        topic::raise_queue_limit(&mut config, max_bytes);
        if let Some(transactions) = &self.transactions {
            config.set("transactional.id", &transactions.id);
        }
        let (slots, free) = mpsc::channel(CONCURRENCY);
        let errors = Arc::new(ClientErrors::default());
        let deliveries = Deliveries::new(CONCURRENCY, slots, Arc::clone(&errors));
        let producer: Producer = config.create_with_context(deliveries).map_err(Failure::fatal)?;
        errors.set_connected();
        let producer = Arc::new(producer);
        let messages = MessageBuilder {
            topics: self.topics.clone(),
            key: self.key.clone(),
            timestamp: self.timestamp.clone(),
            retention: Arc::clone(&self.retention),
            headers: self.options.headers.clone(),
        };
        let jobs = producer_thread::start(Arc::clone(&producer), messages, CONCURRENCY)?;
        if let Some(transactions) = &self.transactions {
            transactions.open(Arc::clone(&producer)).await?;
        }
        // The client limits the time of a record in a transaction.
        let stall_timeout = if self.transactions.is_some() { None } else { self.retry.timeout };
        self.opened = Some(Connection { producer, jobs, free: Mutex::new(free), max_bytes, stall_timeout });
        Ok(())
    }

    async fn write(&self, batch: &Batch) -> Result<(), WriteError> {
        let opened = self.opened.as_ref().expect("opened before it is written to");
        let records = batch.records();
        let is_row = records.first().is_some_and(|record| matches!(record.body, Body::Row(_)));
        if is_row && !self.has_warned_of_rows.swap(true, Ordering::Relaxed) {
            warn!(
                "rows of a CSV file are written as lines without the names of their columns; put the transform `to_json` in \
                 front of this sink to write JSON"
            );
        }
        let pending = {
            let mut free = opened.free.lock().await;
            // Under the lock, so that later records of the same topics do not overtake these.
            self.find_topics(records).await?;
            let slot = free.recv().await.ok_or_else(client_ended)?;
            opened.send(slot, batch.shared_records())?
        };
        let failed = opened.wait(pending).await?;
        let failed = self.retry_individually(opened, records, failed).await?;
        if failed.len() < records.len() {
            self.has_succeeded.store(true, Ordering::Relaxed);
        }
        if failed.iter().any(|it| it.error.code().is_some_and(is_denied)) {
            let denied = failed.iter().filter(|it| it.error.code().is_some_and(is_denied));
            let topics = denied.filter_map(|it| self.topics.of(&records[it.index]).ok()).collect();
            self.refresh_topics(opened, topics).await;
        }
        self.refuse_topics(records, &failed);
        let mut failures = Vec::with_capacity(failed.len());
        for FailedRecord { index, error } in failed {
            let failure = match error {
                DeliveryError::Record(error) => Failure::rejected(error),
                DeliveryError::Queue(code) | DeliveryError::Delivery(code) => {
                    self.classify(opened, &records[index], code)
                }
            };
            let is_fatal = !failure.is_retryable() && failure.class() != Class::Rejected;
            if is_fatal && self.transactions.is_some() {
                // The other records of the transaction will not be committed.
                return Err(WriteError::All(failure));
            }
            failures.push((index, failure));
        }
        WriteError::of_records(failures)
    }

    fn concurrency(&self) -> usize {
        CONCURRENCY
    }

    fn max_in_flight_records(&self) -> usize {
        MAX_IN_FLIGHT
    }

    fn letter_store(&self) -> Option<Arc<dyn LetterStore>> {
        let topic = self.topics.single()?.to_owned();
        Some(Arc::new(TopicLetters {
            client: self.client.clone(),
            bootstrap_servers: self.options.bootstrap_servers.clone(),
            topic,
            pipeline: self.pipeline.clone(),
            timeout: request_timeout(self.retry.connect),
            state: Arc::default(),
        }))
    }

    fn written(&self) -> Option<Written> {
        let servers = servers_of(&self.options.bootstrap_servers);
        Some(Written { option: "topic", system: SYSTEM, servers, names: self.topics.examples() })
    }

    fn destination(&self, record: &Record) -> Result<Option<String>> {
        let topic = self.topics.render(record)?;
        let taken = self.key.as_ref().map(|key| key.key(record)).transpose()?;
        let key = match taken.flatten().or_else(|| record.key.clone()) {
            Some(key) => format!("key `{}`", key.escape_ascii()),
            None => "no key".to_owned(),
        };
        Ok(Some(format!("topic `{topic}`, {key}")))
    }

    fn transactional(&self) -> Option<&dyn TransactionalSink> {
        self.transactions.as_ref().map(|_| self as _)
    }
}

impl TransactionalSink for Kafka {
    fn option(&self) -> &'static str {
        "delivery"
    }

    fn handle(&self) -> Arc<dyn Any + Send + Sync> {
        Arc::clone(self.transactions.as_ref().expect("asked only with transactions")) as _
    }
}

impl Kafka {
    fn topic(&self, name: &str) -> Topic {
        Topic {
            config: self.client.clone(),
            bootstrap_servers: self.options.bootstrap_servers.clone(),
            name: name.to_owned(),
            timeout: request_timeout(self.retry.connect),
            is_dead_letter: self.is_dead_letter,
        }
    }

    /// Finds or creates the topics of these records that were not used before. The records of a topic that the
    /// cluster refuses are rejected: other topics may be usable.
    async fn find_topics(&self, records: &[Record]) -> Result<()> {
        for topic in self.topics.unknown(records) {
            match self.topic(&topic).prepare(&self.options.create_topic).await {
                Ok(settings) => {
                    self.retention.add(&topic, &settings);
                    self.topics.add(topic);
                }
                Err(error) => self.topics.refuse(topic, error.downcast::<RefusedTopic>()?),
            }
        }
        Ok(())
    }

    /// Requests the metadata of topics: after a denial the client rejects all records
    /// of a topic until it has new metadata.
    async fn refresh_topics(&self, opened: &Connection, topics: BTreeSet<String>) {
        let producer = Arc::clone(&opened.producer);
        let fetch = move || {
            let fetch =
                |topic: &String| producer.client().fetch_metadata(Some(topic), Duration::from_secs(5));
            topics.iter().try_for_each(|topic| fetch(topic).map(drop))
        };
        // If it fails, the next retry requests it again.
        let _ = tokio::task::spawn_blocking(fetch).await;
    }
}

/// Resolves after the brokers have acknowledged or rejected every record of a batch.
type Pending = oneshot::Receiver<Vec<FailedRecord>>;

impl Connection {
    /// Sends a batch to the producer thread.
    fn send(&self, slot: usize, records: Arc<Vec<Record>>) -> Result<Pending, WriteError> {
        let pending = self.deliveries().begin(slot, records.len());
        // There is room for every slot.
        self.jobs.try_send(Job { slot, records }).map_err(|_| client_ended())?;
        Ok(pending)
    }

    /// Waits for the result of a batch. Fails all records in flight if the brokers do not respond to
    /// any of them for the stall timeout.
    async fn wait(&self, mut pending: Pending) -> Result<Vec<FailedRecord>, WriteError> {
        if let Some(timeout) = self.stall_timeout {
            tokio::select! {
                biased;
                failed = &mut pending => return Ok(failed.map_err(|_| client_ended())?),
                () = self.deliveries().wait_for_stall(timeout) => self.deliveries().abort(),
            }
        }
        Ok(pending.await.map_err(|_| client_ended())?)
    }

    fn deliveries(&self) -> &Deliveries {
        self.producer.client().context()
    }

    /// The reason of the last error of the client.
    fn last_error(&self) -> Option<String> {
        self.deliveries().errors.last().map(|(_, reason)| reason)
    }
}

fn client_ended() -> Error {
    anyhow::anyhow!("the Kafka client has ended")
}

#[cfg(test)]
mod tests;
