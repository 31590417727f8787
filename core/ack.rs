//! A ack is a share in the promise to tell the source about a batch.
//!
//! The engine opens a *line* for every batch that it reads, and every item of
//! the batch ends in one of three ways: delivered, released, or lost. Whoever
//! holds a ack answers for the items that it names; one that is dropped
//! unanswered has lost them.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use tokio::sync::Notify;

use crate::in_flight::InFlight;
use crate::sync::{AtomicU64, Mutex, MutexGuard};

/// How an item has ended; of several shares the gravest end counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// Stored, filtered on purpose, or put into the dead letters.
    Delivered,
    /// Not taken on; it is unread again.
    Released,
    /// Dropped, panicked over, forgotten.
    Lost,
}

/// What the lines of one tracker share.
#[derive(Debug, Default)]
pub(crate) struct AckCounters {
    /// Told whenever a prefix may have grown or a line has ended.
    pub(crate) changed: Notify,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) n_open_batches: AtomicU64,
    pub(crate) n_delivered: AtomicU64,
    pub(crate) n_released: AtomicU64,
    pub(crate) n_failed: AtomicU64,
    /// How many have been rejected where no dead letters take them.
    pub(crate) n_refused: AtomicU64,
    /// How many items from the first on may have left for the outside world.
    pub(crate) n_tried: AtomicU64,
}

/// The items of one batch as it was read, and what is still owed for them.
#[derive(Debug)]
pub(crate) struct BatchTracker {
    pub(crate) id: u64,
    /// How many items were read before this line.
    first: u64,
    n_items: u32,
    n_bytes: usize,
    state: Mutex<State>,
    counters: Arc<AckCounters>,
}

#[derive(Debug)]
struct State {
    items: Items,
    n_open: u32,
    /// How many items from the front have been delivered.
    n_prefix: u32,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    n_shares: u32,
    end: Outcome,
}

/// Most lines end as a whole; only one that is split is kept item by item.
#[derive(Debug)]
enum Items {
    Whole(Item),
    Each(Vec<Item>),
}

static NEXT_ID: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);

impl BatchTracker {
    /// A new line and the one ack for all of it.
    pub(crate) fn open(
        counters: &Arc<AckCounters>,
        first: u64,
        n_items: usize,
        n_bytes: usize,
    ) -> (Arc<BatchTracker>, AckHandle) {
        let n_items = u32::try_from(n_items).expect("a batch has fewer than 2^32 items");
        counters.in_flight.add(n_bytes);
        let line = Arc::new(BatchTracker {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            first,
            n_items,
            n_bytes,
            state: Mutex::new(State {
                items: Items::Whole(Item { n_shares: 1, end: Outcome::Delivered }),
                n_open: n_items,
                n_prefix: 0,
            }),
            counters: Arc::clone(counters),
        });
        counters.n_open_batches.fetch_add(1, Ordering::SeqCst);
        if n_items == 0 {
            line.close();
        }
        let ack = AckHandle { line: Arc::clone(&line), items: 0..n_items };
        (line, ack)
    }

    /// How many items from the front have been delivered.
    pub(crate) fn n_prefix(&self) -> u32 {
        self.state().n_prefix
    }

    pub(crate) fn n_items(&self) -> u32 {
        self.n_items
    }

