//! The offsets of a group: taking and giving them.

use std::collections::BTreeMap;

use tansu_broker::Error;
use tansu_broker::coordinator::group::OffsetCommit;
use tansu_sans_io::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use tansu_sans_io::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopic};
use tansu_sans_io::offset_fetch_response::{
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions, OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use tansu_sans_io::{Body, ErrorCode};
use tansu_storage::{OffsetCommitRequest, Storage as _, Topition};

use super::super::storage::Storage;

pub(super) async fn commit(storage: &Storage, detail: &OffsetCommit<'_>) -> Result<Body, Error> {
    let mut offsets = Vec::new();
    for topic in detail.topics.unwrap_or_default() {
        for partition in topic.partitions.as_deref().unwrap_or_default() {
            let topition = Topition::new(topic.name.clone(), partition.partition_index);
            offsets.push((topition, OffsetCommitRequest::try_from(partition)?));
        }
    }
    let committed = storage.offset_commit(detail.group_id, None, &offsets).await?;
    Ok(committed_answer(committed))
}

/// Commits nothing, for the same reason everywhere.
pub(super) fn refuse(detail: &OffsetCommit<'_>, code: ErrorCode) -> Body {
    let topics = detail.topics.unwrap_or_default().iter();
    let partitions = topics.flat_map(|topic| {
        let partitions = topic.partitions.as_deref().unwrap_or_default().iter();
        partitions.map(move |it| (Topition::new(topic.name.clone(), it.partition_index), code))
    });
    committed_answer(partitions)
}

fn committed_answer(codes: impl IntoIterator<Item = (Topition, ErrorCode)>) -> Body {
    let topics = by_topic(codes).into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, code)| {
            OffsetCommitResponsePartition::default().partition_index(index).error_code(code.into())
        });
        OffsetCommitResponseTopic::default().name(name).partitions(Some(partitions.collect()))
    });
    OffsetCommitResponse::default().throttle_time_ms(Some(0)).topics(Some(topics.collect())).into()
}

/// Answers both forms of the request: about one group, and about several.
pub(super) async fn fetch(
    storage: &Storage,
    group: Option<&str>,
    topics: Option<&[OffsetFetchRequestTopic]>,
    groups: Option<&[OffsetFetchRequestGroup]>,
) -> Result<Body, Error> {
    let answer = OffsetFetchResponse::default().throttle_time_ms(Some(0));
    let Some(groups) = groups else {
        let asked = topics.map(|topics| topics.iter().map(|it| (&*it.name, it.partition_indexes.as_deref())));
        let found = find(storage, group.unwrap_or_default(), asked).await?;
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
        return Ok(answer.topics(Some(topics.collect())).error_code(Some(ErrorCode::None.into())).into());
    };
    let mut answers = Vec::with_capacity(groups.len());
    for group in groups {
        let topics = group.topics.as_deref();
        let asked = topics.map(|topics| topics.iter().map(|it| (&*it.name, it.partition_indexes.as_deref())));
        let found = find(storage, &group.group_id, asked).await?;
        let topics = found.into_iter().map(|(name, partitions)| {
            let partitions = partitions.into_iter().map(|(index, offset)| {
                OffsetFetchResponsePartitions::default()
                    .partition_index(index)
                    .committed_offset(offset)
                    .committed_leader_epoch(-1)
                    .metadata(Some(String::new()))
                    .error_code(ErrorCode::None.into())
            });
            OffsetFetchResponseTopics::default().name(name).partitions(Some(partitions.collect()))
        });
        let answer = OffsetFetchResponseGroup::default().group_id(group.group_id.clone());
        answers.push(answer.topics(Some(topics.collect())).error_code(ErrorCode::None.into()));
    }
    Ok(answer.groups(Some(answers)).into())
}

/// The offsets asked for, -1 where there is none; or all that there are.
async fn find<'a>(
    storage: &Storage,
    group: &str,
    asked: Option<impl Iterator<Item = (&'a str, Option<&'a [i32]>)>>,
) -> Result<BTreeMap<String, Vec<(i32, i64)>>, Error> {
    let offsets = match asked {
        Some(topics) => {
            let partitions = topics.flat_map(|(topic, partitions)| {
                partitions.unwrap_or_default().iter().map(move |index| Topition::new(topic, *index))
            });
            storage.offset_fetch(Some(group), &partitions.collect::<Vec<_>>(), None).await?
        }
        None => storage.committed_offset_topitions(group).await?,
    };
    Ok(by_topic(offsets))
}

fn by_topic<T>(partitions: impl IntoIterator<Item = (Topition, T)>) -> BTreeMap<String, Vec<(i32, T)>> {
    let mut topics: BTreeMap<String, Vec<(i32, T)>> = BTreeMap::new();
    for (topition, value) in partitions {
        topics.entry(topition.topic().to_owned()).or_default().push((topition.partition(), value));
    }
    topics
}
