//! A batch is records that travel together, with the receipts owed for them.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use anyhow::Error;
use serde_json::Value;

use crate::receipt::Receipt;
use crate::record::{Record, Ticket};

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

/// Records that travel together, with the receipts owed for them.
#[must_use = "a batch that is dropped has lost its records"]
#[derive(Default)]
pub struct Batch {
    records: Vec<Record>,
    receipts: Vec<Receipt>,
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

    /// Whether no record is left; such a batch must still be sent on, signed or given back.
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
        let mut receipts = Vec::with_capacity(self.receipts.len());
        let mut kept = Vec::with_capacity(self.receipts.len());
        for mut receipt in self.receipts.drain(..) {
            let last_front = covered(&front, &receipt).max();
            let first_back = covered(&self.records, &receipt).min();
            match (last_front, first_back) {
                (None, _) => kept.push(receipt),
                (_, None) => receipts.push(receipt),
                (Some(last), Some(first)) if last < first => {
                    receipts.push(receipt.split_front(first));
                    kept.push(receipt);
                }
                // The records have been put into another order: both halves answer for all.
                _ => {
                    receipts.push(receipt.share());
                    kept.push(receipt);
                }
            }
        }
        self.receipts = kept;
        Batch {
            records: front,
            receipts,
            n_filtered: std::mem::take(&mut self.n_filtered),
            ..Batch::default()
        }
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
        let mut receipts = Vec::with_capacity(taken.len());
        for Ticket { line, item, .. } in taken.iter().map(|record| record.ticket) {
            let is_shared = kept.iter().any(|other| other.ticket.line == line && other.ticket.item == item);
            let Some(at) = self.receipts.iter().position(|receipt| receipt.covers(line, item)) else {
                continue;
            };
            if is_shared {
                receipts.push(self.receipts[at].share());
                continue;
            }
            let front = self.receipts[at].split_front(item);
            receipts.push(self.receipts[at].split_front(item + 1));
            self.receipts.push(front);
        }
        self.records = kept;
        Batch { records: taken, receipts, ..Batch::default() }
    }

    /// Adds the records of another batch behind those of this one.
    pub fn absorb(&mut self, mut other: Batch) {
        self.records.append(&mut other.records);
        self.receipts.append(&mut other.receipts);
        self.n_filtered += std::mem::take(&mut other.n_filtered);
    }

    /// Declares every record delivered.
    pub fn sign(self) {
        self.receipts.into_iter().for_each(Receipt::sign);
    }

    /// Declares that the records were not taken on: they count as unread.
    pub fn give_back(self) {
        self.receipts.into_iter().for_each(Receipt::give_back);
    }

    /// The same records for another branch; both branches must deliver them.
    pub(crate) fn share(&self) -> Batch {
        Batch {
            records: self.records.clone(),
            receipts: self.receipts.iter().map(Receipt::share).collect(),
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

    /// From the first to the last place in the reading order that the receipts answer for.
    pub(crate) fn span(&self) -> Range<u64> {
        let places = || self.receipts.iter().map(Receipt::places).filter(|places| !places.is_empty());
        let start = places().map(|places| places.start).min().unwrap_or_default();
        let end = places().map(|places| places.end).max().unwrap_or_default();
        start..end
    }

    /// The places in the reading order that the receipts answer for.
    #[cfg(test)]
    pub(crate) fn items(&self) -> Vec<u64> {
        self.receipts.iter().flat_map(Receipt::places).collect()
    }

    /// Puts the engine's receipt on a batch that has just been read.
    pub(crate) fn owe(&mut self, receipt: Receipt) {
        self.receipts.push(receipt);
    }

    /// Notes that a record is a bad one, which ends the run.
    pub(crate) fn mark_refused(&self, index: usize) {
        let Ticket { line, item, .. } = self.records[index].ticket;
        if let Some(receipt) = self.receipts.iter().find(|receipt| receipt.covers(line, item)) {
            receipt.mark_refused();
        }
    }

    /// Notes that the records are about to leave for the outside world.
    pub(crate) fn mark_tried(&self) {
        self.receipts.iter().for_each(Receipt::mark_tried);
    }
}

/// The items of `records` that `receipt` answers for.
fn covered<'a>(records: &'a [Record], receipt: &'a Receipt) -> impl Iterator<Item = u32> + 'a {
    records
        .iter()
        .map(|record| record.ticket)
        .filter(|ticket| receipt.covers(ticket.line, ticket.item))
        .map(|ticket| ticket.item)
}
