//! The first connection to a cluster.

use std::fmt;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::{Metadata, MetadataTopic};
use runner_core::{Error, Failure, Result};

use super::{ClientErrors, is_denied, is_outage};

/// The timeout of one request, if the first connection may take `connect` (`retry.connect`).
pub(crate) fn request_timeout(connect: Option<Duration>) -> Duration {
    const MAX: Duration = Duration::from_secs(5);
    connect.map_or(MAX, |connect| connect.min(MAX))
}

/// Requests the topics of a cluster before records are read or written.
///
/// It uses a consumer, because the metadata request of a producer
/// makes the broker create the topic. All methods block.
pub(crate) struct Probe<'a, C: ConsumerContext> {
    pub(crate) client: &'a BaseConsumer<C>,
    pub(crate) errors: &'a ClientErrors,
    pub(crate) bootstrap_servers: &'a str,
    /// The timeout of one request.
    pub(crate) timeout: Duration,
}

impl<C: ConsumerContext> Probe<'_, C> {
    /// The partitions of a topic; `None` if it does not exist.
    pub(crate) fn partitions(&self, topic: &str) -> Result<Option<Vec<i32>>> {
        self.topic(topic).map(|(partitions, _)| partitions)
    }

    /// Checks that a broker responds.
    pub(crate) fn cluster(&self) -> Result<()> {
        self.client.fetch_metadata(None, self.timeout).map(drop).map_err(|error| self.unreachable(error))
    }

    /// The number of replicas of the partition that has the fewest, and the number of brokers; `None` if the topic does
    /// not exist.
    pub(crate) fn replicas(&self, topic: &str) -> Result<Option<(usize, usize)>> {
        let metadata = self.client.fetch_metadata(Some(topic), self.timeout)?;
        let found = metadata.topics().first();
        let fewest = found.and_then(|topic| topic.partitions().iter().map(|it| it.replicas().len()).min());
        Ok(fewest.map(|n_replicas| (n_replicas, metadata.brokers().len())))
    }

    /// Another topic whose name differs from `name` only in `.` and `_`.
    pub(crate) fn topic_like(&self, name: &str) -> Result<Option<String>> {
        let metadata = self.client.fetch_metadata(None, self.timeout)?;
        let plain = |name: &str| name.replace('.', "_");
        let mut names = metadata.topics().iter().map(MetadataTopic::name);
        Ok(names.find(|other| *other != name && plain(other) == plain(name)).map(str::to_owned))
    }

    /// The partitions of a topic, and the address that a broker of the cluster advertises.
    pub(crate) fn topic(&self, topic: &str) -> Result<(Option<Vec<i32>>, Option<String>)> {
        let metadata = self.client.fetch_metadata(Some(topic), self.timeout);
        let metadata = metadata.map_err(|error| self.unreachable(error))?;
        let advertised =
            metadata.brokers().first().map(|broker| format!("{}:{}", broker.host(), broker.port()));
        self.partitions_in(&metadata, topic).map(|partitions| (partitions, advertised))
    }

    fn partitions_in(&self, metadata: &Metadata, topic: &str) -> Result<Option<Vec<i32>>> {
        let Some(found) = metadata.topics().first() else { return Ok(None) };
        match found.error().map(RDKafkaErrorCode::from) {
            None => {}
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                return Ok(None);
            }
            Some(RDKafkaErrorCode::LeaderNotAvailable) => {
                return Err(unreachable(format!("topic `{topic}` has no leader")));
            }
            Some(code) if is_denied(code) => {
                let reason = format!(
                    "the cluster at {} does not let this user see it ({code}): grant the user Describe on the topic",
                    self.bootstrap_servers
                );
                return Err(RefusedTopic::error(format!("`{topic}`"), reason));
            }
            Some(code) => {
                return Err(KafkaError::MetadataFetch(code)).map_err(|error| {
                    Error::new(error)
                        .context(format!("requesting topic `{topic}` from {}", self.bootstrap_servers))
                });
            }
        }
        let partitions: Vec<i32> = found.partitions().iter().map(|partition| partition.id()).collect();
        if let Some(&partition) = partitions.first() {
            self.check_leader(topic, partition, metadata)?;
        }
        Ok(Some(partitions).filter(|partitions| !partitions.is_empty()))
    }

    /// Sends a request to the leader of a partition. The bootstrap address only gives the
    /// addresses that the brokers advertise, to which all other requests go.
    fn check_leader(&self, topic: &str, partition: i32, metadata: &Metadata) -> Result<()> {
        let Err(error) = self.client.fetch_watermarks(topic, partition, self.timeout) else { return Ok(()) };
        let code = error.rdkafka_error_code();
        if !code.is_some_and(is_outage) {
            return Err(Error::new(error).context(format!("fetching the offsets of topic `{topic}`")));
        }
        let found = metadata.topics().iter().find(|it| it.name() == topic);
        let leader = found
            .and_then(|it| it.partitions().iter().find(|it| it.id() == partition))
            .and_then(|it| metadata.brokers().iter().find(|broker| broker.id() == it.leader()));
        let Some(leader) = leader else {
            return Err(unreachable(format!("{topic}/{partition} has no leader")));
        };
        let advertised = format!("{}:{}", leader.host(), leader.port());
        let reason = self.last_error().map(|(_, reason)| format!(" ({reason})")).unwrap_or_default();
        let misadvertised = misadvertised(self.bootstrap_servers, &advertised, &reason);
        Err(misadvertised.unwrap_or_else(|| self.unreachable(error)))
    }

    pub(crate) fn unreachable(&self, error: KafkaError) -> Error {
        let given = self.bootstrap_servers;
        let last = self.last_error();
        if let Some((RDKafkaErrorCode::Authentication, reason)) = &last {
            return anyhow::anyhow!(
                "the cluster at {given} rejects the credentials: {reason}; check `sasl` and `security_protocol`"
            );
        }
        let reason = last.map_or_else(|| error.to_string(), |(_, reason)| reason);
        let advice = if reason.contains("certificate") {
            "check `tls`: `ca_file` must contain the CA of the broker, `crt_file` and `key_file` the client \
             certificate and its key, and the certificate of the broker must contain its host name"
        } else {
            "check the address, that the broker is running, and that `security_protocol` is the one of its listener"
        };
        unreachable(format!("no Kafka broker responds at {given} (`bootstrap_servers`): {reason}; {advice}"))
    }

    /// The last error of the library, which reports it only when polled.
    fn last_error(&self) -> Option<(RDKafkaErrorCode, String)> {
        for _ in 0..100 {
            drop(self.client.poll(Duration::ZERO));
        }
        self.errors.last()
    }
}

