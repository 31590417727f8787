//! Acknowledgements: what has become of every record that a source has read.
//!
//! The engine opens a [`BatchTracker`] for every batch that it reads. Each item of the batch ends
//! in one of the ways of [`Outcome`]. A [`Batch`](crate::Batch) knows the items that its records
//! stand for, and settles them.

use std::ops::Range;
use std::sync::{Arc, PoisonError};

use tokio::sync::Notify;

use crate::in_flight::InFlight;
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};

/// How an item has ended. Where several records stand for one item the worst outcome counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// Stored, filtered on purpose, or written to the dead letters.
    Delivered,
    /// Read, but not processed; it will be read again.
    Released,
    /// A write failed for good; it will be read again.
    Failed,
    /// A batch was dropped without an outcome: a panic, an abort, or a bug in a plugin.
    Dropped,
}

impl Outcome {
    const ALL: [Outcome; 4] = [Outcome::Delivered, Outcome::Released, Outcome::Failed, Outcome::Dropped];
}

/// What the tracked batches of one source have in common.
#[derive(Debug, Default)]
pub(crate) struct AckCounters {
    /// Notified when a prefix may have grown or a batch has ended.
    pub(crate) changed: Notify,
    /// The source, by its number in this run.
    pub(crate) source: usize,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) n_open_batches: AtomicU64,
    /// How many items have ended with each outcome.
    pub(crate) n_ended: [AtomicU64; 4],
    /// How many items, counted from the first one, a sink may have been asked to write.
    pub(crate) n_tried: AtomicU64,
}

/// The items of one batch as it was read.
#[derive(Debug)]
pub(crate) struct BatchTracker {
    /// How many items were read before this batch.
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
    /// How many items, counted from the first one, have been delivered without a gap.
    n_prefix: u32,
    followers: Vec<Follower>,
}

/// An item of another batch that ends as an item of this batch ends.
#[derive(Debug)]
struct Follower {
    /// The item of this batch.
    followed: u32,
    tracker: Arc<BatchTracker>,
    item: u32,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    /// How many records stand for this item and have not ended.
    n_shares: u32,
    outcome: Outcome,
}

/// Most batches end as a whole. Items are kept one by one only after a batch was split.
#[derive(Debug)]
enum Items {
    Whole(Item),
    Each(Vec<Item>),
}

impl BatchTracker {
    /// Tracks `n_items` items, each with one record that stands for it.
    pub(crate) fn open(
        counters: &Arc<AckCounters>,
        first: u64,
        n_items: usize,
        n_bytes: usize,
    ) -> Arc<BatchTracker> {
        let n_items = u32::try_from(n_items).expect("a batch has fewer than 2^32 items");
        counters.in_flight.add(n_bytes);
        counters.n_open_batches.fetch_add(1, Ordering::SeqCst);
        let tracker = Arc::new(BatchTracker {
            first,
            n_items,
            n_bytes,
            state: Mutex::new(State {
                items: Items::Whole(Item { n_shares: 1, outcome: Outcome::Delivered }),
                n_open: n_items,
                n_prefix: 0,
                followers: Vec::new(),
            }),
            counters: Arc::clone(counters),
        });
        if n_items == 0 {
            tracker.close();
        }
        tracker
    }

    /// How many items, counted from the first one, have been delivered without a gap.
    pub(crate) fn n_prefix(&self) -> u32 {
        self.state().n_prefix
    }

    pub(crate) fn n_items(&self) -> u32 {
        self.n_items
    }

    /// Whether the item after the prefix has ended in another way, so that the prefix cannot grow.
    pub(crate) fn is_blocked(&self) -> bool {
        let state = self.state();
        let item = match &state.items {
            Items::Whole(item) => Some(item),
            Items::Each(items) => items.get(state.n_prefix as usize),
        };
        item.is_some_and(|item| item.n_shares == 0 && item.outcome != Outcome::Delivered)
    }

    /// The source of the batch, by its number in this run.
    pub(crate) fn source(&self) -> usize {
        self.counters.source
    }

    /// The place of an item in the order in which the source has read.
    pub(crate) fn place(&self, item: u32) -> u64 {
        self.first + u64::from(item)
    }

    /// Notes that a sink is asked to write all items before this place.
    pub(crate) fn mark_tried(&self, place: u64) {
        self.counters.n_tried.fetch_max(place, Ordering::Relaxed);
    }

