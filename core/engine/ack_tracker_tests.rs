//! The tracker over random interleavings: whatever happens to batches on their
//! way, only the delivered prefix is passed back, and nothing is forgotten.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::ack_tracker::{AckTracker, Progress};
use crate::batch::{Batch, Position};
use crate::in_flight::InFlight;
use crate::record::Record;
use crate::testing::record;

/// A tracker, a batch read through it, and what the test knows of every item.
struct Book {
    tracker: AckTracker,
    in_flight: Arc<InFlight>,
    n_read: u64,
}

impl Book {
    fn new() -> Self {
        let in_flight = Arc::new(InFlight::default());
        Book { tracker: AckTracker::new(Arc::clone(&in_flight)), in_flight, n_read: 0 }
    }

    /// Reads `n` records, whose offsets are their places in the reading order.
    fn read(&mut self, n: usize) -> Batch {
        let first = self.n_read;
        let records: Vec<Record> = (first..first + n as u64).map(|offset| record("x", offset)).collect();
        let position = move |n_items: usize| Position(json!(first + n_items as u64));
        let mut batch = Batch::new(records).with_positions(position);
        let (rejects, at) = self.tracker.open(&mut batch);
        assert!(rejects.is_empty());
        assert_eq!(at, first);
        self.n_read += n as u64;
        batch
    }

    fn advance(&self) -> Option<u64> {
        self.tracker.advance().map(|Progress { position, n_items }| {
            assert_eq!(position, Some(Position(json!(n_items))), "position and count go together");
            n_items
        })
    }
}

#[test]
fn batches_that_end_out_of_order_are_passed_back_in_order() {
    let mut book = Book::new();
    let (first, second) = (book.read(3), book.read(2));
    second.ack();
    assert_eq!(book.advance(), None);
    first.ack();
    assert_eq!(book.advance(), Some(5));
    assert!(book.tracker.is_settled());
}

#[test]
fn a_batch_that_is_signed_record_by_record_makes_progress_record_by_record() {
    let mut book = Book::new();
    let mut batch = book.read(3);
    for n in 1..=3 {
        batch.split_front(1).ack();
        assert_eq!(book.advance(), Some(n));
    }
    assert!(batch.is_empty());
}

#[test]
fn one_dropped_share_loses_the_batch() {
    let mut book = Book::new();
    let batch = book.read(2);
    let other = batch.share();
    batch.ack();
    drop(other);
    assert_eq!(book.advance(), None);
    assert_eq!(book.tracker.n_failed(), 2);
}

#[test]
fn nothing_behind_a_gap_is_passed_back() {
    let mut book = Book::new();
    let mut batch = book.read(3);
    let next = book.read(3);
    batch.split_front(1).ack();
    batch.split_front(1).release();
    batch.ack();
    next.ack();
    assert_eq!(book.advance(), Some(1));
    assert_eq!(book.advance(), None);
    assert_eq!(book.tracker.n_delivered(), 5);
}

#[test]
fn filtered_records_are_delivered_with_the_rest() {
    let mut book = Book::new();
    let mut batch = book.read(4);
    batch.retain(|record| record.origin.offset % 2 == 1);
    let front = batch.split_front(1);
    front.ack();
    assert_eq!(book.advance(), Some(3), "0 was filtered, 1 delivered, 2 filtered");
    batch.ack();
    assert_eq!(book.advance(), Some(4));
}

#[test]
fn an_empty_batch_passes_its_position_back() {
    let mut book = Book::new();
    let batch = book.read(0);
    batch.ack();
    assert_eq!(book.advance(), Some(0));
}

#[test]
fn rejects_take_their_places_in_the_order_of_reading() {
    let book = Book::new();
    let reject = |offset, n_before| crate::batch::Reject {
        record: record("bad", offset),
        reason: anyhow::anyhow!("bad"),
        n_before,
    };
    let mut batch = Batch::new(vec![record("a", 1), record("b", 3)])
        .with_rejects(vec![reject(0, 0), reject(2, 1), reject(4, 2)])
        .with_positions(|n: usize| Position(json!(n)));
    let (rejects, _) = book.tracker.open(&mut batch);
    let places: Vec<usize> = rejects.iter().map(|(index, _)| *index).collect();
    assert_eq!(places, [0, 2, 4]);
    let offsets: Vec<u64> = batch.records().iter().map(|record| record.origin.offset).collect();
    assert_eq!(offsets, [0, 1, 2, 3, 4]);
    batch.extract(&places).ack();
    assert_eq!(book.advance(), Some(1));
    batch.ack();
    assert_eq!(book.advance(), Some(5));
}

