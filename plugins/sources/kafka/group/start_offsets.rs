//! The offsets at which reading starts in newly assigned partitions.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use runner_core::{Error, Failure, Name};
use tracing::warn;

use super::super::assignment::{AssignedPartition, Assignment, Partition};
use super::super::{Client, REQUEST_TIMEOUT, Reset, Settings, Stop};
use crate::shared::kafka::{is_denied, is_outage};

/// The start of one partition.
#[derive(Debug)]
pub(super) struct StartOffset {
    pub(super) partition: Partition,
    /// The offset for the client.
    pub(super) offset: Offset,
    /// The same as a number.
    pub(super) start: i64,
    /// The offset at which reading ends, with `stop = "at_end"`.
    pub(super) end: Option<i64>,
    /// Whether the group has not committed an offset yet.
    pub(super) is_new: bool,
    /// How many records `auto_offset_reset = "latest"` skips at most.
    pub(super) n_skipped: i64,
    /// How many records there are at most, if all of them are older than `start`.
    pub(super) n_older: i64,
    /// Whether there is a record that is as new as `start`, wherever it is; true too where `start` is not used.
    pub(super) has_newer: bool,
}

/// How many records are all older than `start`, and in which partitions; `None` if there is a newer one.
pub(super) fn older_alone(starts: &[StartOffset]) -> Option<(i64, String)> {
    let older: Vec<_> = starts.iter().filter(|it| it.n_older > 0).collect();
    if older.is_empty() || starts.iter().any(|it| it.has_newer) {
        return None;
    }
    let shown = older.iter().take(MAX_SHOWN).map(|it| {
        let Partition { topic, number } = it.partition;
        format!("{topic}/{number}")
    });
    let mut places = shown.collect::<Vec<_>>().join(", ");
    if older.len() > MAX_SHOWN {
        places.push_str(&format!(" and {} more", older.len() - MAX_SHOWN));
    }
    Some((older.iter().map(|it| it.n_older).sum(), places))
}

/// How many partitions a message names.
const MAX_SHOWN: usize = 5;

/// Finds the start offsets, and keeps the end offsets at the start of the source.
#[derive(Default)]
pub(in super::super) struct StartOffsets {
    /// The end offsets of all partitions at the first assignment, those of other
    /// members included: this consumer may get their partitions later.
    ends: Mutex<Option<BTreeMap<(String, i32), i64>>>,
    /// The partitions at the start of the source.
    known: OnceLock<BTreeSet<(String, i32)>>,
    /// After the first success a denial is transient: the pipeline file is correct.
    has_succeeded: AtomicBool,
}

/// For requests that are repeated anyway.
const SHORT_TIMEOUT: Duration = Duration::from_secs(1);

impl StartOffsets {
    /// Sets the partitions at the start of the source.
    pub(in super::super) fn set_known(&self, partitions: &TopicPartitionList) {
        let partitions = partitions.elements().into_iter().map(|it| (it.topic().to_owned(), it.partition()));
        let _ = self.known.set(partitions.collect());
    }

    /// Whether `starts` has all partitions at the start of the source.
    pub(super) fn has_all(&self, starts: &[StartOffset]) -> bool {
        let own: BTreeSet<_> = starts.iter().map(|it| it.partition.key()).collect();
        self.known.get().is_some_and(|known| known.is_subset(&own))
    }

    /// Whether a partition was added after the start: all its records are newer than the start.
    fn is_added(&self, partition: Partition) -> bool {
        self.known.get().is_some_and(|known| !known.contains(&partition.key()))
    }

    /// The start of each of `partitions`; repeats the requests until the cluster responds.
    pub(super) fn find(
        &self,
        client: &Client,
        partitions: &TopicPartitionList,
        settings: &Settings,
        assignment: &Assignment,
    ) -> Result<Vec<StartOffset>, Failure> {
        let began = Instant::now();
        let group = &settings.group_id;
        loop {
            let error = match self.request(client, partitions, settings) {
                Ok(found) => {
                    self.has_succeeded.store(true, Ordering::Relaxed);
                    return found.map_err(Failure::fatal);
                }
                Err(error) => error,
            };
            let is_transient = |code| {
                // The transaction of a member that was killed ends by its timeout.
                code == RDKafkaErrorCode::UnstableOffsetCommit
                    || is_outage(code)
                    || (is_denied(code) && self.has_succeeded.load(Ordering::Relaxed))
            };
            if !error.rdkafka_error_code().is_some_and(is_transient) {
                let message = format!(
                    "fetching the offsets of group `{group}` (the user needs Read on the group and its topics)"
                );
                return Err(Failure::fatal(error).context(message));
            }
            if settings.retry.timeout.is_some_and(|timeout| began.elapsed() > timeout) {
                let message = format!("fetching offsets from {}: {error}", settings.bootstrap_servers);
                return Err(Failure::unreachable(Error::msg(message)).after_retries());
            }
            warn!("fetching the offsets of group `{group}`: {error}; retrying");
            if assignment.wait_until_closing(settings.retry.initial) {
                return Ok(Vec::new());
            }
        }
    }

