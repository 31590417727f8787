//! Notices that a topic was deleted and created again while it is read: its offsets begin again, so a position
//! in the old topic would skip records of the new one.
//!
//! Since version 2.8 a cluster gives every topic an id. rdkafka 0.39 has no call that returns it, but librdkafka
//! logs each id that it learns (`debug = "metadata"`), and does so before it reads from the new topic: a fetch
//! request names the id since Kafka 3.1, and the new one is first found in the metadata.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};
use runner_core::Error;
use tracing::warn;

use super::super::assignment::AssignedPartition;
use super::super::{Client, REQUEST_TIMEOUT, Settings};

/// The ids of the topics that the client has seen.
#[derive(Debug, Default)]
pub(in super::super) struct TopicIds(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    ids: HashMap<String, String>,
    /// The topics with another id than before, until they are taken.
    changed: Vec<String>,
}

impl TopicIds {
    /// Reads a line of the log of the client library.
    pub(in super::super) fn read_log(&self, line: &str) {
        let Some((topic, id)) = parse(line) else { return };
        let mut state = self.state();
        let before = state.ids.insert(topic.to_owned(), id.to_owned());
        if before.is_some_and(|before| before != id) {
            state.changed.push(topic.to_owned());
        }
    }

    /// The topics that were created again since the last call.
    pub(in super::super) fn take_changed(&self) -> Vec<String> {
        std::mem::take(&mut self.state().changed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The topic and its new id in `[thrd:main]: Topic NAME changed id from ID to ID`.
fn parse(line: &str) -> Option<(&str, &str)> {
    let (before, after) = line.split_once(" changed id from ")?;
    let topic = before.rsplit(' ').next()?;
    let (_, id) = after.split_once(" to ")?;
    // Clusters before 2.8 have no ids: the library uses zero, in base64.
    (!topic.is_empty() && !id.bytes().all(|byte| byte == b'A')).then_some((topic, id.trim()))
}

/// Sets the group to the beginning of partitions of a topic that was created again, and returns the error that ends
/// the run. The cluster drops the group's offsets together with the old topic, but a commit may have come after that.
pub(in super::super) fn restart(
    client: &Client,
    settings: &Settings,
    topic: &str,
    partitions: &[AssignedPartition],
) -> Error {
    let group = &settings.group_id;
    let next = match commit_beginning(client, topic, partitions) {
        Ok(()) => {
            format!("group `{group}` continues at the beginning of the new topic: start the pipeline again")
        }
        Err(error) => {
            warn!("setting group `{group}` to the beginning of the new topic `{topic}`: {error:#}");
            format!(
                "its group could not be set to the beginning of the new topic; do this before the pipeline is \
                 started again: kafka-consumer-groups.sh --bootstrap-server {} --group {group} --topic {topic} \
                 --reset-offsets --to-earliest --execute",
                settings.bootstrap_servers
            )
        }
    };
    anyhow::anyhow!(
        "topic `{topic}` was deleted and created again while it was read: its offsets begin again, and the records of \
         the old topic that were not read are lost; {next}"
    )
}

fn commit_beginning(client: &Client, topic: &str, partitions: &[AssignedPartition]) -> Result<(), Error> {
    let mut beginning = TopicPartitionList::new();
    let n_partitions = client
        .fetch_metadata(Some(topic), REQUEST_TIMEOUT)?
        .topics()
        .first()
        .map_or(0, |topic| topic.partitions().len());
    let numbers = partitions.iter().map(|it| it.partition.number);
    for number in numbers.filter(|&number| usize::try_from(number).is_ok_and(|it| it < n_partitions)) {
        let (low, _) = client.fetch_watermarks(topic, number, REQUEST_TIMEOUT)?;
        beginning.add_partition_offset(topic, number, Offset::Offset(low))?;
    }
    if beginning.count() > 0 {
        // Stored first: the client must not commit its greater offset again.
        client.store_offsets(&beginning)?;
        client.commit(&beginning, CommitMode::Sync)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: &str = "AAAAAAAAAAAAAAAAAAAAAA";

    fn line(from: &str, to: &str) -> String {
        format!("[thrd:main]: Topic px.nya changed id from {from} to {to}")
    }

    #[test]
    fn topic_with_another_id_is_changed_once() {
        let ids = TopicIds::default();
        for to in ["x1", "x1"] {
            ids.read_log(&line(NONE, to));
            assert!(ids.take_changed().is_empty());
        }
        ids.read_log("[thrd:main]: Topic px.nya [0] Leader 1 Epoch 0");
        ids.read_log(&line(NONE, "x2"));
        assert_eq!(ids.take_changed(), ["px.nya"]);
        assert!(ids.take_changed().is_empty());
    }

    #[test]
    fn topics_without_ids_never_change() {
        let ids = TopicIds::default();
        ids.read_log(&line("x1", NONE));
        ids.read_log(&line(NONE, "x1"));
        ids.read_log(&line("x1", NONE));
        ids.read_log(&line(NONE, "x1"));
        assert!(ids.take_changed().is_empty());
    }
}
