//! Receipts, tracker and the bound of what is under way, with threads that meet in the orders that shuttle finds:
//! nobody is left waiting, and nothing is passed back that was not delivered.
//!
//!     RUSTFLAGS="--cfg shuttle" cargo test --package runner-core --lib --target-dir target/shuttle -- interleavings::

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::json;
use shuttle::future::block_on;
use shuttle::sync::atomic::AtomicBool;
use shuttle::thread;
use tokio_util::sync::CancellationToken;

use super::ack_tracker::AckTracker;
use crate::batch::{Batch, Position};
use crate::in_flight::InFlight;
use crate::testing::record;

const N_RANDOM: usize = 4_000;
const N_STUBBORN: usize = 4_000;
/// How often one thread is put in front of another in a stubborn order.
const N_CHANGES: usize = 3;

/// Tries out orders in which whoever may go on is chosen by chance, and such in which some always go last.
fn in_many_orders(story: impl Fn() + Copy + Send + Sync + 'static) {
    shuttle::check_random(story, N_RANDOM);
    shuttle::check_pct(story, N_STUBBORN, N_CHANGES);
}

fn batch(first: u64, n: u64) -> Batch {
    let records = (first..first + n).map(|offset| record("x", offset)).collect();
    Batch::new(records).with_positions(move |n: usize| Position(json!(first + n as u64)))
}

/// Follows a tracker as the commit loop of a source does, until nothing is under way; answers with how far it came.
/// `is_delivered` is asked for every item that is passed back.
async fn keep(tracker: &AckTracker, through: &CancellationToken, is_delivered: impl Fn(u64) -> bool) -> u64 {
    let mut n_passed = 0;
    loop {
        let is_through = through.is_cancelled();
        let is_last = is_through && tracker.is_settled();
        if let Some(progress) = tracker.advance() {
            assert!(progress.n_items >= n_passed, "{} after {n_passed}", progress.n_items);
            assert_eq!(progress.position, Some(Position(json!(progress.n_items))));
            assert!((n_passed..progress.n_items).all(&is_delivered), "passed back and not delivered");
            n_passed = progress.n_items;
        }
        if is_last {
            return n_passed;
        }
        tokio::select! {
            biased;
            () = tracker.changed() => {}
            () = through.cancelled(), if !is_through => {}
        }
    }
}

/// Two batches, in pieces and shares on three threads, one of which gives an item back or drops it.
fn end_on_three_threads(worst: fn(Batch)) {
    let tracker = Arc::new(AckTracker::new(Arc::default()));
    let through = CancellationToken::new();
    through.cancel();
    let delivered: Arc<[AtomicBool; 5]> = Arc::new(std::array::from_fn(|_| AtomicBool::new(false)));
    let (mut first, mut second) = (batch(0, 3), batch(3, 2));
    for batch in [&mut first, &mut second] {
        assert!(tracker.open(batch).0.is_empty());
    }
    let sign = {
        let delivered = Arc::clone(&delivered);
        move |batch: Batch, items: &[usize]| {
            for item in items {
                delivered[*item].store(true, Ordering::SeqCst);
            }
            batch.ack();
        }
    };
    // 0 goes alone; 1 and 2 have two promises each; 3 goes alone, and 4 never arrives.
    let alone = first.split_front(1);
    let copy = first.share();
    let third = second.split_front(1);
    let spawn = |work: Box<dyn FnOnce() + Send>| thread::spawn(work);
    let threads = [
        spawn(Box::new({
            let sign = sign.clone();
            move || {
                first.ack();
                sign(third, &[3]);
            }
        })),
        spawn(Box::new(move || {
            sign(alone, &[0]);
            sign(copy, &[1, 2]);
        })),
        spawn(Box::new(move || worst(second))),
    ];
    let is_delivered = |item: u64| delivered[item as usize].load(Ordering::SeqCst);
    let n_passed = block_on(keep(&tracker, &through, is_delivered));
    assert_eq!(n_passed, 4);
    assert_eq!((tracker.n_delivered(), tracker.n_released() + tracker.n_failed()), (4, 1));
    assert!(tracker.is_blocked());
    for thread in threads {
        thread.join().expect("nobody panics");
    }
}

#[test]
fn the_keeper_hears_of_every_end_and_passes_back_no_more_than_was_delivered() {
    in_many_orders(|| end_on_three_threads(Batch::release));
    in_many_orders(|| end_on_three_threads(drop));
}

/// A source that reads while sinks sign, and room for one batch.
fn read_as_there_is_room() {
    const N_BATCHES: u64 = 4;
    let in_flight = Arc::new(InFlight::new(1));
    let tracker = Arc::new(AckTracker::new(Arc::clone(&in_flight)));
    let through = CancellationToken::new();
    let reading = thread::spawn({
        let (tracker, through) = (Arc::clone(&tracker), through.clone());
        move || {
            let sinks: Vec<_> = (0..N_BATCHES)
                .map(|n| {
                    block_on(tracker.has_room());
                    assert_eq!(tracker.n_delivered(), n, "one batch at a time");
                    let mut batch = batch(n, 1);
                    assert!(tracker.open(&mut batch).0.is_empty());
                    thread::spawn(move || batch.ack())
                })
                .collect();
            through.cancel();
            for sink in sinks {
                sink.join().expect("nobody panics");
            }
        }
    });
    let n_passed = block_on(keep(&tracker, &through, |_| true));
    assert_eq!(n_passed, N_BATCHES);
    assert_eq!(in_flight.n_bytes(), 0);
    reading.join().expect("nobody panics");
}

#[test]
fn whoever_waits_for_room_is_told_when_there_is_some() {
    in_many_orders(read_as_there_is_room);
}
