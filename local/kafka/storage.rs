//! The storage: tansu's records in memory, with corrections of its version 0.6.
//!
//! Without them a fetch from inside a batch skips the rest of that batch, records for missing topics are
//! accepted, a fetch can skip a batch that is still being stored, and the end offset is the first offset
//! of the last batch.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use tansu_sans_io::create_topics_request::CreatableTopic;
use tansu_sans_io::delete_groups_response::DeletableGroupResult;
use tansu_sans_io::delete_records_request::DeleteRecordsTopic;
use tansu_sans_io::delete_records_response::DeleteRecordsTopicResult;
use tansu_sans_io::describe_cluster_response::DescribeClusterBroker;
use tansu_sans_io::describe_configs_response::DescribeConfigsResult;
use tansu_sans_io::describe_topic_partitions_response::DescribeTopicPartitionsResponseTopic;
use tansu_sans_io::incremental_alter_configs_request::AlterConfigsResource;
use tansu_sans_io::incremental_alter_configs_response::AlterConfigsResourceResponse;
use tansu_sans_io::list_groups_response::ListedGroup;
use tansu_sans_io::record::deflated::Batch;
use tansu_sans_io::txn_offset_commit_response::TxnOffsetCommitResponseTopic;
use tansu_sans_io::{ConfigResource, ErrorCode, IsolationLevel, ListOffset, ScramMechanism};
use tansu_storage::{
    BrokerRegistrationRequest, Error, GroupDetail, ListOffsetResponse, MetadataResponse, NamedGroupDetail,
    OffsetCommitRequest, OffsetStage, ProducerIdResponse, Result, ScramCredential, Storage as _,
    StorageContainer, TopicId, Topition, TxnAddPartitionsRequest, TxnAddPartitionsResponse,
    TxnOffsetCommitRequest, UpdateError, Version,
};
use tokio::sync::futures::Notified;
use tokio::sync::{Mutex, Notify};
use url::Url;
use uuid::Uuid;

use super::log::Log;

/// All topics and groups of the broker.
#[derive(Clone, Debug)]
pub(super) struct Storage {
    records: StorageContainer,
    logs: Arc<std::sync::Mutex<BTreeMap<Topition, Arc<Mutex<Log>>>>>,
    produced: Arc<Notify>,
}

impl Storage {
    pub(super) fn new(records: StorageContainer) -> Storage {
        Storage { records, logs: Arc::default(), produced: Arc::default() }
    }

    /// Completes when records have been stored in any partition.
    pub(super) fn produced(&self) -> Notified<'_> {
        self.produced.notified()
    }

    /// The log of a partition, if there is such a partition.
    pub(super) async fn log(&self, topition: &Topition) -> Result<Arc<Mutex<Log>>> {
        if let Some(log) = self.logs.lock().unwrap_or_else(PoisonError::into_inner).get(topition) {
            return Ok(Arc::clone(log));
        }
        let metadata = self.records.metadata(Some(&[TopicId::from(topition)])).await?;
        let mut partitions = metadata.topics().iter().flat_map(|topic| topic.partitions.iter().flatten());
        if !partitions.any(|known| known.partition_index == topition.partition()) {
            return Err(Error::Api(ErrorCode::UnknownTopicOrPartition));
        }
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(logs.entry(topition.clone()).or_default()))
    }

    async fn list_offset(
        &self,
        isolation: IsolationLevel,
        topition: &Topition,
        ask: &ListOffset,
    ) -> Result<ListOffsetResponse> {
        let log = self.log(topition).await?;
        let stage = self.records.offset_stage(topition).await?;
        let (offset, timestamp) = match ask {
            ListOffset::Earliest => (stage.log_start(), None),
            ListOffset::Latest if isolation == IsolationLevel::ReadCommitted => (stage.last_stable(), None),
            ListOffset::Latest => (stage.high_watermark(), None),
            ListOffset::Timestamp(time) => match log.lock().await.since(milliseconds(*time)) {
                Some((offset, latest)) => (offset, Some(latest)),
                // No record is that late: clients read -1 as the end.
                None => (-1, None),
            },
        };
        let timestamp =
            timestamp.and_then(|ms| Some(UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).ok()?)));
        Ok(ListOffsetResponse { error_code: ErrorCode::None, timestamp, offset: Some(offset) })
    }
}

