//! The next offset to read in each partition.

use std::sync::Arc;

use anyhow::Context as _;
use runner_core::{Name, Position, Positions, Result};
use serde::{Serialize, Serializer};

/// A partition of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Partition {
    pub(in super::super) topic: Name,
    pub(in super::super) number: i32,
}

impl Partition {
    /// The form that the client library uses as a key.
    pub(in super::super) fn key(self) -> (String, i32) {
        (self.topic.as_str().to_owned(), self.number)
    }
}

/// The next offset to read in several partitions of one assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Offsets {
    /// The assignment; an ack that arrives after its end is ignored.
    pub(super) epoch: u64,
    pub(super) next: Vec<(Partition, i64)>,
}

impl Offsets {
    /// The offsets in a position of this source.
    pub(in super::super) fn from_position(position: &Position) -> Result<&Offsets> {
        position.downcast_ref().context("a position that is not of a `kafka` source")
    }
}

/// For messages only: the group keeps the offsets, so a position never leaves the process.
impl Serialize for Offsets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let next =
            self.next.iter().map(|(partition, next)| (partition.topic.as_str(), partition.number, next));
        serializer.collect_seq(next)
    }
}

/// The next offsets after each record of a batch.
///
/// Most records of a batch have successive offsets in one partition, so a batch
/// stores one entry for each run of them.
#[derive(Debug)]
pub(super) struct BatchOffsets {
    pub(super) epoch: u64,
    pub(super) partitions: Arc<[Partition]>,
    /// The next offsets before the batch; negative where nothing has been read.
    before: Vec<i64>,
    runs: Vec<Run>,
    n_items: usize,
}

/// Items with successive offsets of one partition.
#[derive(Clone, Copy, Debug)]
struct Run {
    partition: usize,
    first_item: usize,
    first_offset: i64,
}

impl BatchOffsets {
    pub(super) fn new(epoch: u64, partitions: Arc<[Partition]>, before: Vec<i64>) -> Self {
        BatchOffsets { epoch, partitions, before, runs: Vec::new(), n_items: 0 }
    }

    /// Adds an item; `partition` is an index of `partitions`.
    pub(super) fn push(&mut self, partition: usize, offset: i64) {
        let n_items = self.n_items;
        let is_successor = self.runs.last().is_some_and(|run| {
            run.partition == partition && run.first_offset + (n_items - run.first_item) as i64 == offset
        });
        if !is_successor {
            self.runs.push(Run { partition, first_item: n_items, first_offset: offset });
        }
        self.n_items += 1;
    }

    /// The next offset in each partition after the first `n_items` items.
    pub(super) fn next_after(&self, n_items: usize) -> Vec<i64> {
        let n_items = n_items.min(self.n_items);
        let mut next = self.before.clone();
        let ends = self.runs.iter().skip(1).map(|run| run.first_item).chain([usize::MAX]);
        for (run, end) in self.runs.iter().zip(ends) {
            if run.first_item >= n_items {
                break;
            }
            next[run.partition] = run.first_offset + (end.min(n_items) - run.first_item) as i64;
        }
        next
    }
}

impl Positions for BatchOffsets {
    fn after(&self, n_items: usize) -> Position {
        let next = self.partitions.iter().copied().zip(self.next_after(n_items));
        Position::new(Offsets { epoch: self.epoch, next: next.filter(|(_, next)| *next >= 0).collect() })
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
    fn position_omits_partitions_without_records() {
        let mut offsets = BatchOffsets::new(1, partitions(2), vec![-1, -1]);
        offsets.push(1, 41);
        let position = offsets.after(1);
        let expected = Offsets { epoch: 1, next: vec![(partitions(2)[1], 42)] };
        assert_eq!(Offsets::from_position(&position).unwrap(), &expected);
    }

    proptest! {
        /// Offsets have gaps: compaction and transaction markers.
        #[test]
        fn runs_give_the_same_offsets_as_counting_each_record(
            steps in proptest::collection::vec((0..3usize, 1..3i64), 0..60),
            n_items in 0..70usize,
        ) {
            let before = vec![-1, 5, 100];
            let mut offsets = BatchOffsets::new(1, partitions(3), before.clone());
            let (mut read, mut expected) = (before.clone(), before);
            for (item, (partition, step)) in steps.into_iter().enumerate() {
                let offset = read[partition].max(0) + step - 1;
                read[partition] = offset + 1;
                offsets.push(partition, offset);
                if item < n_items {
                    expected[partition] = offset + 1;
                }
            }
            prop_assert_eq!(offsets.next_after(n_items), expected);
        }
    }
}
