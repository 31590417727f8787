//! The options of the `kafka` sink.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;
use rdkafka::ClientConfig;
use runner_core::{BuildContext, Error, OptionError, OptionErrors, Result, Sink, SinkConfig, Warnings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::template::Template;
use super::timestamp::TimestampField;
use super::topic::{CreateTopic, create_topic_schema};
use super::topics::Topics;
use super::{Kafka, LINGER};
use crate::shared::fixed_text::check_without_fields;
use crate::shared::kafka::{Transactions, check_topic, is_entry_header, with_connection_options};

with_connection_options! {
    /// Writes records to a Kafka topic. A record is delivered after all in-sync replicas have
    /// stored it. Batches keep their order in each partition, except a batch that is written again.
    #[schemars(extend("x-hints" = {
        "acks": "the sink always waits for all in-sync replicas",
        "batch": "the batches of the client are set in `librdkafka_options`, as in `{ \"linger.ms\" = 50 }`",
        "bootstrap_servers": "write all addresses as one text: `\"broker-1:9092,broker-2:9092\"`",
        "encoding": "a body is written as it is; the transform `to_json` makes JSON of rows",
        "key_field": "a key of several fields is a template: `key = \"{{ .Index }}-{{ .Date }}\"`",
        "partitions": "this is for a topic that the sink creates: `create_topic = { partitions = 6 }`",
        "replication_factor": "this is for a topic that the sink creates: `create_topic = { replication_factor = 3 }`",
        "topics": "a sink writes to `topic`; `topic = \"px.{{ .Index }}\"` takes it from fields of the record",
    }))]
    pub(super) struct KafkaSinkConfig {
        /// The topic to write to. `"px.{{ .Index }}"` takes the name from fields of each record; such
        /// topics are found or created before their first record, up to 1,000 of them.
        pub(super) topic: String,
        /// The field of the record that becomes its key. Records with equal keys stay in order, in
        /// one partition. Without this option a record keeps its key.
        key_field: Option<String>,
        /// The key of the record, made of several of its fields: `"{{ .Index }}-{{ .Date }}"`.
        key: Option<String>,
        /// The field of the record that becomes its timestamp: a date, a date and time (UTC unless it
        /// has an offset), or milliseconds since 1970. A record without it, or with a time before
        /// 1970, is rejected. Without this option a record keeps its timestamp. The topic's
        /// `retention.ms` counts from it: the broker soon deletes records that are older.
        timestamp_field: Option<String>,
        /// The delivery guarantee: `"at_least_once"`, with duplicates only after a crash or an outage,
        /// or `"exactly_once"`, for consumers with `isolation.level = read_committed`.
        /// `"exactly_once"` commits records and the offsets of their source together in
        /// transactions, ten times a second. All records of the sink must come from one `kafka`
        /// source of the same cluster that has no other outputs. A transaction that cannot be
        /// committed is aborted and ends the run; start it again. This happens when the transaction
        /// was open for longer than `transaction.timeout.ms` (a minute), or when the group revoked
        /// partitions before their records were written. Dead letters are written at least once.
        #[serde(default)]
        delivery: Delivery,
        /// The compression of batches.
        #[serde(default)]
        compression: Compression,
        /// Whether the sink creates a missing topic: `true` with the default partitions and
        /// replicas of the broker, or `{ partitions = 6, replication_factor = 3, config = {
        /// "min.insync.replicas" = 2 } }`. The sink warns if a topic that it created may lose records.
        #[serde(default)]
        #[schemars(schema_with = "create_topic_schema", extend("default" = true))]
        pub(super) create_topic: CreateTopic,
        /// Headers to add to every record.
        #[serde(default)]
        pub(super) headers: BTreeMap<String, String>,
    }
    /// Settings of the client library librdkafka under its own names, for example
    /// `"linger.ms"`, the time that records wait for others of the same request (10).
    /// Settings of the delivery guarantee are rejected.
    librdkafka_options
}