    fn request(
        &self,
        client: &Client,
        partitions: &TopicPartitionList,
        settings: &Settings,
    ) -> KafkaResult<Result<Vec<StartOffset>, Error>> {
        if settings.stop == Stop::AtEnd {
            self.fetch_ends(client, settings)?;
        }
        if partitions.count() == 0 {
            return Ok(Ok(Vec::new()));
        }
        let committed = client.committed_offsets(partitions.clone(), REQUEST_TIMEOUT)?;
        committed.elements().iter().try_for_each(|it| it.error())?;
        // Before the offsets by time: a record that arrives in between is behind the end.
        let watermarks = committed
            .elements()
            .iter()
            .map(|it| client.fetch_watermarks(it.topic(), it.partition(), REQUEST_TIMEOUT))
            .collect::<KafkaResult<Vec<(i64, i64)>>>()?;
        let by_time = offsets_by_time(client, &committed, settings)?;
        let mut starts = Vec::with_capacity(partitions.count());
        for (it, (low, high)) in committed.elements().into_iter().zip(watermarks) {
            let partition = Partition { topic: Name::new(it.topic()), number: it.partition() };
            let reads_all = settings.dry_run.is_some_and(|it| it.from_start);
            let committed = match it.offset() {
                Offset::Offset(offset) if !reads_all => Some(offset),
                _ => None,
            };
            // `None`: no record has the time `start` or a later one.
            let found = match by_time.get(&partition.key()) {
                Some(&Offset::Offset(offset)) => Some(offset),
                _ => None,
            };
            let (offset, start) = match (committed, settings.reset) {
                _ if reads_all => (Offset::Beginning, low),
                (Some(offset), _) if offset < low || offset > high => {
                    return Ok(Err(out_of_range(settings, partition, offset, low, high)));
                }
                (Some(offset), _) => (Offset::Offset(offset), offset),
                (None, _) if settings.start.is_some() => {
                    let start = found.unwrap_or(high);
                    (Offset::Offset(start), start)
                }
                // Not as a number: retention may delete the oldest record in the meantime.
                (None, Reset::Earliest) => (Offset::Beginning, low),
                (None, Reset::Latest) if self.is_added(partition) => (Offset::Beginning, low),
                (None, Reset::Latest) => (Offset::Offset(high), high),
            };
            let is_latest = !reads_all
                && committed.is_none()
                && settings.start.is_none()
                && settings.reset == Reset::Latest;
            let n_skipped = if is_latest { start - low } else { 0 };
            let is_by_time = !reads_all && committed.is_none() && settings.start.is_some();
            let n_older = if is_by_time && found.is_none() { high - low } else { 0 };
            let end = (settings.stop == Stop::AtEnd).then(|| self.end_of(partition).unwrap_or(high));
            starts.push(StartOffset {
                partition,
                offset,
                start,
                end,
                is_new: committed.is_none(),
                n_skipped,
                n_older,
                has_newer: !is_by_time || found.is_some(),
            });
        }
        Ok(Ok(starts))
    }

    /// Whether the group has committed the end offsets of all partitions that are not assigned to this consumer.
    /// Their owner may have crashed, and then this consumer gets its partitions.
    pub(in super::super) fn is_read_by_others(
        &self,
        client: &Client,
        settings: &Settings,
        assigned: &[AssignedPartition],
    ) -> bool {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default();
        for it in assigned {
            ends.remove(&it.partition.key());
        }
        if ends.is_empty() {
            return true;
        }
        let mut partitions = TopicPartitionList::new();
        for (topic, number) in ends.keys() {
            partitions.add_partition(topic, *number);
        }
        let Ok(committed) = client.committed_offsets(partitions, SHORT_TIMEOUT) else { return false };
        committed.elements().iter().all(|it| {
            let (topic, number) = (it.topic(), it.partition());
            if it.error().is_err() {
                return false;
            }
            let end = ends.get(&(topic.to_owned(), number)).copied().unwrap_or_default();
            match (it.offset(), settings.reset) {
                (Offset::Offset(offset), _) => offset >= end,
                (_, Reset::Latest) if settings.start.is_none() => true,
                _ => client.fetch_watermarks(topic, number, SHORT_TIMEOUT).is_ok_and(|(low, _)| low >= end),
            }
        })
    }

    fn fetch_ends(&self, client: &Client, settings: &Settings) -> KafkaResult<()> {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        if ends.is_some() {
            return Ok(());
        }
        let mut found = BTreeMap::new();
        for topic in settings.topics.find(client, REQUEST_TIMEOUT)? {
            let metadata = client.fetch_metadata(Some(&topic), REQUEST_TIMEOUT)?;
            for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
                let (_, high) = client.fetch_watermarks(&topic, partition.id(), REQUEST_TIMEOUT)?;
                found.insert((topic.clone(), partition.id()), high);
            }
        }
        *ends = Some(found);
        Ok(())
    }

    fn end_of(&self, partition: Partition) -> Option<i64> {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.as_ref()?.get(&partition.key()).copied()
    }
}

