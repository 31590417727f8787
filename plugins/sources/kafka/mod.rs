//! `kafka`: reads topics as a member of a consumer group.
//!
//! A [`reader::Reader`] on a thread of its own polls the client library, which calls [`group::GroupContext`] when the group
//! rebalances. Both share an [`assignment::Assignment`] with the engine, which takes the batches and acks their records.
//!
//! - [`config`]: the options, and the topics that they name.
//! - [`assignment`]: the assigned partitions, their batches, and the positions in them.
//! - [`group`]: rebalances, and the offsets at which reading starts.
//! - [`recreated`]: topics that were deleted and created again.
//! - [`reader`]: the thread, its regular checks, and what errors mean.

mod assignment;
mod config;
mod group;
mod reader;
mod recreated;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::Context as _;
use assignment::{Assignment, Offsets};
use config::{Reset, Stop, Topics};
use group::GroupContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use reader::Reader;
use runner_core::{
    BatchLimits, Committer, Error, Failure, Gauges, Next, Plugin, Position, Replay, Result, RetryLimits,
    Source, Start, TransactionalSource, Written, async_trait,
};
use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use crate::shared::kafka::{Probe, SYSTEM, Transactions, request_timeout, servers_of};

runner_core::register! {
    Plugin::source::<config::KafkaSourceConfig>("kafka").example(
        r#"type = "kafka"
bootstrap_servers = "127.0.0.1:9092"
topics = ["stock_market"]
group_id = "stock-market-lake"
"#,
    )
}

/// The consumer of this source.
type Client = BaseConsumer<GroupContext>;

/// The options of the source and of its pipeline.
#[derive(Clone)]
struct Settings {
    client: ClientConfig,
    bootstrap_servers: String,
    topics: Topics,
    group_id: String,
    reset: Reset,
    /// The time of the first record to read, in milliseconds since 1970; replaces `reset`.
    start: Option<i64>,
    /// How often new topics that match a pattern are looked for.
    refresh: Duration,
    stop: Stop,
    idle_timeout: Option<Duration>,
    /// How long a partition that is revoked waits for its records in flight.
    drain: Duration,
    batch: BatchLimits,
    retry: RetryLimits,
    gauges: Arc<Gauges>,
    /// The transactions of the sink, which commit the offsets together with the records.
    transactions: Option<Arc<Transactions>>,
    /// Set for a dry run: the source reads all partitions, does not join the group and commits nothing.
    dry_run: Option<DryRun>,
}

/// How a dry run reads.
#[derive(Clone, Copy, Default)]
struct DryRun {
    /// Whether the offsets of the group are ignored.
    from_start: bool,
}

struct Kafka {
    settings: Settings,
    opened: Option<Connection>,
}

struct Connection {
    assignment: Arc<Assignment>,
    client: Weak<Client>,
    ended: oneshot::Receiver<()>,
}

/// How long a request to the cluster may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The debug context in which librdkafka logs the ids of topics.
const DEBUG_TOPIC_IDS: &str = "metadata";
/// How long leaving the group may take; after it the group waits for the session timeout.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(15);

#[async_trait]
impl Source for Kafka {
    fn identity(&self) -> String {
        format!("{} of group {}", self.settings.topics, self.settings.group_id)
    }

    fn replay(&self) -> Replay {
        Replay::External
    }

    fn transactional(&mut self) -> Option<&mut dyn TransactionalSource> {
        Some(&mut self.settings)
    }

    fn reads(&self, written: &Written) -> Option<String> {
        let servers = servers_of(&self.settings.bootstrap_servers);
        let is_same = written.system == SYSTEM && servers.iter().any(|it| written.servers.contains(it));
        let entry = is_same.then(|| self.settings.topics.reading(&written.names))??;
        Some(format!("`topics` contains `{entry}`"))
    }

    fn set_dry_run(&mut self) {
        self.settings.dry_run = Some(DryRun::default());
        self.settings.client.set("enable.auto.commit", "false");
    }

