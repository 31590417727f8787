//! Finds or creates the topic of the sink, and reads its size limit.

use std::fmt;
use std::num::NonZeroU16;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::error::RDKafkaErrorCode;
use runner_core::Result;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use tracing::info;

use crate::shared::kafka::{ClientErrors, Probe, is_denied, is_outage, misadvertised, unreachable};

/// Whether a missing topic is created, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CreateTopic {
    No,
    Yes(Layout),
}

/// Partitions and replicas of a new topic. Default: those of the broker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Layout {
    /// The number of partitions.
    partitions: Option<NonZeroU16>,
    /// The number of replicas of each partition.
    replication_factor: Option<NonZeroU16>,
}

impl Default for CreateTopic {
    fn default() -> Self {
        CreateTopic::Yes(Layout::default())
    }
}

impl<'de> Deserialize<'de> for CreateTopic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CreateTopicVisitor)
    }
}

struct CreateTopicVisitor;

impl<'de> de::Visitor<'de> for CreateTopicVisitor {
    type Value = CreateTopic;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false or { partitions = …, replication_factor = … }")
    }

    fn visit_bool<E: de::Error>(self, is_wanted: bool) -> Result<CreateTopic, E> {
        Ok(if is_wanted { CreateTopic::default() } else { CreateTopic::No })
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<CreateTopic, E> {
        let is_wanted = text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))?;
        self.visit_bool(is_wanted)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<CreateTopic, A::Error> {
        Layout::deserialize(de::value::MapAccessDeserializer::new(map)).map(CreateTopic::Yes)
    }
}

pub(super) fn create_topic_schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({ "oneOf": [{ "type": "boolean" }, Layout::json_schema(generator)] })
}

/// The default of `message.max.bytes` in Apache Kafka.
const DEFAULT_MAX_BYTES: usize = 1_048_588;

pub(super) struct Topic {
    pub(super) config: ClientConfig,
    pub(super) bootstrap_servers: String,
    pub(super) name: String,
    /// The timeout of one request.
    pub(super) timeout: Duration,
}

