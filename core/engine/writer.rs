//! Writes batches to one sink: tries again what is worth it, puts aside what is
//! hopeless, and says what has been stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

use super::backoff::{Backoff, RetryBudget};
use super::control::Control;
use super::dead_letter::DeadLetters;
use super::transaction_gate::TransactionGate;
use crate::batch::Batch;
use crate::plugin::RetryLimits;
use crate::progress::{Counters, add};
use crate::sink::{Failure, Sink, WriteError};

/// One sink and all that is needed to write to it.
pub(crate) struct Writer {
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) node: usize,
    pub(crate) limits: RetryLimits,
    pub(crate) stop: CancellationToken,
    pub(crate) control: Arc<Control>,
    pub(crate) counters: Arc<Counters>,
    /// Of a sink that writes in transactions.
    pub(crate) gate: Option<Arc<TransactionGate>>,
    /// Set once no further write makes sense.
    pub(crate) is_broken: AtomicBool,
}

impl Writer {
    /// Writes a batch and answers with what has been stored of it; whatever is
    /// missing has been put into the dead letters, released or lost.
    pub(crate) async fn write(&self, mut batch: Batch, dead_letters: &DeadLetters) -> Batch {
        add(&self.counters.records_in, batch.len() as u64);
        add(&self.counters.bytes_in, batch.size() as u64);
        batch.mark_tried();
        let mut stored = Batch::default();
        let mut backoff = None;
        loop {
            let error = match self.sink.write(batch.records()).await {
                Ok(()) => {
                    self.store(&mut stored, batch);
                    return stored;
                }
                Err(WriteError::Fatal(error)) => {
                    self.fail(error);
                    return stored;
                }
                Err(WriteError::FatalFor { error, mut not_stored }) => {
                    not_stored.sort_unstable();
                    not_stored.dedup();
                    self.fail(error);
                    let lost = batch.extract(&not_stored);
                    self.store(&mut stored, batch);
                    drop(lost);
                    return stored;
                }
                Err(WriteError::Retry(error)) => error,
                Err(WriteError::Partial(mut failures)) => {
                    failures.sort_by_key(|failure| failure.index);
                    failures.dedup_by_key(|failure| failure.index);
                    let indices: Vec<usize> = failures.iter().map(|failure| failure.index).collect();
                    let failed = batch.extract(&indices);
                    self.store(&mut stored, batch);
                    let (rejects, mut retries) = sort_out(failures);
                    let (rest, goes_on) =
                        dead_letters.reject(failed, rejects, self.node, &self.control, &self.counters).await;
                    if !goes_on {
                        self.is_broken.store(true, Ordering::Relaxed);
                        rest.release();
                        return stored;
                    }
                    batch = rest;
                    let Some(error) = retries.pop() else {
                        stored.absorb(batch);
                        return stored;
                    };
                    error
                }
            };
            let backoff = backoff.get_or_insert_with(|| Backoff::new(&self.limits, RetryBudget::Timeout));
            match backoff.wait(self.control.name(self.node), error, None, &self.stop).await {
                Ok(true) => add(&self.counters.retries, 1),
                Ok(false) => {
                    batch.release();
                    return stored;
                }
                Err(error) => {
                    self.fail(error);
                    return stored;
                }
            }
        }
    }

    pub(crate) fn fail(&self, error: anyhow::Error) {
        self.is_broken.store(true, Ordering::Relaxed);
        self.control.fail(self.node, error);
    }

    fn store(&self, stored: &mut Batch, batch: Batch) {
        add(&self.counters.records_out, batch.len() as u64);
        add(&self.counters.bytes_out, batch.size() as u64);
        stored.absorb(batch);
    }
}

/// Rejects with their indices among the failures, and the errors worth another try.
fn sort_out(failures: Vec<Failure>) -> (Vec<(usize, anyhow::Error)>, Vec<anyhow::Error>) {
    let mut rejects = Vec::new();
    let mut retries = Vec::new();
    for (index, failure) in failures.into_iter().enumerate() {
        if failure.retry {
            retries.push(failure.error);
        } else {
            rejects.push((index, failure.error));
        }
    }
    (rejects, retries)
}
