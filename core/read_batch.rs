//! What a source reads in one go.

use std::fmt;
use std::sync::Arc;

use anyhow::Error;

use crate::position::Positions;
use crate::record::Record;

/// Something that a source has read and cannot turn into a record.
#[derive(Debug)]
pub struct Reject {
    /// The original bytes, and where they were read.
    pub record: Record,
    /// What is wrong, where, and what to do.
    pub reason: Error,
    /// How many records of the batch were read before it.
    pub n_before: usize,
}

/// Records as a source reads them, before the engine tracks them.
#[derive(Default)]
pub struct ReadBatch {
    pub(crate) records: Vec<Record>,
    pub(crate) rejects: Vec<Reject>,
    pub(crate) positions: Option<Arc<dyn Positions>>,
}

impl fmt::Debug for ReadBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadBatch").field("records", &self.records).finish_non_exhaustive()
    }
}

impl ReadBatch {
    /// Records in the order in which they were read.
    pub fn new(records: Vec<Record>) -> Self {
        ReadBatch { records, ..ReadBatch::default() }
    }

    /// Adds what the source could not turn into records, in the order in which it was read.
    #[must_use]
    pub fn with_rejects(mut self, rejects: Vec<Reject>) -> Self {
        self.rejects = rejects;
        self
    }

    /// Adds what the source needs to know to resume after any item of this batch.
    #[must_use]
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

    /// How many records and rejects there are.
    pub(crate) fn n_items(&self) -> usize {
        self.records.len() + self.rejects.len()
    }

    /// The first `n` records and rejects.
    pub(crate) fn first(mut self, n: usize) -> Self {
        while self.n_items() > n {
            match self.rejects.last() {
                Some(reject) if reject.n_before >= self.records.len() => drop(self.rejects.pop()),
                _ => drop(self.records.pop()),
            }
        }
        self
    }

    /// What could not be turned into records.
    pub fn rejects(&self) -> &[Reject] {
        &self.rejects
    }

    /// Puts the rejects between the records, in the order in which they were read. The second part
    /// of the result says which records they are, and why they are rejected.
    pub(crate) fn merge_rejects(self) -> (Vec<Record>, Vec<(usize, Error)>) {
        if self.rejects.is_empty() {
            return (self.records, Vec::new());
        }
        let mut reasons = Vec::with_capacity(self.rejects.len());
        let mut merged = Vec::with_capacity(self.records.len() + self.rejects.len());
        let mut rejects = self.rejects.into_iter().peekable();
        for (index, record) in self.records.into_iter().enumerate() {
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
        (merged, reasons)
    }
}
