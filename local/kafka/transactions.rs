//! Producers with an id, and their transactions.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    EndTxnRequest, EndTxnResponse, GroupId, InitProducerIdRequest, InitProducerIdResponse, ProducerId,
    TopicName, TransactionalId, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use tokio::time::Instant;

use super::batch::Batch;
use super::store::{Partition, Result, State, Store, code};

/// A producer: its id and its epoch.
type Producer = (i64, i16);

/// A producer with a transactional id, and what its open transaction contains.
#[derive(Debug)]
pub(super) struct Transaction {
    producer: Producer,
    timeout: Duration,
    /// When the open transaction is aborted; `None` if none is open.
    until: Option<Instant>,
    partitions: BTreeSet<Partition>,
    /// Offsets that are committed with it.
    offsets: Vec<(GroupId, Partition, i64)>,
}

impl Transaction {
    pub(super) fn contains(&self, partition: &Partition) -> bool {
        self.partitions.contains(partition)
    }

    /// Leaves out a topic that was deleted.
    pub(super) fn forget(&mut self, topic: &TopicName) {
        self.partitions.retain(|(name, _)| name != topic);
        self.offsets.retain(|(_, (name, _), _)| name != topic);
    }

    /// Opens a transaction unless one is open.
    fn begin(&mut self) {
        self.until.get_or_insert_with(|| Instant::now() + self.timeout);
    }
}

impl Store {
    pub(super) fn init_producer(&self, ask: InitProducerIdRequest) -> InitProducerIdResponse {
        let response = InitProducerIdResponse::default();
        match self.lock().init_producer(ask) {
            Ok((id, epoch)) => response.with_producer_id(ProducerId(id)).with_producer_epoch(epoch),
            Err(error) => response.with_error_code(error.code()).with_producer_id(ProducerId(-1)),
        }
    }

    pub(super) fn add_partitions(&self, ask: AddPartitionsToTxnRequest) -> AddPartitionsToTxnResponse {
        let mut state = self.lock();
        let id = &ask.v3_and_below_transactional_id;
        let producer = (ask.v3_and_below_producer_id.0, ask.v3_and_below_producer_epoch);
        let topics = ask.v3_and_below_topics.into_iter().map(|topic| {
            let results = topic.partitions.iter().map(|&partition| {
                let added = state.add_partition(id, producer, (topic.name.clone(), partition));
                AddPartitionsToTxnPartitionResult::default()
                    .with_partition_index(partition)
                    .with_partition_error_code(code(&added))
            });
            let results = results.collect();
            AddPartitionsToTxnTopicResult::default().with_name(topic.name).with_results_by_partition(results)
        });
        AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(topics.collect())
    }

    pub(super) fn add_group(&self, ask: &AddOffsetsToTxnRequest) -> AddOffsetsToTxnResponse {
        let mut state = self.lock();
        let open = state.transaction(&ask.transactional_id, (ask.producer_id.0, ask.producer_epoch));
        let added = open.map(Transaction::begin);
        AddOffsetsToTxnResponse::default().with_error_code(code(&added))
    }

    /// Keeps offsets until the transaction ends. `allowed` is whether the group accepts them from this member.
    pub(super) fn add_offsets(
        &self,
        ask: TxnOffsetCommitRequest,
        allowed: Result<()>,
    ) -> TxnOffsetCommitResponse {
        let mut state = self.lock();
        let producer = (ask.producer_id.0, ask.producer_epoch);
        let topics = ask.topics.into_iter().map(|topic| {
            let results = topic.partitions.iter().map(|it| {
                let added = allowed.and_then(|()| {
                    let open = state.transaction(&ask.transactional_id, producer)?;
                    let partition = (topic.name.clone(), it.partition_index);
                    open.offsets.push((ask.group_id.clone(), partition, it.committed_offset));
                    Ok(())
                });
                TxnOffsetCommitResponsePartition::default()
                    .with_partition_index(it.partition_index)
                    .with_error_code(code(&added))
            });
            let results = results.collect();
            TxnOffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(results)
        });
        TxnOffsetCommitResponse::default().with_topics(topics.collect())
    }

