//! The topic of the sink: looked for, created if wanted, asked for its limits.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::error::RDKafkaErrorCode;
use runner_core::{Result, Unreachable};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use tracing::info;

use crate::shared::kafka::{Contact, Heard, is_denied, is_outage, misadvertised};

/// Whether a missing topic is created, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CreateTopic {
    No,
    Yes(Layout),
}

/// Partitions and replicas of a new topic; what is missing the broker decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Layout {
    /// How many partitions.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    partitions: Option<u16>,
    /// How many replicas each partition has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    replication_factor: Option<u16>,
}

impl Default for CreateTopic {
    fn default() -> Self {
        CreateTopic::Yes(Layout::default())
    }
}

impl Serialize for CreateTopic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            CreateTopic::No => serializer.serialize_bool(false),
            CreateTopic::Yes(layout) if *layout == Layout::default() => serializer.serialize_bool(true),
            CreateTopic::Yes(layout) => layout.serialize(serializer),
        }
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
        let layout = Layout::deserialize(de::value::MapAccessDeserializer::new(map))?;
        if layout.partitions == Some(0) || layout.replication_factor == Some(0) {
            return Err(de::Error::custom("a topic has at least one partition and one replica"));
        }
        Ok(CreateTopic::Yes(layout))
    }
}

impl JsonSchema for CreateTopic {
    fn schema_name() -> Cow<'static, str> {
        "CreateTopic".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "oneOf": [{ "type": "boolean" }, Layout::json_schema(generator)] })
    }
}

/// What the broker takes by default: `message.max.bytes` of Apache Kafka.
const BROKER_DEFAULT: usize = 1_048_588;

pub(super) struct Topic {
    pub(super) config: ClientConfig,
    pub(super) bootstrap_servers: String,
    pub(super) name: String,
    /// How long first contact may take in all.
    pub(super) timeout: Option<Duration>,
}

impl Topic {
    /// Makes sure that the topic is there and reachable; answers with how many
    /// bytes a batch for it may have.
    pub(super) async fn prepare(self, create: &CreateTopic) -> Result<usize> {
        let (is_there, advertised) = self.find().await?;
        if is_there {
            return Ok(self.max_bytes().await);
        }
        let CreateTopic::Yes(layout) = create else {
            anyhow::bail!(
                "topic `{}` does not exist in the cluster at {}, and `create_topic` is false: \
                 create it, or let the sink create it",
                self.name,
                self.bootstrap_servers
            );
        };
        self.create(layout, advertised.as_deref()).await?;
        // The brokers hear of a new topic one after another.
        for _ in 0..100 {
            if self.find().await?.0 {
                return Ok(self.max_bytes().await);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(Unreachable(format!("topic `{}` was created and does not show up", self.name)).into())
    }

    fn question(&self) -> Duration {
        const PATIENCE: Duration = Duration::from_secs(5);
        self.timeout.map_or(PATIENCE, |timeout| timeout.min(PATIENCE))
    }

    /// Whether the topic is there, and the address that a broker advertises.
    async fn find(&self) -> Result<(bool, Option<String>)> {
        let name = self.name.clone();
        let config = self.config.clone();
        let (bootstrap_servers, timeout) = (self.bootstrap_servers.clone(), self.question());
        let look = move || {
            let client: BaseConsumer<Heard> = config.create_with_context(Heard::default())?;
            let heard = client.context();
            let contact = Contact { client: &client, heard, bootstrap_servers: &bootstrap_servers, timeout };
            contact.look(&name).map(|(partitions, advertised)| (partitions.is_some(), advertised))
        };
        tokio::task::spawn_blocking(look).await?
    }

    async fn create(&self, layout: &Layout, advertised: Option<&str>) -> Result<()> {
        let (name, at) = (&self.name, &self.bootstrap_servers);
        let partitions = layout.partitions.map_or(-1, i32::from);
        let replicas = layout.replication_factor.map_or(-1, i32::from);
        let mut created = self.try_create(partitions, replicas).await?;
        if matches!(
            created,
            Err(RDKafkaErrorCode::InvalidPartitions
                | RDKafkaErrorCode::InvalidReplicationFactor
                | RDKafkaErrorCode::UnsupportedVersion
                | RDKafkaErrorCode::UnsupportedFeature)
        ) && (partitions < 0 || replicas < 0)
        {
            // Brokers older than 2.4 have no defaults to offer.
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
                Err(Unreachable(format!("creating topic `{name}` at {at}: {code}")).into())
            }
            Err(code) if is_denied(code) => anyhow::bail!(
                "the cluster at {at} does not let this user create topic `{name}` ({code}): \
                 have it created, or grant the user Create on the topic"
            ),
            Err(code) => anyhow::bail!(
                "the cluster at {at} refuses to create topic `{name}` ({code}): \
                 have it created, or say `create_topic = {{ partitions = …, replication_factor = … }}`"
            ),
        }
    }

    async fn try_create(&self, partitions: i32, replicas: i32) -> Result<Result<(), RDKafkaErrorCode>> {
        let new = NewTopic::new(&self.name, partitions, TopicReplication::Fixed(replicas));
        let admin = self.admin()?;
        let created = admin.create_topics([&new], &self.admin_options()).await;
        end_beside(admin);
        Ok(match created {
            Ok(mut topics) => topics.pop().map_or(Ok(()), |topic| topic.map(drop).map_err(|(_, code)| code)),
            Err(KafkaError::AdminOp(code)) => Err(code),
            Err(error) => Err(error.rdkafka_error_code().ok_or(error)?),
        })
    }

    /// `max.message.bytes` of the topic. A larger batch would be refused as a
    /// whole, the records in it that are small enough included.
    async fn max_bytes(&self) -> usize {
        let asked = async {
            let topic = ResourceSpecifier::Topic(&self.name);
            let admin = self.admin().ok()?;
            let described = admin.describe_configs([&topic], &self.admin_options()).await;
            end_beside(admin);
            let described = described.ok()?.pop()?.ok()?;
            described.get("max.message.bytes")?.value.as_ref()?.parse().ok()
        };
        // Whoever may not ask (DescribeConfigs) still may write.
        asked.await.unwrap_or(BROKER_DEFAULT)
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        Ok(self.config.create()?)
    }

    fn admin_options(&self) -> AdminOptions {
        let timeout = Some(self.question());
        AdminOptions::new().request_timeout(timeout).operation_timeout(timeout)
    }
}

/// Ends a client on a thread of its own: it waits for its poll, a tenth of a second.
fn end_beside(admin: AdminClient<DefaultClientContext>) {
    drop(tokio::task::spawn_blocking(move || drop(admin)));
}

/// Settings that keep records and batches within what the topic takes.
pub(super) fn size_settings(max_bytes: usize) -> [(&'static str, String); 2] {
    // The bounds of librdkafka for `message.max.bytes`.
    let max_bytes = max_bytes.clamp(1000, 1_000_000_000);
    [("message.max.bytes", max_bytes.to_string()), ("batch.size", max_bytes.min(1 << 20).to_string())]
}

/// Raises the bound of the client's queue to two of the largest records: one that the queue can never
/// hold would be offered to it for ever.
pub(super) fn make_room(config: &mut ClientConfig, max_bytes: usize) {
    const ROOM: &str = "queue.buffering.max.kbytes";
    let needed = (2 * max_bytes).div_ceil(1 << 10).min(i32::MAX as usize);
    let given = config.get(ROOM).and_then(|kbytes| kbytes.parse().ok()).unwrap_or(0);
    config.set(ROOM, needed.max(given).to_string());
}
