//! The ack path on several threads, in the interleavings that shuttle explores: no task waits
//! without end, and nothing is reported that was not delivered.
//!
//!     RUSTFLAGS="--cfg shuttle" cargo test --package runner-core --lib --target-dir target/shuttle -- interleavings::

use std::sync::Arc;
use std::sync::atomic::Ordering;

use shuttle::future::block_on;
use shuttle::sync::atomic::AtomicBool;
use shuttle::thread;
use tokio_util::sync::CancellationToken;

use super::ack_tracker::AckTracker;
use crate::ack::Outcome;
use crate::batch::{Batch, Mapped};
use crate::in_flight::InFlight;
use crate::position::Position;
use crate::read_batch::ReadBatch;
use crate::testing::record;

const N_RANDOM: usize = 4_000;
const N_BY_PRIORITY: usize = 4_000;
/// How often the priorities of the threads change in one interleaving.
const N_CHANGES: usize = 3;

/// Explores random interleavings, and some in which certain threads always run last.
fn explore(test: impl Fn() + Copy + Send + Sync + 'static) {
    shuttle::check_random(test, N_RANDOM);
    shuttle::check_pct(test, N_BY_PRIORITY, N_CHANGES);
}

fn read(tracker: &AckTracker, first: u64, n: u64) -> Batch {
    let records = (first..first + n).map(|offset| record("x", offset)).collect();
    let positions = move |n: usize| Position::new(first + n as u64);
    let opened = tracker.open(ReadBatch::new(records).with_positions(positions));
    assert!(opened.rejects.is_empty());
    opened.batch
}

/// Follows a tracker as the commit loop of a source does, until no record is in flight; returns
/// how far it came. `is_delivered` is asked about every item that is reported.
async fn follow(
    tracker: &AckTracker,
    input_ended: &CancellationToken,
    is_delivered: impl Fn(u64) -> bool,
) -> u64 {
    let mut n_reported = 0;
    loop {
        let has_ended = input_ended.is_cancelled();
        let is_last = has_ended && tracker.is_settled();
        if let Some(progress) = tracker.advance() {
            assert!(progress.n_items >= n_reported, "{} after {n_reported}", progress.n_items);
            assert_eq!(progress.position, Some(Position::new(progress.n_items)));
            assert!((n_reported..progress.n_items).all(&is_delivered), "reported and not delivered");
            n_reported = progress.n_items;
        }
        if is_last {
            return n_reported;
        }
        tokio::select! {
            biased;
            () = tracker.changed() => {}
            () = input_ended.cancelled(), if !has_ended => {}
        }
    }
}

/// Two batches, in parts and shares on three threads, one of which does not deliver its item.
fn end_on_three_threads(end_last: fn(Batch)) {
    let tracker = Arc::new(AckTracker::new(Arc::default(), 0));
    let input_ended = CancellationToken::new();
    input_ended.cancel();
    let delivered: Arc<[AtomicBool; 5]> = Arc::new(std::array::from_fn(|_| AtomicBool::new(false)));
    let (mut first, mut second) = (read(&tracker, 0, 3), read(&tracker, 3, 2));
    let ack = {
        let delivered = Arc::clone(&delivered);
        move |batch: Batch, items: &[usize]| {
            for item in items {
                delivered[*item].store(true, Ordering::SeqCst);
            }
            batch.ack();
        }
    };
    // 0 is alone; 1 and 2 have two shares each; 3 is split into two parts; 4 is not delivered.
    let alone = first.split_front(1);
    let share = first.share();
    let mut third = second.split_front(1);
    assert!(third.map(|record| Mapped::Split(vec![record.clone(), record.clone()])).is_empty());
    let part = third.split_front(1);
    let spawn = |work: Box<dyn FnOnce() + Send>| thread::spawn(work);
    let threads = [
        spawn(Box::new({
            let ack = ack.clone();
            move || {
                first.ack();
                ack(third, &[3]);
            }
        })),
        spawn(Box::new(move || {
            part.ack();
            ack(alone, &[0]);
            ack(share, &[1, 2]);
        })),
        spawn(Box::new(move || end_last(second))),
    ];
    let is_delivered = |item: u64| delivered[item as usize].load(Ordering::SeqCst);
    let n_reported = block_on(follow(&tracker, &input_ended, is_delivered));
    assert_eq!(n_reported, 4);
    let n_others = [Outcome::Released, Outcome::Failed, Outcome::Dropped].map(|it| tracker.n_ended(it));
    assert_eq!((tracker.n_ended(Outcome::Delivered), n_others.iter().sum::<u64>()), (4, 1));
    assert!(tracker.is_blocked());
    for thread in threads {
        thread.join().expect("no thread panics");
    }
}

#[test]
fn commit_loop_sees_every_outcome_and_reports_only_the_delivered_prefix() {
    explore(|| end_on_three_threads(Batch::release));
    explore(|| end_on_three_threads(drop));
}

/// A source that reads while sinks acknowledge, with room for one batch.
fn read_while_there_is_room() {
    const N_BATCHES: u64 = 4;
    let in_flight = Arc::new(InFlight::new(1));
    let tracker = Arc::new(AckTracker::new(Arc::clone(&in_flight), 0));
    let input_ended = CancellationToken::new();
    let reading = thread::spawn({
        let (tracker, input_ended) = (Arc::clone(&tracker), input_ended.clone());
        move || {
            let sinks: Vec<_> = (0..N_BATCHES)
                .map(|n| {
                    block_on(tracker.has_room());
                    assert_eq!(tracker.n_ended(Outcome::Delivered), n, "one batch at a time");
                    let batch = read(&tracker, n, 1);
                    thread::spawn(move || batch.ack())
                })
                .collect();
            input_ended.cancel();
            for sink in sinks {
                sink.join().expect("no thread panics");
            }
        }
    });
    let n_reported = block_on(follow(&tracker, &input_ended, |_| true));
    assert_eq!(n_reported, N_BATCHES);
    assert_eq!(in_flight.n_bytes(), 0);
    reading.join().expect("no thread panics");
}

#[test]
fn reader_that_waits_for_room_is_notified() {
    explore(read_while_there_is_room);
}
