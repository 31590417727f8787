//! Counts down the acknowledgements of every batch under way.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;
use runner_core::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::shared::kafka::Heard;

/// A record that the brokers do not have.
#[derive(Debug)]
pub(super) struct Failed {
    /// Which one of its batch.
    pub(super) index: usize,
    pub(super) fault: Fault,
}

/// What kept a record from the brokers.
#[derive(Debug)]
pub(super) enum Fault {
    /// It has no key where one was asked for.
    Key(Error),
    /// The client did not take it into its queue.
    Queue(RDKafkaErrorCode),
    /// The brokers have refused it, or the client has given it up.
    Client(RDKafkaErrorCode),
}

impl Fault {
    /// What the client library calls it.
    pub(super) fn code(&self) -> Option<RDKafkaErrorCode> {
        match self {
            Fault::Key(_) => None,
            Fault::Queue(code) | Fault::Client(code) => Some(*code),
        }
    }
}

/// Hears of every record from the client library and tells the write that
/// waits for the batch. An acknowledgement costs one atomic subtraction.
pub(super) struct Deliveries {
    pub(super) heard: Arc<Heard>,
    slots: Box<[Slot]>,
    /// Where a slot goes that nobody holds any more.
    free: mpsc::Sender<usize>,
    started: Instant,
    next_turn: AtomicU64,
    /// The turn of the oldest batch that an answer came for since the last [`note_progress`](Self::note_progress).
    oldest_answered: AtomicU64,
}

/// One batch under way.
#[derive(Default)]
struct Slot {
    /// Its place in the order in which batches began.
    turn: AtomicU64,
    /// When an answer came last for it or for one in front of it, in milliseconds since the start.
    progress: AtomicU64,
    /// Records without an answer, and one more until all have been enqueued.
    n_open: AtomicUsize,
    batch: Mutex<Batch>,
}

#[derive(Default)]
struct Batch {
    failed: Vec<Failed>,
    done: Option<oneshot::Sender<Vec<Failed>>>,
}

/// Slot and index travel through the client library in one machine word.
const INDEX_BITS: u32 = 32;
const _: () = assert!(usize::BITS == 64, "an opaque holds a slot and an index");

pub(super) fn opaque(slot: usize, index: usize) -> usize {
    slot << INDEX_BITS | index
}

impl Deliveries {
    pub(super) fn new(n_slots: usize, free: mpsc::Sender<usize>, heard: Arc<Heard>) -> Self {
        for slot in 0..n_slots {
            free.try_send(slot).expect("the channel has room for every slot");
        }
        let slots = (0..n_slots).map(|_| Slot::default()).collect();
        Deliveries {
            heard,
            slots,
            free,
            started: Instant::now(),
            next_turn: AtomicU64::default(),
            oldest_answered: AtomicU64::new(u64::MAX),
        }
    }

