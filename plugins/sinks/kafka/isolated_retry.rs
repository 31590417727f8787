//! Writes records again that may have failed because of another record in the same request.

use std::sync::atomic::Ordering;

use rdkafka::error::RDKafkaErrorCode as Code;
use runner_core::{Record, WriteError};
use tokio::sync::{MutexGuard, mpsc};

use super::delivery::{DeliveryError, FailedRecord};
use super::{CONCURRENCY, Kafka, Opened, client_ended};

impl Kafka {
    /// Finds the records that the brokers reject.
    ///
    /// The brokers reject a whole request for one invalid record in it, which may be of another write; some name
    /// the record. All records of the request are written again with nothing else in flight: first those that
    /// were named as valid, then the others one by one; those of a request that was too large, by halves. A record
    /// that is rejected then is invalid itself.
    pub(super) async fn retry_individually(
        &self,
        opened: &Opened,
        records: &[Record],
        failed: Vec<FailedRecord>,
    ) -> Result<Vec<FailedRecord>, WriteError> {
        // A transaction is aborted after the first error.
        if self.transactions.is_some() || !failed.iter().any(FailedRecord::is_shared) {
            return Ok(failed);
        }
        let (shared, mut failed): (Vec<_>, Vec<_>) = failed.into_iter().partition(FailedRecord::is_shared);
        let (valid, suspects): (Vec<_>, Vec<_>) =
            shared.into_iter().partition(|it| it.is_delivery(Code::InvalidDifferentRecord));
        let (too_large, suspects): (Vec<_>, Vec<_>) =
            suspects.into_iter().partition(FailedRecord::is_too_large);
        let mut suspects = indices(suspects);
        let mut isolated = IsolatedRetry::start(opened).await?;
        failed.extend(isolated.write_in_halves(records, too_large).await?);
        if !valid.is_empty() {
            let again = isolated.write(records, &indices(valid)).await?;
            let (shared, others): (Vec<_>, Vec<_>) = again.into_iter().partition(FailedRecord::is_shared);
            suspects.extend(indices(shared));
            failed.extend(others);
        }
        suspects.sort_unstable();
        for index in suspects {
            let is_keyless = self.is_keyless(&records[index]);
            if is_keyless && self.requires_keys.load(Ordering::Relaxed) {
                failed.push(FailedRecord { index, error: DeliveryError::Delivery(Code::InvalidRecord) });
                continue;
            }
            let again = isolated.write(records, &[index]).await?;
            if is_keyless && again.iter().any(|it| it.is_delivery(Code::InvalidRecord)) {
                self.requires_keys.store(true, Ordering::Relaxed);
            }
            failed.extend(again);
        }
        Ok(failed)
    }
}

impl FailedRecord {
    fn is_delivery(&self, code: Code) -> bool {
        matches!(self.error, DeliveryError::Delivery(it) if it == code)
    }

    /// Whether it may have failed because of another record.
    fn is_shared(&self) -> bool {
        let codes = [Code::InvalidRecord, Code::InvalidDifferentRecord, Code::InvalidTimestamp];
        self.is_too_large() || codes.into_iter().any(|code| self.is_delivery(code))
    }

    /// Whether its request was too large: the limit of the topic is lower than at `open`, or is not known.
    fn is_too_large(&self) -> bool {
        self.is_delivery(Code::MessageSizeTooLarge) || self.is_delivery(Code::MessageBatchTooLarge)
    }
}

/// The indices of failed records, in order.
fn indices(failed: Vec<FailedRecord>) -> Vec<usize> {
    let mut indices: Vec<usize> = failed.into_iter().map(|it| it.index).collect();
    indices.sort_unstable();
    indices
}

/// Holds all slots, so that no other write is in flight.
struct IsolatedRetry<'a> {
    opened: &'a Opened,
    free: MutexGuard<'a, mpsc::Receiver<usize>>,
    slots: Vec<usize>,
}

impl<'a> IsolatedRetry<'a> {
    async fn start(opened: &'a Opened) -> Result<Self, WriteError> {
        let free = opened.free.lock().await;
        let mut isolated = IsolatedRetry { opened, free, slots: Vec::with_capacity(CONCURRENCY) };
        while isolated.slots.len() < CONCURRENCY {
            let slot = isolated.free.recv().await.ok_or_else(client_ended)?;
            isolated.slots.push(slot);
        }
        Ok(isolated)
    }

    /// Writes the records at `indices`, and returns those that have failed.
    async fn write(
        &mut self,
        records: &[Record],
        indices: &[usize],
    ) -> Result<Vec<FailedRecord>, WriteError> {
        let slot = self.slots.pop().ok_or_else(client_ended)?;
        let picked = indices.iter().map(|&index| records[index].clone()).collect();
        let failed = self.opened.wait(self.opened.send(slot, picked)?).await?;
        let slot = self.free.recv().await.ok_or_else(client_ended)?;
        self.slots.push(slot);
        let of_batch = |it: FailedRecord| FailedRecord { index: indices[it.index], ..it };
        Ok(failed.into_iter().map(of_batch).collect())
    }

    /// Writes the records of requests that were too large in smaller and smaller requests; returns those
    /// that are too large themselves.
    async fn write_in_halves(
        &mut self,
        records: &[Record],
        too_large: Vec<FailedRecord>,
    ) -> Result<Vec<FailedRecord>, WriteError> {
        let mut failed = Vec::new();
        let mut parts: Vec<_> = halves(too_large).collect();
        while let Some(part) = parts.pop() {
            let again = self.write(records, &part).await?;
            if part.len() == 1 {
                failed.extend(again);
                continue;
            }
            let (too_large, others): (Vec<_>, Vec<_>) =
                again.into_iter().partition(FailedRecord::is_too_large);
            failed.extend(others);
            parts.extend(halves(too_large));
        }
        Ok(failed)
    }
}

/// The indices in two halves, the second one first: `parts` is a stack.
fn halves(failed: Vec<FailedRecord>) -> impl Iterator<Item = Vec<usize>> {
    let mut front = indices(failed);
    let back = front.split_off(front.len() / 2);
    [back, front].into_iter().filter(|part| !part.is_empty())
}

impl Drop for IsolatedRetry<'_> {
    fn drop(&mut self) {
        for slot in self.slots.drain(..) {
            self.opened.deliveries().release(slot);
        }
    }
}