    async fn open(&mut self, start: &Start) -> Result<(), Failure> {
        let from_start = start.from_start;
        if let Some(dry_run) = &mut self.settings.dry_run {
            dry_run.from_start = from_start;
        }
        let settings = self.settings.clone();
        let assignment = Arc::new(Assignment::default());
        let context = GroupContext::new(&settings, Arc::clone(&assignment));
        let joining = tokio::task::spawn_blocking(move || settings.connect(context, from_start));
        let (client, topics) = joining.await.context("joining the group")??;
        let client = Arc::new(client);
        let weak = Arc::downgrade(&client);
        let (end, ended) = oneshot::channel();
        let reader = Reader::new(self.settings.clone(), client, Arc::clone(&assignment), topics);
        let shared = Arc::clone(&assignment);
        std::thread::Builder::new()
            .name("kafka source".into())
            .spawn(move || {
                // Without an error the engine would wait for a batch without an end.
                if catch_unwind(AssertUnwindSafe(|| reader.run())).is_err() {
                    let error =
                        anyhow::anyhow!("the reader thread has panicked; this is a bug in the plugin");
                    shared.fail(Failure::fatal(error));
                }
                // The receiver is gone if the source was dropped without `close`.
                let _ = end.send(());
            })
            .context("starting the reader thread")?;
        self.opened = Some(Connection { assignment, client: weak, ended });
        Ok(())
    }

    fn committer(&mut self) -> Option<Box<dyn Committer>> {
        let opened = self.opened.as_ref()?;
        let (assignment, client) = (Arc::clone(&opened.assignment), opened.client.clone());
        Some(match self.settings.transactions.clone() {
            Some(transactions) => Box::new(TransactionCommitter { assignment, transactions }),
            None => Box::new(OffsetCommitter { assignment, client }),
        })
    }

    async fn next(&mut self) -> Result<Next, Failure> {
        let opened = self.opened.as_ref().context("the source is not open")?;
        opened.assignment.next().await
    }

    async fn close(&mut self) -> Result<()> {
        let Some(mut opened) = self.opened.take() else { return Ok(()) };
        if let Some(transactions) = &self.settings.transactions {
            transactions.close().await;
        }
        opened.assignment.close();
        if tokio::time::timeout(LEAVE_TIMEOUT, &mut opened.ended).await.is_err() {
            let group = &self.settings.group_id;
            warn!("could not leave group `{group}` in time; what was not committed is read again");
        }
        opened.assignment.last_error()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.assignment.close();
    }
}

/// Stores the offsets of delivered records. The client commits them once a second,
/// when partitions are revoked, and when it leaves the group.
struct OffsetCommitter {
    assignment: Arc<Assignment>,
    client: Weak<Client>,
}

#[async_trait]
impl Committer for OffsetCommitter {
    async fn commit(&mut self, position: &Position) -> Result<()> {
        let offsets = Offsets::from_position(position)?;
        let Some(client) = self.client.upgrade() else { return Ok(()) };
        if !self.assignment.store(offsets, |list| client.store_offsets(list)) {
            debug!("ignored an ack of partitions that have been revoked");
        }
        Ok(())
    }
}

/// Adds the offsets of delivered records to transactions.
struct TransactionCommitter {
    assignment: Arc<Assignment>,
    transactions: Arc<Transactions>,
}

#[async_trait]
impl Committer for TransactionCommitter {
    async fn commit(&mut self, position: &Position) -> Result<()> {
        let offsets = Offsets::from_position(position)?;
        let (list, member) =
            self.assignment.unstored(offsets).ok_or_else(assignment::revoked_in_transaction)?;
        if list.count() > 0 {
            self.transactions.commit(list, member).await?;
            self.assignment.store(offsets, |_| Ok(()));
        }
        Ok(())
    }
}

