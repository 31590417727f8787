//! One replay at a time: while it runs it is the only member of the group whose offset says which letters are left.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, ClientContext, TopicPartitionList};
use runner_core::Result;
use tracing::{debug, info};

use super::retry::{CLUSTER_TIMEOUT, retry_in_outage};
use crate::shared::kafka::ClientErrors;

/// Held by a replay. The group accepts offsets from its member alone.
pub(super) struct ReplayLock {
    client: Arc<BaseConsumer<Member>>,
    is_over: Arc<AtomicBool>,
    heartbeat: Option<JoinHandle<()>>,
}

/// The context of a member that reads nothing.
#[derive(Default)]
struct Member {
    errors: ClientErrors,
    has_joined: AtomicBool,
}

/// After this time without a heartbeat the group is free again.
const SESSION: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);

impl ReplayLock {
    /// Joins the group; an error if it has another member. Blocks.
    pub(super) fn acquire(mut config: ClientConfig, group: &str, topic: &str) -> Result<ReplayLock> {
        config.set("session.timeout.ms", SESSION.as_millis().to_string());
        let client: BaseConsumer<Member> = config.create_with_context(Member::default())?;
        wait_for_others(&client, group, topic)?;
        client.subscribe(&[topic])?;
        let began = Instant::now();
        while !client.context().has_joined.load(Ordering::Acquire) {
            poll(&client);
            if began.elapsed() > CLUSTER_TIMEOUT {
                let reason = client.context().errors.last().map(|(_, reason)| reason).unwrap_or_default();
                bail!("group `{group}` could not be joined within {CLUSTER_TIMEOUT:?}: {reason}");
            }
        }
        // Two replays may have started at the same time. At least one of them sees both.
        refuse_others(&hosts(&client, group)?, group, topic, 1)?;
        let (client, is_over) = (Arc::new(client), Arc::new(AtomicBool::new(false)));
        let (member, stops) = (Arc::clone(&client), Arc::clone(&is_over));
        let beat = move || {
            while !stops.load(Ordering::Relaxed) {
                poll(&member);
            }
        };
        let heartbeat = thread::Builder::new().name("replay lock".into()).spawn(beat);
        let heartbeat = Some(heartbeat.context("a thread for the Kafka client")?);
        Ok(ReplayLock { client, is_over, heartbeat })
    }

    /// Commits offsets. Blocks.
    pub(super) fn commit(&self, offsets: &TopicPartitionList) -> KafkaResult<()> {
        let began = Instant::now();
        loop {
            match self.client.commit(offsets, CommitMode::Sync) {
                // Another replay tries to join.
                Err(error) if is_rebalancing(&error) && began.elapsed() < CLUSTER_TIMEOUT => {
                    poll(&self.client);
                }
                committed => return committed,
            }
        }
    }
}

impl Drop for ReplayLock {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        drop(self.heartbeat.take().map(JoinHandle::join));
    }
}

/// Waits as long as a replay that was killed counts as a member.
fn wait_for_others(client: &BaseConsumer<Member>, group: &str, topic: &str) -> Result<()> {
    let (began, mut is_told) = (Instant::now(), false);
    loop {
        let refused = refuse_others(&hosts(client, group)?, group, topic, 0);
        if refused.is_ok() || began.elapsed() > SESSION + Duration::from_secs(2) {
            return refused;
        }
        if !is_told {
            info!("group `{group}` has a member; waiting in case that it is a replay that was killed");
        }
        is_told = true;
        poll(client);
    }
}

/// The hosts of the members of a group.
fn hosts(client: &BaseConsumer<Member>, group: &str) -> Result<Vec<String>> {
    let list = |timeout: Duration| client.fetch_group_list(Some(group), timeout);
    let groups = retry_in_outage(CLUSTER_TIMEOUT, list, || poll(client))
        .with_context(|| format!("the members of group `{group}` could not be listed"))?;
    let members = groups.groups().iter().flat_map(|it| it.members());
    Ok(members.map(|it| it.client_host().trim_start_matches('/').to_owned()).collect())
}

fn refuse_others(hosts: &[String], group: &str, topic: &str, n_allowed: usize) -> Result<()> {
    if hosts.len() <= n_allowed {
        return Ok(());
    }
    bail!(
        "another replay delivers the letters of topic `{topic}` (group `{group}`, from {}): wait until it ends, or stop it",
        hosts.join(" and ")
    )
}

fn poll(client: &BaseConsumer<Member>) {
    if let Some(Err(error)) = client.poll(POLL) {
        debug!("as a member of the group of a replay: {error}");
    }
}

fn is_rebalancing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{IllegalGeneration, RebalanceInProgress};
    matches!(error.rdkafka_error_code(), Some(IllegalGeneration | RebalanceInProgress))
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        ClientErrors::log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.errors.record(&error, reason);
    }
}

impl ConsumerContext for Member {
    fn rebalance(&self, client: &BaseConsumer<Self>, event: RDKafkaRespErr, _: &mut TopicPartitionList) {
        let done = match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                self.has_joined.store(true, Ordering::Release);
                client.assign(&TopicPartitionList::new())
            }
            _ => client.unassign(),
        };
        if let Err(error) = done {
            debug!("the partitions of a replay: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_the_group_are_refused_by_their_hosts() {
        let hosts = ["10.0.0.1".to_owned(), "10.0.0.2".to_owned()];
        refuse_others(&hosts[..1], "g", "letters", 1).unwrap();
        let refused = refuse_others(&hosts, "g", "letters", 1).unwrap_err().to_string();
        assert!(refused.contains("from 10.0.0.1 and 10.0.0.2"), "{refused}");
    }
}
