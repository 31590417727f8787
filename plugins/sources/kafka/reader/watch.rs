//! The regular checks of the reader: the end of the source, transaction markers, errors and the connection, and topics
//! that are new, deleted or created again.

use std::time::{Duration, Instant};

use rdkafka::consumer::{CommitMode, Consumer as _};
use runner_core::{Error, Failure};
use tracing::{debug, info, warn};

use super::super::Stop;
use super::super::assignment::{AssignedPartition, ClientPositions};
use super::super::recreated::topic_ids;
use super::{CHECK, Reader};

/// The time without another error after which the reader has recovered.
const RECOVERED: Duration = Duration::from_secs(10);

impl Reader {
    /// Checks the end, transaction markers, errors and the connection.
    pub(super) fn check(&mut self) {
        self.last_check = Instant::now();
        self.check_recovered();
        self.check_ends();
        self.subscribe_to_new();
        // Between two assignments no partition is assigned: this is not the end of the source.
        if !self.assignment.is_assigned() {
            return self.check_connection();
        }
        // A cluster that does not respond is not idle.
        let is_idle = self.unreachable_since.is_none()
            && self.settings.idle_timeout.is_some_and(|timeout| self.last_record.elapsed() >= timeout);
        let positions = self.positions();
        let is_read = |it: &AssignedPartition| it.end.is_some_and(|end| it.position(&positions) >= end);
        let is_at_end = self.settings.stop == Stop::AtEnd
            && self.assigned.iter().all(is_read)
            && self.is_read_by_others();
        if !self.has_ended && (is_idle || is_at_end) {
            self.has_ended = true;
            let reason = if is_at_end {
                "all records up to the end have been read"
            } else {
                "no record within `idle_timeout`"
            };
            info!("the source ends: {reason}");
            self.assignment.finish();
            // A broker answers the requests of a connection in turn: the ones of the last commit would wait behind a
            // fetch that waits for new records.
            self.pause(true);
        }
        self.skip_markers(positions, CommitMode::Async);
        self.check_connection();
    }

    /// Whether other members have read their partitions to the end; requests this once a second.
    fn is_read_by_others(&mut self) -> bool {
        if self.last_request.is_some_and(|last| last.elapsed() < CHECK) {
            return false;
        }
        let start_offsets = &self.client.context().start_offsets;
        let is_read = start_offsets.is_read_by_others(&self.client, &self.settings, &self.assigned);
        self.last_request = (!is_read).then(Instant::now);
        is_read
    }

    /// The positions of the client, transaction markers included.
    pub(super) fn positions(&self) -> ClientPositions {
        self.client.position().map(|list| list.to_topic_map()).unwrap_or_default()
    }

    /// Commits offsets behind transaction markers at the end of a partition. Otherwise the group
    /// would seem to have lost records when retention deletes the markers.
    pub(super) fn skip_markers(&self, mut positions: ClientPositions, mode: CommitMode) {
        if !self.assignment.is_empty() || self.settings.dry_run.is_some() {
            return;
        }
        for (it, _) in self.assigned.iter().zip(&self.is_past_end).filter(|(_, is_past_end)| **is_past_end) {
            positions.remove(&it.partition.key());
        }
        let is_transactional = self.settings.transactions.is_some();
        self.assignment.skip_markers(&positions, |list| {
            if is_transactional {
                // Markers are not records: their offsets need not be part of a transaction.
                self.client.commit(list, mode)
            } else {
                self.client.store_offsets(list)
            }
        });
    }

    /// Resets the retry timer of the engine after an error has not occurred again. Without this,
    /// the timer of an idle topic would run until the next record.
    fn check_recovered(&mut self) {
        if self.last_error.is_some_and(|last| last.elapsed() >= RECOVERED) {
            self.last_error = None;
            self.assignment.recover();
        }
    }

    fn check_connection(&mut self) {
        let Some(since) = self.unreachable_since else { return };
        // Only a request shows whether the cluster responds again: the topic may be idle.
        if self.client.fetch_metadata(Some(&self.topics[0]), CHECK).is_ok() {
            info!("the Kafka cluster responds again");
            self.unreachable_since = None;
            self.last_record = Instant::now();
        } else if self.settings.retry.timeout.is_some_and(|timeout| since.elapsed() >= timeout) {
            let reason = self.errors.last().map(|(_, reason)| reason).unwrap_or_default();
            let message = format!(
                "the cluster at {} has not responded for {:?} (`retry.timeout`): {reason}",
                self.settings.bootstrap_servers,
                since.elapsed()
            );
            self.assignment.fail(Failure::unreachable(Error::msg(message)).after_retries());
        }
    }

