//! `kafka`: writes records to a topic and waits until the brokers have them.

mod config;
mod delivery;
mod feeder;
mod key;
mod refused;
mod topic;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use config::KafkaSinkConfig;
use delivery::{Deliveries, Failed, Fault};
use feeder::{Job, Producer, Shape};
use key::KeyField;
use rdkafka::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::Producer as _;
use runner_core::{
    BuildContext, Error, Failure, Plugin, Record, Result, RetryLimits, Sink, Transaction, Unreachable,
    WriteError, async_trait,
};
use tokio::sync::{Mutex, mpsc, oneshot};
use topic::{CreateTopic, Topic};

use crate::shared::kafka::{Heard, Transactions, is_denied};

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

/// How many records may be under way: enough that the next request is filled while one is with the
/// brokers; not so many that they outgrow the caches of the processor.
const MAX_UNDER_WAY: usize = 16_000;

/// How long a request may wait to be filled, in milliseconds: longer than [`MAX_UNDER_WAY`] records take at
/// full speed. Of an idempotent client one request a partition is with the brokers at a time, and while what
/// waits behind it is overdue, the client library takes a whole processor to look after it.
const LINGER: &str = "50";

struct Kafka {
    config: ClientConfig,
    bootstrap_servers: String,
    topic: String,
    create_topic: CreateTopic,
    key_field: Option<String>,
    headers: BTreeMap<String, String>,
    retry: RetryLimits,
    /// With `delivery = "exactly_once"`.
    transactions: Option<Arc<Transactions>>,
    opened: Option<Opened>,
    /// After the first success a denial is a passing state, not a slip in the file.
    has_succeeded: AtomicBool,
    /// Whether the topic is known to refuse records without a key.
    wants_keys: AtomicBool,
}

struct Opened {
    producer: Arc<Producer>,
    /// To the thread that enqueues; it ends when this goes.
    jobs: SyncSender<Job>,
    /// Slots that no write holds. The lock is fair, so batches reach the thread,
    /// and through it a partition, in their order.
    free: Mutex<mpsc::Receiver<usize>>,
    /// How large a record may be, as the topic says.
    max_bytes: usize,
    /// How long a batch may wait without progress; `None` is for ever.
    patience: Option<Duration>,
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
        let max_bytes = config.get("message.max.bytes").and_then(|n| n.parse().ok()).unwrap_or(max_bytes);
        topic::make_room(&mut config, max_bytes);
        if let Some(transactions) = &self.transactions {
            config.set("transactional.id", &transactions.id);
        }
        let (slots, free) = mpsc::channel(CONCURRENCY);
        let heard = Arc::new(Heard::default());
        let deliveries = Deliveries::new(CONCURRENCY, slots, Arc::clone(&heard));
        let producer: Producer = config.create_with_context(deliveries)?;
        heard.made_contact();
        let producer = Arc::new(producer);
        let shape = Shape {
            topic: self.topic.clone(),
            key_field: self.key_field.clone().map(KeyField),
            headers: self.headers.clone().into_iter().collect(),
        };
        let jobs = feeder::start(Arc::clone(&producer), shape, CONCURRENCY)?;
        if let Some(transactions) = &self.transactions {
            transactions.open(Arc::clone(&producer)).await?;
        }
        // In a transaction the client gives up by itself when that is over.
        let patience = if self.transactions.is_some() { None } else { self.retry.timeout };
        self.opened = Some(Opened { producer, jobs, free: Mutex::new(free), max_bytes, patience });
        Ok(())
    }

    async fn write(&self, records: &[Record]) -> Result<(), WriteError> {
        let opened = self.opened.as_ref().expect("opened before it is written to");
        let asked = opened.enqueue(records).await?;
        let failed = opened.answer(asked).await?;
        let failed = self.write_apart(opened, records, failed).await?;
        if failed.len() < records.len() {
            self.has_succeeded.store(true, Ordering::Relaxed);
        }
        if failed.iter().any(|failed| failed.fault.code().is_some_and(is_denied)) {
            self.ask_again(opened).await;
        }
        let mut not_stored: Vec<usize> = failed.iter().map(|failed| failed.index).collect();
        not_stored.sort_unstable();
        let mut failures = Vec::with_capacity(failed.len());
        for Failed { index, fault } in failed {
            let judged = match fault {
                Fault::Key(error) => Ok(Failure { index, error, retry: false }),
                Fault::Queue(code) | Fault::Client(code) => self.judge(opened, records, index, code),
            };
            match judged {
                Ok(failure) => failures.push(failure),
                // What else is in the transaction will never be committed.
                Err(error) if self.transactions.is_some() => return Err(WriteError::Fatal(error)),
                Err(error) => return Err(WriteError::FatalFor { error, not_stored }),
            }
        }
        failures.sort_by_key(|failure| failure.index);
        WriteError::unless_empty(failures)
    }

    fn concurrency(&self) -> usize {
        CONCURRENCY
    }

    fn max_in_flight_records(&self) -> usize {
        MAX_UNDER_WAY
    }

    fn transaction(&self) -> Option<Transaction> {
        let handle = Arc::clone(self.transactions.as_ref()?);
        Some(Transaction { option: "delivery", handle })
    }
}

impl Kafka {
    /// The client refuses a topic that was denied once, without asking, until
    /// it hears of the topic anew.
    async fn ask_again(&self, opened: &Opened) {
        let (producer, topic) = (Arc::clone(&opened.producer), self.topic.clone());
        let ask = move || producer.client().fetch_metadata(Some(&topic), Duration::from_secs(5)).map(drop);
        // What it does not hear now it will hear with the next try.
        let _ = tokio::task::spawn_blocking(ask).await;
    }