/// What may happen to one of the batches that are under way.
#[derive(Clone, Debug)]
enum Step {
    Read(usize),
    Split(usize, usize),
    Extract(usize, Vec<bool>),
    Share(usize),
    Absorb(usize, usize),
    Filter(usize, u64),
    Sign(usize),
    GiveBack(usize),
    Drop(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let at = 0..64usize;
    prop_oneof![
        3 => (0..6usize).prop_map(Step::Read),
        4 => (at.clone(), 0..6usize).prop_map(|(at, n)| Step::Split(at, n)),
        3 => (at.clone(), prop::collection::vec(any::<bool>(), 6)).prop_map(|(at, picks)| Step::Extract(at, picks)),
        2 => at.clone().prop_map(Step::Share),
        2 => (at.clone(), at.clone()).prop_map(|(a, b)| Step::Absorb(a, b)),
        1 => (at.clone(), 2..4u64).prop_map(|(at, n)| Step::Filter(at, n)),
        8 => at.clone().prop_map(Step::Sign),
        1 => at.clone().prop_map(Step::GiveBack),
        1 => at.prop_map(Step::Drop),
    ]
}

/// How an item may end, as the test counts it: shares still out, and the worst end so far.
#[derive(Clone, Copy, Default)]
struct Fate {
    n_out: usize,
    worst: u8,
}

/// A batch, and the items that it answers for: those of its records and those
/// that were filtered out of it.
struct Held {
    batch: Batch,
    items: Vec<u64>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// A model that counts shares per item must agree with the acks at every step.
    #[test]
    fn only_the_delivered_prefix_is_ever_passed_back(steps in prop::collection::vec(step(), 1..80)) {
        let mut book = Book::new();
        let mut held: Vec<Held> = Vec::new();
        let mut fates: Vec<Fate> = Vec::new();
        let mut passed = 0;
        for step in steps {
            let n_held = held.len();
            let pick = |at: usize| if n_held == 0 { None } else { Some(at % n_held) };
            match step {
                Step::Read(n) => {
                    let first = book.n_read;
                    held.push(Held { batch: book.read(n), items: (first..first + n as u64).collect() });
                    fates.extend((0..n).map(|_| Fate { n_out: 1, worst: 0 }));
                }
                Step::Split(at, n) => if let Some(at) = pick(at) {
                    let front = held[at].batch.split_front(n);
                    let items = split_items(&front, &mut held[at], &mut fates);
                    held.push(Held { batch: front, items });
                },
                Step::Extract(at, picks) => if let Some(at) = pick(at) {
                    let n = held[at].batch.len();
                    let indices: Vec<usize> = (0..n).filter(|index| picks.get(*index) == Some(&true)).collect();
                    let taken = held[at].batch.extract(&indices);
                    let items: Vec<u64> = taken.records().iter().map(|record| record.origin.offset).collect();
                    for item in &items {
                        // A second copy of the record in the same batch leaves its own promise behind.
                        let at_item = held[at].items.iter().position(|held| held == item);
                        if let Some(at_item) = at_item { held[at].items.remove(at_item); }
                    }
                    held.push(Held { batch: taken, items });
                },
                Step::Share(at) => if let Some(at) = pick(at) {
                    let copy = Held { batch: held[at].batch.share(), items: held[at].items.clone() };
                    for item in &copy.items { fates[*item as usize].n_out += 1; }
                    held.push(copy);
                },
                Step::Absorb(a, b) => if let (Some(a), Some(b)) = (pick(a), pick(b)) {
                    // Two shares of one record in a batch are told apart by nobody: fan-in
                    // of a fan-out is two channels, and never one batch.
                    let overlaps = held[b].items.iter().any(|item| held[a].items.contains(item));
                    if a != b && !overlaps {
                        let other = held.remove(b);
                        let a = if b < a { a - 1 } else { a };
                        held[a].batch.absorb(other.batch);
                        held[a].items.extend(other.items);
                    }
                },
                Step::Filter(at, n) => if let Some(at) = pick(at) {
                    held[at].batch.retain(|record| record.origin.offset % n != 0);
                },
                Step::Sign(at) => if let Some(at) = pick(at) {
                    let it = held.remove(at);
                    it.batch.ack();
                    end(&mut fates, &it.items, 0);
                },
                Step::GiveBack(at) => if let Some(at) = pick(at) {
                    let it = held.remove(at);
                    it.batch.release();
                    end(&mut fates, &it.items, 1);
                },
                Step::Drop(at) => if let Some(at) = pick(at) {
                    let it = held.remove(at);
                    drop(it.batch);
                    end(&mut fates, &it.items, 2);
                },
            }
            let expected = fates.iter().take_while(|fate| fate.n_out == 0 && fate.worst == 0).count() as u64;
            let advanced = book.advance();
            prop_assert!(advanced.is_none_or(|n| n == expected), "{advanced:?}, not {expected}");
            prop_assert!(advanced.is_some() || passed == expected || expected == 0, "stuck at {passed} of {expected}");
            passed = passed.max(advanced.unwrap_or(passed));
        }
        for it in held.drain(..) {
            it.batch.ack();
            end(&mut fates, &it.items, 0);
        }
        prop_assert!(book.tracker.is_settled());
        prop_assert_eq!(book.in_flight.n_bytes(), 0, "nothing is under way");
        let count = |worst: u8| fates.iter().filter(|fate| fate.worst == worst).count() as u64;
        prop_assert_eq!(book.tracker.n_delivered(), count(0));
        prop_assert_eq!(book.tracker.n_failed(), count(2));
    }
}

/// Which items go with `front`. Filtered items ride along with their neighbours:
/// the engine alone says with which, so the test asks the acks.
fn split_items(front: &Batch, back: &mut Held, fates: &mut [Fate]) -> Vec<u64> {
    let first_of = |batch: &Batch| batch.items();
    let front_items = first_of(front);
    let back_items = first_of(&back.batch);
    for item in &front_items {
        if back_items.contains(item) {
            fates[*item as usize].n_out += 1;
        }
    }
    back.items = back_items;
    front_items
}

fn end(fates: &mut [Fate], items: &[u64], how: u8) {
    for item in items {
        let fate = &mut fates[*item as usize];
        fate.n_out -= 1;
        fate.worst = fate.worst.max(how);
    }
}
