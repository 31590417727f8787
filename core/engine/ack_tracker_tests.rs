//! The ack path in random orders: whatever happens to batches on their way, only the delivered
//! prefix is reported, and no record is forgotten.

use std::sync::Arc;

use proptest::prelude::*;

use super::ack_tracker::{AckTracker, Opened, Progress};
use crate::ack::Outcome;
use crate::batch::{Batch, Mapped};
use crate::entry_number::EntryNumber;
use crate::in_flight::InFlight;
use crate::position::Position;
use crate::read_batch::{ReadBatch, Reject};
use crate::record::{Name, Record};
use crate::testing::record;

/// A source that reads through a tracker.
struct Reader {
    tracker: AckTracker,
    in_flight: Arc<InFlight>,
    n_read: u64,
}

impl Reader {
    fn new() -> Self {
        let in_flight = Arc::new(InFlight::default());
        Reader { tracker: AckTracker::new(Arc::clone(&in_flight)), in_flight, n_read: 0 }
    }

    /// Reads `n` records, whose offsets are their places in the reading order.
    fn read(&mut self, n: usize) -> Batch {
        let first = self.n_read;
        let records: Vec<Record> = (first..first + n as u64).map(|offset| record("x", offset)).collect();
        let positions = move |n_items: usize| Position::new(first + n_items as u64);
        let opened = self.tracker.open(ReadBatch::new(records).with_positions(positions));
        assert!(opened.rejects.is_empty());
        assert_eq!(opened.first, first);
        self.n_read += n as u64;
        opened.batch
    }

    fn advance(&self) -> Option<u64> {
        self.tracker.advance().map(|Progress { position, n_items }| {
            assert_eq!(position, Some(Position::new(n_items)), "position and count must agree");
            n_items
        })
    }

    fn n(&self, outcome: Outcome) -> u64 {
        self.tracker.n_ended(outcome)
    }
}

#[test]
fn batches_that_end_out_of_order_are_reported_in_order() {
    let mut reader = Reader::new();
    let (first, second) = (reader.read(3), reader.read(2));
    second.ack();
    assert_eq!(reader.advance(), None);
    first.ack();
    assert_eq!(reader.advance(), Some(5));
    assert!(reader.tracker.is_settled());
}

#[test]
fn batch_acknowledged_record_by_record_advances_record_by_record() {
    let mut reader = Reader::new();
    let mut batch = reader.read(3);
    for n in 1..=3 {
        batch.split_front(1).ack();
        assert_eq!(reader.advance(), Some(n));
    }
    assert!(batch.is_empty());
}

#[test]
fn dropped_share_withholds_the_batch() {
    let mut reader = Reader::new();
    let batch = reader.read(2);
    let other = batch.share();
    batch.ack();
    drop(other);
    assert_eq!(reader.advance(), None);
    assert_eq!(reader.n(Outcome::Dropped), 2);
}

#[test]
fn nothing_after_a_gap_is_reported() {
    let mut reader = Reader::new();
    let mut batch = reader.read(3);
    let next = reader.read(3);
    batch.split_front(1).ack();
    batch.split_front(1).release();
    batch.ack();
    next.ack();
    assert_eq!(reader.advance(), Some(1));
    assert_eq!(reader.advance(), None);
    assert_eq!(reader.n(Outcome::Delivered), 5);
    assert!(reader.tracker.is_blocked());
}

#[test]
fn failed_records_are_not_reported() {
    let mut reader = Reader::new();
    let mut batch = reader.read(3);
    batch.split_front(2).ack();
    batch.fail();
    assert_eq!(reader.advance(), Some(2));
    assert_eq!((reader.n(Outcome::Failed), reader.n(Outcome::Dropped)), (1, 0));
}

#[test]
fn filtered_records_count_as_delivered() {
    let mut reader = Reader::new();
    let mut batch = reader.read(4);
    batch.retain(|record| record.origin.offset % 2 == 1);
    let front = batch.split_front(1);
    front.ack();
    assert_eq!(reader.advance(), Some(3), "0 was filtered, 1 delivered, 2 filtered");
    batch.ack();
    assert_eq!(reader.advance(), Some(4));
}

#[test]
fn split_record_is_delivered_when_all_its_parts_are() {
    let mut reader = Reader::new();
    let mut batch = reader.read(2);
    let rejects = batch.map(|record| Mapped::Split(vec![record.clone(), record.clone(), record.clone()]));
    assert!(rejects.is_empty() && batch.len() == 6);
    batch.extract(&[0, 2, 3, 5]).ack();
    assert_eq!(reader.advance(), None, "a part of each record has not ended");
    batch.split_front(1).ack();
    assert_eq!(reader.advance(), Some(1));
    batch.release();
    assert_eq!(reader.advance(), None);
    assert_eq!(reader.n(Outcome::Released), 1);
}