    pub(super) fn end_transaction(&self, ask: &EndTxnRequest) -> EndTxnResponse {
        let mut state = self.lock();
        let id = &ask.transactional_id;
        let found = state.transaction(id, (ask.producer_id.0, ask.producer_epoch)).map(|_| ());
        let ended = found.and_then(|()| state.end(id, ask.committed));
        drop(state);
        self.wake_readers();
        EndTxnResponse::default().with_error_code(code(&ended))
    }
}

impl State {
    /// The id and epoch of a producer. A new producer with a transactional id ends the transaction of the one before.
    fn init_producer(&mut self, ask: InitProducerIdRequest) -> Result<Producer> {
        let Some(id) = ask.transactional_id else { return Ok(self.new_producer()) };
        let producer = match self.transactions.get(&id).map(|known| known.producer) {
            Some(known) if ask.producer_id.0 >= 0 && known != (ask.producer_id.0, ask.producer_epoch) => {
                return Err(ResponseError::ProducerFenced);
            }
            Some((producer, epoch)) => {
                self.end(&id, false)?;
                epoch.checked_add(1).map_or_else(|| self.new_producer(), |next| (producer, next))
            }
            None => self.new_producer(),
        };
        let timeout = Duration::from_millis(u64::try_from(ask.transaction_timeout_ms).unwrap_or(0));
        let (partitions, offsets) = (BTreeSet::new(), Vec::new());
        let transaction = Transaction { producer, timeout, until: None, partitions, offsets };
        self.transactions.insert(id, transaction);
        Ok(producer)
    }

    fn new_producer(&mut self) -> Producer {
        self.last_producer += 1;
        (self.last_producer, 0)
    }

    /// The transaction of a producer, unless another producer has taken its place.
    pub(super) fn transaction(&mut self, id: &TransactionalId, of: Producer) -> Result<&mut Transaction> {
        let known = self.transactions.get_mut(id).filter(|known| known.producer.0 == of.0);
        let known = known.ok_or(ResponseError::InvalidProducerIdMapping)?;
        if known.producer == of { Ok(known) } else { Err(ResponseError::InvalidProducerEpoch) }
    }

    fn add_partition(&mut self, id: &TransactionalId, of: Producer, partition: Partition) -> Result<()> {
        self.log(&partition.0, partition.1)?;
        let transaction = self.transaction(id, of)?;
        transaction.begin();
        transaction.partitions.insert(partition);
        Ok(())
    }

    /// Writes the markers of a transaction and commits its offsets, or drops them.
    fn end(&mut self, id: &TransactionalId, is_committed: bool) -> Result<()> {
        let Some(open) = self.transactions.get_mut(id) else { return Ok(()) };
        open.until = None;
        let (producer, epoch) = open.producer;
        let (partitions, offsets) = (std::mem::take(&mut open.partitions), std::mem::take(&mut open.offsets));
        let marker = Batch::marker(producer, epoch, is_committed, now())
            .map_err(|_| ResponseError::UnknownServerError)?;
        for (topic, partition) in partitions {
            self.log(&topic, partition)?.end_transaction(producer, marker.clone(), is_committed);
        }
        for (group, partition, offset) in offsets.into_iter().filter(|_| is_committed) {
            self.commit(&group, partition, offset)?;
        }
        Ok(())
    }

    /// Aborts transactions whose producers did not end them in time; they cannot continue.
    pub(super) fn abort_expired(&mut self) {
        let now = Instant::now();
        let is_expired = |it: &Transaction| it.until.is_some_and(|until| until <= now);
        let expired: Vec<_> =
            self.transactions.iter().filter(|(_, it)| is_expired(it)).map(|(id, _)| id.clone()).collect();
        for id in expired {
            if let Err(error) = self.end(&id, false) {
                tracing::warn!(%error, "aborting an expired transaction");
            }
            if let Some(known) = self.transactions.get_mut(&id) {
                known.producer.1 = known.producer.1.saturating_add(1);
            }
        }
    }
}

/// Milliseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
