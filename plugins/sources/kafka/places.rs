//! A place is the offset that comes next in a partition.

use std::sync::Arc;

use anyhow::Context as _;
use runner_core::{Name, Position, Positions, Result};
use serde_json::{Map, Value, json};

/// A partition of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) topic: Name,
    pub(super) number: i32,
}

/// Places in several partitions, as one assignment of the group saw them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// Which assignment; its partitions are ours no longer than it lasts.
    pub(super) epoch: u64,
    pub(super) next: Vec<(Partition, i64)>,
}

impl Places {
    /// What a checkpoint holds.
    pub(super) fn write(&self) -> Position {
        let mut topics = Map::new();
        for (partition, next) in &self.next {
            let topic = topics.entry(partition.topic.as_str()).or_insert_with(|| json!({}));
            topic[partition.number.to_string()] = json!(next);
        }
        Position(json!({ "epoch": self.epoch, "offsets": topics }))
    }

    /// Reads what [`write`](Self::write) has written.
    pub(super) fn read(position: &Position) -> Result<Places> {
        let epoch = position.0["epoch"].as_u64().context("a position without an epoch")?;
        let topics = position.0["offsets"].as_object().context("a position without offsets")?;
        let mut next = Vec::new();
        for (topic, partitions) in topics {
            let topic = Name::new(topic);
            for (number, offset) in partitions.as_object().into_iter().flatten() {
                let offset = Value::as_i64(offset).context("an offset that is no number")?;
                next.push((Partition { topic, number: number.parse()? }, offset));
            }
        }
        Ok(Places { epoch, next })
    }
}

/// The places behind each record of a batch.
///
/// Records come in runs of successive offsets of one partition, so a batch
/// needs a few numbers rather than one for each record.
#[derive(Debug)]
pub(super) struct Trail {
    pub(super) epoch: u64,
    pub(super) partitions: Arc<[Partition]>,
    /// What came next in front of the batch; below 0 where nothing was read.
    before: Vec<i64>,
    runs: Vec<Run>,
    n_items: usize,
}

/// Items with successive offsets of one partition.
#[derive(Clone, Copy, Debug)]
struct Run {
    lane: usize,
    first_item: usize,
    first_offset: i64,
}

impl Trail {
    /// A trail that has no items yet.
    pub(super) fn new(epoch: u64, partitions: Arc<[Partition]>, before: Vec<i64>) -> Self {
        Trail { epoch, partitions, before, runs: Vec::new(), n_items: 0 }
    }

    /// Adds an item.
    pub(super) fn push(&mut self, lane: usize, offset: i64) {
        let n_items = self.n_items;
        let follows = self.runs.last().is_some_and(|run| {
            run.lane == lane && run.first_offset + (n_items - run.first_item) as i64 == offset
        });
        if !follows {
            self.runs.push(Run { lane, first_item: n_items, first_offset: offset });
        }
        self.n_items += 1;
    }

    /// What comes next in each partition behind the first `n_items` items.
    pub(super) fn next_after(&self, n_items: usize) -> Vec<i64> {
        let n_items = n_items.min(self.n_items);
        let mut next = self.before.clone();
        let ends = self.runs.iter().skip(1).map(|run| run.first_item).chain([usize::MAX]);
        for (run, end) in self.runs.iter().zip(ends) {
            if run.first_item >= n_items {
                break;
            }
            next[run.lane] = run.first_offset + (end.min(n_items) - run.first_item) as i64;
        }
        next
    }
}

impl Positions for Trail {
    fn after(&self, n_items: usize) -> Position {
        let next = self.partitions.iter().copied().zip(self.next_after(n_items));
        Places { epoch: self.epoch, next: next.filter(|(_, next)| *next >= 0).collect() }.write()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn partitions(n: i32) -> Arc<[Partition]> {
        (0..n).map(|number| Partition { topic: Name::new("stock.market"), number }).collect()
    }

    #[test]
    fn places_read_back_as_they_were_written() {
        let next = vec![(partitions(1)[0], 7), (Partition { topic: Name::new("b"), number: 12 }, 0)];
        let places = Places { epoch: 3, next };
        assert_eq!(Places::read(&places.write()).unwrap(), places);
    }

    #[test]
    fn a_partition_that_was_not_read_has_no_place() {
        let mut trail = Trail::new(1, partitions(2), vec![-1, -1]);
        trail.push(1, 41);
        let Position(value) = trail.after(1);
        assert_eq!(value, json!({ "epoch": 1, "offsets": { "stock.market": { "1": 42 } } }));
    }

    proptest! {
        /// Offsets have holes: compaction and the marks of transactions.
        #[test]
        fn a_trail_says_what_counting_each_record_would_say(
            steps in proptest::collection::vec((0..3usize, 1..3i64), 0..60),
            n_items in 0..70usize,
        ) {
            let before = vec![-1, 5, 100];
            let mut trail = Trail::new(1, partitions(3), before.clone());
            let (mut read, mut expected) = (before.clone(), before);
            for (item, (lane, step)) in steps.into_iter().enumerate() {
                let offset = read[lane].max(0) + step - 1;
                read[lane] = offset + 1;
                trail.push(lane, offset);
                if item < n_items {
                    expected[lane] = offset + 1;
                }
            }
            prop_assert_eq!(trail.next_after(n_items), expected);
        }
    }
}
