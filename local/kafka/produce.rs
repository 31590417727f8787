//! Storing records.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest};
use kafka_protocol::messages::produce_response::{
    PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{TopicName, TransactionalId};

use super::batch::Batch;
use super::store::{State, Store};

impl Store {
    pub(super) fn produce(&self, ask: ProduceRequest) -> ProduceResponse {
        let mut state = self.lock();
        let transaction = ask.transactional_id;
        let responses = ask.topic_data.into_iter().map(|topic| {
            let stored = |data: PartitionProduceData| {
                let records = data.records.unwrap_or_default();
                let response = PartitionProduceResponse::default().with_index(data.index);
                match state.produce(transaction.as_ref(), &topic.name, data.index, records) {
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
        transaction: Option<&TransactionalId>,
        topic: &TopicName,
        partition: i32,
        records: Bytes,
    ) -> Result<i64, ResponseError> {
        let batches = Batch::split(records)?;
        for batch in batches.iter().filter(|batch| batch.is_transactional()) {
            let id = transaction.ok_or(ResponseError::InvalidTxnState)?;
            let open = self.transaction(id, batch.producer(), batch.epoch())?;
            if !open.contains(&(topic.clone(), partition)) {
                return Err(ResponseError::InvalidTxnState);
            }
        }
        let log = self.log(topic, partition)?;
        let mut first = None;
        for batch in batches {
            let offset = log.append(batch)?;
            first.get_or_insert(offset);
        }
        first.ok_or(ResponseError::InvalidRecord)
    }
}