    /// Whether a topic of the assignment was deleted and created again; ends the run then.
    pub(super) fn end_recreated(&mut self) -> bool {
        let changed = self.client.context().topic_ids.take_changed();
        let is_recreated =
            |topic: &String| self.assigned.iter().any(|it| it.partition.topic.as_str() == topic);
        let Some(topic) = changed.into_iter().find(is_recreated) else { return false };
        self.assignment.set_recreated(&topic);
        let mut partitions = self.assigned.clone();
        partitions.retain(|it| it.partition.topic.as_str() == topic);
        let error = topic_ids::restart(&self.client, &self.settings, &topic, &partitions);
        self.assignment.fail(Failure::fatal(error));
        self.has_ended = true;
        true
    }

    /// Requests the ids of the assigned topics before the last commit. This may take one record from the client and drop
    /// it; the positions of the client then include a record that is in no batch.
    pub(super) fn refresh_topic_ids(&mut self) {
        let mut topics: Vec<&str> = self.assigned.iter().map(|it| it.partition.topic.as_str()).collect();
        topics.sort_unstable();
        topics.dedup();
        for topic in topics {
            // Without a connection there is no commit either.
            if self.client.fetch_metadata(Some(topic), CHECK).is_err() {
                return;
            }
        }
        // Receives the log lines, which come before the records.
        for _ in 0..1_000 {
            if self.client.poll(Duration::ZERO).is_some() {
                break;
            }
        }
        self.end_recreated();
    }

    /// Ends the run if a partition has lost records.
    pub(super) fn check_ends(&self) {
        if let Some(error) = self.client.context().ends.check(&self.client, &self.settings, CHECK) {
            self.assignment.fail(Failure::fatal(error));
        }
    }

    /// Leaves topics out that only a pattern matches and that were deleted, as topics of one day are. False if there are
    /// none, or nothing else to read.
    pub(super) fn unsubscribe_from_deleted(&mut self) -> bool {
        if !self.settings.topics.has_patterns() || self.settings.dry_run.is_some() {
            return false;
        }
        let Ok(existing) = self.settings.topics.find(&self.client, CHECK) else { return false };
        let is_deleted = |topic: &String| !existing.contains(topic) && !self.settings.topics.contains(topic);
        let (deleted, left): (Vec<String>, Vec<String>) = self.topics.iter().cloned().partition(is_deleted);
        if deleted.is_empty() || left.is_empty() {
            return false;
        }
        let all: Vec<&str> = left.iter().map(String::as_str).collect();
        if let Err(error) = self.client.subscribe(&all) {
            warn!("leaving out topics that were deleted: {error}");
            return false;
        }
        warn!(
            "deleted topics: {}; the source continues with the others that `topics` matches",
            deleted.join(", ")
        );
        self.topics = left;
        true
    }

    /// Subscribes to new topics that match a pattern.
    pub(super) fn subscribe_to_new(&mut self) {
        let settings = &self.settings;
        if !settings.topics.has_patterns()
            || settings.dry_run.is_some()
            || settings.stop == Stop::AtEnd
            || self.last_search.elapsed() < settings.refresh
        {
            return;
        }
        self.last_search = Instant::now();
        let mut new = match settings.topics.find(&self.client, CHECK) {
            Ok(found) => found,
            Err(error) => return debug!("looking for new topics: {error}"),
        };
        // A topic that is gone stays in the subscription, so that the client reports it.
        new.retain(|topic| !self.topics.contains(topic));
        if new.is_empty() {
            return;
        }
        info!("new topics match `topics`: {}", new.join(", "));
        let all: Vec<&str> = self.topics.iter().chain(&new).map(String::as_str).collect();
        match self.client.subscribe(&all) {
            Ok(()) => self.topics.extend(new),
            Err(error) => warn!("subscribing to new topics: {error}"),
        }
    }
}