#[test]
fn part_that_fails_withholds_the_record_it_came_from() {
    // What a sink does that has stored all parts but one.
    let mut reader = Reader::new();
    let mut batch = reader.read(1);
    let _ = batch.map(|_| Mapped::Split(vec![record("new", 7), record("new", 8)]));
    batch.extract(&[1]).fail();
    batch.ack();
    assert_eq!(reader.advance(), None);
    assert!(reader.tracker.is_settled() && reader.tracker.is_blocked());
}

#[test]
fn split_into_nothing_filters_the_record() {
    let mut reader = Reader::new();
    let mut batch = reader.read(2);
    let _ = batch.map(|_| Mapped::Split(Vec::new()));
    assert!(batch.is_empty());
    assert_eq!(reader.advance(), Some(2));
}

#[test]
fn record_put_in_the_place_of_another_keeps_its_item() {
    let mut reader = Reader::new();
    let mut batch = reader.read(2);
    batch.records_mut()[1] = record("new", 99);
    batch.extract(&[1]).fail();
    batch.ack();
    assert_eq!(reader.advance(), Some(1));
    assert!(reader.tracker.is_settled());
}

#[test]
fn parts_get_the_entry_number_of_their_record_with_a_suffix() {
    let mut reader = Reader::new();
    let mut batch = reader.read(1);
    batch.records_mut()[0].entry = Some(EntryNumber::new(12, Name::new("p/s")));
    for _ in 0..2 {
        let _ = batch.map(|record| Mapped::Split(vec![record.clone(), record.clone()]));
    }
    let entries = batch.records().iter().filter_map(|it| it.entry.as_ref()).map(|it| it.text().to_string());
    assert_eq!(entries.collect::<Vec<_>>(), ["12-0-0", "12-0-1", "12-1-0", "12-1-1"]);
    batch.ack();
    assert_eq!(reader.advance(), Some(1));
}

#[test]
fn empty_batch_reports_its_position() {
    let mut reader = Reader::new();
    let batch = reader.read(0);
    batch.ack();
    assert_eq!(reader.advance(), Some(0));
}

#[test]
fn rejects_take_their_places_in_the_reading_order() {
    let reader = Reader::new();
    let reject =
        |offset, n_before| Reject { record: record("bad", offset), reason: anyhow::anyhow!("bad"), n_before };
    let read = ReadBatch::new(vec![record("a", 1), record("b", 3)])
        .with_rejects(vec![reject(0, 0), reject(2, 1), reject(4, 2)])
        .with_positions(|n: usize| Position::new(n));
    let Opened { mut batch, rejects, .. } = reader.tracker.open(read);
    let places: Vec<usize> = rejects.iter().map(|(index, _)| *index).collect();
    assert_eq!(places, [0, 2, 4]);
    let offsets: Vec<u64> = batch.records().iter().map(|record| record.origin.offset).collect();
    assert_eq!(offsets, [0, 1, 2, 3, 4]);
    batch.extract(&places).ack();
    assert_eq!(reader.advance(), Some(1));
    batch.ack();
    assert_eq!(reader.advance(), Some(5));
}

#[test]
fn batches_of_two_sources_are_tracked_apart() {
    let (mut one, mut other) = (Reader::new(), Reader::new());
    let mut batch = one.read(2);
    batch.absorb(other.read(3));
    assert_eq!(batch.len(), 5);
    batch.split_front(3).ack();
    batch.release();
    assert_eq!((one.advance(), other.advance()), (Some(2), Some(1)));
}

/// What may happen to one of the batches that are in flight.
#[derive(Clone, Debug)]
enum Step {
    Read(usize),
    Split(usize, usize),
    Extract(usize, Vec<bool>),
    Share(usize),
    Absorb(usize, usize),
    Filter(usize, u64),
    /// Replaces every record by so many, counted from the number of the record.
    OneToMany(usize, u64),
    Ack(usize),
    Release(usize),
    Fail(usize),
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
        2 => (at.clone(), 1..4u64).prop_map(|(at, n)| Step::OneToMany(at, n)),
        8 => at.clone().prop_map(Step::Ack),
        1 => at.clone().prop_map(Step::Release),
        1 => at.clone().prop_map(Step::Fail),
        1 => at.prop_map(Step::Drop),
    ]
}

/// What the model knows of an item: how many records stand for it, and the worst outcome so far.
#[derive(Clone, Copy)]
struct Item {
    n_records: usize,
    worst: Outcome,
}

/// The items that the records of a batch stand for, in their order: their offsets.
fn items(batch: &Batch) -> Vec<usize> {
    batch.records().iter().map(|record| record.origin.offset as usize).collect()
}