/// The first offsets of the time `start`, in partitions without a committed offset.
fn offsets_by_time(
    client: &Client,
    committed: &TopicPartitionList,
    settings: &Settings,
) -> KafkaResult<HashMap<(String, i32), Offset>> {
    let mut times = TopicPartitionList::new();
    if let Some(start) = settings.start {
        let is_new = |offset| !matches!(offset, Offset::Offset(_));
        for it in committed.elements().iter().filter(|it| is_new(it.offset())) {
            times.add_partition_offset(it.topic(), it.partition(), Offset::Offset(start))?;
        }
    }
    if times.count() == 0 {
        return Ok(HashMap::new());
    }
    let found = client.offsets_for_times(times, REQUEST_TIMEOUT)?;
    found.elements().iter().try_for_each(|it| it.error())?;
    Ok(found.to_topic_map())
}

/// The error for an offset that is not in the partition any more.
fn out_of_range(settings: &Settings, partition: Partition, offset: i64, low: i64, high: i64) -> Error {
    let Partition { topic, number } = partition;
    let group = &settings.group_id;
    anyhow::anyhow!(
        "group `{group}` would continue in {topic}/{number} at offset {offset}, but {}; to continue with the records \
         that exist, run with `--from-start` or set another offset of the group: kafka-consumer-groups.sh \
         --bootstrap-server {} --group {group} --topic {topic}:{number} --reset-offsets --to-earliest --execute{}",
        what_exists(offset, low, high),
        settings.bootstrap_servers,
        what_the_end_skips(offset, low, high)
    )
}

fn what_exists(offset: i64, low: i64, high: i64) -> String {
    if offset < low {
        let n_lost = low - offset;
        return format!(
            "the oldest record there is {low}: {n_lost} records were deleted before they were read"
        );
    }
    format!("the topic ends at {high}: it was deleted and created again, or has lost records")
}

/// Behind the end of the topic a user may think of its end: the records before it would never be read.
fn what_the_end_skips(offset: i64, low: i64, high: i64) -> String {
    match high - low {
        n if n > 0 && offset > high => {
            format!(". `--to-offset {high}` would go on at the end and skip the {n} records that exist")
        }
        _ => String::new(),
    }
}

/// The error for a position that is not in its partition any more; finds the partition.
pub(in super::super) fn find_out_of_range(
    client: &Client,
    settings: &Settings,
    assignment: &Assignment,
) -> Error {
    let positions = client.position().map(|list| list.to_topic_map()).unwrap_or_default();
    for assigned in assignment.partitions() {
        let Partition { topic, number } = assigned.partition;
        let position = assigned.position(&positions);
        let Ok((low, high)) = client.fetch_watermarks(topic.as_str(), number, REQUEST_TIMEOUT) else {
            continue;
        };
        if position < low || position > high {
            return out_of_range(settings, assigned.partition, position, low, high);
        }
    }
    let error = KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset);
    Error::new(error).context(format!("reading {}", settings.topics))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(number: i32, start: i64, n_older: i64, has_newer: bool) -> StartOffset {
        StartOffset {
            partition: Partition { topic: Name::new("late"), number },
            offset: Offset::Offset(start),
            start,
            end: None,
            is_new: true,
            n_skipped: 0,
            n_older,
            has_newer,
        }
    }

    #[test]
    fn newer_record_at_offset_0_counts() {
        assert_eq!(older_alone(&[start(0, 2, 2, false), start(1, 0, 0, true)]), None);
        assert_eq!(older_alone(&[start(0, 0, 0, false)]), None, "an empty partition");
        let late = older_alone(&[start(0, 2, 2, false), start(1, 0, 0, false), start(2, 3, 3, false)]);
        assert_eq!(late, Some((5, "late/0, late/2".to_owned())));
        let many: Vec<_> = (0..7).map(|number| start(number, 1, 1, false)).collect();
        assert!(older_alone(&many).unwrap().1.ends_with("late/4 and 2 more"));
    }

    #[test]
    fn advice_for_an_offset_behind_the_end_says_what_the_end_skips() {
        assert!(what_exists(1_000, 0, 20).contains("ends at 20"));
        let skipped = what_the_end_skips(1_000, 5, 20);
        assert!(skipped.contains("`--to-offset 20`") && skipped.contains("skip the 15 records"), "{skipped}");
        assert_eq!(what_the_end_skips(1_000, 20, 20), "");
        assert!(what_exists(3, 5, 20).contains("2 records were deleted"));
        assert_eq!(what_the_end_skips(3, 5, 20), "");
    }

    #[test]
    fn member_with_some_partitions_does_not_have_all() {
        let mut all = TopicPartitionList::new();
        all.add_partition("late", 0);
        all.add_partition("late", 1);
        let offsets = StartOffsets::default();
        offsets.set_known(&all);
        assert!(!offsets.has_all(&[start(0, 2, 2, false)]));
        assert!(offsets.has_all(&[start(0, 2, 2, false), start(1, 0, 0, false)]));
    }
}