    /// Notes that `n_more` further records stand for each of these items.
    pub(crate) fn share(&self, range: &Range<u32>, n_more: u32) {
        let mut state = self.state();
        if let (Items::Whole(item), true) = (&mut state.items, self.is_whole(range)) {
            item.n_shares += n_more;
            return;
        }
        for item in &mut state.each(self.n_items)[range.start as usize..range.end as usize] {
            item.n_shares += n_more;
        }
    }

    /// Notes that one record for each of these items has ended.
    pub(crate) fn settle(&self, range: &Range<u32>, outcome: Outcome) {
        let mut state = self.state();
        let (n_prefix, n_open) = (state.n_prefix, state.n_open);
        let mut n_ended = [0; Outcome::ALL.len()];
        if let (Items::Whole(item), true) = (&mut state.items, self.is_whole(range)) {
            if item.end_share(outcome) {
                let outcome = item.outcome;
                n_ended[outcome as usize] = self.n_items;
                if outcome == Outcome::Delivered {
                    state.n_prefix = self.n_items;
                }
            }
        } else {
            for item in &mut state.each(self.n_items)[range.start as usize..range.end as usize] {
                if item.end_share(outcome) {
                    n_ended[item.outcome as usize] += 1;
                }
            }
            state.move_prefix();
        }
        state.n_open -= n_ended.iter().sum::<u32>();
        let has_ended = n_open > 0 && state.n_open == 0;
        let has_moved = state.n_prefix > n_prefix;
        let has_failed = n_ended[Outcome::Delivered as usize + 1..].iter().any(|n| *n > 0);
        let followers = state.take_ended_followers();
        // Under the lock: once a batch has ended, all its items are counted.
        for (counter, n) in self.counters.n_ended.iter().zip(n_ended) {
            counter.fetch_add(u64::from(n), Ordering::SeqCst);
        }
        drop(state);
        if has_ended {
            self.close();
        } else if has_moved || has_failed {
            self.counters.changed.notify_one();
        }
        for (Follower { tracker, item, .. }, outcome) in followers {
            tracker.settle(&(item..item + 1), outcome);
        }
    }

    /// Whether an item has ended.
    pub(crate) fn has_ended(&self, item: u32) -> bool {
        self.state().item(item).n_shares == 0
    }

    /// Ends one record for `item` of `tracker` as the item `followed` of this batch ends: delivered,
    /// or else released.
    pub(crate) fn follow(&self, followed: u32, tracker: &Arc<BatchTracker>, item: u32) {
        let mut state = self.state();
        state.followers.push(Follower { followed, tracker: Arc::clone(tracker), item });
        let ended = state.take_ended_followers();
        drop(state);
        for (Follower { tracker, item, .. }, outcome) in ended {
            tracker.settle(&(item..item + 1), outcome);
        }
    }

    fn close(&self) {
        self.counters.in_flight.remove(self.n_bytes);
        self.counters.n_open_batches.fetch_sub(1, Ordering::SeqCst);
        self.counters.changed.notify_one();
    }

    fn is_whole(&self, range: &Range<u32>) -> bool {
        range.start == 0 && range.end == self.n_items
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Item {
    /// Ends one share; true if it was the last one.
    fn end_share(&mut self, outcome: Outcome) -> bool {
        self.n_shares -= 1;
        self.outcome = self.outcome.max(outcome);
        self.n_shares == 0
    }
}

impl State {
    fn each(&mut self, n_items: u32) -> &mut [Item] {
        if let Items::Whole(item) = self.items {
            self.items = Items::Each(vec![item; n_items as usize]);
        }
        match &mut self.items {
            Items::Each(items) => items,
            Items::Whole(_) => unreachable!("replaced above"),
        }
    }

    fn item(&self, item: u32) -> Item {
        match &self.items {
            Items::Whole(item) => *item,
            Items::Each(items) => items[item as usize],
        }
    }

    /// The followers of items that have ended, and how they end.
    fn take_ended_followers(&mut self) -> Vec<(Follower, Outcome)> {
        let (mut ended, mut others) = (Vec::new(), Vec::new());
        for follower in std::mem::take(&mut self.followers) {
            let Item { n_shares, outcome } = self.item(follower.followed);
            if n_shares > 0 {
                others.push(follower);
            } else if outcome == Outcome::Delivered {
                ended.push((follower, Outcome::Delivered));
            } else {
                ended.push((follower, Outcome::Released));
            }
        }
        self.followers = others;
        ended
    }

    fn move_prefix(&mut self) {
        let Items::Each(items) = &self.items else { return };
        let delivered = items[self.n_prefix as usize..]
            .iter()
            .take_while(|item| item.n_shares == 0 && item.outcome == Outcome::Delivered);
        self.n_prefix += delivered.count() as u32;
    }
}