    /// Whether the item behind the prefix has ended otherwise, so that the prefix will never grow.
    pub(crate) fn is_blocked(&self) -> bool {
        let state = self.state();
        let item = match &state.items {
            Items::Whole(item) => Some(item),
            Items::Each(items) => items.get(state.n_prefix as usize),
        };
        item.is_some_and(|item| item.n_shares == 0 && item.end != Outcome::Delivered)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn share(&self, range: &Range<u32>) {
        let mut state = self.state();
        if let (Items::Whole(item), true) = (&mut state.items, self.is_whole(range)) {
            item.n_shares += 1;
            return;
        }
        for item in &mut state.each(self.n_items)[range.start as usize..range.end as usize] {
            item.n_shares += 1;
        }
    }

    fn settle(&self, range: &Range<u32>, end: Outcome) {
        let mut state = self.state();
        let n_prefix = state.n_prefix;
        let n_open = state.n_open;
        if let (Items::Whole(item), true) = (&mut state.items, self.is_whole(range)) {
            item.n_shares -= 1;
            item.end = item.end.max(end);
            if item.n_shares == 0 {
                let end = item.end;
                state.n_open = 0;
                if end == Outcome::Delivered {
                    state.n_prefix = self.n_items;
                }
                self.count(end, u64::from(self.n_items));
            }
        } else {
            let mut n_ended = [0; 3];
            for item in &mut state.each(self.n_items)[range.start as usize..range.end as usize] {
                item.n_shares -= 1;
                item.end = item.end.max(end);
                if item.n_shares == 0 {
                    n_ended[item.end as usize] += 1;
                }
            }
            state.n_open -= n_ended.iter().sum::<u64>() as u32;
            state.move_prefix();
            for end in [Outcome::Delivered, Outcome::Released, Outcome::Lost] {
                self.count(end, n_ended[end as usize]);
            }
        }
        let has_ended = n_open > 0 && state.n_open == 0;
        let has_moved = state.n_prefix > n_prefix;
        drop(state);
        if has_ended {
            self.close();
        } else if has_moved || end != Outcome::Delivered {
            self.counters.changed.notify_one();
        }
    }

    fn count(&self, end: Outcome, n: u64) {
        let counter = match end {
            Outcome::Delivered => &self.counters.n_delivered,
            Outcome::Released => &self.counters.n_released,
            Outcome::Lost => &self.counters.n_failed,
        };
        counter.fetch_add(n, Ordering::Relaxed);
    }

    fn close(&self) {
        self.counters.in_flight.remove(self.n_bytes);
        self.counters.n_open_batches.fetch_sub(1, Ordering::SeqCst);
        self.counters.changed.notify_one();
    }

    fn is_whole(&self, range: &Range<u32>) -> bool {
        range.start == 0 && range.end == self.n_items
    }
}

impl State {
    fn each(&mut self, n_items: u32) -> &mut [Item] {
        if let Items::Whole(item) = self.items {
            self.items = Items::Each(vec![item; n_items as usize]);
        }
        match &mut self.items {
            Items::Each(items) => items,
            Items::Whole(_) => unreachable!("split above"),
        }
    }

    fn move_prefix(&mut self) {
        let Items::Each(items) = &self.items else { return };
        let delivered = items[self.n_prefix as usize..]
            .iter()
            .take_while(|item| item.n_shares == 0 && item.end == Outcome::Delivered);
        self.n_prefix += delivered.count() as u32;
    }
}

/// A share in the promise to tell the source about some items of a line.
#[derive(Debug)]
#[must_use = "a ack that is dropped has lost its items"]
pub(crate) struct AckHandle {
    line: Arc<BatchTracker>,
    items: Range<u32>,
}

impl AckHandle {
    /// A second promise for the same items; both must be kept.
    pub(crate) fn share(&self) -> AckHandle {
        if !self.items.is_empty() {
            self.line.share(&self.items);
        }
        AckHandle { line: Arc::clone(&self.line), items: self.items.clone() }
    }

    /// Cuts off the items in front of `item`.
    pub(crate) fn split_front(&mut self, item: u32) -> AckHandle {
        let item = item.clamp(self.items.start, self.items.end);
        let front = self.items.start..item;
        self.items.start = item;
        AckHandle { line: Arc::clone(&self.line), items: front }
    }

    pub(crate) fn ack(self) {
        self.end(Outcome::Delivered);
    }

    pub(crate) fn release(self) {
        self.end(Outcome::Released);
    }

    /// Notes that the items are about to leave for the outside world.
    pub(crate) fn mark_tried(&self) {
        self.line.counters.n_tried.fetch_max(self.places().end, Ordering::Relaxed);
    }

    /// Notes that one of its items is a bad record, which ends the run.
    pub(crate) fn mark_refused(&self) {
        self.line.counters.n_refused.fetch_add(1, Ordering::Relaxed);
    }

    /// The places of its items in the reading order.
    pub(crate) fn places(&self) -> Range<u64> {
        self.line.first + u64::from(self.items.start)..self.line.first + u64::from(self.items.end)
    }

    pub(crate) fn covers(&self, line: u64, item: u32) -> bool {
        self.line.id == line && self.items.contains(&item)
    }

    fn end(mut self, end: Outcome) {
        self.settle(end);
    }

    fn settle(&mut self, end: Outcome) {
        let items = std::mem::replace(&mut self.items, 0..0);
        if !items.is_empty() {
            self.line.settle(&items, end);
        }
    }
}

impl Drop for AckHandle {
    fn drop(&mut self) {
        self.settle(Outcome::Lost);
    }
}
