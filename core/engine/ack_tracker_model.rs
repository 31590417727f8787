//! The ack path in random orders: whatever happens to batches on their way, only the delivered
//! prefix is reported, and no record is forgotten.

use proptest::prelude::*;

use super::ack_tracker_tests::{Reader, record_like};
use crate::ack::Outcome;
use crate::batch::{Batch, Mapped};

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
    /// Sends every record to the outputs whose bits are set in its number plus this.
    Route(usize, u64),
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
        2 => (at.clone(), 0..8u64).prop_map(|(at, n)| Step::Route(at, n)),
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
                Step::Route(at, n) => if let Some(at) = pick(at) {
                    let batch = batches.remove(at);
                    let before = items(&batch);
                    let goes_to = |item: usize, output: usize| (item as u64 + n) >> output & 1 == 1;
                    let numbers = before.clone();
                    let routed = batch.route(3, |index, outputs| {
                        outputs.extend((0..3).filter(|output| goes_to(numbers[index], *output)));
                    });
                    for item in before {
                        model[item].n_records += (0..3).filter(|output| goes_to(item, *output)).count();
                    }
                    end(&mut model, &numbers, Outcome::Delivered);
                    for (output, batch) in routed.into_iter().enumerate() {
                        prop_assert!(items(&batch).iter().all(|item| goes_to(*item, output)));
                        batches.push(batch);
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
