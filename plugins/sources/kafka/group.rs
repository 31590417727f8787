//! What becomes of partitions when the group gives them and takes them away.

use std::sync::Arc;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use runner_core::{Gauges, ReadError};
use tracing::{info, warn};

use super::held::{Held, Lane};
use super::start::{self, Beginning};
use super::{Client, Settings};
use crate::shared::kafka::Heard;

/// Answers the client library when the group gives and takes partitions; all
/// of it happens on the thread that polls.
pub(super) struct Group {
    settings: Settings,
    held: Arc<Held>,
    heard: Arc<Heard>,
    beginning: Beginning,
    gauges: Arc<Gauges>,
}

impl Group {
    pub(super) fn new(settings: &Settings, held: Arc<Held>) -> Self {
        Group {
            settings: settings.clone(),
            held,
            heard: Arc::default(),
            beginning: Beginning::default(),
            gauges: Arc::clone(&settings.gauges),
        }
    }

    /// Says which partitions there are as we come.
    pub(super) fn knows(&self, partitions: &TopicPartitionList) {
        self.beginning.knows(partitions);
    }

    pub(super) fn heard(&self) -> Arc<Heard> {
        Arc::clone(&self.heard)
    }

    /// Whether the others have read everything that was there when we came.
    pub(super) fn are_others_through(&self, client: &Client, ours: &[Lane]) -> bool {
        self.beginning.is_read_by_others(client, &self.settings, ours)
    }

    fn assign(&self, client: &Client, partitions: &TopicPartitionList) -> KafkaResult<()> {
        // As whom we hold these partitions, asked before anything else can change it.
        let member = client.group_metadata().map(Arc::new);
        let found = self.beginning.of(client, partitions, &self.settings, &self.held);
        let places = match found {
            Ok(places) => places,
            Err(error) => {
                self.held.fail(error);
                return client.unassign();
            }
        };
        let mut list = TopicPartitionList::with_capacity(places.len());
        let mut at_end = TopicPartitionList::new();
        for place in &places {
            let (topic, number) = (place.partition.topic.as_str(), place.partition.number);
            list.add_partition_offset(topic, number, place.offset)?;
            if place.is_new && self.settings.reset == super::Reset::Latest {
                at_end.add_partition_offset(topic, number, Offset::Offset(place.start))?;
            }
            info!("reads {topic}/{number} from offset {}", place.start);
        }
        if places.is_empty() {
            info!("reads nothing: other members of the group have all of the partitions");
        }
        let lanes = places.into_iter().map(|place: start::Place| Lane {
            partition: place.partition,
            start: place.start,
            handed: place.start,
            stored: place.start,
            end: place.end,
        });
        self.held.take_on(lanes.collect(), member);
        client.assign(&list)?;
        if at_end.count() > 0 {
            // "From now on" is said once: what comes before the first commit is not to be missed.
            let said = client.commit(&at_end, CommitMode::Sync);
            if let (Err(error), None) = (&said, &self.settings.transactions) {
                warn!("where reading begins could not be committed, the next commit will have it: {error}");
                client.store_offsets(&at_end)?;
            } else {
                said?;
            }
        }
        Ok(())
    }

    fn revoke(&self, client: &Client, partitions: &TopicPartitionList) -> KafkaResult<()> {
        if client.assignment_lost() {
            warn!("the group has taken the partitions away: it has not heard of us for too long");
        } else {
            self.held.drain(self.settings.drain);
            if !self.held.is_closing() {
                commit(client);
            }
        }
        if self.settings.transactions.is_some() && self.held.is_under_way() && !self.held.is_closing() {
            self.held.abandon();
        }
        self.held.let_go();
        // The client remembers what was paused when the partition comes back, and nobody would resume it.
        client.resume(partitions)?;
        client.unassign()
    }
}

/// Commits what has been stored, and waits for the answer; false if nobody
/// could be reached.
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

impl ClientContext for Group {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        Heard::line(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.heard.note(&error, reason);
    }

    /// The lag counts what is not delivered, not what is not read.
    fn stats(&self, statistics: Statistics) {
        let lag = |lane: &Lane| {
            let topic = statistics.topics.get(lane.partition.topic.as_str())?;
            let found = topic.partitions.get(&lane.partition.number)?;
            let end = found.ls_offset.max(found.hi_offset);
            (end >= 0).then(|| u64::try_from(end - lane.stored).unwrap_or(0))
        };
        let lags: Option<u64> = self.held.lanes().iter().map(lag).sum();
        if let Some(lag) = lags {
            self.gauges.set_lag(lag);
        }
    }
}

impl ConsumerContext for Group {
    fn rebalance(&self, client: &BaseConsumer<Self>, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let answered = match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(client, list),
            _ => self.revoke(client, list),
        };
        if let Err(error) = answered {
            self.held.fail(ReadError::Fatal(error.into()));
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        match result {
            Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
            Err(error) => warn!("offsets could not be committed, the next commit will have them: {error}"),
        }
    }
}
