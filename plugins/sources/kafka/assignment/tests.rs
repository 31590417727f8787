//! Batches, acks and revoked partitions, without a broker.

use std::collections::HashMap;

use rdkafka::Timestamp;
use rdkafka::message::OwnedMessage;
use runner_core::Name;

use super::*;

const PARTITION: i32 = 3;

fn partition() -> Partition {
    Partition { topic: Name::new("stock_market"), number: PARTITION }
}

fn assigned(start: i64) -> Vec<AssignedPartition> {
    vec![AssignedPartition::new(partition(), start, None)]
}

/// One partition, read from offset 10.
fn assignment() -> Assignment {
    let assignment = Assignment::default();
    assignment.assign(assigned(10), None);
    assignment
}

/// A batch with the records at these offsets.
fn batch(epoch: u64, offsets: std::ops::Range<i64>) -> BatchBuilder {
    let mut batch = BatchBuilder::new(epoch, Arc::new([partition()]), vec![-1], 0);
    for offset in offsets {
        let topic = "stock_market".to_owned();
        let message = OwnedMessage::new(None, None, topic, Timestamp::NotAvailable, PARTITION, offset, None);
        batch.push(0, &message, &mut EntrySources::default());
    }
    batch
}

/// Offers a full batch with the records at these offsets.
fn put(assignment: &Assignment, epoch: u64, offsets: std::ops::Range<i64>) {
    assignment.put(batch(epoch, offsets), true);
}

fn take(assignment: &Assignment) -> BatchBuilder {
    let Some(Next::Batch(batch)) = assignment.take() else { panic!("there is a batch") };
    batch
}

/// The offset that is passed to the client.
fn stored(assignment: &Assignment, epoch: u64, next: i64) -> Option<i64> {
    let mut stored = None;
    assignment.store(&Offsets { epoch, next: vec![(partition(), next)] }, |list| {
        stored = list.find_partition("stock_market", PARTITION).map(|it| it.offset());
        Ok(())
    });
    stored.map(|offset| if let Offset::Offset(offset) = offset { offset } else { -1 })
}

#[test]
fn store_ignores_a_smaller_offset() {
    let assignment = assignment();
    assert_eq!(stored(&assignment, assignment.epoch(), 15), Some(15));
    assert_eq!(stored(&assignment, assignment.epoch(), 12), None);
    assert_eq!(stored(&assignment, assignment.epoch(), 16), Some(16));
}

#[test]
fn store_ignores_an_ack_of_an_earlier_assignment_of_the_partition() {
    let assignment = assignment();
    let old = assignment.epoch();
    assignment.revoke();
    assert_eq!(stored(&assignment, old, 15), None);
    assignment.assign(assigned(12), None);
    assert_eq!(stored(&assignment, old, 15), None);
    assert_eq!(stored(&assignment, assignment.epoch(), 13), Some(13));
}

#[test]
fn revoke_drops_the_batches_of_the_assignment() {
    let assignment = assignment();
    let old = assignment.epoch();
    put(&assignment, old, 10..11);
    assignment.revoke();
    put(&assignment, old, 11..12);
    assert!(assignment.is_empty());
    assert!(assignment.take().is_none());
}

#[test]
fn batch_that_is_not_full_is_filled_until_the_engine_takes_it() {
    let assignment = assignment();
    put(&assignment, assignment.epoch(), 10..11);
    assignment.put(batch(assignment.epoch(), 11..13), false);
    let filling = assignment.take_filling().expect("the engine has not taken it");
    assert_eq!(filling.len(), 2);
    assert!(assignment.take_filling().is_none());
    assignment.put(filling, false);
    assert_eq!((take(&assignment).len(), take(&assignment).len()), (1, 2), "full batches come first");
    assert!(assignment.take_filling().is_none(), "the engine has it");
    assert!(assignment.has_in_flight());
}

#[test]
fn drain_waits_until_the_taken_records_are_delivered() {
    let assignment = Arc::new(assignment());
    let epoch = assignment.epoch();
    put(&assignment, epoch, 10..12);
    take(&assignment);
    let draining = {
        let assignment = Arc::clone(&assignment);
        std::thread::spawn(move || assignment.drain(Duration::from_secs(60)))
    };
    while assignment.epoch() == epoch {
        std::thread::yield_now();
    }
    assert_eq!(stored(&assignment, epoch, 11), Some(11), "acks are still accepted");
    assert!(!draining.is_finished());
    assert_eq!(stored(&assignment, epoch, 12), Some(12));
    draining.join().unwrap();
}