/// The delivery guarantee.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Delivery {
    /// At least once; duplicates only after a crash or an outage.
    #[default]
    AtLeastOnce,
    /// Exactly once, for consumers that read only committed records.
    ExactlyOnce,
}

/// The compression of batches.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Compression {
    #[default]
    None,
    Gzip,
    Lz4,
    Snappy,
    Zstd,
}

const DURABILITY: &str = "a record is delivered only after all in-sync replicas have stored it";
const ORDER: &str = "another value could lose, duplicate or reorder records";
const TIMEOUT: &str = "use `timeout` in the `[retry]` table";
const MEMORY: &str = "use `in_flight` in the `[batch]` table";
const RESERVED: [(&str, &str); 18] = [
    ("acks", DURABILITY),
    ("request.required.acks", DURABILITY),
    ("enable.idempotence", ORDER),
    ("enable.gapless.guarantee", ORDER),
    ("max.in.flight", ORDER),
    ("max.in.flight.requests.per.connection", ORDER),
    ("retries", TIMEOUT),
    ("message.send.max.retries", TIMEOUT),
    ("message.timeout.ms", TIMEOUT),
    ("delivery.timeout.ms", TIMEOUT),
    ("transactional.id", "use the option `delivery`"),
    ("delivery.report.only.error", "the sink needs a delivery report for every record"),
    ("queuing.strategy", ORDER),
    ("queue.buffering.max.messages", MEMORY),
    ("queue.buffering.max.kbytes", MEMORY),
    ("compression.codec", "use the option `compression`"),
    ("compression.type", "use the option `compression`"),
    ("allow.auto.create.topics", "use the option `create_topic`"),
];

impl SinkConfig for KafkaSinkConfig {
    fn build(self, context: &BuildContext) -> Result<Box<dyn Sink>> {
        let mut errors = Vec::new();
        let topic = topic_template(&self.topic).map_err(|error| errors.push(error)).ok();
        errors.extend(self.check_options(topic.as_ref(), context.is_dead_letter));
        let key = self.key(&context.warnings).map_err(|error| errors.push(error)).ok().flatten();
        // After a crash, consumers that read only committed records wait this long.
        let transaction_timeout = (self.delivery == Delivery::ExactlyOnce).then(|| {
            let given = self.librdkafka_options.get("transaction.timeout.ms");
            given.and_then(|millis| millis.parse().ok()).unwrap_or(60_000)
        });
        let config = self.client_settings(context, transaction_timeout);
        let config = OptionErrors::with(errors, config)?;
        let topics = Topics::new(topic.context("an invalid topic is an error")?);
        let timestamp = self.timestamp_field.as_deref().map(TimestampField::new);
        let transactions = transaction_timeout.map(|_| {
            Transactions::new(&self.bootstrap_servers, &context.pipeline, &context.component, context.retry)
        });
        Ok(Box::new(Kafka {
            topics,
            key,
            timestamp,
            retention: Arc::default(),
            options: self,
            pipeline: context.pipeline.clone(),
            is_dead_letter: context.is_dead_letter,
            client: config,
            retry: context.retry,
            transactions: transactions.map(Arc::new),
            opened: None,
            has_succeeded: AtomicBool::new(false),
            has_warned_of_rows: AtomicBool::new(false),
            requires_keys: AtomicBool::new(false),
        }))
    }
}