    /// Begins a batch of `n` records in a free slot; whoever enqueues them does so as [`Enqueuing`].
    pub(super) fn begin(&self, slot: usize, n: usize) -> oneshot::Receiver<Vec<Failed>> {
        let (done, waiting) = oneshot::channel();
        *self.slots[slot].batch() = Batch { failed: Vec::new(), done: Some(done) };
        self.slots[slot].turn.store(self.next_turn.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        self.slots[slot].progress.store(self.now(), Ordering::Relaxed);
        self.slots[slot].n_open.store(n + 1, Ordering::Release);
        waiting
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// The feeder alone hears of deliveries, so nobody comes in between.
    fn answered(&self, slot: usize) {
        let turn = self.slots[slot].turn.load(Ordering::Relaxed);
        if turn < self.oldest_answered.load(Ordering::Relaxed) {
            self.oldest_answered.store(turn, Ordering::Relaxed);
        }
    }

    /// Notes for every batch that is under way whether an answer has come since for it, or for one in front of it:
    /// as long as some do, its turn comes.
    pub(super) fn note_progress(&self) {
        let oldest = self.oldest_answered.swap(u64::MAX, Ordering::Relaxed);
        if oldest == u64::MAX {
            return;
        }
        let now = self.now();
        for slot in self.slots.iter().filter(|slot| slot.turn.load(Ordering::Relaxed) >= oldest) {
            slot.progress.store(now, Ordering::Relaxed);
        }
    }

    /// Waits until the batch in `slot` has waited for so long without any progress.
    pub(super) async fn has_stalled(&self, slot: usize, patience: Duration) {
        loop {
            let progress =
                self.started + Duration::from_millis(self.slots[slot].progress.load(Ordering::Relaxed));
            let Some(deadline) = progress.checked_add(patience) else { return std::future::pending().await };
            if deadline <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(deadline).await;
        }
    }

    /// Gives back a slot in which no batch has begun.
    pub(super) fn release(&self, slot: usize) {
        let _ = self.free.try_send(slot);
    }

    /// Nobody will hear of deliveries any more: every write under way ends without an answer.
    fn abandon(&self) {
        for (number, slot) in self.slots.iter().enumerate() {
            if slot.batch().done.take().is_some() {
                // Whoever waits for a slot is to find out as well.
                let _ = self.free.try_send(number);
            }
        }
    }

    fn settle(&self, slot: usize, n: usize) {
        if self.slots[slot].n_open.fetch_sub(n, Ordering::AcqRel) > n {
            return;
        }
        let Batch { failed, done } = std::mem::take(&mut *self.slots[slot].batch());
        if let Some(done) = done {
            // Nobody waits any more if the write was given up.
            let _ = done.send(failed);
        }
        let _ = self.free.try_send(slot);
    }
}

impl Slot {
    fn batch(&self) -> MutexGuard<'_, Batch> {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stands for the records of a batch that the client library does not have
/// yet: they count as settled when it goes, however it goes.
pub(super) struct Enqueuing<'a> {
    deliveries: &'a Deliveries,
    slot: usize,
    pub(super) n_left: usize,
}

impl<'a> Enqueuing<'a> {
    /// The `n` records of the batch that has begun in `slot`.
    pub(super) fn of(deliveries: &'a Deliveries, slot: usize, n: usize) -> Self {
        Enqueuing { deliveries, slot, n_left: n + 1 }
    }

    /// Notes that a record will never be enqueued.
    pub(super) fn refuse(&self, index: usize, fault: Fault) {
        self.deliveries.slots[self.slot].batch().failed.push(Failed { index, fault });
    }
}

impl Drop for Enqueuing<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return self.deliveries.abandon();
        }
        self.deliveries.settle(self.slot, self.n_left);
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        Heard::line(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.heard.note(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: usize) {
        let (slot, index) = (opaque >> INDEX_BITS, opaque & ((1 << INDEX_BITS) - 1));
        if let Err((error, _)) = result {
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
            self.slots[slot].batch().failed.push(Failed { index, fault: Fault::Client(code) });
        }
        self.answered(slot);
        self.settle(slot, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_batch_has_stalled_when_no_answer_came_for_it_or_any_in_front_of_it() {
        let (free, _slots) = mpsc::channel(3);
        let deliveries = Deliveries::new(3, free, Arc::default());
        let patience = Duration::from_secs(10);
        let _waiting = [0, 1, 2].map(|slot| deliveries.begin(slot, 2));
        tokio::time::advance(Duration::from_secs(6)).await;
        deliveries.answered(2);
        deliveries.answered(1);
        deliveries.note_progress();
        let began = Instant::now();
        deliveries.has_stalled(0, patience).await;
        assert_eq!(began.elapsed(), Duration::from_secs(4), "nothing came for the first");
        deliveries.has_stalled(2, patience).await;
        assert_eq!(began.elapsed(), patience, "it may have waited for the second");
    }

    #[test]
    fn a_thread_that_panics_leaves_no_batch_settled_and_none_waiting() {
        let (free, mut slots) = mpsc::channel(2);
        let deliveries = Deliveries::new(2, free, Arc::default());
        while slots.try_recv().is_ok() {}
        let (first, second) = (deliveries.begin(0, 3), deliveries.begin(1, 2));
        let panicked = std::thread::scope(|scope| {
            let feeds = || {
                let mut enqueuing = Enqueuing::of(&deliveries, 0, 3);
                enqueuing.n_left -= 1;
                panic!("a record that nobody can write");
            };
            scope.spawn(feeds).join().is_err()
        });
        assert!(panicked);
        assert!(first.blocking_recv().is_err() && second.blocking_recv().is_err());
        assert_eq!((slots.try_recv(), slots.try_recv()), (Ok(0), Ok(1)));
    }
}
