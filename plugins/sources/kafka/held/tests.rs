//! What is stored, handed out and given away, without a broker.

use runner_core::Name;
use runner_core::testing::records;

use super::*;

const PARTITION: i32 = 3;

fn partition() -> Partition {
    Partition { topic: Name::new("stock_market"), number: PARTITION }
}

/// One partition, read from offset 10.
fn held() -> Held {
    let held = Held::default();
    let lane = Lane { partition: partition(), start: 10, handed: 10, stored: 10, end: None };
    held.take_on(vec![lane], None);
    held
}

/// What the client is told to store.
fn stored(held: &Held, epoch: u64, next: i64) -> Option<i64> {
    let mut told = None;
    held.store(&Places { epoch, next: vec![(partition(), next)] }, |list| {
        told = list.find_partition("stock_market", PARTITION).map(|it| it.offset());
        Ok(())
    });
    told.map(|offset| if let Offset::Offset(offset) = offset { offset } else { -1 })
}

#[test]
fn an_offset_never_goes_back() {
    let held = held();
    assert_eq!(stored(&held, held.epoch(), 15), Some(15));
    assert_eq!(stored(&held, held.epoch(), 12), None);
    assert_eq!(stored(&held, held.epoch(), 16), Some(16));
}

#[test]
fn an_acknowledgement_for_a_partition_that_went_and_came_back_is_ignored() {
    let held = held();
    let old = held.epoch();
    held.let_go();
    assert_eq!(stored(&held, old, 15), None);
    let lane = Lane { partition: partition(), start: 12, handed: 12, stored: 12, end: None };
    held.take_on(vec![lane], None);
    assert_eq!(stored(&held, old, 15), None);
    assert_eq!(stored(&held, held.epoch(), 13), Some(13));
}

#[test]
fn a_batch_of_an_assignment_that_is_over_is_not_handed_out() {
    let held = held();
    let old = held.epoch();
    held.put(old, records(["a"]), vec![11]);
    held.let_go();
    held.put(old, records(["b"]), vec![12]);
    assert!(held.is_empty());
    assert!(held.take().is_none());
}

#[test]
fn a_partition_is_given_away_once_what_was_handed_out_is_stored() {
    let held = Arc::new(held());
    let epoch = held.epoch();
    held.put(epoch, records(["a", "b"]), vec![12]);
    let Some(Outcome::Batch(batch)) = held.take() else { panic!("there is a batch") };
    let draining = {
        let held = Arc::clone(&held);
        std::thread::spawn(move || held.drain(Duration::from_secs(60)))
    };
    while held.epoch() == epoch {
        std::thread::yield_now();
    }
    assert_eq!(stored(&held, epoch, 11), Some(11), "acknowledgements still count");
    assert!(!draining.is_finished());
    assert_eq!(stored(&held, epoch, 12), Some(12));
    draining.join().unwrap();
    batch.ack();
}

#[test]
fn marks_are_passed_only_where_all_that_was_read_is_delivered() {
    let held = held();
    let positions = HashMap::from([(("stock_market".to_owned(), PARTITION), Offset::Offset(13))]);
    let pass = |held: &Held| {
        let mut told = None;
        held.pass_marks(&positions, |list| {
            told = list.find_partition("stock_market", PARTITION).map(|it| it.offset());
            Ok(())
        });
        told
    };
    held.put(held.epoch(), records(["a", "b"]), vec![12]);
    let Some(Outcome::Batch(batch)) = held.take() else { panic!("there is a batch") };
    assert_eq!(stored(&held, held.epoch(), 11), Some(11));
    assert_eq!(pass(&held), None, "offset 11 is under way still");
    assert_eq!(stored(&held, held.epoch(), 12), Some(12));
    assert_eq!(pass(&held), Some(Offset::Offset(13)));
    batch.ack();
}

#[tokio::test]
async fn batches_come_before_the_error_and_the_error_before_the_end() {
    let held = held();
    held.put(held.epoch(), records(["a"]), vec![11]);
    held.fail(ReadError::Fatal(anyhow::anyhow!("gone")));
    held.end();
    let Outcome::Batch(batch) = held.next().await else { panic!("a batch comes first") };
    batch.ack();
    assert!(matches!(held.next().await, Outcome::Trouble(_)));
    assert!(matches!(held.next().await, Outcome::End));
}

#[test]
fn a_transaction_holds_only_offsets_of_partitions_that_are_ours() {
    let client: rdkafka::consumer::BaseConsumer =
        rdkafka::ClientConfig::new().set("group.id", "g").create().unwrap();
    let member = rdkafka::consumer::Consumer::group_metadata(&client).map(Arc::new);
    let lane = Lane { partition: partition(), start: 10, handed: 10, stored: 10, end: None };
    let held = Held::default();
    held.take_on(vec![lane.clone()], member.clone());
    let fresh = |held: &Held, epoch, next| {
        let (list, _) = held.fresh(&Places { epoch, next: vec![(partition(), next)] })?;
        Some(list.elements().iter().map(|it| it.offset()).collect::<Vec<_>>())
    };
    let old = held.epoch();
    assert_eq!(fresh(&held, old, 12), Some(vec![Offset::Offset(12)]));
    assert_eq!(fresh(&held, old, 12), Some(vec![Offset::Offset(12)]), "until it is stored");
    assert_eq!(stored(&held, old, 12), Some(12));
    assert_eq!(fresh(&held, old, 12), Some(vec![]));
    held.let_go();
    assert_eq!(fresh(&held, old, 13), None);
    held.take_on(vec![lane.clone()], member.clone());
    assert_eq!(fresh(&held, old, 13), None);
    assert_eq!(fresh(&held, held.epoch(), 13), Some(vec![Offset::Offset(13)]));
    held.abandon();
    held.let_go();
    held.take_on(vec![lane], member);
    assert_eq!(
        fresh(&held, held.epoch(), 13),
        None,
        "the transaction may hold records of the old assignment"
    );
}

#[tokio::test]
async fn an_end_whose_last_batch_is_given_back_is_no_end() {
    let held = held();
    held.put(held.epoch(), records(["a"]), vec![11]);
    held.end();
    held.let_go();
    assert!(!held.has_ended() && held.take().is_none(), "the next assignment has it again");
    held.end();
    held.let_go();
    assert!(held.has_ended(), "nothing was given back");
}
