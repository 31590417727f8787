//! `kafka`: reads topics as a member of a consumer group.

mod arena;
mod config;
mod group;
mod held;
mod places;
mod quiet;
mod reader;
mod start;
mod trouble;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use config::{Reset, Stop};
use group::Group;
use held::{Held, Outcome};
use places::Places;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use reader::Reader;
use runner_core::{
    Batch, BatchLimits, Committer, Error, Gauges, Missing, Plugin, Position, ReadError, Replay, Result,
    RetryLimits, Source, Start, async_trait,
};
use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use crate::shared::kafka::{Contact, Heard, Transactions};

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
type Client = BaseConsumer<Group>;

/// What the source was told, by its options and its surroundings.
#[derive(Clone)]
struct Settings {
    client: ClientConfig,
    bootstrap_servers: String,
    topics: Vec<String>,
    group_id: String,
    reset: Reset,
    stop: Stop,
    idle_timeout: Option<Duration>,
    /// How long a partition that is taken away waits for what is under way.
    drain: Duration,
    batch: BatchLimits,
    retry: RetryLimits,
    gauges: Arc<Gauges>,
    /// Of the sink that commits the offsets together with its records.
    transactions: Option<Arc<Transactions>>,
}

struct Kafka {
    settings: Settings,
    opened: Option<Opened>,
}

struct Opened {
    held: Arc<Held>,
    client: std::sync::Weak<Client>,
    ended: oneshot::Receiver<()>,
}

/// How long leaving the group may take; after it the group finds out by itself.
const FAREWELL: Duration = Duration::from_secs(15);

#[async_trait]
impl Source for Kafka {
    fn identity(&self) -> String {
        format!("{} of group {}", self.settings.topics.join(", "), self.settings.group_id)
    }

    fn replay(&self) -> Replay {
        Replay::External
    }

    fn join_transaction(&mut self, transaction: Arc<dyn Any + Send + Sync>) -> Result<()> {
        self.settings.join_transaction(transaction)
    }

    async fn open(&mut self, start: &Start) -> Result<()> {
        let (settings, from_start) = (self.settings.clone(), start.from_start);
        let held = Arc::new(Held::default());
        let group = Group::new(&settings, Arc::clone(&held));
        let joined = tokio::task::spawn_blocking(move || settings.join(group, from_start)).await?;
        let client = Arc::new(joined?);
        let weak = Arc::downgrade(&client);
        let (end, ended) = oneshot::channel();
        let reader = Reader::new(self.settings.clone(), client, Arc::clone(&held));
        let watch = Watch(Arc::clone(&held));
        std::thread::Builder::new().name("kafka source".into()).spawn(move || {
            let _watch = watch;
            reader.run();
            // Nobody waits any more if the source was dropped unclosed.
            let _ = end.send(());
        })?;
        self.opened = Some(Opened { held, client: weak, ended });
        Ok(())
    }

    fn committer(&mut self) -> Option<Box<dyn Committer>> {
        let opened = self.opened.as_ref()?;
        let (held, client) = (Arc::clone(&opened.held), opened.client.clone());
        Some(match self.settings.transactions.clone() {
            Some(transactions) => Box::new(Transacted { held, transactions }),
            None => Box::new(Offsets { held, client }),
        })
    }

    async fn next(&mut self) -> Result<Option<Batch>, ReadError> {
        let opened = self.opened.as_ref().ok_or_else(|| anyhow::anyhow!("the source is not open"))?;
        match opened.held.next().await {
            Outcome::Batch(batch) => Ok(Some(batch)),
            Outcome::End => Ok(None),
            Outcome::Trouble(error) => Err(error),
        }
    }

    async fn close(&mut self) -> Result<()> {
        let Some(mut opened) = self.opened.take() else { return Ok(()) };
        if let Some(transactions) = &self.settings.transactions {
            transactions.close().await;
        }
        opened.held.close();
        if tokio::time::timeout(FAREWELL, &mut opened.ended).await.is_err() {
            let group = &self.settings.group_id;
            warn!("could not leave group `{group}` in time; what was not committed is read again");
        }
        Ok(())
    }
}

/// Tells the engine if the thread that reads breaks off: it would wait for ever.
struct Watch(Arc<Held>);

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = anyhow::anyhow!("the thread that reads has broken off; this is a bug in the plugin");
            self.0.fail(ReadError::Fatal(error));
        }
    }
}

/// Has transactions hold the offsets of what has been delivered.
struct Transacted {
    held: Arc<Held>,
    transactions: Arc<Transactions>,
}