    /// What a code means for the record that met it; an error ends the run.
    fn judge(
        &self,
        opened: &Opened,
        records: &[Record],
        index: usize,
        code: RDKafkaErrorCode,
    ) -> Result<Failure> {
        use RDKafkaErrorCode as Code;
        let topic = &self.topic;
        let at = &self.bootstrap_servers;
        let failure = |error: Error, retry| Ok(Failure { index, error, retry });
        let fatal = |error: Error| Err(error);
        match code {
            Code::MessageSizeTooLarge | Code::InvalidMessageSize | Code::MessageBatchTooLarge => {
                let size = records[index].size();
                let limit = opened.max_bytes;
                let at_most = if size < limit { "fewer".into() } else { format!("{limit} at most") };
                let message = format!(
                    "the record has {size} bytes and topic `{topic}` takes {at_most} \
                     (`max.message.bytes` of the topic, `message.max.bytes` of the client)"
                );
                failure(anyhow::anyhow!(message), false)
            }
            Code::InvalidMessage | Code::BadMessage | Code::InvalidRecord | Code::InvalidTimestamp => {
                let record = &records[index];
                let why = self.why_refused(record, code);
                if self.transactions.is_none() {
                    return failure(anyhow::anyhow!("topic `{topic}` refuses the record: {why}"), false);
                }
                fatal(anyhow::anyhow!(
                    "topic `{topic}` refuses the record from {}: {why}. A transaction holds all its records or \
                     none, so it is given up: keep such records away from this sink, or set \
                     `delivery = \"at_least_once\"` and put them aside by `[dead_letter]`",
                    record.origin
                ))
            }
            // The write of the other one says what is wrong with it; another try finds the transaction given up.
            Code::InvalidDifferentRecord => {
                failure(anyhow::anyhow!("topic `{topic}` at {at} refuses another record beside it"), true)
            }
            Code::PurgeQueue | Code::PurgeInflight if opened.producer.client().context().is_given_up() => {
                let unheard = "no connection has failed, so the brokers may lack the replicas in sync that \
                               `min.insync.replicas` asks for, or the line is slow";
                let reason = opened.heard().trouble().map_or(unheard.into(), |(_, reason)| reason);
                let waited = self.retry.timeout.unwrap_or_default();
                let message = format!(
                    "the cluster at {at} has acknowledged nothing that is under way for topic `{topic}` for \
                     {waited:?} (`retry.timeout`): {reason}"
                );
                fatal(Unreachable(message).into())
            }
            Code::MessageTimedOut => {
                let reason =
                    opened.heard().trouble().map_or("the line may be slow".into(), |(_, reason)| reason);
                let message = format!(
                    "the cluster at {at} has not acknowledged all of a transaction for topic `{topic}` in time \
                     (`transaction.timeout.ms` in `librdkafka_options`, and `retry.timeout`): {reason}; raise it, or \
                     lower `in_flight` in `[batch]`, so that less goes into a transaction"
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
                    let advice = if is_denied(code) {
                        ": grant the user Write on the topic; brokers before 2.8 want IdempotentWrite on the cluster too"
                    } else {
                        ""
                    };
                    let message = format!("the Kafka client cannot go on: {reason} ({code}){advice}");
                    return fatal(anyhow::anyhow!(message));
                }
                if self.transactions.is_some() {
                    return fatal(anyhow::anyhow!(
                        "writing to topic `{topic}` at {at}: {code}; its transaction is given up with it"
                    ));
                }
                failure(anyhow::anyhow!("writing to topic `{topic}` at {at}: {code}"), true)
            }
        }
    }
}

/// Comes once the brokers have acknowledged or refused every record of a batch.
type Asked = oneshot::Receiver<Vec<Failed>>;

impl Opened {
    /// Sends a batch to the client's queue.
    async fn enqueue(&self, records: &[Record]) -> Result<Asked, WriteError> {
        let mut free = self.free.lock().await;
        let slot = free.recv().await.ok_or_else(ended)?;
        self.send(slot, records.to_vec())
    }

    fn send(&self, slot: usize, records: Vec<Record>) -> Result<Asked, WriteError> {
        let done = self.producer.client().context().begin(slot, records.len());
        // There is room for every slot.
        self.jobs.try_send(Job { slot, records }).map_err(|_| ended())?;
        Ok(done)
    }

    /// Waits until the brokers have acknowledged or refused every record of a batch. Once nothing has come for
    /// longer than patience lasts, the client gives up what it holds, and says what that is.
    async fn answer(&self, mut done: Asked) -> Result<Vec<Failed>, WriteError> {
        if let Some(patience) = self.patience {
            let deliveries = self.producer.client().context();
            tokio::select! {
                biased;
                failed = &mut done => return Ok(failed.map_err(|_| ended())?),
                () = deliveries.stall(patience) => deliveries.give_up(),
            }
        }
        Ok(done.await.map_err(|_| ended())?)
    }

    fn heard(&self) -> &Heard {
        &self.producer.client().context().heard
    }
}

fn ended() -> Error {
    anyhow::anyhow!("the Kafka client has ended")
}

impl Kafka {
    fn new(
        config: KafkaSinkConfig,
        client: ClientConfig,
        transactions: Option<Transactions>,
        context: &BuildContext,
    ) -> Self {
        Kafka {
            config: client,
            transactions: transactions.map(Arc::new),
            bootstrap_servers: config.bootstrap_servers,
            topic: config.topic,
            create_topic: config.create_topic,
            key_field: config.key_field,
            headers: config.headers,
            retry: context.retry,
            opened: None,
            has_succeeded: AtomicBool::new(false),
            wants_keys: AtomicBool::new(false),
        }
    }
}

#[cfg(test)]
mod tests;
