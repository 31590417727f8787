//! Storing records.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse, TransactionalId};

use super::batch::Batch;
use super::store::{Partition, Result, State, Store};

impl Store {
    pub(super) fn produce(&self, ask: ProduceRequest) -> ProduceResponse {
        let mut state = self.lock();
        let transaction = ask.transactional_id;
        let responses = ask.topic_data.into_iter().map(|topic| {
            let stored = |data: PartitionProduceData| {
                let partition = (topic.name.clone(), data.index);
                let response = PartitionProduceResponse::default().with_index(data.index);
                match state.produce(transaction.as_ref(), &partition, data.records.unwrap_or_default()) {
                    Ok(offset) => response.with_base_offset(offset).with_log_start_offset(0),
                    Err(error) => response.with_error_code(error.code()).with_base_offset(-1),
                }
            };
            let partitions = topic.partition_data.into_iter().map(stored).collect();
            TopicProduceResponse::default().with_name(topic.name).with_partition_responses(partitions)
        });
        let responses = responses.collect();
        drop(state);
        self.wake_readers();
        ProduceResponse::default().with_responses(responses)
    }
}

impl State {
    /// Returns the offset of the first record.
    fn produce(
        &mut self,
        id: Option<&TransactionalId>,
        partition: &Partition,
        records: Bytes,
    ) -> Result<i64> {
        let batches = Batch::split(records)?;
        for batch in batches.iter().filter(|batch| batch.is_transactional()) {
            let id = id.ok_or(ResponseError::InvalidTxnState)?;
            if !self.transaction(id, (batch.producer(), batch.epoch()))?.contains(partition) {
                return Err(ResponseError::InvalidTxnState);
            }
        }
        let log = self.log(&partition.0, partition.1)?;
        let mut first = None;
        for batch in batches {
            let offset = log.append(batch)?;
            first.get_or_insert(offset);
        }
        first.ok_or(ResponseError::InvalidRecord)
    }
}
