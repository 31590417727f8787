//! Handles rebalances of the consumer group. `start_offsets` finds where reading starts in new partitions.

mod start_offsets;

use std::sync::Arc;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use runner_core::Failure;
use tracing::{info, warn};

pub(super) use self::start_offsets::find_out_of_range;
use self::start_offsets::{StartOffset, StartOffsets, older_alone};
use super::assignment::{AssignedPartition, Assignment, Partition};
use super::recreated::log_ends::LogEnds;
use super::recreated::topic_ids::TopicIds;
use super::{Client, Reset, Settings};
use crate::shared::kafka::ClientErrors;

/// The callbacks of the client library. It calls them on the thread that polls.
pub(super) struct GroupContext {
    settings: Settings,
    assignment: Arc<Assignment>,
    pub(super) errors: Arc<ClientErrors>,
    pub(super) start_offsets: StartOffsets,
    pub(super) topic_ids: TopicIds,
    pub(super) ends: LogEnds,
}

impl GroupContext {
    pub(super) fn new(settings: &Settings, assignment: Arc<Assignment>) -> Self {
        GroupContext {
            settings: settings.clone(),
            assignment,
            errors: Arc::default(),
            start_offsets: StartOffsets::default(),
            topic_ids: TopicIds::default(),
            ends: LogEnds::default(),
        }
    }

    pub(super) fn assign(&self, client: &Client, partitions: &TopicPartitionList) -> KafkaResult<()> {
        // The membership that holds these partitions, before another rebalance changes it.
        let member = client.group_metadata().map(Arc::new);
        let starts = match self.start_offsets.find(client, partitions, &self.settings, &self.assignment) {
            Ok(starts) => starts,
            Err(error) => {
                self.assignment.fail(error);
                return client.unassign();
            }
        };
        let mut list = TopicPartitionList::with_capacity(starts.len());
        // The positions of a group without offsets, where they are not at the beginning.
        let mut new = TopicPartitionList::new();
        let is_reset = self.settings.reset == Reset::Latest || self.settings.start.is_some();
        for it in &starts {
            let (topic, number) = (it.partition.topic.as_str(), it.partition.number);
            list.add_partition_offset(topic, number, it.offset)?;
            if it.is_new && is_reset {
                new.add_partition_offset(topic, number, Offset::Offset(it.start))?;
            }
            info!("reads {topic}/{number} from offset {}", it.start);
        }
        if starts.is_empty() {
            info!("reads nothing: all partitions are assigned to other members of the group");
        }
        self.warn_of_skipped(&starts);
        self.warn_of_start(&starts);
        self.warn_of_late_start(&starts);
        self.ends.clear();
        let assigned = starts.into_iter().map(|it| AssignedPartition::new(it.partition, it.start, it.end));
        self.assignment.assign(assigned.collect(), member);
        client.assign(&list)?;
        if new.count() > 0 && self.settings.dry_run.is_none() {
            // Fixes the start of `auto_offset_reset = "latest"` and of `start`: a restart before the first commit
            // must not skip records.
            match client.commit(&new, CommitMode::Sync) {
                Err(error) if self.settings.transactions.is_none() => {
                    warn!("the start offsets could not be committed, the next commit includes them: {error}");
                    client.store_offsets(&new)?;
                }
                committed => committed?,
            }
        }
        Ok(())
    }

    /// `auto_offset_reset = "latest"` skips the records of a group whose offsets have expired, too.
    fn warn_of_skipped(&self, starts: &[StartOffset]) {
        let skipped: Vec<_> = starts.iter().filter(|it| it.n_skipped > 0).collect();
        let n_skipped: i64 = skipped.iter().map(|it| it.n_skipped).sum();
        let Some(first) = skipped.first() else { return };
        let Partition { topic, number } = first.partition;
        warn!(
            "group `{}` has no offset in {} of its partitions, such as {topic}/{number}: it is new there, or its \
             offsets have expired. `auto_offset_reset = \"latest\"` skips {n_skipped} records, up to offset {} of \
             {topic}/{number}",
            self.settings.group_id,
            skipped.len(),
            first.start
        );
    }

