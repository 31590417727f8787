//! All that the broker stores: topics, committed offsets and transactions.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{GroupId, TopicName, TransactionalId};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use uuid::Uuid;

use super::log::Log;
use super::transactions::Transaction;

pub(super) type Result<T> = std::result::Result<T, ResponseError>;
/// A partition: the name of its topic and its number.
pub(super) type Partition = (TopicName, i32);

/// The state of the broker. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Store {
    pub(super) address: SocketAddr,
    state: Arc<Mutex<State>>,
    produced: Arc<Notify>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) topics: BTreeMap<TopicName, Topic>,
    /// The committed offsets of each group.
    pub(super) offsets: BTreeMap<GroupId, BTreeMap<Partition, i64>>,
    pub(super) transactions: BTreeMap<TransactionalId, Transaction>,
    pub(super) last_producer: i64,
}

#[derive(Debug)]
pub(super) struct Topic {
    pub(super) id: Uuid,
    pub(super) partitions: Vec<Log>,
    /// The options that were set; the broker only stores them.
    pub(super) options: BTreeMap<String, String>,
}

impl Store {
    pub(super) fn new(address: SocketAddr) -> Store {
        Store { address, state: Arc::default(), produced: Arc::default() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Completes when there is something new to read.
    pub(super) fn produced(&self) -> Notified<'_> {
        self.produced.notified()
    }

    /// Wakes requests that wait for records.
    pub(super) fn wake_readers(&self) {
        self.produced.notify_waiters();
    }
}

impl State {
    pub(super) fn log(&mut self, topic: &TopicName, partition: i32) -> Result<&mut Log> {
        let topic = self.topics.get_mut(topic).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let log = usize::try_from(partition).ok().and_then(|partition| topic.partitions.get_mut(partition));
        log.ok_or(ResponseError::UnknownTopicOrPartition)
    }

    /// Commits an offset of a group.
    pub(super) fn commit(&mut self, group: &GroupId, partition: Partition, offset: i64) -> Result<()> {
        self.log(&partition.0, partition.1)?;
        self.offsets.entry(group.clone()).or_default().insert(partition, offset);
        Ok(())
    }
}

/// The error code of a response; 0 is success.
pub(super) fn code<T>(result: &Result<T>) -> i16 {
    result.as_ref().err().map_or(0, ResponseError::code)
}