#[async_trait]
impl Committer for Transacted {
    async fn commit(&mut self, position: &Position) -> Result<()> {
        let places = Places::read(position)?;
        let (offsets, member) = self.held.fresh(&places).ok_or_else(held::taken_away)?;
        if offsets.count() > 0 {
            self.transactions.commit(offsets, member).await?;
            self.held.store(&places, |_| Ok(()));
        }
        Ok(())
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.held.close();
    }
}

impl Settings {
    /// Makes contact, checks the topics and joins the group. Blocks.
    fn join(&self, group: Group, from_start: bool) -> Result<Client> {
        let heard = group.heard();
        let client: Client = self.client.create_with_context(group)?;
        let contact = self.contact(&client, &heard);
        let mut beginnings = TopicPartitionList::new();
        for topic in &self.topics {
            let partitions = contact.partitions(topic)?.ok_or_else(|| {
                Missing(format!(
                    "topic `{topic}` does not exist in the cluster at {}; waiting for whoever creates it, \
                     which a pipeline with a `kafka` sink does when it starts",
                    self.bootstrap_servers
                ))
            })?;
            for partition in partitions {
                beginnings.add_partition_offset(topic, partition, Offset::Invalid)?;
            }
        }
        client.context().knows(&beginnings);
        if from_start {
            self.go_back(&client, beginnings)?;
        }
        heard.made_contact();
        let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        client.subscribe(&topics)?;
        Ok(client)
    }

    /// Joins the transactions of a sink, if it is a `kafka` sink of this cluster.
    fn join_transaction(&mut self, transaction: Arc<dyn Any + Send + Sync>) -> Result<()> {
        let Ok(transactions) = transaction.downcast::<Transactions>() else {
            anyhow::bail!("its offsets can only be part of the transactions of a `kafka` sink");
        };
        let servers = |list: &str| {
            let mut servers: Vec<String> = list.split(',').map(|server| server.trim().to_owned()).collect();
            servers.sort();
            servers
        };
        if servers(&self.bootstrap_servers) != servers(&transactions.bootstrap_servers) {
            anyhow::bail!(
                "it reads from {} and the sink writes to {}: offsets and records can only be committed together \
                 in one cluster, with the same `bootstrap_servers`",
                self.bootstrap_servers,
                transactions.bootstrap_servers
            );
        }
        if self.client.get("isolation.level").is_some_and(|level| level != "read_committed") {
            anyhow::bail!(
                "its `librdkafka_options` have it read what is not committed, which may vanish after it was copied: \
                 remove `isolation.level`"
            );
        }
        self.client.set("enable.auto.commit", "false");
        // What is not committed in time ends the run, so there is more time; the group waits for so long.
        let poll = self.client.get("max.poll.interval.ms").and_then(|millis| millis.parse().ok());
        self.drain = Duration::from_millis(poll.unwrap_or(300_000)) / 5;
        self.transactions = Some(transactions);
        Ok(())
    }

    fn contact<'a>(&'a self, client: &'a Client, heard: &'a Heard) -> Contact<'a, Group> {
        let timeout = Contact::<Group>::timeout(&self.retry);
        Contact { client, heard, bootstrap_servers: &self.bootstrap_servers, timeout }
    }

    /// Commits the earliest offsets for the group, which must have no members
    /// at the moment: what they are about to commit would undo it.
    fn go_back(&self, client: &Client, partitions: TopicPartitionList) -> Result<()> {
        let timeout = Contact::<Group>::timeout(&self.retry);
        let mut beginnings = TopicPartitionList::new();
        for it in partitions.elements() {
            let (low, _) = client.fetch_watermarks(it.topic(), it.partition(), timeout)?;
            beginnings.add_partition_offset(it.topic(), it.partition(), Offset::Offset(low))?;
        }
        let group = &self.group_id;
        client.commit(&beginnings, CommitMode::Sync).map_err(|error| match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::UnknownMemberId
                | RDKafkaErrorCode::IllegalGeneration
                | RDKafkaErrorCode::RebalanceInProgress,
            ) => anyhow::anyhow!(
                "group `{group}` cannot go back to the start while other members read: stop them first"
            ),
            _ => Error::new(error).context(format!("taking group `{group}` back to the earliest offsets")),
        })?;
        info!("group `{group}` goes back to the earliest offsets");
        Ok(())
    }
}

/// Stores the offsets of what has been delivered; the client commits them once
/// a second, and when it gives partitions away or leaves.
struct Offsets {
    held: Arc<Held>,
    client: std::sync::Weak<Client>,
}

#[async_trait]
impl Committer for Offsets {
    async fn commit(&mut self, position: &Position) -> Result<()> {
        let places = Places::read(position)?;
        let Some(client) = self.client.upgrade() else { return Ok(()) };
        let stored = self.held.store(&places, |list| client.store_offsets(list));
        if !stored {
            debug!("an acknowledgement came too late: its partitions have been given away");
        }
        Ok(())
    }
}
