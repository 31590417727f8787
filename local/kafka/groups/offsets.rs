//! The offsets of a group: committing and fetching them.

use std::collections::BTreeMap;

use tansu_sans_io::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use tansu_sans_io::offset_fetch_response::{OffsetFetchResponsePartition, OffsetFetchResponseTopic};
use tansu_sans_io::{
    ErrorCode, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
};
use tansu_storage::{Error, Storage as _, Topition};

use super::super::storage::Storage;

pub(super) async fn commit(
    storage: &Storage,
    ask: &OffsetCommitRequest,
) -> Result<OffsetCommitResponse, Error> {
    let mut offsets = Vec::new();
    for topic in ask.topics.as_deref().unwrap_or_default() {
        for partition in topic.partitions.as_deref().unwrap_or_default() {
            let topition = Topition::new(topic.name.clone(), partition.partition_index);
            offsets.push((topition, tansu_storage::OffsetCommitRequest::try_from(partition)?));
        }
    }
    Ok(committed(storage.offset_commit(&ask.group_id, None, &offsets).await?))
}

/// Commits nothing; every partition gets the same error.
pub(super) fn refuse(ask: &OffsetCommitRequest, code: ErrorCode) -> OffsetCommitResponse {
    let topics = ask.topics.as_deref().unwrap_or_default().iter();
    committed(topics.flat_map(|topic| {
        let partitions = topic.partitions.as_deref().unwrap_or_default().iter();
        partitions.map(move |it| (Topition::new(topic.name.clone(), it.partition_index), code))
    }))
}

fn committed(codes: impl IntoIterator<Item = (Topition, ErrorCode)>) -> OffsetCommitResponse {
    let topics = by_topic(codes).into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, code)| {
            OffsetCommitResponsePartition::default().partition_index(index).error_code(code.into())
        });
        OffsetCommitResponseTopic::default().name(name).partitions(Some(partitions.collect()))
    });
    OffsetCommitResponse::default().throttle_time_ms(Some(0)).topics(Some(topics.collect()))
}

/// The committed offsets of a group.
pub(in crate::kafka) async fn fetch(
    storage: &Storage,
    ask: &OffsetFetchRequest,
) -> Result<OffsetFetchResponse, Error> {
    let found = find(storage, ask).await?;
    let topics = found.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, offset)| {
            OffsetFetchResponsePartition::default()
                .partition_index(index)
                .committed_offset(offset)
                .committed_leader_epoch(Some(-1))
                .metadata(Some(String::new()))
                .error_code(ErrorCode::None.into())
        });
        OffsetFetchResponseTopic::default().name(name).partitions(Some(partitions.collect()))
    });
    Ok(OffsetFetchResponse::default()
        .throttle_time_ms(Some(0))
        .error_code(Some(ErrorCode::None.into()))
        .topics(Some(topics.collect())))
}

/// The requested offsets, -1 where none is committed; or all committed offsets.
async fn find(
    storage: &Storage,
    ask: &OffsetFetchRequest,
) -> Result<BTreeMap<String, Vec<(i32, i64)>>, Error> {
    let group = ask.group_id.as_deref().unwrap_or_default();
    let Some(topics) = &ask.topics else {
        return Ok(by_topic(storage.committed_offset_topitions(group).await?));
    };
    let partitions = topics.iter().flat_map(|topic| {
        let indexes = topic.partition_indexes.as_deref().unwrap_or_default().iter();
        indexes.map(|index| Topition::new(topic.name.clone(), *index))
    });
    Ok(by_topic(storage.offset_fetch(Some(group), &partitions.collect::<Vec<_>>(), None).await?))
}

fn by_topic<T>(partitions: impl IntoIterator<Item = (Topition, T)>) -> BTreeMap<String, Vec<(i32, T)>> {
    let mut topics: BTreeMap<String, Vec<(i32, T)>> = BTreeMap::new();
    for (topition, value) in partitions {
        topics.entry(topition.topic().to_owned()).or_default().push((topition.partition(), value));
    }
    topics
}
