//! The offsets of a group: committing and fetching them.

use std::collections::BTreeMap;

use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponsePartition, OffsetFetchResponseTopic,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::super::store::code;
use super::Groups;

impl Groups {
    pub(in crate::kafka) fn commit(&self, ask: OffsetCommitRequest) -> OffsetCommitResponse {
        let generation = ask.generation_id_or_member_epoch;
        let allowed = self.with(&ask.group_id, |group, now| group.commit(now, &ask.member_id, generation));
        let mut state = self.store.lock();
        let topics = ask.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|it| {
                let partition = (topic.name.clone(), it.partition_index);
                let committed =
                    allowed.and_then(|()| state.commit(&ask.group_id, partition, it.committed_offset));
                OffsetCommitResponsePartition::default()
                    .with_partition_index(it.partition_index)
                    .with_error_code(code(&committed))
            });
            let partitions = partitions.collect();
            OffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(partitions)
        });
        OffsetCommitResponse::default().with_topics(topics.collect())
    }

    /// The requested offsets, -1 where none is committed; or all committed offsets.
    pub(in crate::kafka) fn offsets(&self, ask: OffsetFetchRequest) -> OffsetFetchResponse {
        let state = self.store.lock();
        let committed = state.offsets.get(&ask.group_id);
        let mut found: BTreeMap<TopicName, Vec<(i32, i64)>> = BTreeMap::new();
        match ask.topics {
            None => {
                for ((topic, partition), offset) in committed.into_iter().flatten() {
                    found.entry(topic.clone()).or_default().push((*partition, *offset));
                }
            }
            Some(topics) => {
                for topic in topics {
                    let offset = |partition| {
                        let key = (topic.name.clone(), partition);
                        (partition, committed.and_then(|all| all.get(&key)).copied().unwrap_or(-1))
                    };
                    let offsets: Vec<_> = topic.partition_indexes.iter().copied().map(offset).collect();
                    found.entry(topic.name).or_default().extend(offsets);
                }
            }
        }
        let topics = found.into_iter().map(|(name, partitions)| {
            let partitions = partitions.into_iter().map(|(index, offset)| {
                OffsetFetchResponsePartition::default()
                    .with_partition_index(index)
                    .with_committed_offset(offset)
                    .with_metadata(Some(StrBytes::new()))
            });
            OffsetFetchResponseTopic::default().with_name(name).with_partitions(partitions.collect())
        });
        OffsetFetchResponse::default().with_topics(topics.collect())
    }
}
