//! Finds or creates the topic of the sink, and reads its settings.

mod settings;

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU16;
use std::time::Duration;

use anyhow::anyhow;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use runner_core::{Error, Result};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use tracing::{info, warn};

pub(super) use self::settings::TopicSettings;
use self::settings::{CLEANUP, DEFAULT_MAX_BYTES, LETTER_MAX_BYTES, MAX_BYTES};
use crate::shared::kafka::{
    ClientErrors, LibrdkafkaOptions, Probe, RefusedTopic, is_denied, is_outage, misadvertised, unreachable,
};

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
    /// Settings of the topic under their names in Kafka, for example `"min.insync.replicas" = 2` or
    /// `"retention.ms" = -1`.
    #[serde(default)]
    config: LibrdkafkaOptions,
}

impl Layout {
    /// Whether the cluster would keep only the last record of each key.
    pub(super) fn is_compacted(&self) -> bool {
        self.config.get(CLEANUP).is_some_and(|policy| policy.contains("compact"))
    }
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
        f.write_str("true, false or { partitions = …, replication_factor = …, config = { … } }")
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

/// Why a topic cannot hold dead letters.
fn compacted(topic: &str) -> String {
    format!(
        "topic `{topic}` is compacted (`{CLEANUP}`), so the cluster would delete dead letters: all letters of a component \
         have the same key. Set `{CLEANUP}=delete` for the topic, or name another one"
    )
}

pub(super) struct Topic {
    pub(super) config: ClientConfig,
    pub(super) bootstrap_servers: String,
    pub(super) name: String,
    /// The timeout of one request.
    pub(super) timeout: Duration,
    /// Whether it holds dead letters.
    pub(super) is_dead_letter: bool,
}

impl Topic {
    /// Makes sure that the topic exists and is reachable; returns its settings.
    pub(super) async fn prepare(self, create: &CreateTopic) -> Result<TopicSettings> {
        let (exists, advertised) = self.find().await?;
        if exists {
            let settings = self.settings().await;
            if self.is_dead_letter && settings.is_compacted {
                anyhow::bail!(compacted(&self.name));
            }
            return Ok(settings);
        }
        let CreateTopic::Yes(layout) = create else {
            return Err(self.refused(format!(
                "it does not exist in the cluster at {}, and `create_topic` is false: create it, or set \
                 `create_topic = true`",
                self.bootstrap_servers
            )));
        };
        let is_new = self.create(layout, advertised.as_deref()).await?;
        // The metadata of a new topic reaches the brokers one after another.
        for _ in 0..100 {
            if self.find().await?.0 {
                let settings = self.settings().await;
                if is_new {
                    self.warn_of_replicas(settings.min_insync_replicas).await;
                }
                return Ok(settings);
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
        let find = move |probe: &Probe<'_, ClientErrors>| probe.topic(&name);
        self.probe(find).await.map(|(partitions, advertised)| (partitions.is_some(), advertised))
    }

    /// Creates the topic; false if another client has created it.
    async fn create(&self, layout: &Layout, advertised: Option<&str>) -> Result<bool> {
        let mut settings: BTreeMap<&str, String> =
            layout.config.iter().map(|(name, value)| (name, value.to_owned())).collect();
        if self.is_dead_letter {
            settings.entry(CLEANUP).or_insert_with(|| "delete".into());
        }
        match self.create_with_fallbacks(layout, &mut settings).await? {
            Ok(()) => {
                info!("created topic `{}`", self.name);
                Ok(true)
            }
            Err(Code::TopicAlreadyExists) => Ok(false),
            Err(code) => Err(self.not_created(code, &settings, advertised).await?),
        }
    }

    /// Creates the topic, if necessary without what some clusters do not accept.
    async fn create_with_fallbacks(
        &self,
        layout: &Layout,
        settings: &mut BTreeMap<&str, String>,
    ) -> Result<Result<(), Code>> {
        let partitions = layout.partitions.map_or(-1, |n| n.get().into());
        let replicas = layout.replication_factor.map_or(-1, |n| n.get().into());
        let is_own_limit = self.is_dead_letter && !settings.contains_key(MAX_BYTES);
        if is_own_limit {
            settings.insert(MAX_BYTES, LETTER_MAX_BYTES.to_string());
        }
        let options = self.admin_options();
        let mut created = self.try_create(partitions, replicas, settings, &options).await?;
        if is_own_limit && created.is_err_and(rejects_size_limit) {
            // Some clusters limit it.
            settings.remove(MAX_BYTES);
            created = self.try_create(partitions, replicas, settings, &options).await?;
        }
        if created.is_err_and(needs_explicit_counts) && (partitions < 0 || replicas < 0) {
            // Brokers before 2.4 do not have defaults.
            created = self.try_create(partitions.max(1), replicas.max(1), settings, &options).await?;
        }
        Ok(created)
    }

    /// The error for a topic that the cluster does not create.
    async fn not_created(
        &self,
        code: Code,
        settings: &BTreeMap<&str, String>,
        advertised: Option<&str>,
    ) -> Result<Error> {
        let (name, at) = (&self.name, &self.bootstrap_servers);
        Ok(match code {
            Code::InvalidConfig => {
                let wrong = self.wrong_settings(settings).await?;
                anyhow!(
                    "the cluster at {at} does not create topic `{name}`: it does not accept {wrong} in \
                     `create_topic.config`; check name and value: times are milliseconds, sizes are bytes"
                )
            }
            code if is_outage(code) => advertised
                .and_then(|it| misadvertised(at, it, ""))
                .unwrap_or_else(|| unreachable(format!("creating topic `{name}` at {at}: {code}"))),
            code if is_denied(code) => self.refused(format!(
                "the cluster at {at} does not let this user create it ({code}): create it, or grant the user Create on the \
                 topic"
            )),
            Code::InvalidTopic => self.collides().await,
            Code::PolicyViolation => self.refused(format!(
                "the policy for new topics of the cluster at {at} refuses it: create it, or ask the administrator which \
                 names, partitions and replicas the policy allows"
            )),
            code => anyhow!(
                "the cluster at {at} does not create topic `{name}` ({code}): \
                 create it, or set `create_topic = {{ partitions = …, replication_factor = … }}`"
            ),
        })
    }

    fn refused(&self, reason: String) -> Error {
        RefusedTopic::error(format!("`{}`", self.name), reason)
    }

    /// The error for a name of valid characters that the cluster refuses.
    async fn collides(&self) -> Error {
        let name = self.name.clone();
        let other = self.probe(move |probe| probe.topic_like(&name)).await.ok().flatten();
        let other = other.map(|other| format!(" (topic `{other}` exists)")).unwrap_or_default();
        RefusedTopic::error(
            format!("`{}`{other}", self.name),
            format!(
                "the cluster at {} refuses names that differ only in `.` and `_`, which are one name in its metrics. Use \
                 either `.` or `_` in all names of topics",
                self.bootstrap_servers
            ),
        )
    }

    /// Names the settings that the cluster does not accept; its response does not say which.
    async fn wrong_settings(&self, settings: &BTreeMap<&str, String>) -> Result<String> {
        let mut wrong = Vec::new();
        let options = self.admin_options().validate_only(true);
        for (&name, value) in settings {
            let tried = self.try_create(-1, -1, &BTreeMap::from([(name, value.clone())]), &options).await?;
            wrong.extend((tried == Err(Code::InvalidConfig)).then(|| format!("`{name}`")));
        }
        Ok(if wrong.is_empty() { "the settings".to_owned() } else { wrong.join(", ") })
    }

    async fn try_create(
        &self,
        partitions: i32,
        replicas: i32,
        config: &BTreeMap<&str, String>,
        options: &AdminOptions,
    ) -> Result<Result<(), Code>> {
        let new = NewTopic::new(&self.name, partitions, TopicReplication::Fixed(replicas));
        let new = config.iter().fold(new, |new, (name, value)| new.set(name, value));
        let admin = self.admin()?;
        let created = admin.create_topics([&new], options).await;
        drop_in_background(admin);
        Ok(match created {
            Ok(mut topics) => topics.pop().map_or(Ok(()), |topic| topic.map(drop).map_err(|(_, code)| code)),
            Err(KafkaError::AdminOp(code)) => Err(code),
            Err(error) => Err(error.rdkafka_error_code().ok_or(error)?),
        })
    }

    /// Checks the connection, for a sink whose topics are not known yet; returns the default size limit.
    pub(super) async fn find_cluster(self) -> Result<usize> {
        self.probe(|probe| probe.cluster()).await?;
        Ok(DEFAULT_MAX_BYTES)
    }

    /// Runs a request with a client of its own.
    async fn probe<T: Send + 'static>(
        &self,
        request: impl FnOnce(&Probe<'_, ClientErrors>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let config = self.config.clone();
        let (bootstrap_servers, timeout) = (self.bootstrap_servers.clone(), self.timeout);
        let run = move || {
            let client: BaseConsumer<ClientErrors> = config.create_with_context(ClientErrors::default())?;
            let errors = client.context();
            request(&Probe { client: &client, errors, bootstrap_servers: &bootstrap_servers, timeout })
        };
        tokio::task::spawn_blocking(run).await?
    }

    /// Warns if a topic that this sink has created loses acknowledged records with one broker. Where the cluster has only
    /// one, nothing else is possible, and the topic of the records has said it: that of the dead letters does not.
    async fn warn_of_replicas(&self, min_insync_replicas: Option<u32>) {
        let name = self.name.clone();
        let Ok(Some((n_replicas, n_brokers))) = self.probe(move |probe| probe.replicas(&name)).await else {
            return;
        };
        let min_insync = min_insync_replicas.unwrap_or(2);
        if n_replicas >= 2 && min_insync >= 2 {
            return;
        }
        let (name, advice) = (
            &self.name,
            "set `create_topic = { replication_factor = 3, config = { \
             \"min.insync.replicas\" = 2 } }` before it is created, or change the topic",
        );
        match (n_replicas, n_brokers) {
            (_, 1) if self.is_dead_letter => {}
            (_, 1) => warn!(
                "the cluster has one broker, so topic `{name}` was created with one replica: its records are lost with the \
                 disk of this broker, and cannot be written while it is down. Three brokers keep them"
            ),
            (0 | 1, _) => warn!(
                "topic `{name}` was created with one replica of each partition: its records are lost with the disk of \
                 their broker, and cannot be written while this broker is down; {advice}"
            ),
            _ => warn!(
                "topic `{name}` was created with `min.insync.replicas` = {min_insync}: a record that is acknowledged by \
                 one broker alone is lost with it; {advice}"
            ),
        }
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        Ok(self.config.create()?)
    }

    fn admin_options(&self) -> AdminOptions {
        let timeout = Some(self.timeout);
        AdminOptions::new().request_timeout(timeout).operation_timeout(timeout)
    }
}

/// Whether a cluster may answer so because it limits the size of records.
fn rejects_size_limit(code: Code) -> bool {
    matches!(code, Code::InvalidConfig | Code::PolicyViolation | Code::InvalidRequest)
}

/// Whether a cluster may answer so because it has no default for the numbers of partitions and replicas.
fn needs_explicit_counts(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidPartitions
            | Code::InvalidReplicationFactor
            | Code::UnsupportedVersion
            | Code::UnsupportedFeature
    )
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
