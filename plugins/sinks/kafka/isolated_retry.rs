//! Writes records again that may have failed because of another record in the same request.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rdkafka::error::RDKafkaErrorCode as Code;
use runner_core::{Record, WriteError};
use tokio::sync::{MutexGuard, mpsc};

use super::delivery::{DeliveryError, FailedRecord};
use super::{CONCURRENCY, Connection, Kafka, client_ended};

impl Kafka {
    /// Finds the records that the brokers reject.
    ///
    /// The brokers reject a whole request for one invalid record in it, which may be of another write. All records of
    /// the request are written again, in halves, with nothing else in flight, until only records fail that were
    /// alone in their request. Some brokers name the invalid records; the other records are written first.
    pub(super) async fn retry_individually(
        &self,
        opened: &Connection,
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
        // A stack.
        let mut parts = halves(suspects);
        parts.push(indices(valid));
        let mut isolated = IsolatedRetry::start(opened).await?;
        while let Some(mut part) = parts.pop() {
            part.retain(|&index| {
                let is_invalid =
                    self.requires_keys.load(Ordering::Relaxed) && self.is_keyless(&records[index]);
                if is_invalid {
                    failed.push(FailedRecord { index, error: DeliveryError::Delivery(Code::InvalidRecord) });
                }
                !is_invalid
            });
            if part.is_empty() {
                continue;
            }
            let again = isolated.write(records, &part).await?;
            if let [index] = part[..] {
                if self.is_keyless(&records[index])
                    && again.iter().any(|it| it.is_delivery(Code::InvalidRecord))
                {
                    self.requires_keys.store(true, Ordering::Relaxed);
                }
                failed.extend(again);
            } else {
                let (shared, others): (Vec<_>, Vec<_>) = again.into_iter().partition(FailedRecord::is_shared);
                failed.extend(others);
                parts.extend(halves(shared));
            }
        }
        Ok(failed)
    }
}

impl FailedRecord {
    fn is_delivery(&self, code: Code) -> bool {
        matches!(self.error, DeliveryError::Delivery(it) if it == code)
    }

    /// Whether it may have failed because of another record. A request can be too large although its records
    /// are not: the limit of the topic may be lower than at `open`, or not known.
    fn is_shared(&self) -> bool {
        let codes = [
            Code::InvalidRecord,
            Code::InvalidDifferentRecord,
            Code::InvalidTimestamp,
            Code::MessageSizeTooLarge,
            Code::MessageBatchTooLarge,
        ];
        codes.into_iter().any(|code| self.is_delivery(code))
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
    opened: &'a Connection,
    free: MutexGuard<'a, mpsc::Receiver<usize>>,
    slots: Vec<usize>,
}

impl<'a> IsolatedRetry<'a> {
    async fn start(opened: &'a Connection) -> Result<Self, WriteError> {
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
        let failed = self.opened.wait(self.opened.send(slot, Arc::new(picked))?).await?;
        let slot = self.free.recv().await.ok_or_else(client_ended)?;
        self.slots.push(slot);
        let of_batch = |it: FailedRecord| FailedRecord { index: indices[it.index], ..it };
        Ok(failed.into_iter().map(of_batch).collect())
    }
}

/// The indices in two halves, the second one first.
fn halves(failed: Vec<FailedRecord>) -> Vec<Vec<usize>> {
    let mut front = indices(failed);
    let back = front.split_off(front.len() / 2);
    vec![back, front]
}

impl Drop for IsolatedRetry<'_> {
    fn drop(&mut self) {
        for slot in self.slots.drain(..) {
            self.opened.deliveries().release(slot);
        }
    }
}
