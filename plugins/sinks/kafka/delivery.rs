//! Counts down the acknowledgements of every batch under way.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
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
    /// Whether the brokers have answered since the last [`note_progress`](Self::note_progress).
    has_answers: AtomicBool,
    /// When that was, in milliseconds since the start.
    last_answer: AtomicU64,
    is_given_up: AtomicBool,
}

/// One batch under way.
#[derive(Default)]
struct Slot {
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
            has_answers: AtomicBool::default(),
            last_answer: AtomicU64::default(),
            is_given_up: AtomicBool::default(),
        }
    }

    /// Begins a batch of `n` records in a free slot; whoever enqueues them does so as [`Enqueuing`].
    pub(super) fn begin(&self, slot: usize, n: usize) -> oneshot::Receiver<Vec<Failed>> {
        let (done, waiting) = oneshot::channel();
        *self.slots[slot].batch() = Batch { failed: Vec::new(), done: Some(done) };
        self.slots[slot].n_open.store(n + 1, Ordering::Release);
        waiting
    }

    /// Notes when an answer of the brokers came last.
    pub(super) fn note_progress(&self) {
        if self.has_answers.swap(false, Ordering::Relaxed) {
            self.last_answer.store(self.started.elapsed().as_millis() as u64, Ordering::Relaxed);
        }
    }

    /// Waits until the brokers have answered nothing for so long, from now on. What is answered is in front of
    /// what waits, or will soon be: no more than 16,000 records are under way.
    pub(super) async fn stall(&self, patience: Duration) {
        let since = Instant::now();
        loop {
            let last = self.started + Duration::from_millis(self.last_answer.load(Ordering::Relaxed));
            let deadline = last.max(since) + patience;
            if deadline <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(deadline).await;
        }
    }

    /// From now on nothing is written, and what the client holds is taken from it: nobody waits any longer.
    pub(super) fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Release);
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::Acquire)
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
        let mut is_answer = true;
        if let Err((error, _)) = result {
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
            is_answer = !matches!(code, RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight);
            self.slots[slot].batch().failed.push(Failed { index, fault: Fault::Client(code) });
        }
        if is_answer {
            self.has_answers.store(true, Ordering::Relaxed);
        }
        self.settle(slot, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn patience_counts_from_the_last_answer_of_the_brokers() {
        let (free, _slots) = mpsc::channel(1);
        let deliveries = Deliveries::new(1, free, Arc::default());
        let patience = Duration::from_secs(10);
        let began = Instant::now();
        let answers = async {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_secs(6)).await;
                deliveries.has_answers.store(true, Ordering::Relaxed);
                deliveries.note_progress();
            }
        };
        tokio::join!(deliveries.stall(patience), answers);
        assert_eq!(began.elapsed(), Duration::from_secs(28));
        deliveries.note_progress();
        deliveries.stall(patience).await;
        assert_eq!(began.elapsed(), Duration::from_secs(38), "who begins to wait has all of it");
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