#[test]
fn markers_are_skipped_only_after_all_records_are_delivered() {
    let assignment = assignment();
    let positions = HashMap::from([(("stock_market".to_owned(), PARTITION), Offset::Offset(13))]);
    let skip = |assignment: &Assignment| {
        let mut stored = None;
        assignment.skip_markers(&positions, |list| {
            stored = list.find_partition("stock_market", PARTITION).map(|it| it.offset());
            Ok(())
        });
        stored
    };
    put(&assignment, assignment.epoch(), 10..12);
    take(&assignment);
    assert_eq!(stored(&assignment, assignment.epoch(), 11), Some(11));
    assert_eq!(skip(&assignment), None, "offset 11 is still in flight");
    assert_eq!(stored(&assignment, assignment.epoch(), 12), Some(12));
    assert_eq!(skip(&assignment), Some(Offset::Offset(13)));
}

/// A topic that is created again drops the batches of all topics; the positions of the client include their records.
#[test]
fn recreated_topic_of_a_dropped_batch_skips_no_markers() {
    let assignment = assignment();
    put(&assignment, assignment.epoch(), 10..12);
    assignment.set_recreated("another");
    let positions = HashMap::from([(("stock_market".to_owned(), PARTITION), Offset::Offset(12))]);
    assignment.skip_markers(&positions, |list| panic!("would skip two records: {list:?}"));
    assert_eq!(assignment.partitions()[0].stored, 10);
}

#[tokio::test]
async fn next_returns_batches_before_the_error_and_the_error_before_the_end() {
    let assignment = assignment();
    put(&assignment, assignment.epoch(), 10..11);
    assignment.fail(Failure::fatal(anyhow::anyhow!("gone")));
    assignment.finish();
    assert!(matches!(assignment.next().await, Ok(runner_core::Next::Batch(_))), "a batch comes first");
    assert!(assignment.next().await.is_err());
    assert!(matches!(assignment.next().await, Ok(runner_core::Next::End)));
}

#[test]
fn transaction_gets_only_offsets_of_assigned_partitions() {
    let client: rdkafka::consumer::BaseConsumer =
        rdkafka::ClientConfig::new().set("group.id", "g").create().unwrap();
    let member = rdkafka::consumer::Consumer::group_metadata(&client).map(Arc::new);
    let assignment = Assignment::default();
    assignment.assign(assigned(10), member.clone());
    let unstored = |assignment: &Assignment, epoch, next| {
        let (list, _) = assignment.unstored(&Offsets { epoch, next: vec![(partition(), next)] })?;
        Some(list.elements().iter().map(|it| it.offset()).collect::<Vec<_>>())
    };
    let old = assignment.epoch();
    assert_eq!(unstored(&assignment, old, 12), Some(vec![Offset::Offset(12)]));
    assert_eq!(unstored(&assignment, old, 12), Some(vec![Offset::Offset(12)]), "until it is stored");
    assert_eq!(stored(&assignment, old, 12), Some(12));
    assert_eq!(unstored(&assignment, old, 12), Some(vec![]));
    assignment.revoke();
    assert_eq!(unstored(&assignment, old, 13), None);
    assignment.assign(assigned(10), member.clone());
    assert_eq!(unstored(&assignment, old, 13), None);
    assert_eq!(unstored(&assignment, assignment.epoch(), 13), Some(vec![Offset::Offset(13)]));
    assignment.abort_transaction();
    assignment.revoke();
    assignment.assign(assigned(10), member);
    let offsets = unstored(&assignment, assignment.epoch(), 13);
    assert_eq!(offsets, None, "the transaction may contain records of the old assignment");
}

#[test]
fn end_is_revoked_together_with_the_last_batch() {
    let assignment = assignment();
    put(&assignment, assignment.epoch(), 10..11);
    assignment.finish();
    assignment.revoke();
    assert!(!assignment.has_ended() && assignment.take().is_none(), "the next assignment reads it again");
    assignment.finish();
    assignment.revoke();
    assert!(assignment.has_ended(), "there was no batch to drop");
}

#[test]
fn acks_for_a_topic_that_was_created_again_are_ignored() {
    let assignment = assignment();
    let epoch = assignment.epoch();
    put(&assignment, epoch, 10..12);
    take(&assignment);
    put(&assignment, epoch, 12..13);
    assert_eq!(stored(&assignment, epoch, 11), Some(11));
    assignment.set_recreated("another");
    assert_eq!(stored(&assignment, epoch, 12), Some(12));
    assignment.set_recreated("stock_market");
    assert_eq!(stored(&assignment, epoch, 13), None);
    assert!(
        assignment.is_empty() && !assignment.has_in_flight(),
        "a rebalance does not wait for its records"
    );
    assert!(assignment.last_error().is_ok());
    assignment.fail(Failure::fatal(anyhow::anyhow!("created again")));
    assert!(assignment.last_error().is_err());
}
