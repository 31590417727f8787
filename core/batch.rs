//! A batch is records that travel together, with the acks owed for them.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use anyhow::Error;
use serde_json::Value;

use crate::ack::AckHandle;
use crate::record::{AckId, Record};

/// Where a source goes on after a restart. What it says is the source's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position(pub Value);

/// Knows where to go on once the first `n` items of a batch have been delivered.
///
/// Items are the records and the rejects of a batch, in the order of reading.
/// A position is complete: it also covers all that was read before this batch.
pub trait Positions: Send + Sync {
    /// Where to go on behind the first `n_items` items.
    fn after(&self, n_items: usize) -> Position;
}

impl<F: Fn(usize) -> Position + Send + Sync> Positions for F {
    fn after(&self, n_items: usize) -> Position {
        self(n_items)
    }
}

/// Something that a source has read and cannot make a record of.
#[derive(Debug)]
pub struct Reject {
    /// The original bytes, and where they were read.
    pub record: Record,
    /// What is wrong, where, and what to do.
    pub reason: Error,
    /// How many records of the batch were read before it.
    pub n_before: usize,
}

/// Records that travel together, with the acks owed for them.
#[must_use = "a batch that is dropped has lost its records"]
#[derive(Default)]
pub struct Batch {
    records: Vec<Record>,
    acks: Vec<AckHandle>,
    /// How many records were filtered out since the batch was last sent on.
    pub(crate) n_filtered: u64,
    pub(crate) rejects: Vec<Reject>,
    pub(crate) positions: Option<Arc<dyn Positions>>,
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("records", &self.records).finish_non_exhaustive()
    }
}

impl Batch {
    /// A batch as a source reads it.
    pub fn new(records: Vec<Record>) -> Self {
        Batch { records, ..Batch::default() }
    }

    /// Adds what the source could not make records of, in the order of reading.
    pub fn with_rejects(mut self, rejects: Vec<Reject>) -> Self {
        self.rejects = rejects;
        self
    }

    /// Adds what the source needs to know in order to go on behind this batch.
    pub fn with_positions(mut self, positions: impl Positions + 'static) -> Self {
        self.positions = Some(Arc::new(positions));
        self
    }

