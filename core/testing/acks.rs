//! Follows what becomes of the records of a batch.

use std::sync::Arc;

use crate::ack::{AckCounters, BatchTracker, Outcome};
use crate::batch::Batch;
use crate::record::Record;
use crate::sync::Ordering;

/// What has become of the records of a batch.
pub struct Acks(Arc<AckCounters>);

/// A batch of these records, and what becomes of them.
pub fn track(records: impl IntoIterator<Item = Record>) -> (Batch, Acks) {
    let records: Vec<Record> = records.into_iter().collect();
    let size = records.iter().map(Record::size).sum();
    let counters = Arc::new(AckCounters::default());
    let tracker = BatchTracker::open(&counters, 0, records.len(), size);
    (Batch::tracked(records, size, tracker), Acks(counters))
}

impl Acks {
    /// How many records were acknowledged, filtered ones included.
    pub fn n_delivered(&self) -> u64 {
        self.n(Outcome::Delivered)
    }

    /// How many records were released.
    pub fn n_released(&self) -> u64 {
        self.n(Outcome::Released)
    }

    /// How many records have failed or were dropped.
    pub fn n_failed(&self) -> u64 {
        self.n(Outcome::Failed) + self.n(Outcome::Dropped)
    }

    /// Whether every record has ended.
    pub fn is_settled(&self) -> bool {
        self.0.n_open_batches.load(Ordering::SeqCst) == 0
    }

    fn n(&self, outcome: Outcome) -> u64 {
        self.0.n_ended[outcome as usize].load(Ordering::SeqCst)
    }
}