impl Settings {
    /// Connects, checks the topics and joins the group; returns the topics too. A dry run takes all partitions and does
    /// not join. Blocks.
    fn connect(&self, context: GroupContext, from_start: bool) -> Result<(Client, Vec<String>)> {
        let client: Client = self.client.create_with_context(context)?;
        let errors = &client.context().errors;
        let timeout = request_timeout(self.retry.connect);
        let probe = Probe { client: &client, errors, bootstrap_servers: &self.bootstrap_servers, timeout };
        let mut partitions = TopicPartitionList::new();
        let topics = if self.topics.has_patterns() {
            self.topics.find(&client, timeout).map_err(|error| probe.unreachable(error))?
        } else {
            self.topics.find(&client, timeout)?
        };
        if topics.is_empty() {
            return Err(Failure::transient(anyhow::anyhow!(
                "no topic in the cluster at {} matches {}; waiting until one is created",
                self.bootstrap_servers,
                self.topics
            ))
            .into());
        }
        for topic in &topics {
            let found = probe.partitions(topic)?.ok_or_else(|| {
                Failure::transient(anyhow::anyhow!(
                    "topic `{topic}` does not exist in the cluster at {}; waiting until it is created, for \
                     example by a pipeline with a `kafka` sink",
                    self.bootstrap_servers
                ))
            })?;
            for partition in found {
                partitions.add_partition_offset(topic, partition, Offset::Invalid)?;
            }
        }
        client.context().start_offsets.set_known(&partitions);
        if self.dry_run.is_some() {
            errors.set_connected();
            client.context().assign(&client, &partitions)?;
            return Ok((client, topics));
        }
        if from_start {
            self.reset_to_earliest(&client, &partitions)?;
        }
        errors.set_connected();
        client.subscribe(&topics.iter().map(String::as_str).collect::<Vec<_>>())?;
        Ok((client, topics))
    }

    /// Commits the earliest offsets for the group. It must not have members, whose next
    /// commit would overwrite these offsets.
    fn reset_to_earliest(&self, client: &Client, partitions: &TopicPartitionList) -> Result<()> {
        let mut earliest = TopicPartitionList::new();
        for it in partitions.elements() {
            let timeout = request_timeout(self.retry.connect);
            let (low, _) = client.fetch_watermarks(it.topic(), it.partition(), timeout)?;
            earliest.add_partition_offset(it.topic(), it.partition(), Offset::Offset(low))?;
        }
        let group = &self.group_id;
        client.commit(&earliest, CommitMode::Sync).map_err(|error| match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::UnknownMemberId
                | RDKafkaErrorCode::IllegalGeneration
                | RDKafkaErrorCode::RebalanceInProgress,
            ) => anyhow::anyhow!(
                "group `{group}` cannot be reset to the start while it has other members: stop them first"
            ),
            _ => Error::new(error).context(format!("resetting group `{group}` to the earliest offsets")),
        })?;
        info!("group `{group}` is reset to the earliest offsets");
        Ok(())
    }
}

impl TransactionalSource for Settings {
    /// Joins the transactions of a sink, if it is a `kafka` sink of this cluster.
    fn join(&mut self, handle: Arc<dyn Any + Send + Sync>) -> Result<()> {
        let Ok(transactions) = handle.downcast::<Transactions>() else {
            anyhow::bail!("its offsets can only be part of the transactions of a `kafka` sink");
        };
        if servers_of(&self.bootstrap_servers) != servers_of(&transactions.bootstrap_servers) {
            anyhow::bail!(
                "it reads from {} and the sink writes to {}: offsets and records can only be committed together \
                 in one cluster, with the same `bootstrap_servers`",
                self.bootstrap_servers,
                transactions.bootstrap_servers
            );
        }
        if self.client.get("isolation.level").is_some_and(|level| level != "read_committed") {
            anyhow::bail!(
                "its `librdkafka_options` make it read records that are not committed and may be aborted: \
                 remove `isolation.level`"
            );
        }
        self.client.set("enable.auto.commit", "false");
        // Records that are not committed in time end the run, so the drain takes longer than without transactions.
        let poll = self.client.get("max.poll.interval.ms").and_then(|millis| millis.parse().ok());
        self.drain = Duration::from_millis(poll.unwrap_or(300_000)) / 5;
        self.transactions = Some(transactions);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