fn end(model: &mut [Item], items: &[usize], outcome: Outcome) {
    for &item in items {
        model[item].n_records -= 1;
        model[item].worst = model[item].worst.max(outcome);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// A model that counts records for each item must agree with the tracker at every step.
    #[test]
    fn only_the_delivered_prefix_is_ever_reported(steps in prop::collection::vec(step(), 1..80)) {
        let mut reader = Reader::new();
        let mut batches: Vec<Batch> = Vec::new();
        let mut model: Vec<Item> = Vec::new();
        let mut reported = 0;
        for step in steps {
            let n_batches = batches.len();
            let pick = |at: usize| if n_batches == 0 { None } else { Some(at % n_batches) };
            match step {
                Step::Read(n) => {
                    batches.push(reader.read(n));
                    model.extend((0..n).map(|_| Item { n_records: 1, worst: Outcome::Delivered }));
                }
                Step::Split(at, n) => if let Some(at) = pick(at) {
                    let before = items(&batches[at]);
                    let front = batches[at].split_front(n);
                    prop_assert_eq!([items(&front), items(&batches[at])].concat(), before);
                    batches.push(front);
                },
                Step::Extract(at, picks) => if let Some(at) = pick(at) {
                    let n = batches[at].len();
                    let indices: Vec<usize> = (0..n).filter(|index| picks.get(*index) == Some(&true)).collect();
                    let extracted = batches[at].extract(&indices);
                    prop_assert_eq!(extracted.len(), indices.len());
                    batches.push(extracted);
                },
                Step::Share(at) => if let Some(at) = pick(at) {
                    let share = batches[at].share();
                    for item in items(&share) {
                        model[item].n_records += 1;
                    }
                    batches.push(share);
                },
                Step::Absorb(a, b) => if let (Some(a), Some(b)) = (pick(a), pick(b)) && a != b {
                    let other = batches.remove(b);
                    let a = if b < a { a - 1 } else { a };
                    batches[a].absorb(other);
                },
                Step::Filter(at, n) => if let Some(at) = pick(at) {
                    let filtered: Vec<usize> =
                        items(&batches[at]).into_iter().filter(|item| (*item as u64).is_multiple_of(n)).collect();
                    batches[at].retain(|record| record.origin.offset % n != 0);
                    end(&mut model, &filtered, Outcome::Delivered);
                },
                Step::OneToMany(at, n) => if let Some(at) = pick(at) {
                    let n_parts = |item: u64| (item + n) % 4;
                    let before = items(&batches[at]);
                    let rejects = batches[at].map(|record| {
                        // New records, as a transform creates them: nothing is copied from the original.
                        let part = |_| record_like(record.origin.offset);
                        Mapped::Split((0..n_parts(record.origin.offset)).map(part).collect())
                    });
                    prop_assert!(rejects.is_empty());
                    for item in before {
                        model[item].n_records += n_parts(item as u64) as usize;
                        model[item].n_records -= 1;
                    }
                },
                Step::Ack(at) => if let Some(at) = pick(at) {
                    let batch = batches.remove(at);
                    end(&mut model, &items(&batch), Outcome::Delivered);
                    batch.ack();
                },
                Step::Release(at) => if let Some(at) = pick(at) {
                    let batch = batches.remove(at);
                    end(&mut model, &items(&batch), Outcome::Released);
                    batch.release();
                },
                Step::Fail(at) => if let Some(at) = pick(at) {
                    let batch = batches.remove(at);
                    end(&mut model, &items(&batch), Outcome::Failed);
                    batch.fail();
                },
                Step::Drop(at) => if let Some(at) = pick(at) {
                    let batch = batches.remove(at);
                    end(&mut model, &items(&batch), Outcome::Dropped);
                    drop(batch);
                },
            }
            let is_delivered = |item: &&Item| item.n_records == 0 && item.worst == Outcome::Delivered;
            let expected = model.iter().take_while(is_delivered).count() as u64;
            let advanced = reader.advance();
            prop_assert!(advanced.is_none_or(|n| n == expected), "{advanced:?}, not {expected}");
            prop_assert!(advanced.is_some() || reported == expected || expected == 0, "stuck at {reported} of {expected}");
            reported = reported.max(advanced.unwrap_or(reported));
        }
        for batch in batches.drain(..) {
            end(&mut model, &items(&batch), Outcome::Delivered);
            batch.ack();
        }
        prop_assert!(reader.tracker.is_settled());
        prop_assert_eq!(reader.in_flight.n_bytes(), 0, "nothing is in flight");
        for outcome in [Outcome::Delivered, Outcome::Released, Outcome::Failed, Outcome::Dropped] {
            let expected = model.iter().filter(|item| item.worst == outcome).count() as u64;
            prop_assert_eq!(reader.n(outcome), expected, "{:?}", outcome);
        }
    }
}

fn record_like(offset: u64) -> Record {
    record("part", offset)
}
