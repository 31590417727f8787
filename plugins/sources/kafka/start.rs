//! Where reading begins in the partitions that the group gives us.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use runner_core::{Error, Name, ReadError, Unreachable};
use tracing::warn;

use super::held::{Held, Lane};
use super::places::Partition;
use super::{Client, Reset, Settings, Stop};
use crate::shared::kafka::{is_denied, is_outage};

/// Where reading begins in one partition.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) partition: Partition,
    /// What the client is told.
    pub(super) offset: Offset,
    /// The number behind it.
    pub(super) start: i64,
    /// Where reading ends, with `stop = "at_end"`.
    pub(super) end: Option<i64>,
    /// The group has never read the partition.
    pub(super) is_new: bool,
}

/// Finds where to begin, and remembers where the topics ended when we came.
#[derive(Default)]
pub(super) struct Beginning {
    /// The ends of all partitions at the first assignment, those of other
    /// members included: one that leaves may pass its partitions on to us.
    ends: Mutex<Option<BTreeMap<(String, i32), i64>>>,
    /// The partitions that there were when we came.
    known: OnceLock<BTreeSet<(String, i32)>>,
    /// After the first success a denial is a passing state, not a slip in the file.
    has_succeeded: AtomicBool,
}

const PATIENCE: Duration = Duration::from_secs(10);
/// For questions that are asked again anyway.
const GLANCE: Duration = Duration::from_secs(1);

impl Beginning {
    /// Says which partitions there are as we come.
    pub(super) fn knows(&self, partitions: &TopicPartitionList) {
        let partitions = partitions.elements().into_iter().map(|it| (it.topic().to_owned(), it.partition()));
        let _ = self.known.set(partitions.collect());
    }

    /// Whether a partition was added while we read: all that is in it came later than we did.
    fn is_added(&self, partition: Partition) -> bool {
        let name = (partition.topic.as_str().to_owned(), partition.number);
        self.known.get().is_some_and(|known| !known.contains(&name))
    }

    /// Where to begin in each of `partitions`; asks until the cluster answers.
    pub(super) fn of(
        &self,
        client: &Client,
        partitions: &TopicPartitionList,
        settings: &Settings,
        held: &Held,
    ) -> Result<Vec<Place>, ReadError> {
        let began = Instant::now();
        loop {
            let error = match self.ask(client, partitions, settings) {
                Ok(found) => {
                    self.has_succeeded.store(true, Ordering::Relaxed);
                    return found.map_err(ReadError::Fatal);
                }
                Err(error) => error,
            };
            let may_pass = |code| {
                // The transaction of a member that was killed ends by its timeout.
                code == RDKafkaErrorCode::UnstableOffsetCommit
                    || is_outage(code)
                    || (is_denied(code) && self.has_succeeded.load(Ordering::Relaxed))
            };
            if !error.rdkafka_error_code().is_some_and(may_pass) {
                let group = &settings.group_id;
                let said = format!(
                    "asking for the offsets of group `{group}` (it needs Read on the group and its topics)"
                );
                return Err(ReadError::Fatal(Error::new(error).context(said)));
            }
            if settings.retry.timeout.is_some_and(|timeout| began.elapsed() > timeout) {
                let message = format!("asking {} for offsets: {error}", settings.bootstrap_servers);
                return Err(ReadError::Fatal(Unreachable(message).into()));
            }
            warn!("asking for the offsets of group `{}`: {error}; asking again", settings.group_id);
            if held.closes(settings.retry.initial) {
                return Ok(Vec::new());
            }
        }
    }

    fn ask(
        &self,
        client: &Client,
        partitions: &TopicPartitionList,
        settings: &Settings,
    ) -> KafkaResult<Result<Vec<Place>, Error>> {
        if settings.stop == Stop::AtEnd {
            self.remember_ends(client, settings)?;
        }
        if partitions.count() == 0 {
            return Ok(Ok(Vec::new()));
        }
        let committed = client.committed_offsets(partitions.clone(), PATIENCE)?;
        let mut places = Vec::with_capacity(partitions.count());
        for it in committed.elements() {
            it.error()?;
            let partition = Partition { topic: Name::new(it.topic()), number: it.partition() };
            let (low, high) = client.fetch_watermarks(it.topic(), it.partition(), PATIENCE)?;
            let committed = if let Offset::Offset(offset) = it.offset() { Some(offset) } else { None };
            let (offset, start) = match (committed, settings.reset) {
                (Some(offset), _) if offset < low || offset > high => {
                    return Ok(Err(out_of_range(settings, partition, offset, low, high)));
                }
                (Some(offset), _) => (Offset::Offset(offset), offset),
                // Said by name: the oldest record may go while we ask for it.
                (None, Reset::Earliest) => (Offset::Beginning, low),
                (None, Reset::Latest) if self.is_added(partition) => (Offset::Beginning, low),
                (None, Reset::Latest) => (Offset::Offset(high), high),
            };
            let end = (settings.stop == Stop::AtEnd).then(|| self.end_of(partition).unwrap_or(high));
            places.push(Place { partition, offset, start, end, is_new: committed.is_none() });
        }
        Ok(Ok(places))
    }