    /// `start` is about a group without offsets. Said once a run: later assignments continue at its own offsets.
    fn warn_of_start(&self, starts: &[StartOffset]) {
        let group = &self.settings.group_id;
        let is_first = self.assignment.epoch() == 0;
        if is_first
            && self.settings.start.is_some()
            && let Some(first) = starts.iter().find(|it| !it.is_new)
        {
            let Partition { topic, number } = first.partition;
            warn!(
                "`start` is not used where the group has an offset: group `{group}` continues {topic}/{number} at offset \
                 {}. To read from `start`, set another `group_id`, or delete the offsets of the group",
                first.start
            );
        }
    }

    /// No record is as new as `start`: said once a run, since the group then has an offset.
    fn warn_of_late_start(&self, starts: &[StartOffset]) {
        if self.assignment.epoch() != 0 {
            return;
        }
        let Some((n_older, partitions)) = older_alone(starts) else { return };
        // Other members of the group may have newer records.
        let place = if self.start_offsets.has_all(starts) {
            self.settings.topics.to_string()
        } else {
            format!("the partitions {partitions}, which this member of the group reads,")
        };
        warn!(
            "no record of {place} is as new as `start`: all {n_older} are older, and reading begins behind them. To read them, \
             set an earlier `start` and another `group_id`, since group `{}` now has its offsets at the end",
            self.settings.group_id
        );
    }

    fn revoke(&self, client: &Client, partitions: &TopicPartitionList) -> KafkaResult<()> {
        let assignment = &self.assignment;
        if client.assignment_lost() {
            warn!(
                "partition assignment lost: the broker removed this consumer from the group (session or poll timeout)"
            );
        } else {
            assignment.drain(self.settings.drain);
            if !assignment.is_closing() {
                commit(client);
            }
        }
        if self.settings.transactions.is_some() && assignment.has_in_flight() && !assignment.is_closing() {
            assignment.abort_transaction();
        }
        assignment.revoke();
        // The client keeps the paused state of a partition for the next assignment, in which nothing resumes it.
        client.resume(partitions)?;
        client.unassign()
    }
}

/// Commits the stored offsets and waits for the response; false if no broker is reachable.
pub(super) fn commit(client: &Client) -> bool {
    match client.commit_consumer_state(CommitMode::Sync) {
        // There was nothing to commit.
        Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => true,
        Err(error) => {
            warn!("the last offsets could not be committed, their records will be read again: {error}");
            !error.rdkafka_error_code().is_some_and(crate::shared::kafka::is_outage)
        }
    }
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.topic_ids.read_log(line);
        ClientErrors::log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.errors.record(&error, reason);
    }

    /// Sets the lag: records that are not delivered, rather than not read.
    fn stats(&self, statistics: Statistics) {
        let lag = |it: &AssignedPartition| {
            let topic = statistics.topics.get(it.partition.topic.as_str())?;
            let found = topic.partitions.get(&it.partition.number)?;
            let end = found.ls_offset.max(found.hi_offset);
            self.ends
                .note(it.partition, if found.ls_offset >= 0 { found.ls_offset } else { found.hi_offset });
            (end >= 0).then(|| u64::try_from(end - it.stored).unwrap_or(0))
        };
        let lags: Option<u64> = self.assignment.partitions().iter().map(lag).sum();
        if let Some(lag) = lags {
            self.settings.gauges.set_lag(lag);
        }
    }
}

impl ConsumerContext for GroupContext {
    fn rebalance(&self, client: &BaseConsumer<Self>, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let result = match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(client, list),
            _ => self.revoke(client, list),
        };
        if let Err(error) = result {
            self.assignment.fail(Failure::fatal(error));
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        match result {
            Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
            Err(error) => warn!("offsets could not be committed, the next commit includes them: {error}"),
        }
    }
}
