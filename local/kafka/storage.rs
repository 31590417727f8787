//! The storage: tansu's records in memory, with what its version 0.6 gets wrong put right.
//!
//! Left to itself it loses the rest of a batch for a consumer that begins in the middle of one, takes
//! records for topics that do not exist, lets a consumer pass by a batch that is still being stored,
//! mistakes the first offset of the last batch for the end, and panics over `DeleteRecords`.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use tansu_sans_io::create_topics_request::CreatableTopic;
use tansu_sans_io::delete_groups_response::DeletableGroupResult;
use tansu_sans_io::delete_records_request::DeleteRecordsTopic;
use tansu_sans_io::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
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

use super::log::{Log, n_offsets};

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

    /// Ends when records have come into any partition.
    pub(super) fn produced(&self) -> Notified<'_> {
        self.produced.notified()
    }

    /// The log of a partition, if there is such a partition.
    async fn log(&self, topition: &Topition) -> Result<Arc<Mutex<Log>>> {
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
                // Nothing is as late as that: clients read -1 as the end.
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

#[async_trait]
impl tansu_storage::Storage for Storage {
    /// One batch of a partition after the other: a second one that is stored first would hide the first.
    async fn produce(&self, transaction: Option<&str>, topition: &Topition, batch: Batch) -> Result<i64> {
        let log = self.log(topition).await?;
        let mut log = log.lock().await;
        let (n_records, latest) = (n_offsets(&batch), batch.max_timestamp);
        let offset = self.records.produce(transaction, topition, batch).await?;
        log.append(offset, n_records, latest);
        self.produced.notify_waiters();
        Ok(offset)
    }

    /// Begins with the whole batch that `offset` lies in; clients drop the records before it.
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

    async fn delete_records(&self, topics: &[DeleteRecordsTopic]) -> Result<Vec<DeleteRecordsTopicResult>> {
        let refuse = |topic: &DeleteRecordsTopic| {
            let partitions = topic.partitions.as_deref().unwrap_or_default().iter().map(|partition| {
                DeleteRecordsPartitionResult::default()
                    .partition_index(partition.partition_index)
                    .low_watermark(-1)
                    .error_code(ErrorCode::UnsupportedVersion.into())
            });
            DeleteRecordsTopicResult::default()
                .name(topic.name.clone())
                .partitions(Some(partitions.collect()))
        };
        Ok(topics.iter().map(refuse).collect())
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

    async fn register_broker(&self, registration: BrokerRegistrationRequest) -> Result<()> {
        self.records.register_broker(registration).await
    }

    async fn create_topic(&self, topic: CreatableTopic, validate_only: bool) -> Result<Uuid> {
        self.records.create_topic(topic, validate_only).await
    }

    async fn incremental_alter_resource(
        &self,
        resource: AlterConfigsResource,
    ) -> Result<AlterConfigsResourceResponse> {
        self.records.incremental_alter_resource(resource).await
    }

    async fn brokers(&self) -> Result<Vec<DescribeClusterBroker>> {
        self.records.brokers().await
    }

    async fn offset_stage(&self, topition: &Topition) -> Result<OffsetStage> {
        self.records.offset_stage(topition).await
    }

    async fn offset_commit(
        &self,
        group: &str,
        retention: Option<Duration>,
        offsets: &[(Topition, OffsetCommitRequest)],
    ) -> Result<Vec<(Topition, ErrorCode)>> {
        self.records.offset_commit(group, retention, offsets).await
    }

    async fn offset_fetch(
        &self,
        group: Option<&str>,
        topics: &[Topition],
        require_stable: Option<bool>,
    ) -> Result<BTreeMap<Topition, i64>> {
        self.records.offset_fetch(group, topics, require_stable).await
    }

    async fn committed_offset_topitions(&self, group: &str) -> Result<BTreeMap<Topition, i64>> {
        self.records.committed_offset_topitions(group).await
    }

    async fn metadata(&self, topics: Option<&[TopicId]>) -> Result<MetadataResponse> {
        self.records.metadata(topics).await
    }

    async fn upsert_user_scram_credential(
        &self,
        user: &str,
        mechanism: ScramMechanism,
        credential: ScramCredential,
    ) -> Result<()> {
        self.records.upsert_user_scram_credential(user, mechanism, credential).await
    }

    async fn delete_user_scram_credential(&self, user: &str, mechanism: ScramMechanism) -> Result<()> {
        self.records.delete_user_scram_credential(user, mechanism).await
    }

    async fn user_scram_credential(
        &self,
        user: &str,
        mechanism: ScramMechanism,
    ) -> Result<Option<ScramCredential>> {
        self.records.user_scram_credential(user, mechanism).await
    }

    async fn describe_config(
        &self,
        name: &str,
        resource: ConfigResource,
        keys: Option<&[String]>,
    ) -> Result<DescribeConfigsResult> {
        self.records.describe_config(name, resource, keys).await
    }

    async fn list_groups(&self, states: Option<&[String]>) -> Result<Vec<ListedGroup>> {
        self.records.list_groups(states).await
    }

    async fn delete_groups(&self, groups: Option<&[String]>) -> Result<Vec<DeletableGroupResult>> {
        self.records.delete_groups(groups).await
    }

    async fn describe_groups(
        &self,
        groups: Option<&[String]>,
        operations: bool,
    ) -> Result<Vec<NamedGroupDetail>> {
        self.records.describe_groups(groups, operations).await
    }

    async fn describe_topic_partitions(
        &self,
        topics: Option<&[TopicId]>,
        limit: i32,
        cursor: Option<Topition>,
    ) -> Result<Vec<DescribeTopicPartitionsResponseTopic>> {
        self.records.describe_topic_partitions(topics, limit, cursor).await
    }

    async fn update_group(
        &self,
        group: &str,
        detail: GroupDetail,
        version: Option<Version>,
    ) -> Result<Version, UpdateError<GroupDetail>> {
        self.records.update_group(group, detail, version).await
    }

    async fn init_producer(
        &self,
        transaction: Option<&str>,
        timeout_ms: i32,
        producer: Option<i64>,
        epoch: Option<i16>,
    ) -> Result<ProducerIdResponse> {
        self.records.init_producer(transaction, timeout_ms, producer, epoch).await
    }

    async fn txn_add_offsets(
        &self,
        transaction: &str,
        producer: i64,
        epoch: i16,
        group: &str,
    ) -> Result<ErrorCode> {
        self.records.txn_add_offsets(transaction, producer, epoch, group).await
    }

    async fn txn_add_partitions(
        &self,
        partitions: TxnAddPartitionsRequest,
    ) -> Result<TxnAddPartitionsResponse> {
        self.records.txn_add_partitions(partitions).await
    }

    async fn txn_offset_commit(
        &self,
        offsets: TxnOffsetCommitRequest,
    ) -> Result<Vec<TxnOffsetCommitResponseTopic>> {
        self.records.txn_offset_commit(offsets).await
    }

    async fn cluster_id(&self) -> Result<String> {
        self.records.cluster_id().await
    }

    async fn node(&self) -> Result<i32> {
        self.records.node().await
    }

    async fn advertised_listener(&self) -> Result<Url> {
        self.records.advertised_listener().await
    }

    async fn ping(&self) -> Result<()> {
        self.records.ping().await
    }
}
