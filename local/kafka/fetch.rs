//! Reading records, and finding offsets.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{
    FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse, ProducerId, TopicName,
};
use tokio::time::{Instant, timeout_at};

use super::log::Log;
use super::store::{Result, State, Store};

/// The largest response, in bytes; a single batch may be larger.
const MAX_RESPONSE: usize = 16 * 1024 * 1024;
/// The isolation level `read_committed`.
const READ_COMMITTED: i8 = 1;
/// Requests of the last and the first offset have these instead of a time.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

impl Store {
    /// Responds as soon as there are enough records, at the latest after the timeout of the client.
    pub(super) async fn fetch(&self, ask: FetchRequest) -> FetchResponse {
        let deadline = Instant::now() + Duration::from_millis(u64::try_from(ask.max_wait_ms).unwrap_or(0));
        loop {
            // Subscribed before reading, so that records that are stored in between are not missed.
            let produced = self.produced();
            let mut produced = std::pin::pin!(produced);
            produced.as_mut().enable();

            let read = Read::of(&ask, &mut self.lock());
            let is_enough = read.n_bytes >= usize::try_from(ask.min_bytes).unwrap_or(0);
            if is_enough || read.has_failed || timeout_at(deadline, produced).await.is_err() {
                // No fetch sessions: every request names all its partitions.
                return FetchResponse::default().with_responses(read.topics);
            }
        }
    }

    pub(super) fn list_offsets(&self, ask: ListOffsetsRequest) -> ListOffsetsResponse {
        let mut state = self.lock();
        state.abort_expired();
        let topics = ask.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|it| {
                let response =
                    ListOffsetsPartitionResponse::default().with_partition_index(it.partition_index);
                let log = state.log(&topic.name, it.partition_index);
                match log.map(|log| find(log, it.timestamp, ask.isolation_level)) {
                    Ok((offset, timestamp)) => response.with_offset(offset).with_timestamp(timestamp),
                    Err(error) => response.with_error_code(error.code()),
                }
            });
            let partitions = partitions.collect();
            ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions)
        });
        ListOffsetsResponse::default().with_topics(topics.collect())
    }
}

/// An offset and its timestamp, or -1 for none.
fn find(log: &Log, timestamp: i64, isolation: i8) -> (i64, i64) {
    match timestamp {
        EARLIEST => (0, -1),
        LATEST => (readable_end(log, isolation), -1),
        // No record is that late: clients read -1 as the end.
        timestamp => log.since(timestamp).unwrap_or((-1, -1)),
    }
}

/// The offset after the last record that a consumer of this isolation level may read.
fn readable_end(log: &Log, isolation: i8) -> i64 {
    if isolation == READ_COMMITTED { log.last_stable() } else { log.end() }
}

/// The records for one request.
struct Read {
    isolation: i8,
    room: usize,
    n_bytes: usize,
    /// Whether a partition has an error, which is sent without waiting.
    has_failed: bool,
    topics: Vec<FetchableTopicResponse>,
}

impl Read {
    fn of(ask: &FetchRequest, state: &mut State) -> Read {
        state.abort_expired();
        let room = usize::try_from(ask.max_bytes).unwrap_or(MAX_RESPONSE).min(MAX_RESPONSE);
        let isolation = ask.isolation_level;
        let mut read = Read { isolation, room, n_bytes: 0, has_failed: false, topics: Vec::new() };
        for topic in &ask.topics {
            let partitions =
                topic.partitions.iter().map(|it| read.partition(state, &topic.topic, it)).collect();
            let response = FetchableTopicResponse::default().with_topic(topic.topic.clone());
            read.topics.push(response.with_partitions(partitions));
        }
        read
    }

    fn partition(&mut self, state: &mut State, topic: &TopicName, ask: &FetchPartition) -> PartitionData {
        let data = PartitionData::default().with_partition_index(ask.partition);
        let log = state.log(topic, ask.partition);
        match log.and_then(|log| self.records(log, ask).map(|read| (log, read))) {
            Ok((log, (records, aborted))) => data
                .with_high_watermark(log.end())
                .with_last_stable_offset(log.last_stable())
                .with_log_start_offset(0)
                .with_aborted_transactions(Some(aborted))
                .with_records(Some(records)),
            Err(error) => {
                self.has_failed = true;
                data.with_error_code(error.code()).with_high_watermark(-1)
            }
        }
    }

    fn records(&mut self, log: &Log, ask: &FetchPartition) -> Result<(Bytes, Vec<AbortedTransaction>)> {
        if !(0..=log.end()).contains(&ask.fetch_offset) {
            return Err(ResponseError::OffsetOutOfRange);
        }
        let max_bytes = usize::try_from(ask.partition_max_bytes).unwrap_or(0);
        let room = self.room.saturating_sub(self.n_bytes).min(max_bytes);
        // A batch that is larger than the limit is still sent alone, or its consumer could never continue.
        if room == 0 && self.n_bytes > 0 {
            return Ok((Bytes::new(), Vec::new()));
        }
        let (records, aborted) = log.read(ask.fetch_offset, readable_end(log, self.isolation), room);
        self.n_bytes += records.len();
        let is_committed = self.isolation == READ_COMMITTED;
        let aborted = aborted.into_iter().filter(|_| is_committed).map(|it| {
            AbortedTransaction::default()
                .with_producer_id(ProducerId(it.producer))
                .with_first_offset(it.first)
        });
        Ok((records, aborted.collect()))
    }
}
