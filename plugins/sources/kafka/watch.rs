//! What the reader looks after besides records: topics that were created again, new topics, ends that have moved
//! backwards.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use runner_core::Failure;
use tracing::{debug, info, warn};

use super::reader::{CHECK, Reader};
use super::{Stop, topic_ids};

impl Reader {
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
