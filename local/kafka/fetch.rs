//! Fetching: a consumer's request for records, which waits for them if there are none yet.
//!
//! The stock service sleeps for half of the client's wait even when it has records to give, and counts
//! on from where a client began as if it had begun at a batch, which skips small batches.

use std::time::Duration;

use rama::{Context, Service};
use tansu_sans_io::fetch_request::{FetchPartition, FetchTopic};
use tansu_sans_io::fetch_response::{FetchableTopicResponse, PartitionData};
use tansu_sans_io::metadata_response::MetadataResponseTopic;
use tansu_sans_io::record::deflated::Frame;
use tansu_sans_io::{ApiKey, ErrorCode, FetchRequest, FetchResponse, IsolationLevel};
use tansu_storage::{Error, Storage as _, TopicId, Topition};
use tokio::time::{Instant, timeout_at};

use super::storage::Storage;

/// What one answer holds at most, in bytes, beside the one batch it may always hold.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Answers with records as soon as there are any.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fetch;

impl ApiKey for Fetch {
    const KEY: i16 = FetchRequest::KEY;
}

impl Service<Storage, FetchRequest> for Fetch {
    type Response = FetchResponse;
    type Error = Error;

    async fn serve(&self, ctx: Context<Storage>, ask: FetchRequest) -> Result<FetchResponse, Error> {
        let storage = ctx.state();
        let deadline = Instant::now() + Duration::from_millis(u64::try_from(ask.max_wait_ms).unwrap_or(0));
        loop {
            // Listening before reading: what is produced in between is heard of.
            let produced = storage.produced();
            let mut produced = std::pin::pin!(produced);
            produced.as_mut().enable();

            let mut answer = Answer::new(&ask)?;
            for topic in ask.topics.as_deref().unwrap_or_default() {
                answer.add(storage, topic).await?;
            }
            let is_enough = answer.n_bytes >= usize::try_from(ask.min_bytes).unwrap_or(0);
            if is_enough || answer.has_failed || timeout_at(deadline, produced).await.is_err() {
                return Ok(answer.finish());
            }
        }
    }
}

/// An answer being put together.
struct Answer {
    isolation: IsolationLevel,
    room: usize,
    n_bytes: usize,
    /// Whether a partition has an error to tell, which is not to wait.
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

    async fn add(&mut self, storage: &Storage, topic: &FetchTopic) -> Result<(), Error> {
        let id = TopicId::from(topic);
        let metadata = storage.metadata(Some(std::slice::from_ref(&id))).await?;
        let known = metadata.topics().first().filter(|topic| topic.error_code == i16::from(ErrorCode::None));
        let mut partitions = Vec::new();
        for ask in topic.partitions.as_deref().unwrap_or_default() {
            let partition = match (known.and_then(|known| name_if_has(known, ask.partition)), &id) {
                (Some(name), _) => self.partition(storage, Topition::new(name, ask.partition), ask).await,
                (None, TopicId::Id(_)) if known.is_none() => Err(Error::Api(ErrorCode::UnknownTopicId)),
                (None, _) => Err(Error::Api(ErrorCode::UnknownTopicOrPartition)),
            };
            partitions.push(partition.unwrap_or_else(|error| {
                self.has_failed = true;
                refused(ask.partition, &error)
            }));
        }
        let answer = FetchableTopicResponse::default()
            .topic(topic.topic.clone())
            .topic_id(topic.topic_id.or(known.and_then(|known| known.topic_id)))
            .partitions(Some(partitions));
        self.topics.push(answer);
        Ok(())
    }

    async fn partition(
        &mut self,
        storage: &Storage,
        topition: Topition,
        ask: &FetchPartition,
    ) -> Result<PartitionData, Error> {
        let stage = storage.offset_stage(&topition).await?;
        if !(stage.log_start()..=stage.high_watermark()).contains(&ask.fetch_offset) {
            return Err(Error::Api(ErrorCode::OffsetOutOfRange));
        }
        let room =
            self.room.saturating_sub(self.n_bytes).min(usize::try_from(ask.partition_max_bytes).unwrap_or(0));
        // A batch that is larger than all room still comes alone, or its consumer would wait for ever.
        let batches = if room == 0 && self.n_bytes > 0 {
            Vec::new()
        } else {
            let room = u32::try_from(room).unwrap_or(u32::MAX);
            storage.fetch(&topition, ask.fetch_offset, 0, room, self.isolation).await?
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
            .node_endpoints(Some(Vec::new()))
            .responses(Some(self.topics))
    }
}

fn name_if_has(topic: &MetadataResponseTopic, partition: i32) -> Option<&str> {
    let partitions = topic.partitions.as_deref().unwrap_or_default();
    let is_known = partitions.iter().any(|known| known.partition_index == partition);
    topic.name.as_deref().filter(|_| is_known)
}

fn data(partition: i32) -> PartitionData {
    PartitionData::default()
        .partition_index(partition)
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
    data(partition)
        .error_code(code.into())
        .high_watermark(-1)
        .last_stable_offset(Some(-1))
        .log_start_offset(Some(-1))
        .records(None)
}
