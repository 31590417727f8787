//! The options of the `kafka` sink.

use std::collections::BTreeMap;

use runner_core::{BuildContext, OptionError, OptionErrors, Result, Sink, SinkConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::topic::CreateTopic;
use super::{Kafka, LINGER};
use crate::shared::kafka::{
    Access, LibrdkafkaOptions, Sasl, SecurityProtocol, Tls, Transactions, check_topic,
};

/// Writes records to a Kafka topic; a record is delivered once every in-sync
/// replica has it. Batches keep their order in each partition, except where one
/// has to be written again.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KafkaSinkConfig {
    /// Addresses of brokers, with commas between them: `"broker-1:9092,broker-2:9092"`.
    pub(super) bootstrap_servers: String,
    /// The topic to write to.
    pub(super) topic: String,
    /// The field of the record that becomes its key; records with equal keys
    /// stay in order, in one partition. Without it a record keeps the key it has.
    pub(super) key_field: Option<String>,
    /// How often a record may arrive: `"at_least_once"`, twice only after a crash or an
    /// outage; or `"exactly_once"`, for readers with `isolation.level = read_committed`.
    /// Then records and the offsets of their source are committed together in
    /// transactions, ten times a second, for which all records of the sink must come from
    /// one `kafka` source of the same cluster that feeds nothing else. A run that cannot
    /// commit a transaction ends and is to be started again, and nothing of the transaction
    /// is seen: it was open for longer than `transaction.timeout.ms` (a minute), or the group
    /// gave partitions to others before what was read of them was written. Dead letters
    /// are written at least once.
    #[serde(default)]
    delivery: Delivery,
    /// How batches are compressed.
    #[serde(default)]
    compression: Compression,
    /// Whether a missing topic is created: `true` with as many partitions and
    /// replicas as the broker's defaults say, or
    /// `{ partitions = 6, replication_factor = 3 }`.
    #[serde(default)]
    pub(super) create_topic: CreateTopic,
    /// Headers that every record gets, beside those it has.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    /// How the connection is secured.
    #[serde(default)]
    security_protocol: SecurityProtocol,
    /// Certificates and keys, for `security_protocol` `ssl` and `sasl_ssl`.
    tls: Option<Tls>,
    /// Who to be for the broker, for `security_protocol` `sasl_plaintext` and `sasl_ssl`.
    sasl: Option<Sasl>,
    /// Settings of the client library librdkafka under its own names, such as
    /// `"linger.ms"`, how long records wait for others that go with them (50). Those
    /// that carry the promise of delivery are refused.
    #[serde(default)]
    librdkafka_options: LibrdkafkaOptions,
}

/// How often a record may arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Delivery {
    /// Twice after a crash or an outage, else once.
    #[default]
    AtLeastOnce,
    /// Once, for readers of what is committed.
    ExactlyOnce,
}

/// How batches are compressed.
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

impl Compression {
    fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Lz4 => "lz4",
            Compression::Snappy => "snappy",
            Compression::Zstd => "zstd",
        }
    }
}

const PROMISE: &str = "a record counts as delivered only when every in-sync replica has it";
const ORDER: &str = "without it records could be lost, doubled or put out of order";
const TIMEOUT: &str = "use `timeout` in the `[retry]` table";
const MEMORY: &str = "use `in_flight` in the `[batch]` table";
const REFUSED: [(&str, &str); 18] = [
    ("acks", PROMISE),
    ("request.required.acks", PROMISE),
    ("enable.idempotence", ORDER),
    ("enable.gapless.guarantee", ORDER),
    ("max.in.flight", ORDER),
    ("max.in.flight.requests.per.connection", ORDER),
    ("retries", TIMEOUT),
    ("message.send.max.retries", TIMEOUT),
    ("message.timeout.ms", TIMEOUT),
    ("delivery.timeout.ms", TIMEOUT),
    ("transactional.id", "use the option `delivery`"),
    ("delivery.report.only.error", "runner counts on hearing of every record"),
    ("queuing.strategy", ORDER),
    ("queue.buffering.max.messages", MEMORY),
    ("queue.buffering.max.kbytes", MEMORY),
    ("compression.codec", "use the option `compression`"),
    ("compression.type", "use the option `compression`"),
    ("allow.auto.create.topics", "use the option `create_topic`"),
];

impl SinkConfig for KafkaSinkConfig {
    fn build(self, context: &BuildContext) -> Result<Box<dyn Sink>> {
        let mut errors: Vec<_> = check_topic("topic", &self.topic).err().into_iter().collect();
        if self.key_field.as_deref() == Some("") {
            errors.push(OptionError::new("key_field", "name a field, or leave the option out"));
        }
        let access = Access {
            bootstrap_servers: &self.bootstrap_servers,
            security_protocol: self.security_protocol,
            tls: self.tls.as_ref(),
            sasl: self.sasl.as_ref(),
            librdkafka_options: &self.librdkafka_options,
            refused: &REFUSED,
        };
        // For so long, and a little longer, a run that is killed holds up who reads what is committed.
        let transaction_timeout = (self.delivery == Delivery::ExactlyOnce).then(|| {
            let given = self.librdkafka_options.get("transaction.timeout.ms");
            given.and_then(|millis| millis.parse().ok()).unwrap_or(60_000)
        });
        let config = access.config(context, |config| {
            config.set("acks", "all").set("enable.idempotence", "true");
            config.set("compression.type", self.compression.name());
            // The retries are the client's own, and for ever (0). It would count the time that a record waits behind
            // others, so how long is too long is for the sink to say; but no record is worth waiting for once its
            // transaction is over.
            let timeout = transaction_timeout.map_or(0, |at_most: u128| {
                let timeout = context.retry.timeout.map_or(at_most, |timeout| timeout.as_millis().max(1));
                timeout.min(at_most)
            });
            config.set("message.timeout.ms", timeout.min(i32::MAX as u128).to_string());
            // A topic that somebody deletes is not to come back empty.
            config.set("allow.auto.create.topics", "false");
            // Equal keys land where Java's clients put them.
            config.set("partitioner", "murmur2_random");
            config.set("linger.ms", LINGER).set("batch.num.messages", "100000");
            // The pipeline bounds the number of records under way, in bytes.
            config.set("queue.buffering.max.messages", "0");
            // Raised once the sink has heard how large a record may be.
            let kbytes = (context.batch.in_flight >> 10).clamp(1, i32::MAX as usize);
            config.set("queue.buffering.max.kbytes", kbytes.to_string());
        });
        let config = OptionErrors::with(errors, config)?;
        let transactions = transaction_timeout.map(|_| {
            Transactions::new(&self.bootstrap_servers, &context.pipeline, &context.component, context.retry)
        });
        Ok(Box::new(Kafka::new(self, config, transactions, context)))
    }
}