fn milliseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Implements tansu's storage: with the given methods, and with those of `records` for all others.
macro_rules! storage {
    ({ $($own:tt)* } $(fn $name:ident($($arg:ident: $kind:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl tansu_storage::Storage for Storage {
            $($own)*
            $(async fn $name(&self, $($arg: $kind),*) -> $answer {
                self.records.$name($($arg),*).await
            })*
        }
    };
}

storage! {
    {
        /// Stores the batches of a partition one at a time: a fetch must not see a later batch before an earlier one.
        async fn produce(&self, transaction: Option<&str>, topition: &Topition, batch: Batch) -> Result<i64> {
            let log = self.log(topition).await?;
            let mut log = log.lock().await;
            let (n_records, latest) = (i64::from(batch.last_offset_delta) + 1, batch.max_timestamp);
            let offset = self.records.produce(transaction, topition, batch).await?;
            log.append(offset, n_records, latest);
            self.produced.notify_waiters();
            Ok(offset)
        }

        /// Starts with the whole batch that contains `offset`; clients drop the records before it.
        async fn fetch(
            &self,
            topition: &Topition,
            offset: i64,
            min_bytes: u32,
            max_bytes: u32,
            isolation: IsolationLevel,
        ) -> Result<Vec<Batch>> {
            let begin = self.log(topition).await?.lock().await.floor(offset);
            self.records.fetch(topition, begin, min_bytes, max_bytes, isolation).await
        }

        async fn list_offsets(
            &self,
            isolation: IsolationLevel,
            asks: &[(Topition, ListOffset)],
        ) -> Result<Vec<(Topition, ListOffsetResponse)>> {
            let mut answers = Vec::with_capacity(asks.len());
            for (topition, ask) in asks {
                let answer = match self.list_offset(isolation, topition, ask).await {
                    Err(Error::Api(error_code)) => {
                        ListOffsetResponse { error_code, timestamp: None, offset: Some(-1) }
                    }
                    answer => answer?,
                };
                answers.push((topition.clone(), answer));
            }
            Ok(answers)
        }

        /// Refuses the names that Kafka refuses.
        async fn create_topic(&self, topic: CreatableTopic, validate_only: bool) -> Result<Uuid> {
            let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            let is_valid = !matches!(&*topic.name, "" | "." | "..")
                && topic.name.len() <= 249
                && topic.name.chars().all(is_allowed);
            // The metrics of Kafka have `_` for `.`.
            let plain = |name: &str| name.replace('.', "_");
            let all = self.records.metadata(None).await?;
            let mut others = all.topics().iter().filter_map(|other| other.name.as_deref());
            let collides = |other: &str| other != topic.name && plain(other) == plain(&topic.name);
            if !is_valid || others.any(collides) {
                return Err(Error::Api(ErrorCode::InvalidTopicException));
            }
            self.records.create_topic(topic, validate_only).await
        }

        async fn delete_topic(&self, topic: &TopicId) -> Result<ErrorCode> {
            let metadata = self.records.metadata(Some(std::slice::from_ref(topic))).await?;
            let names: Vec<_> = metadata.topics().iter().filter_map(|topic| topic.name.clone()).collect();
            let deleted = self.records.delete_topic(topic).await?;
            let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
            logs.retain(|topition, _| names.iter().all(|name| name != topition.topic()));
            Ok(deleted)
        }

        async fn txn_end(
            &self,
            transaction: &str,
            producer: i64,
            epoch: i16,
            committed: bool,
        ) -> Result<ErrorCode> {
            let ended = self.records.txn_end(transaction, producer, epoch, committed).await;
            self.produced.notify_waiters();
            ended
        }
    }
    fn delete_records(topics: &[DeleteRecordsTopic]) -> Result<Vec<DeleteRecordsTopicResult>>;
    fn register_broker(registration: BrokerRegistrationRequest) -> Result<()>;
    fn incremental_alter_resource(resource: AlterConfigsResource) -> Result<AlterConfigsResourceResponse>;
    fn brokers() -> Result<Vec<DescribeClusterBroker>>;
    fn offset_stage(topition: &Topition) -> Result<OffsetStage>;
    fn offset_commit(group: &str, retention: Option<Duration>, offsets: &[(Topition, OffsetCommitRequest)]) -> Result<Vec<(Topition, ErrorCode)>>;
    fn offset_fetch(group: Option<&str>, topics: &[Topition], require_stable: Option<bool>) -> Result<BTreeMap<Topition, i64>>;
    fn committed_offset_topitions(group: &str) -> Result<BTreeMap<Topition, i64>>;
    fn metadata(topics: Option<&[TopicId]>) -> Result<MetadataResponse>;
    fn upsert_user_scram_credential(user: &str, mechanism: ScramMechanism, credential: ScramCredential) -> Result<()>;
    fn delete_user_scram_credential(user: &str, mechanism: ScramMechanism) -> Result<()>;
    fn user_scram_credential(user: &str, mechanism: ScramMechanism) -> Result<Option<ScramCredential>>;
    fn describe_config(name: &str, resource: ConfigResource, keys: Option<&[String]>) -> Result<DescribeConfigsResult>;
    fn list_groups(states: Option<&[String]>) -> Result<Vec<ListedGroup>>;
    fn delete_groups(groups: Option<&[String]>) -> Result<Vec<DeletableGroupResult>>;
    fn describe_groups(groups: Option<&[String]>, operations: bool) -> Result<Vec<NamedGroupDetail>>;
    fn describe_topic_partitions(topics: Option<&[TopicId]>, limit: i32, cursor: Option<Topition>) -> Result<Vec<DescribeTopicPartitionsResponseTopic>>;
    fn update_group(group: &str, detail: GroupDetail, version: Option<Version>) -> Result<Version, UpdateError<GroupDetail>>;
    fn init_producer(transaction: Option<&str>, timeout_ms: i32, producer: Option<i64>, epoch: Option<i16>) -> Result<ProducerIdResponse>;
    fn txn_add_offsets(transaction: &str, producer: i64, epoch: i16, group: &str) -> Result<ErrorCode>;
    fn txn_add_partitions(partitions: TxnAddPartitionsRequest) -> Result<TxnAddPartitionsResponse>;
    fn txn_offset_commit(offsets: TxnOffsetCommitRequest) -> Result<Vec<TxnOffsetCommitResponseTopic>>;
    fn cluster_id() -> Result<String>;
    fn node() -> Result<i32>;
    fn advertised_listener() -> Result<Url>;
    fn ping() -> Result<()>;
}
