//! Fetching: a consumer's request for records, which waits until there are some.
//!
//! tansu's own service waits for half of the client's timeout even when it has records, and skips
//! small batches after a fetch from inside a batch.

use std::time::Duration;

use tansu_sans_io::fetch_request::{FetchPartition, FetchTopic};
use tansu_sans_io::fetch_response::{FetchableTopicResponse, PartitionData};
use tansu_sans_io::record::deflated::Frame;
use tansu_sans_io::{ErrorCode, FetchRequest, FetchResponse, IsolationLevel};
use tansu_storage::{Error, Storage as _, Topition};
use tokio::time::{Instant, timeout_at};

use super::storage::Storage;

/// The largest answer, in bytes; a single batch may be larger.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Answers as soon as there are enough records, at the latest after the client's timeout.
pub(super) async fn answer(storage: &Storage, ask: FetchRequest) -> Result<FetchResponse, Error> {
    let deadline = Instant::now() + Duration::from_millis(u64::try_from(ask.max_wait_ms).unwrap_or(0));
    loop {
        // Subscribed before reading, so that records that are stored in between are not missed.
        let produced = storage.produced();
        let mut produced = std::pin::pin!(produced);
        produced.as_mut().enable();

        let mut answer = Answer::new(&ask)?;
        for topic in ask.topics.as_deref().unwrap_or_default() {
            answer.add(storage, topic).await;
        }
        let is_enough = answer.n_bytes >= usize::try_from(ask.min_bytes).unwrap_or(0);
        if is_enough || answer.has_failed || timeout_at(deadline, produced).await.is_err() {
            return Ok(answer.finish());
        }
    }
}

/// An answer under construction.
struct Answer {
    isolation: IsolationLevel,
    room: usize,
    n_bytes: usize,
    /// Whether a partition has an error, which is sent without waiting.
    has_failed: bool,
    topics: Vec<FetchableTopicResponse>,
}

impl Answer {
    fn new(ask: &FetchRequest) -> Result<Answer, Error> {
        let isolation =
            ask.isolation_level.map_or(Ok(IsolationLevel::ReadUncommitted), IsolationLevel::try_from)?;
        let room =
            ask.max_bytes.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(MAX_ANSWER).min(MAX_ANSWER);
        Ok(Answer { isolation, room, n_bytes: 0, has_failed: false, topics: Vec::new() })
    }

    async fn add(&mut self, storage: &Storage, topic: &FetchTopic) {
        let name = topic.topic.as_deref().unwrap_or_default();
        let mut partitions = Vec::new();
        for ask in topic.partitions.as_deref().unwrap_or_default() {
            let partition = self.partition(storage, &Topition::new(name, ask.partition), ask).await;
            partitions.push(partition.unwrap_or_else(|error| {
                self.has_failed = true;
                refused(ask.partition, &error)
            }));
        }
        let answer = FetchableTopicResponse::default().topic(topic.topic.clone());
        self.topics.push(answer.partitions(Some(partitions)));
    }

    async fn partition(
        &mut self,
        storage: &Storage,
        topition: &Topition,
        ask: &FetchPartition,
    ) -> Result<PartitionData, Error> {
        // Fails if the partition does not exist.
        storage.log(topition).await?;
        let stage = storage.offset_stage(topition).await?;
        if !(stage.log_start()..=stage.high_watermark()).contains(&ask.fetch_offset) {
            return Err(Error::Api(ErrorCode::OffsetOutOfRange));
        }
        let room =
            self.room.saturating_sub(self.n_bytes).min(usize::try_from(ask.partition_max_bytes).unwrap_or(0));
        // A batch that is larger than the limit is still sent alone, or its consumer could never continue.
        let batches = if room == 0 && self.n_bytes > 0 {
            Vec::new()
        } else {
            let room = u32::try_from(room).unwrap_or(u32::MAX);
            storage.fetch(topition, ask.fetch_offset, 0, room, self.isolation).await?
        };
        self.n_bytes += batches.iter().map(|batch| batch.record_data.len()).sum::<usize>();
        let records = if batches.is_empty() { None } else { Some(Frame { batches }) };
        Ok(data(ask.partition)
            .error_code(ErrorCode::None.into())
            .high_watermark(stage.high_watermark())
            .last_stable_offset(Some(stage.last_stable()))
            .log_start_offset(Some(stage.log_start()))
            .records(records))
    }

    fn finish(self) -> FetchResponse {
        FetchResponse::default()
            .throttle_time_ms(Some(0))
            .error_code(Some(ErrorCode::None.into()))
            // No fetch sessions: every request names all its partitions.
            .session_id(Some(0))
            .responses(Some(self.topics))
    }
}

fn data(partition: i32) -> PartitionData {
    PartitionData::default()
        .partition_index(partition)
        .last_stable_offset(Some(-1))
        .log_start_offset(Some(-1))
        .aborted_transactions(Some(Vec::new()))
        .preferred_read_replica(Some(-1))
}

fn refused(partition: i32, error: &Error) -> PartitionData {
    let code = match error {
        Error::Api(code) => *code,
        error => {
            tracing::warn!(partition, %error, "the embedded broker could not read a partition");
            ErrorCode::UnknownServerError
        }
    };
    data(partition).error_code(code.into()).high_watermark(-1)
}