impl KafkaSinkConfig {
    /// What is wrong with the options, except for the templates.
    fn check_options(&self, topic: Option<&Template>, is_dead_letter: bool) -> Vec<Error> {
        let mut errors = Vec::new();
        for (option, field) in [("key_field", &self.key_field), ("timestamp_field", &self.timestamp_field)] {
            if field.as_deref() == Some("") {
                errors.push(OptionError::new(option, "name a field, or leave the option out"));
            }
        }
        if is_dead_letter && topic.is_some_and(|topic| topic.literal().is_none()) {
            let message = "a dead letter has no fields of the record, and `runner dlq` reads one topic: write a fixed name";
            errors.push(OptionError::new("topic", message));
        }
        if is_dead_letter
            && let CreateTopic::Yes(layout) = &self.create_topic
            && layout.is_compacted()
        {
            let message = "`cleanup.policy` must be `delete` for dead letters: all letters of a component have the same \
                           key, so a compacted topic would keep only the last";
            errors.push(OptionError::new("create_topic.config", message));
        }
        errors.extend(check_without_fields("headers", &self.headers).err());
        if let Some(name) = self.headers.keys().find(|name| is_entry_header(name)) {
            let message = format!("the sink itself writes `{name}`, with the entry number of the record");
            errors.push(OptionError::new("headers", message));
        }
        errors
    }

    /// The key of a record, if an option describes it.
    fn key(&self, warnings: &Warnings) -> Result<Option<Template>> {
        match (&self.key_field, &self.key) {
            (Some(_), Some(_)) => Err(OptionError::new("key", "set either `key` or `key_field`")),
            (Some(field), None) => Ok(Some(Template::field(field, "key_field"))),
            (None, Some(key)) => {
                key_template(key, warnings).map(Some).map_err(|message| OptionError::new("key", message))
            }
            (None, None) => Ok(None),
        }
    }

    /// The settings of the client library. The timeout of a transaction is in milliseconds.
    fn client_settings(
        &self,
        context: &BuildContext,
        transaction_timeout: Option<u128>,
    ) -> Result<ClientConfig> {
        self.connection(&RESERVED).client_config(context, |config| {
            config.set("acks", "all").set("enable.idempotence", "true");
            config.set("compression.type", format!("{:?}", self.compression).to_lowercase());
            // The client retries without a limit (0): it would count the time in its queue, so the sink limits the
            // retries. With transactions the client limits them, since a transaction has a timeout.
            let timeout = transaction_timeout.map_or(0, |at_most| {
                let timeout = context.retry.timeout.map_or(at_most, |timeout| timeout.as_millis().max(1));
                timeout.min(at_most)
            });
            config.set("message.timeout.ms", timeout.min(i32::MAX as u128).to_string());
            // A topic that was deleted must not be created again, empty.
            config.set("allow.auto.create.topics", "false");
            // The partitioner of Java clients, for equal keys in equal partitions.
            config.set("partitioner", "murmur2_random");
            config.set("linger.ms", LINGER).set("batch.num.messages", "100000");
            // The pipeline limits the bytes in flight.
            config.set("queue.buffering.max.messages", "0");
            // `open` raises it when it knows the maximum size of a record.
            let kbytes = (context.batch.in_flight >> 10).clamp(1, i32::MAX as usize);
            config.set("queue.buffering.max.kbytes", kbytes.to_string());
        })
    }
}

/// The template of the key; warns of one that is the same for all records.
fn key_template(text: &str, warnings: &Warnings) -> Result<Template, String> {
    let template = Template::parse(text, "key")?;
    match template.literal() {
        Some("") => return Err("name a field, as in `{{ .Index }}`, or leave the option out".into()),
        Some(text) => warnings.add(OptionError::new(
            "key",
            format!(
                "every record gets the key `{text}`, and so all of them are in one partition: a field of the record is \
                 written `{{{{ .{text} }}}}`"
            ),
        )),
        None => {}
    }
    Ok(template)
}

/// The template of the topic; checks the name, or what of it is fixed.
fn topic_template(text: &str) -> Result<Template, Error> {
    let template = Template::parse(text, "topic").map_err(|message| OptionError::new("topic", message))?;
    match template.literal() {
        Some(topic) => check_topic("topic", topic)?,
        None => template.literals().try_for_each(|part| check_topic("topic", &format!("x{part}")))?,
    }
    Ok(template)
}
