//! Notices that the end of a partition has moved backwards: its topic was deleted and created again in a cluster
//! without topic ids, or its log was truncated by an unclean leader election.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use runner_core::Error;

use super::super::assignment::Partition;
use super::super::{Client, Settings};

/// The greatest end offset of each partition of the assignment.
#[derive(Debug, Default)]
pub(in super::super) struct LogEnds(Mutex<HashMap<(String, i32), End>>);

#[derive(Clone, Copy, Debug)]
struct End {
    greatest: i64,
    /// The last statistics had a smaller one.
    has_fallen: bool,
}

impl LogEnds {
    /// Forgets the ends of an earlier assignment.
    pub(in super::super) fn clear(&self) {
        self.ends().clear();
    }

    /// Notes the end of a partition in the statistics of the client; negative where it is not known.
    pub(in super::super) fn note(&self, partition: Partition, end: i64) {
        if end >= 0 {
            let mut ends = self.ends();
            let known = ends.entry(partition.key()).or_insert(End { greatest: end, has_fallen: false });
            known.has_fallen = end < known.greatest;
            known.greatest = known.greatest.max(end);
        }
    }

    /// The error for a partition whose end is smaller than before. The statistics alone do not show it: after a
    /// leader election, and in responses of a follower, the end may be old. The leader itself is asked.
    pub(in super::super) fn check(
        &self,
        client: &Client,
        settings: &Settings,
        timeout: Duration,
    ) -> Option<Error> {
        let fallen = self.ends().iter().find(|(_, end)| end.has_fallen).map(|(key, end)| (key.clone(), *end));
        let ((topic, number), End { greatest, .. }) = fallen?;
        let (_, end) = client.fetch_watermarks(&topic, number, timeout).ok()?;
        if let Some(known) = self.ends().get_mut(&(topic.clone(), number)) {
            known.has_fallen = false;
        }
        let group = &settings.group_id;
        (end < greatest).then(|| {
            anyhow::anyhow!(
                "{topic}/{number} ended at {greatest} and ends at {end} now: the topic was deleted and created again, or \
                 the cluster has lost records; compare the position of group `{group}` with the topic, and set it if \
                 records would be skipped: kafka-consumer-groups.sh --bootstrap-server {} --group {group} --describe",
                settings.bootstrap_servers
            )
        })
    }

    fn ends(&self) -> MutexGuard<'_, HashMap<(String, i32), End>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use runner_core::Name;

    use super::*;

    #[test]
    fn end_has_fallen_only_below_the_greatest_one() {
        let ends = LogEnds::default();
        let partition = Partition { topic: Name::new("prices"), number: 0 };
        let has_fallen = |end| {
            ends.note(partition, end);
            ends.ends().get(&partition.key()).is_some_and(|it| it.has_fallen)
        };
        assert_eq!([-1, 5, 9, 9, -1].map(has_fallen), [false; 5]);
        assert!(has_fallen(8));
        assert!(!has_fallen(10), "it has grown again");
        ends.clear();
        assert!(!has_fallen(3), "another assignment");
    }
}
