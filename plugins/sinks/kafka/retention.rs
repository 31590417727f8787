//! Warns of records that the broker deletes soon: their timestamps are older than their topic keeps records.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use runner_core::HumanDuration;
use tracing::warn;

use super::topic::TopicSettings;

/// How long topics keep records, in milliseconds.
#[derive(Debug)]
pub(super) struct Retention {
    /// Topics without a warning yet.
    by_topic: RwLock<BTreeMap<String, i64>>,
    /// The shortest of all: a record that is newer needs no look-up.
    shortest: AtomicI64,
}

impl Default for Retention {
    fn default() -> Self {
        Retention { by_topic: RwLock::default(), shortest: AtomicI64::new(i64::MAX) }
    }
}

impl Retention {
    pub(super) fn add(&self, topic: &str, settings: &TopicSettings) {
        if let Some(retention) = settings.retention {
            self.shortest.fetch_min(retention, Ordering::Relaxed);
            self.by_topic.write().unwrap_or_else(PoisonError::into_inner).insert(topic.to_owned(), retention);
        }
    }

    /// Warns of the first record of a topic that is older than the topic keeps records. `now` and `timestamp` are
    /// milliseconds since 1970.
    pub(super) fn check(&self, topic: &str, timestamp: Option<i64>, now: i64) {
        if let Some(warning) = timestamp.and_then(|timestamp| self.warning(topic, timestamp, now)) {
            warn!("{warning}");
        }
    }

    fn warning(&self, topic: &str, timestamp: i64, now: i64) -> Option<String> {
        let age = now.saturating_sub(timestamp);
        if age <= self.shortest.load(Ordering::Relaxed) {
            return None;
        }
        let is_older = |retention: &&i64| age > **retention;
        self.by_topic.read().unwrap_or_else(PoisonError::into_inner).get(topic).filter(is_older)?;
        let retention = self.by_topic.write().unwrap_or_else(PoisonError::into_inner).remove(topic)?;
        let kept = HumanDuration(Duration::from_millis(retention.unsigned_abs()));
        let time = DateTime::<Utc>::from_timestamp_millis(timestamp)?.format("%Y-%m-%d %H:%M:%S");
        Some(format!(
            "topic `{topic}` keeps records for {kept} (`retention.ms`), counted from their timestamps, and a record is of \
             {time} UTC: the broker deletes such records within minutes. To keep them, set `retention.ms=-1` for the topic \
             (`kafka-configs.sh --alter`, or `create_topic.config` before it is created); with \
             `message.timestamp.type=LogAppendTime` the time counts from when they are written"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_record_that_is_older_than_its_topic_keeps_records_is_reported() {
        const HOUR: i64 = 3_600_000;
        let now = 1_800_000_000_000;
        let retention = Retention::default();
        assert_eq!(retention.warning("old", 0, now), None);
        for (topic, kept) in [("old", Some(HOUR)), ("older", Some(100 * HOUR)), ("all", None)] {
            let settings = TopicSettings { retention: kept, ..TopicSettings::default() };
            retention.add(topic, &settings);
        }
        for (topic, age) in [("old", HOUR), ("older", 50 * HOUR), ("all", now)] {
            assert_eq!(retention.warning(topic, now - age, now), None, "{topic}");
        }
        let warning = retention.warning("old", now - 2 * HOUR, now).expect("it is older");
        assert!(
            warning.contains("`old` keeps records for 1h") && warning.contains("2027-01-15 06:00:00"),
            "{warning}"
        );
        assert_eq!(retention.warning("old", now - 2 * HOUR, now), None, "told once");
        assert!(retention.warning("older", 0, now).is_some());
    }
}
