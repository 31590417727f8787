//! The ack path, case by case: what happens to batches on their way, and what is then reported as
//! delivered.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::FutureExt as _;

use super::ack_tracker::{AckTracker, Progress, TrackedBatch};
use crate::ack::Outcome;
use crate::batch::{Batch, Mapped};
use crate::entry_number::EntryNumber;
use crate::in_flight::InFlight;
use crate::position::Position;
use crate::read_batch::{ReadBatch, Reject};
use crate::record::{Name, Record};
use crate::testing::record;

/// A source that reads through a tracker.
pub(super) struct Reader {
    pub(super) tracker: AckTracker,
    pub(super) in_flight: Arc<InFlight>,
    n_read: u64,
}

impl Reader {
    pub(super) fn new() -> Self {
        let in_flight = Arc::new(InFlight::default());
        Reader { tracker: AckTracker::new(Arc::clone(&in_flight), 0), in_flight, n_read: 0 }
    }

    /// Reads `n` records, whose offsets are their places in the reading order.
    pub(super) fn read(&mut self, n: usize) -> Batch {
        let first = self.n_read;
        let records: Vec<Record> = (first..first + n as u64).map(|offset| record("x", offset)).collect();
        let positions = move |n_items: usize| Position::new(first + n_items as u64);
        let opened = self.tracker.open(ReadBatch::new(records).with_positions(positions));
        assert!(opened.rejects.is_empty());
        assert_eq!(opened.first, first);
        self.n_read += n as u64;
        opened.batch
    }

    pub(super) fn advance(&self) -> Option<u64> {
        self.tracker.advance().map(|Progress { position, n_items }| {
            assert_eq!(position, Some(Position::new(n_items)), "position and count must agree");
            n_items
        })
    }

    pub(super) fn n(&self, outcome: Outcome) -> u64 {
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
fn panic_of_a_transform_drops_the_whole_batch() {
    let mut reader = Reader::new();
    let mut batch = reader.read(4);
    batch.split_front(1).ack();
    let split = |record: &mut Record| match record.origin.offset {
        1 => Mapped::Split(vec![record.clone(), record.clone()]),
        2 => Mapped::Filter,
        _ => panic!("a bug in a plugin"),
    };
    let panicked = catch_unwind(AssertUnwindSafe(|| drop(batch.map(split))));
    assert!(panicked.is_err());
    drop(batch);
    assert_eq!((reader.advance(), reader.n(Outcome::Dropped)), (Some(1), 3));
    assert!(reader.tracker.is_settled());

    let batch = reader.read(2);
    let to_both = |index: usize, outputs: &mut Vec<usize>| {
        assert_eq!(index, 0, "a bug in a plugin");
        outputs.extend([0, 1]);
    };
    assert!(catch_unwind(AssertUnwindSafe(|| drop(batch.route(2, to_both)))).is_err());
    assert!(reader.tracker.is_settled());
}

#[tokio::test]
async fn record_with_a_released_part_is_detected_when_its_last_part_ends() {
    let mut reader = Reader::new();
    let mut batch = reader.read(2);
    let _ = batch.map(|record| Mapped::Split(vec![record.clone(), record.clone()]));
    batch.split_front(1).release();
    let front = batch.split_front(1);
    assert!(reader.tracker.changed().now_or_never().is_none());
    front.ack();
    assert!(reader.tracker.is_blocked());
    assert!(reader.tracker.changed().now_or_never().is_some());
    batch.release();
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
fn routed_record_is_delivered_when_every_output_has_delivered_it() {
    let mut reader = Reader::new();
    let batch = reader.read(3);
    // 0 goes to both outputs, 1 to the second, 2 to none.
    let [first, second] = batch
        .route(2, |index, outputs| outputs.extend(if index == 2 { 2..2 } else { index..2 }))
        .try_into()
        .unwrap();
    assert_eq!((first.len(), second.len()), (1, 2));
    first.ack();
    assert_eq!(reader.advance(), None);
    second.ack();
    assert_eq!(reader.advance(), Some(3));
    assert!(reader.tracker.is_settled());
}

#[test]
fn parts_are_distinguished_at_their_origin_too() {
    let mut reader = Reader::new();
    let mut batch = reader.read(1);
    for _ in 0..2 {
        let _ = batch.map(|record| Mapped::Split(vec![record.clone(), record_like(9)]));
    }
    let parts: Vec<&[u32]> = batch.records().iter().map(Record::parts).collect();
    assert_eq!(parts, [[0, 0], [0, 1], [1, 0], [1, 1]]);
    assert!(batch.records()[1].place().to_string().ends_with("9-0-1"));
    batch.ack();
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
    let TrackedBatch { mut batch, rejects, .. } = reader.tracker.open(read);
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

pub(super) fn record_like(offset: u64) -> Record {
    record("part", offset)
}
