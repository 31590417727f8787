//! A partition that the group has assigned to this consumer, and how far it is read.

use std::collections::HashMap;

use rdkafka::Offset;

use super::offsets::Partition;

/// A partition of the current assignment.
#[derive(Clone, Debug)]
pub(in super::super) struct AssignedPartition {
    pub(in super::super) partition: Partition,
    /// The first offset to read.
    pub(in super::super) start: i64,
    /// The next offset after all records that the engine has taken.
    pub(super) taken: i64,
    /// The next offset after all records that have been delivered.
    pub(in super::super) stored: i64,
    /// The offset at which reading ends, with `stop = "at_end"`.
    pub(in super::super) end: Option<i64>,
    /// Its topic was deleted and created again: acks are of the old topic, and are ignored.
    pub(super) is_recreated: bool,
}

impl AssignedPartition {
    pub(in super::super) fn new(partition: Partition, start: i64, end: Option<i64>) -> Self {
        AssignedPartition { partition, start, taken: start, stored: start, end, is_recreated: false }
    }

    /// The position of the client in this partition, as its `position` call has returned it.
    pub(in super::super) fn position(&self, positions: &ClientPositions) -> i64 {
        match positions.get(&self.partition.key()) {
            Some(&Offset::Offset(position)) => position,
            _ => self.start,
        }
    }
}

/// The positions of the client by topic and partition.
pub(in super::super) type ClientPositions = HashMap<(String, i32), Offset>;