/// The cluster refuses one topic, and will refuse it again; others may be usable.
#[derive(Debug)]
pub(crate) struct RefusedTopic {
    /// The name of the topic, and of another one that is the cause. It may be from a record.
    pub(crate) name: String,
    /// Why, and what to do.
    pub(crate) reason: String,
}

impl RefusedTopic {
    pub(crate) fn error(name: String, reason: String) -> Error {
        Error::new(RefusedTopic { name, reason })
    }
}

impl fmt::Display for RefusedTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "topic {} cannot be used: {}", self.name, self.reason)
    }
}

impl std::error::Error for RefusedTopic {}

/// The error for a cluster that cannot be reached.
pub(crate) fn unreachable(message: String) -> Error {
    Failure::unreachable(Error::msg(message)).into()
}

/// The error for a cluster that returns its metadata and nothing else: the address that a broker
/// advertises is not reachable. `None` if `given` contains that address.
pub(crate) fn misadvertised(given: &str, advertised: &str, reason: &str) -> Option<Error> {
    if given.split(',').any(|server| server.trim() == advertised) {
        return None;
    }
    let message = format!(
        "a broker responds at {given} (`bootstrap_servers`), but advertises the address {advertised} (its \
         `advertised.listeners`), where nothing responds{reason}: set `advertised.listeners` of the broker to \
         an address that this machine can reach"
    );
    Some(unreachable(message))
}
