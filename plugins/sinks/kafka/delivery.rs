//! Counts the delivery reports of every batch in flight.

use std::panic::{AssertUnwindSafe, catch_unwind};
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

use crate::shared::kafka::ClientErrors;

/// A record that was not delivered.
#[derive(Debug)]
pub(super) struct FailedRecord {
    /// The index in its batch.
    pub(super) index: usize,
    pub(super) error: DeliveryError,
}

/// Why a record was not delivered.
#[derive(Debug)]
pub(super) enum DeliveryError {
    /// It does not have a field that the options name, or not with a valid value.
    Record(Error),
    /// The client did not add it to its queue.
    Queue(RDKafkaErrorCode),
    /// The brokers rejected it, or the client stopped its retries.
    Delivery(RDKafkaErrorCode),
}

impl DeliveryError {
    pub(super) fn code(&self) -> Option<RDKafkaErrorCode> {
        match self {
            DeliveryError::Record(_) => None,
            DeliveryError::Queue(code) | DeliveryError::Delivery(code) => Some(*code),
        }
    }
}

/// Receives the delivery reports of the client library and wakes the write of
/// a batch after the last one. A report costs one atomic subtraction.
pub(super) struct Deliveries {
    pub(super) errors: Arc<ClientErrors>,
    slots: Box<[Slot]>,
    /// Returns slots that no batch uses any more.
    free: mpsc::Sender<usize>,
    started: Instant,
    /// Whether the brokers have responded since the last [`note_progress`](Self::note_progress).
    has_responses: AtomicBool,
    /// The time of that call, in milliseconds since the start.
    last_response: AtomicU64,
    is_aborted: AtomicBool,
}

/// One batch in flight.
#[derive(Default)]
struct Slot {
    /// Records without a report, and one more until all are in the queue of the client.
    n_open: AtomicUsize,
    batch: Mutex<Batch>,
}

#[derive(Default)]
struct Batch {
    failed: Vec<FailedRecord>,
    done: Option<oneshot::Sender<Vec<FailedRecord>>>,
}

/// The client library carries a slot and an index in one machine word.
const INDEX_BITS: u32 = 32;
const _: () = assert!(usize::BITS == 64, "an opaque contains a slot and an index");

pub(super) fn opaque(slot: usize, index: usize) -> usize {
    slot << INDEX_BITS | index
}

impl Deliveries {
    pub(super) fn new(n_slots: usize, free: mpsc::Sender<usize>, errors: Arc<ClientErrors>) -> Self {
        for slot in 0..n_slots {
            free.try_send(slot).expect("the channel has room for every slot");
        }
        Deliveries {
            errors,
            slots: (0..n_slots).map(|_| Slot::default()).collect(),
            free,
            started: Instant::now(),
            has_responses: AtomicBool::default(),
            last_response: AtomicU64::default(),
            is_aborted: AtomicBool::default(),
        }
    }

    /// Begins a batch in a free slot. It ends when `n` records and the producer thread itself have been settled.
    pub(super) fn begin(&self, slot: usize, n: usize) -> oneshot::Receiver<Vec<FailedRecord>> {
        let (done, waiting) = oneshot::channel();
        *self.slots[slot].batch() = Batch { failed: Vec::new(), done: Some(done) };
        self.slots[slot].n_open.store(n + 1, Ordering::Release);
        waiting
    }

    /// Notes the time of the last response of the brokers.
    pub(super) fn note_progress(&self) {
        if self.has_responses.swap(false, Ordering::Relaxed) {
            self.last_response.store(self.started.elapsed().as_millis() as u64, Ordering::Relaxed);
        }
    }

    /// Waits until the brokers have not responded to any record for `timeout`, counted from this call. The record
    /// that this wait is for is soon the oldest one: at most 16,000 records are in flight.
    pub(super) async fn wait_for_stall(&self, timeout: Duration) {
        let since = Instant::now();
        loop {
            let last = self.started + Duration::from_millis(self.last_response.load(Ordering::Relaxed));
            let deadline = last.max(since) + timeout;
            if deadline <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(deadline).await;
        }
    }

    /// Fails all records in flight and all later ones.
    pub(super) fn abort(&self) {
        self.is_aborted.store(true, Ordering::Release);
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.is_aborted.load(Ordering::Acquire)
    }

    /// Returns a slot in which no batch has begun.
    pub(super) fn release(&self, slot: usize) {
        let _ = self.free.try_send(slot);
    }

    /// Runs the producer thread. If it panics, every write in flight ends without a result.
    pub(super) fn run_producer(&self, run: impl FnOnce()) {
        if catch_unwind(AssertUnwindSafe(run)).is_ok() {
            return;
        }
        for (number, slot) in self.slots.iter().enumerate() {
            if slot.batch().done.take().is_some() {
                // Wakes a write that waits for a slot.
                self.release(number);
            }
        }
    }

    /// Settles `n` records of a batch; after the last one its write returns.
    pub(super) fn settle(&self, slot: usize, n: usize) {
        if self.slots[slot].n_open.fetch_sub(n, Ordering::AcqRel) > n {
            return;
        }
        let Batch { failed, done } = std::mem::take(&mut *self.slots[slot].batch());
        if let Some(done) = done {
            // The receiver is gone if the write was cancelled.
            let _ = done.send(failed);
        }
        self.release(slot);
    }

    /// Notes that a record is not delivered.
    pub(super) fn fail(&self, slot: usize, index: usize, error: DeliveryError) {
        self.slots[slot].batch().failed.push(FailedRecord { index, error });
    }
}

impl Slot {
    fn batch(&self) -> MutexGuard<'_, Batch> {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        ClientErrors::log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.errors.record(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: usize) {
        let (slot, index) = (opaque >> INDEX_BITS, opaque & ((1 << INDEX_BITS) - 1));
        let mut is_response = true;
        if let Err((error, _)) = result {
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
            is_response = !matches!(code, RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight);
            self.fail(slot, index, DeliveryError::Delivery(code));
        }
        if is_response {
            self.has_responses.store(true, Ordering::Relaxed);
        }
        self.settle(slot, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn stall_timeout_starts_at_the_last_response_of_the_brokers() {
        let (free, _slots) = mpsc::channel(1);
        let deliveries = Deliveries::new(1, free, Arc::default());
        let timeout = Duration::from_secs(10);
        let began = Instant::now();
        let responses = async {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_secs(6)).await;
                deliveries.has_responses.store(true, Ordering::Relaxed);
                deliveries.note_progress();
            }
        };
        tokio::join!(deliveries.wait_for_stall(timeout), responses);
        assert_eq!(began.elapsed(), Duration::from_secs(28));
        deliveries.note_progress();
        deliveries.wait_for_stall(timeout).await;
        assert_eq!(began.elapsed(), Duration::from_secs(38), "a new wait has the whole timeout");
    }

    #[test]
    fn panic_of_the_producer_thread_ends_every_batch_without_a_result() {
        let (free, mut slots) = mpsc::channel(2);
        let deliveries = Deliveries::new(2, free, Arc::default());
        while slots.try_recv().is_ok() {}
        let (first, second) = (deliveries.begin(0, 3), deliveries.begin(1, 2));
        deliveries.run_producer(|| {
            deliveries.settle(0, 1);
            panic!("a record that cannot be enqueued");
        });
        assert!(first.blocking_recv().is_err() && second.blocking_recv().is_err());
        assert_eq!((slots.try_recv(), slots.try_recv()), (Ok(0), Ok(1)));
    }
}