    /// The records.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The records, to change them in place.
    pub fn records_mut(&mut self) -> &mut [Record] {
        &mut self.records
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether no record is left; such a batch must still be sent on, signed or released.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// About how many bytes the bodies take.
    pub fn size(&self) -> usize {
        self.records.iter().map(Record::size).sum()
    }

    /// Filters records out on purpose: those are as good as delivered once the
    /// rest of the batch is.
    pub fn retain(&mut self, keep: impl FnMut(&mut Record) -> bool) {
        let n_before = self.records.len();
        self.records.retain_mut(keep);
        self.n_filtered += (n_before - self.records.len()) as u64;
    }

    /// Cuts off the first `n` records, or all if there are fewer.
    pub fn split_front(&mut self, n: usize) -> Batch {
        let n = n.min(self.records.len());
        if n == self.records.len() {
            return std::mem::take(self);
        }
        let back = self.records.split_off(n);
        let front = std::mem::replace(&mut self.records, back);
        let mut acks = Vec::with_capacity(self.acks.len());
        let mut kept = Vec::with_capacity(self.acks.len());
        for mut ack in self.acks.drain(..) {
            let last_front = covered(&front, &ack).max();
            let first_back = covered(&self.records, &ack).min();
            match (last_front, first_back) {
                (None, _) => kept.push(ack),
                (_, None) => acks.push(ack),
                (Some(last), Some(first)) if last < first => {
                    acks.push(ack.split_front(first));
                    kept.push(ack);
                }
                // The records have been put into another order: both halves answer for all.
                _ => {
                    acks.push(ack.share());
                    kept.push(ack);
                }
            }
        }
        self.acks = kept;
        Batch { records: front, acks, n_filtered: std::mem::take(&mut self.n_filtered), ..Batch::default() }
    }

    /// Takes the records at `indices`, which must ascend, into a batch of their own.
    pub fn extract(&mut self, indices: &[usize]) -> Batch {
        debug_assert!(indices.is_sorted());
        let mut taken = Vec::with_capacity(indices.len());
        let mut kept = Vec::with_capacity(self.records.len());
        let mut wanted = indices.iter().copied().peekable();
        for (index, record) in self.records.drain(..).enumerate() {
            if wanted.next_if_eq(&index).is_some() {
                taken.push(record);
            } else {
                kept.push(record);
            }
        }
        let mut acks = Vec::with_capacity(taken.len());
        for AckId { line, item, .. } in taken.iter().map(|record| record.ack_id) {
            let is_shared = kept.iter().any(|other| other.ack_id.line == line && other.ack_id.item == item);
            let Some(at) = self.acks.iter().position(|ack| ack.covers(line, item)) else {
                continue;
            };
            if is_shared {
                acks.push(self.acks[at].share());
                continue;
            }
            let front = self.acks[at].split_front(item);
            acks.push(self.acks[at].split_front(item + 1));
            self.acks.push(front);
        }
        self.records = kept;
        Batch { records: taken, acks, ..Batch::default() }
    }

    /// Adds the records of another batch behind those of this one.
    pub fn absorb(&mut self, mut other: Batch) {
        self.records.append(&mut other.records);
        self.acks.append(&mut other.acks);
        self.n_filtered += std::mem::take(&mut other.n_filtered);
    }

    /// Declares every record delivered.
    pub fn ack(self) {
        self.acks.into_iter().for_each(AckHandle::ack);
    }

    /// Declares that the records were not taken on: they count as unread.
    pub fn release(self) {
        self.acks.into_iter().for_each(AckHandle::release);
    }

    /// The same records for another branch; both branches must deliver them.
    pub(crate) fn share(&self) -> Batch {
        Batch {
            records: self.records.clone(),
            acks: self.acks.iter().map(AckHandle::share).collect(),
            ..Batch::default()
        }
    }

    /// Gives the rejects their places among the records; says which they are, and why.
    pub(crate) fn merge_rejects(&mut self) -> Vec<(usize, Error)> {
        if self.rejects.is_empty() {
            return Vec::new();
        }
        let mut reasons = Vec::with_capacity(self.rejects.len());
        let mut merged = Vec::with_capacity(self.records.len() + self.rejects.len());
        let mut rejects = self.rejects.drain(..).peekable();
        for (index, record) in self.records.drain(..).enumerate() {
            while let Some(reject) = rejects.next_if(|reject| reject.n_before <= index) {
                reasons.push((merged.len(), reject.reason));
                merged.push(reject.record);
            }
            merged.push(record);
        }
        for reject in rejects {
            reasons.push((merged.len(), reject.reason));
            merged.push(reject.record);
        }
        self.records = merged;
        reasons
    }

    /// From the first to the last place in the reading order that the acks answer for.
    pub(crate) fn span(&self) -> Range<u64> {
        let places = || self.acks.iter().map(AckHandle::places).filter(|places| !places.is_empty());
        let start = places().map(|places| places.start).min().unwrap_or_default();
        let end = places().map(|places| places.end).max().unwrap_or_default();
        start..end
    }

    /// The places in the reading order that the acks answer for.
    #[cfg(test)]
    pub(crate) fn items(&self) -> Vec<u64> {
        self.acks.iter().flat_map(AckHandle::places).collect()
    }

    /// Puts the engine's ack on a batch that has just been read.
    pub(crate) fn owe(&mut self, ack: AckHandle) {
        self.acks.push(ack);
    }

    /// Notes that a record is a bad one, which ends the run.
    pub(crate) fn mark_refused(&self, index: usize) {
        let AckId { line, item, .. } = self.records[index].ack_id;
        if let Some(ack) = self.acks.iter().find(|ack| ack.covers(line, item)) {
            ack.mark_refused();
        }
    }

    /// Notes that the records are about to leave for the outside world.
    pub(crate) fn mark_tried(&self) {
        self.acks.iter().for_each(AckHandle::mark_tried);
    }
}

/// The items of `records` that `ack` answers for.
fn covered<'a>(records: &'a [Record], ack: &'a AckHandle) -> impl Iterator<Item = u32> + 'a {
    records
        .iter()
        .map(|record| record.ack_id)
        .filter(|ack_id| ack.covers(ack_id.line, ack_id.item))
        .map(|ack_id| ack_id.item)
}
