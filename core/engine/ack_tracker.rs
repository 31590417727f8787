//! Tracks the batches that one source has read, and how far everything has been delivered.
//!
//! Nothing after a gap is ever committed: the delivered prefix ends at the first item, in reading
//! order, that has not been delivered.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};

use anyhow::Error;

use crate::ack::{AckCounters, BatchTracker, Outcome};
use crate::batch::Batch;
use crate::in_flight::InFlight;
use crate::position::{Position, Positions};
use crate::read_batch::ReadBatch;
use crate::record::Record;
use crate::sync::{Mutex, MutexGuard, Ordering};

/// The batches that one source has read and that have not been committed.
#[derive(Debug)]
pub(crate) struct AckTracker {
    counters: Arc<AckCounters>,
    open: Mutex<OpenBatches>,
}

type OpenBatch = (Arc<BatchTracker>, Option<Arc<dyn Positions>>);

#[derive(Default)]
struct OpenBatches {
    /// In the order in which they were read.
    batches: VecDeque<OpenBatch>,
    /// How many items have been read.
    n_read: u64,
    /// How many items the batches had that were delivered as a whole and are gone from `batches`.
    n_done: u64,
    /// How many items of the first batch `advance` has already reported.
    n_reported: u32,
}

impl std::fmt::Debug for OpenBatches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenBatches").field("len", &self.batches.len()).finish_non_exhaustive()
    }
}

/// How far the delivered prefix reaches.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Progress {
    /// Where to resume; `None` if the source gave no positions.
    pub(crate) position: Option<Position>,
    /// How many items have been delivered, counted from the first one.
    pub(crate) n_items: u64,
}

impl Progress {
    /// This progress with the position of an earlier one, if this one has none.
    pub(crate) fn after(self, earlier: Option<Progress>) -> Self {
        let position = self.position.or(earlier.and_then(|earlier| earlier.position));
        Progress { position, ..self }
    }
}

/// A batch that has just been read, and is tracked from now on.
pub(crate) struct TrackedBatch {
    /// Its records; rejects are in their places between them.
    pub(crate) batch: Batch,
    /// Which of the records are rejects, and why.
    pub(crate) rejects: Vec<(usize, Error)>,
    /// How many items were read before this batch.
    pub(crate) first: u64,
}

impl AckTracker {
    /// Tracks what the source with this number reads.
    pub(crate) fn new(in_flight: Arc<InFlight>, source: usize) -> Self {
        let counters = AckCounters { source, in_flight, ..AckCounters::default() };
        AckTracker { counters: Arc::new(counters), open: Mutex::default() }
    }

    /// Tracks a batch that has just been read.
    pub(crate) fn open(&self, read: ReadBatch) -> TrackedBatch {
        let mut open = self.lock();
        let positions = read.positions.clone();
        let (records, rejects) = read.merge_rejects();
        let first = open.n_read;
        let size = records.iter().map(Record::size).sum();
        let tracker = BatchTracker::open(&self.counters, first, records.len(), size);
        open.n_read += records.len() as u64;
        open.batches.push_back((Arc::clone(&tracker), positions));
        TrackedBatch { batch: Batch::tracked(records, size, tracker), rejects, first }
    }

    /// Moves past everything that has been delivered; `None` if nothing new was.
    pub(crate) fn advance(&self) -> Option<Progress> {
        let mut open = self.lock();
        let open = &mut *open;
        let mut position = None;
        let mut has_moved = false;
        while let Some((tracker, positions)) = open.batches.front() {
            let n_prefix = tracker.n_prefix();
            if n_prefix > open.n_reported || tracker.n_items() == 0 {
                has_moved = true;
                if let Some(positions) = positions {
                    position = Some((Arc::clone(positions), n_prefix));
                }
                open.n_reported = n_prefix;
            }
            if n_prefix < tracker.n_items() {
                break;
            }
            open.n_done += u64::from(n_prefix);
            open.n_reported = 0;
            open.batches.pop_front();
        }
        has_moved.then(|| Progress {
            position: position.map(|(positions, n_prefix)| positions.after(n_prefix as usize)),
            n_items: open.n_done + u64::from(open.n_reported),
        })
    }

    /// Whether the prefix will never grow again: the item after it has ended without delivery.
    pub(crate) fn is_blocked(&self) -> bool {
        self.lock().batches.front().is_some_and(|(tracker, _)| tracker.is_blocked())
    }

    /// Waits until the prefix may have grown, cannot grow any more, or a batch has ended.
    pub(crate) async fn changed(&self) {
        self.counters.changed.notified().await;
    }

    /// Whether no record is in flight.
    pub(crate) fn is_settled(&self) -> bool {
        self.counters.n_open_batches.load(Ordering::SeqCst) == 0
    }

    /// How many items were dropped without an outcome.
    pub(crate) fn n_dropped(&self) -> u64 {
        self.n_ended(Outcome::Dropped)
    }

    /// How many items were read and not delivered.
    pub(crate) fn n_undelivered(&self) -> u64 {
        self.lock().n_read.saturating_sub(self.n_ended(Outcome::Delivered))
    }

    pub(crate) fn n_ended(&self, outcome: Outcome) -> u64 {
        self.counters.n_ended[outcome as usize].load(Ordering::SeqCst)
    }

    /// How many items, counted from the first one, a sink may have been asked to write.
    pub(crate) fn n_tried(&self) -> u64 {
        self.counters.n_tried.load(Ordering::SeqCst)
    }

    /// Waits until fewer bytes are in flight in the pipeline than its limit allows.
    pub(crate) async fn has_room(&self) {
        self.counters.in_flight.has_room().await;
    }

    fn lock(&self) -> MutexGuard<'_, OpenBatches> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
