//! The tracker passes delivered batches back to the source in reading order.
//!
//! It holds a line for every batch that is under way and knows one thing: how
//! far the delivered prefix reaches. Nothing behind a gap is ever committed.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use anyhow::Error;

use crate::ack::{AckCounters, BatchTracker};
use crate::batch::{Batch, Position, Positions};
use crate::in_flight::InFlight;
use crate::sync::Mutex;

/// The batches that one source has read and that have not been committed.
#[derive(Debug)]
pub(crate) struct AckTracker {
    counters: Arc<AckCounters>,
    open: Mutex<Open>,
}

type OpenBatch = (Arc<BatchTracker>, Option<Arc<dyn Positions>>);

#[derive(Default)]
struct Open {
    lines: VecDeque<OpenBatch>,
    /// How many items have been read.
    n_read: u64,
    /// How many items of the lines that are gone have been delivered.
    n_done: u64,
    /// How many items of the first line have been passed back already.
    n_passed: u32,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open").field("n_lines", &self.lines.len()).finish_non_exhaustive()
    }
}

/// How far the delivered prefix reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Where to go on; `None` if the source gave no positions.
    pub(crate) position: Option<Position>,
    /// How many items have been delivered from the first one on.
    pub(crate) n_items: u64,
}

impl Progress {
    /// The same after less progress, which may know a position where this one does not.
    pub(crate) fn after(self, earlier: Option<Progress>) -> Self {
        let position = self.position.or(earlier.and_then(|earlier| earlier.position));
        Progress { position, ..self }
    }
}

impl AckTracker {
    pub(crate) fn new(in_flight: Arc<InFlight>) -> Self {
        AckTracker {
            counters: Arc::new(AckCounters { in_flight, ..AckCounters::default() }),
            open: Mutex::default(),
        }
    }

    /// Opens a line for a batch that has just been read, and puts the ack on it.
    ///
    /// Rejects take their places among the records, so that every item is
    /// settled by itself; the answer says which they are, and why. The second
    /// part is how many items were read before this batch.
    pub(crate) fn open(&self, batch: &mut Batch) -> (Vec<(usize, Error)>, u64) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let rejects = batch.merge_rejects();
        let first = open.n_read;
        let (line, ack) = BatchTracker::open(&self.counters, first, batch.len(), batch.size());
        for (record, item) in batch.records_mut().iter_mut().zip(0..) {
            record.ack_id.move_to(line.id, item);
        }
        open.n_read += batch.len() as u64;
        open.lines.push_back((line, batch.positions.take()));
        batch.owe(ack);
        (rejects, first)
    }

    /// Moves past all that has been delivered; `None` if nothing new was.
    pub(crate) fn advance(&self) -> Option<Progress> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let open = &mut *open;
        let mut position = None;
        let mut has_moved = false;
        while let Some((line, positions)) = open.lines.front() {
            let n_prefix = line.n_prefix();
            if n_prefix > open.n_passed || line.n_items() == 0 {
                has_moved = true;
                if let Some(positions) = positions {
                    position = Some((Arc::clone(positions), n_prefix));
                }
                open.n_passed = n_prefix;
            }
            if n_prefix < line.n_items() {
                break;
            }
            open.n_done += u64::from(n_prefix);
            open.n_passed = 0;
            open.lines.pop_front();
        }
        has_moved.then(|| Progress {
            position: position.map(|(positions, n_prefix)| positions.after(n_prefix as usize)),
            n_items: open.n_done + u64::from(open.n_passed),
        })
    }

    /// Whether the prefix will never grow again: what comes next has been released or lost.
    pub(crate) fn is_blocked(&self) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.lines.front().is_some_and(|(line, _)| line.is_blocked())
    }

    /// Waits until the prefix may have grown, cannot grow any more, or a line has ended.
    pub(crate) async fn changed(&self) {
        self.counters.changed.notified().await;
    }

    /// Whether nothing is under way any more.
    pub(crate) fn is_settled(&self) -> bool {
        self.counters.n_open_batches.load(Ordering::SeqCst) == 0
    }

    pub(crate) fn n_delivered(&self) -> u64 {
        self.counters.n_delivered.load(Ordering::SeqCst)
    }

    pub(crate) fn n_released(&self) -> u64 {
        self.counters.n_released.load(Ordering::SeqCst)
    }

    /// How many of those released have ended the run.
    pub(crate) fn n_refused(&self) -> u64 {
        self.counters.n_refused.load(Ordering::SeqCst)
    }

    pub(crate) fn n_failed(&self) -> u64 {
        self.counters.n_failed.load(Ordering::SeqCst)
    }

    /// How many items from the first on may have left for the outside world.
    pub(crate) fn n_tried(&self) -> u64 {
        self.counters.n_tried.load(Ordering::SeqCst)
    }

    /// Waits until less is under way in the pipeline than its limit allows.
    pub(crate) async fn has_room(&self) {
        self.counters.in_flight.has_room().await;
    }
}
