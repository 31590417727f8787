//! First contact with a cluster.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use runner_core::{Error, Result, RetryLimits, Unreachable};

use super::Heard;

/// Asks a cluster what has to be known before anything is read or written.
///
/// It is a consumer's connection, because a producer that asks for a topic
/// makes the broker create it. All of its methods block.
pub(crate) struct Contact<'a, C: ConsumerContext> {
    pub(crate) client: &'a BaseConsumer<C>,
    pub(crate) heard: &'a Heard,
    pub(crate) bootstrap_servers: &'a str,
    /// How long one question may take.
    pub(crate) timeout: Duration,
}

impl<C: ConsumerContext> Contact<'_, C> {
    /// How long one question may take if first contact may take `retry.connect`.
    pub(crate) fn timeout(retry: &RetryLimits) -> Duration {
        const PATIENCE: Duration = Duration::from_secs(5);
        retry.connect.map_or(PATIENCE, |connect| connect.min(PATIENCE))
    }

    /// The partitions of a topic; `None` if there is no such topic.
    pub(crate) fn partitions(&self, topic: &str) -> Result<Option<Vec<i32>>> {
        self.look(topic).map(|(partitions, _)| partitions)
    }

    /// The partitions of a topic, and the address that a broker of the cluster advertises.
    pub(crate) fn look(&self, topic: &str) -> Result<(Option<Vec<i32>>, Option<String>)> {
        let metadata = self.client.fetch_metadata(Some(topic), self.timeout);
        let metadata = metadata.map_err(|error| self.no_answer(error))?;
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
                return Err(Unreachable(format!("topic `{topic}` has no leader at the moment")).into());
            }
            Some(code) if is_denied(code) => {
                return Err(anyhow::anyhow!(
                    "the cluster at {} does not let this user see topic `{topic}` ({code}): \
                     grant the user Describe on the topic",
                    self.bootstrap_servers
                ));
            }
            Some(code) => {
                return Err(KafkaError::MetadataFetch(code)).map_err(|error| {
                    Error::new(error)
                        .context(format!("asking {} for topic `{topic}`", self.bootstrap_servers))
                });
            }
        }
        let partitions: Vec<i32> = found.partitions().iter().map(|partition| partition.id()).collect();
        if let Some(&partition) = partitions.first() {
            self.meet_leader(topic, partition, metadata)?;
        }
        Ok(Some(partitions).filter(|partitions| !partitions.is_empty()))
    }

    /// Talks to the broker that holds a partition. The bootstrap address only
    /// tells the way; all else goes to the address that the broker advertises.
    fn meet_leader(&self, topic: &str, partition: i32, metadata: &Metadata) -> Result<()> {
        let Err(error) = self.client.fetch_watermarks(topic, partition, self.timeout) else { return Ok(()) };
        let code = error.rdkafka_error_code();
        if !code.is_some_and(is_outage) {
            return Err(Error::new(error).context(format!("asking for the offsets of topic `{topic}`")));
        }
        let found = metadata.topics().iter().find(|it| it.name() == topic);
        let leader = found
            .and_then(|it| it.partitions().iter().find(|it| it.id() == partition))
            .and_then(|it| metadata.brokers().iter().find(|broker| broker.id() == it.leader()));
        let Some(leader) = leader else {
            return Err(Unreachable(format!("{topic}/{partition} has no leader at the moment")).into());
        };
        let advertised = format!("{}:{}", leader.host(), leader.port());
        let reason = self.trouble().map(|(_, reason)| format!(" ({reason})")).unwrap_or_default();
        let misadvertised = misadvertised(self.bootstrap_servers, &advertised, &reason);
        Err(misadvertised.unwrap_or_else(|| self.no_answer(error)))
    }

    fn no_answer(&self, error: KafkaError) -> Error {
        let given = self.bootstrap_servers;
        let trouble = self.trouble();
        if let Some((RDKafkaErrorCode::Authentication, reason)) = &trouble {
            return anyhow::anyhow!(
                "the cluster at {given} refuses the credentials: {reason}; check `sasl` and `security_protocol`"
            );
        }
        let reason = trouble.map_or_else(|| error.to_string(), |(_, reason)| reason);
        let advice = if reason.contains("certificate") {
            "check `tls`: `ca_file` vouches for the broker, `crt_file` with `key_file` for us, and the certificate \
             of the broker bears the name it is called by"
        } else {
            "check the address, that the broker runs and that `security_protocol` is the one it speaks"
        };
        Unreachable(format!("no Kafka broker answers at {given} (`bootstrap_servers`): {reason}; {advice}"))
            .into()
    }

    /// What the library has said of late; it is told only when polled.
    fn trouble(&self) -> Option<(RDKafkaErrorCode, String)> {
        for _ in 0..100 {
            drop(self.client.poll(Duration::ZERO));
        }
        self.heard.trouble()
    }
}

/// Why a cluster says who it is and answers nothing else: a broker is not to be
/// found at the address that it advertises. `None` if that is the very address
/// that was given.
pub(crate) fn misadvertised(given: &str, advertised: &str, reason: &str) -> Option<Error> {
    if given.split(',').any(|server| server.trim() == advertised) {
        return None;
    }
    let message = format!(
        "a broker answers at {given} (`bootstrap_servers`), but says that it is to be reached at \
         {advertised} (its `advertised.listeners`), and nothing answers there{reason}: set \
         `advertised.listeners` of the broker to an address that this machine can reach"
    );
    Some(Unreachable(message).into())
}

/// Whether access was denied: credentials or permissions.
pub(crate) fn is_denied(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::TransactionalIdAuthorizationFailed
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::Authentication
    )
}

/// Whether the other side could not be reached.
pub(crate) fn is_outage(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::Resolve
            | RDKafkaErrorCode::OperationTimedOut
            | RDKafkaErrorCode::RequestTimedOut
            | RDKafkaErrorCode::TimedOutQueue
            | RDKafkaErrorCode::WaitingForCoordinator
            | RDKafkaErrorCode::LeaderNotAvailable
            | RDKafkaErrorCode::NotLeaderForPartition
            | RDKafkaErrorCode::NetworkException
            | RDKafkaErrorCode::SSL
            | RDKafkaErrorCode::CoordinatorNotAvailable
            | RDKafkaErrorCode::NotCoordinator
            | RDKafkaErrorCode::CoordinatorLoadInProgress
    )
}