    /// Whether the group has read what was there when we came in all partitions that are not `ours`. Whoever
    /// holds those may be dead, and theirs will be ours.
    pub(super) fn is_read_by_others(&self, client: &Client, settings: &Settings, ours: &[Lane]) -> bool {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default();
        for Lane { partition, .. } in ours {
            ends.remove(&(partition.topic.as_str().to_owned(), partition.number));
        }
        if ends.is_empty() {
            return true;
        }
        let mut partitions = TopicPartitionList::new();
        for (topic, number) in ends.keys() {
            partitions.add_partition(topic, *number);
        }
        let Ok(committed) = client.committed_offsets(partitions, GLANCE) else { return false };
        committed.elements().iter().all(|it| {
            let (topic, number) = (it.topic(), it.partition());
            if it.error().is_err() {
                return false;
            }
            let end = ends.get(&(topic.to_owned(), number)).copied().unwrap_or_default();
            match (it.offset(), settings.reset) {
                (Offset::Offset(offset), _) => offset >= end,
                (_, Reset::Latest) => true,
                (_, Reset::Earliest) => {
                    client.fetch_watermarks(topic, number, GLANCE).is_ok_and(|(low, _)| low >= end)
                }
            }
        })
    }

    fn remember_ends(&self, client: &Client, settings: &Settings) -> KafkaResult<()> {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        if ends.is_some() {
            return Ok(());
        }
        let mut found = BTreeMap::new();
        for topic in &settings.topics {
            let metadata = client.fetch_metadata(Some(topic), PATIENCE)?;
            for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
                let (_, high) = client.fetch_watermarks(topic, partition.id(), PATIENCE)?;
                found.insert((topic.clone(), partition.id()), high);
            }
        }
        *ends = Some(found);
        Ok(())
    }

    fn end_of(&self, partition: Partition) -> Option<i64> {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.as_ref()?.get(&(partition.topic.as_str().to_owned(), partition.number)).copied()
    }
}

/// The group's position is not in the partition any more.
fn out_of_range(settings: &Settings, partition: Partition, offset: i64, low: i64, high: i64) -> Error {
    let Partition { topic, number } = partition;
    let group = &settings.group_id;
    let what = if offset < low {
        format!(
            "group `{group}` was to go on in {topic}/{number} at offset {offset}, but the oldest record there \
             is {low}: {} records have been deleted unread, by retention or by hand",
            low - offset
        )
    } else {
        format!(
            "group `{group}` was to go on in {topic}/{number} at offset {offset}, but the topic ends at {high}: \
             it has been deleted and created again, or has lost records"
        )
    };
    anyhow::anyhow!(
        "{what}; to go on with what there is, run with `--from-start` or give the group another position: \
         kafka-consumer-groups.sh --bootstrap-server {} --group {group} --topic {topic}:{number} \
         --reset-offsets --to-offset {} --execute",
        settings.bootstrap_servers,
        if offset < low { low } else { high }
    )
}

/// Finds out which partition the client cannot go on in, and why.
pub(super) fn overtaken(client: &Client, settings: &Settings, held: &Held) -> Error {
    let positions = client.position().map(|list| list.to_topic_map()).unwrap_or_default();
    for lane in held.lanes() {
        let Partition { topic, number } = lane.partition;
        let position = match positions.get(&(topic.as_str().to_owned(), number)) {
            Some(&Offset::Offset(offset)) => offset,
            _ => lane.start,
        };
        let Ok((low, high)) = client.fetch_watermarks(topic.as_str(), number, PATIENCE) else { continue };
        if position < low || position > high {
            return out_of_range(settings, lane.partition, position, low, high);
        }
    }
    let error = KafkaError::MessageConsumption(rdkafka::types::RDKafkaErrorCode::AutoOffsetReset);
    Error::new(error).context(format!("reading {}", settings.topics.join(", ")))
}
