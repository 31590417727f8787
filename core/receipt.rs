//! A receipt is a share in the promise to tell the source about a batch.
//!
//! The engine opens a *line* for every batch that it reads, and every item of
//! the batch ends in one of three ways: delivered, given back, or lost. Whoever
//! holds a receipt answers for the items that it names; one that is dropped
//! unanswered has lost them.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use tokio::sync::Notify;

use crate::in_flight::InFlight;
use crate::meeting::{AtomicU64, Mutex, MutexGuard};

/// How an item has ended; of several shares the gravest end counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    /// Stored, filtered on purpose, or put into the dead letters.
    Delivered,
    /// Not taken on; it is unread again.
    GivenBack,
    /// Dropped, panicked over, forgotten.
    Lost,
}

/// What the lines of one ledger share.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Told whenever a prefix may have grown or a line has ended.
    pub(crate) changed: Notify,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) n_open_lines: AtomicU64,
    pub(crate) n_delivered: AtomicU64,
    pub(crate) n_given_back: AtomicU64,
    pub(crate) n_lost: AtomicU64,
    /// How many have been rejected where no dead letters take them.
    pub(crate) n_refused: AtomicU64,
    /// How many items from the first on may have left for the outside world.
    pub(crate) n_tried: AtomicU64,
}

/// The items of one batch as it was read, and what is still owed for them.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) id: u64,
    /// How many items were read before this line.
    first: u64,
    n_items: u32,
    n_bytes: usize,
    state: Mutex<State>,
    tally: Arc<Tally>,
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
    end: End,
}

/// Most lines end as a whole; only one that is split is kept item by item.
#[derive(Debug)]
enum Items {
    Whole(Item),
    Each(Vec<Item>),
}

static NEXT_ID: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);

impl Line {
    /// A new line and the one receipt for all of it.
    pub(crate) fn open(
        tally: &Arc<Tally>,
        first: u64,
        n_items: usize,
        n_bytes: usize,
    ) -> (Arc<Line>, Receipt) {
        let n_items = u32::try_from(n_items).expect("a batch has fewer than 2^32 items");
        tally.in_flight.add(n_bytes);
        let line = Arc::new(Line {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            first,
            n_items,
            n_bytes,
            state: Mutex::new(State {
                items: Items::Whole(Item { n_shares: 1, end: End::Delivered }),
                n_open: n_items,
                n_prefix: 0,
            }),
            tally: Arc::clone(tally),
        });
        tally.n_open_lines.fetch_add(1, Ordering::SeqCst);
        if n_items == 0 {
            line.close();
        }
        let receipt = Receipt { line: Arc::clone(&line), items: 0..n_items };
        (line, receipt)
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
        item.is_some_and(|item| item.n_shares == 0 && item.end != End::Delivered)
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

    fn settle(&self, range: &Range<u32>, end: End) {
        let mut state = self.state();
        let n_prefix = state.n_prefix;
        let n_open = state.n_open;
        if let (Items::Whole(item), true) = (&mut state.items, self.is_whole(range)) {
            item.n_shares -= 1;
            item.end = item.end.max(end);
            if item.n_shares == 0 {
                let end = item.end;
                state.n_open = 0;
                if end == End::Delivered {
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
            for end in [End::Delivered, End::GivenBack, End::Lost] {
                self.count(end, n_ended[end as usize]);
            }
        }
        let has_ended = n_open > 0 && state.n_open == 0;
        let has_moved = state.n_prefix > n_prefix;
        drop(state);
        if has_ended {
            self.close();
        } else if has_moved || end != End::Delivered {
            self.tally.changed.notify_one();
        }
    }

    fn count(&self, end: End, n: u64) {
        let counter = match end {
            End::Delivered => &self.tally.n_delivered,
            End::GivenBack => &self.tally.n_given_back,
            End::Lost => &self.tally.n_lost,
        };
        counter.fetch_add(n, Ordering::Relaxed);
    }

    fn close(&self) {
        self.tally.in_flight.remove(self.n_bytes);
        self.tally.n_open_lines.fetch_sub(1, Ordering::SeqCst);
        self.tally.changed.notify_one();
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
            .take_while(|item| item.n_shares == 0 && item.end == End::Delivered);
        self.n_prefix += delivered.count() as u32;
    }
}

/// A share in the promise to tell the source about some items of a line.
#[derive(Debug)]
#[must_use = "a receipt that is dropped has lost its items"]
pub(crate) struct Receipt {
    line: Arc<Line>,
    items: Range<u32>,
}

impl Receipt {
    /// A second promise for the same items; both must be kept.
    pub(crate) fn share(&self) -> Receipt {
        if !self.items.is_empty() {
            self.line.share(&self.items);
        }
        Receipt { line: Arc::clone(&self.line), items: self.items.clone() }
    }

    /// Cuts off the items in front of `item`.
    pub(crate) fn split_front(&mut self, item: u32) -> Receipt {
        let item = item.clamp(self.items.start, self.items.end);
        let front = self.items.start..item;
        self.items.start = item;
        Receipt { line: Arc::clone(&self.line), items: front }
    }

    pub(crate) fn sign(self) {
        self.end(End::Delivered);
    }

    pub(crate) fn give_back(self) {
        self.end(End::GivenBack);
    }

    /// Notes that the items are about to leave for the outside world.
    pub(crate) fn mark_tried(&self) {
        self.line.tally.n_tried.fetch_max(self.places().end, Ordering::Relaxed);
    }

    /// Notes that one of its items is a bad record, which ends the run.
    pub(crate) fn mark_refused(&self) {
        self.line.tally.n_refused.fetch_add(1, Ordering::Relaxed);
    }

    /// The places of its items in the reading order.
    pub(crate) fn places(&self) -> Range<u64> {
        self.line.first + u64::from(self.items.start)..self.line.first + u64::from(self.items.end)
    }

    pub(crate) fn covers(&self, line: u64, item: u32) -> bool {
        self.line.id == line && self.items.contains(&item)
    }

    fn end(mut self, end: End) {
        self.settle(end);
    }

    fn settle(&mut self, end: End) {
        let items = std::mem::replace(&mut self.items, 0..0);
        if !items.is_empty() {
            self.line.settle(&items, end);
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        self.settle(End::Lost);
    }
}