impl Topic {
    /// Makes sure that the topic exists and is reachable; returns the size limit of its
    /// batches in bytes.
    pub(super) async fn prepare(self, create: &CreateTopic) -> Result<usize> {
        let (exists, advertised) = self.find().await?;
        if exists {
            return Ok(self.max_bytes().await);
        }
        let CreateTopic::Yes(layout) = create else {
            anyhow::bail!(
                "topic `{}` does not exist in the cluster at {}, and `create_topic` is false: \
                 create it, or set `create_topic = true`",
                self.name,
                self.bootstrap_servers
            );
        };
        self.create(layout, advertised.as_deref()).await?;
        // The metadata of a new topic reaches the brokers one after another.
        for _ in 0..100 {
            if self.find().await?.0 {
                return Ok(self.max_bytes().await);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(unreachable(format!(
            "topic `{}` was created, but the metadata of the cluster does not contain it",
            self.name
        )))
    }

    /// Whether the topic exists, and the address that a broker advertises.
    async fn find(&self) -> Result<(bool, Option<String>)> {
        let name = self.name.clone();
        let config = self.config.clone();
        let (bootstrap_servers, timeout) = (self.bootstrap_servers.clone(), self.timeout);
        let find = move || {
            let client: BaseConsumer<ClientErrors> = config.create_with_context(ClientErrors::default())?;
            let errors = client.context();
            let probe = Probe { client: &client, errors, bootstrap_servers: &bootstrap_servers, timeout };
            probe.topic(&name).map(|(partitions, advertised)| (partitions.is_some(), advertised))
        };
        tokio::task::spawn_blocking(find).await?
    }

    async fn create(&self, layout: &Layout, advertised: Option<&str>) -> Result<()> {
        let (name, at) = (&self.name, &self.bootstrap_servers);
        let partitions = layout.partitions.map_or(-1, |n| n.get().into());
        let replicas = layout.replication_factor.map_or(-1, |n| n.get().into());
        let mut created = self.try_create(partitions, replicas).await?;
        if matches!(
            created,
            Err(RDKafkaErrorCode::InvalidPartitions
                | RDKafkaErrorCode::InvalidReplicationFactor
                | RDKafkaErrorCode::UnsupportedVersion
                | RDKafkaErrorCode::UnsupportedFeature)
        ) && (partitions < 0 || replicas < 0)
        {
            // Brokers before 2.4 do not have defaults.
            created = self.try_create(partitions.max(1), replicas.max(1)).await?;
        }
        match created {
            Ok(()) => {
                info!("created topic `{name}`");
                Ok(())
            }
            Err(RDKafkaErrorCode::TopicAlreadyExists) => Ok(()),
            Err(code) if is_outage(code) => {
                if let Some(error) = advertised.and_then(|it| misadvertised(at, it, "")) {
                    return Err(error);
                }
                Err(unreachable(format!("creating topic `{name}` at {at}: {code}")))
            }
            Err(code) if is_denied(code) => anyhow::bail!(
                "the cluster at {at} does not let this user create topic `{name}` ({code}): \
                 create it, or grant the user Create on the topic"
            ),
            Err(code) => anyhow::bail!(
                "the cluster at {at} does not create topic `{name}` ({code}): \
                 create it, or set `create_topic = {{ partitions = …, replication_factor = … }}`"
            ),
        }
    }

    async fn try_create(&self, partitions: i32, replicas: i32) -> Result<Result<(), RDKafkaErrorCode>> {
        let new = NewTopic::new(&self.name, partitions, TopicReplication::Fixed(replicas));
        let admin = self.admin()?;
        let created = admin.create_topics([&new], &self.admin_options()).await;
        drop_in_background(admin);
        Ok(match created {
            Ok(mut topics) => topics.pop().map_or(Ok(()), |topic| topic.map(drop).map_err(|(_, code)| code)),
            Err(KafkaError::AdminOp(code)) => Err(code),
            Err(error) => Err(error.rdkafka_error_code().ok_or(error)?),
        })
    }

    /// `max.message.bytes` of the topic. The broker rejects a larger batch as a
    /// whole, including its smaller records.
    async fn max_bytes(&self) -> usize {
        let described = async {
            let topic = ResourceSpecifier::Topic(&self.name);
            let admin = self.admin().ok()?;
            let found = admin.describe_configs([&topic], &self.admin_options()).await;
            drop_in_background(admin);
            let found = found.ok()?.pop()?.ok()?;
            found.get("max.message.bytes")?.value.as_ref()?.parse().ok()
        };
        // A user without DescribeConfigs may still write.
        described.await.unwrap_or(DEFAULT_MAX_BYTES)
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        Ok(self.config.create()?)
    }

    fn admin_options(&self) -> AdminOptions {
        let timeout = Some(self.timeout);
        AdminOptions::new().request_timeout(timeout).operation_timeout(timeout)
    }
}

/// Drops a client on another thread: this blocks for its poll, 100 ms.
fn drop_in_background(admin: AdminClient<DefaultClientContext>) {
    drop(tokio::task::spawn_blocking(move || drop(admin)));
}

/// Settings that keep records and batches within the limit of the topic.
pub(super) fn size_settings(max_bytes: usize) -> [(&'static str, String); 2] {
    // The range of librdkafka for `message.max.bytes`.
    let max_bytes = max_bytes.clamp(1000, 1_000_000_000);
    [("message.max.bytes", max_bytes.to_string()), ("batch.size", max_bytes.min(1 << 20).to_string())]
}

/// Raises the limit of the client's queue to two records of the maximum size: the sink would retry a record that
/// is larger than the queue without an end.
pub(super) fn raise_queue_limit(config: &mut ClientConfig, max_bytes: usize) {
    const LIMIT: &str = "queue.buffering.max.kbytes";
    let needed = (2 * max_bytes).div_ceil(1 << 10).min(i32::MAX as usize);
    let given = config.get(LIMIT).and_then(|kbytes| kbytes.parse().ok()).unwrap_or(0);
    config.set(LIMIT, needed.max(given).to_string());
}
