//! Writes batches to one sink: retries what may succeed, rejects what is bad, and returns what has
//! been stored.

use std::ops::ControlFlow::{Break, Continue};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};

use super::backoff::{Backoff, RetryBudget};
use super::node::Node;
use crate::batch::Batch;
use crate::error::{Class, Failure};
use crate::progress::add;
use crate::quoting::copy_of;
use crate::record::Record;
use crate::sink::{Sink, WriteError};

/// One sink and all that is needed to write to it.
pub(crate) struct Writer {
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) node: Node,
    /// Whether no further write makes sense.
    pub(crate) is_stopped: AtomicBool,
}

impl Writer {
    /// Writes a batch and returns what has been stored of it. Everything else has been rejected,
    /// released or failed.
    pub(crate) async fn write(&self, mut batch: Batch) -> Batch {
        let skips = |record: &Record| self.sink.skips(record);
        if batch.records().iter().any(skips) {
            batch.retain(|record| !skips(record));
        }
        batch.mark_tried();
        let mut stored = Batch::default();
        let mut backoff = None;
        loop {
            let failure = match self.sink.write(&batch).await {
                Ok(()) => {
                    batch.leave().count_out();
                    stored.absorb(batch);
                    return stored;
                }
                Err(WriteError::All(failure)) if failure.is_retryable() => failure,
                Err(WriteError::All(failure)) if failure.class() == Class::Rejected => {
                    let reason = failure.into_error();
                    let rejects = (0..batch.len()).map(|index| (index, copy_of(&reason)));
                    self.reject(batch, rejects.collect()).await;
                    return stored;
                }
                Err(WriteError::All(failure)) => {
                    let is_closed = failure.class() == Class::OutputClosed;
                    self.fail(failure);
                    if is_closed {
                        batch.release();
                    } else {
                        batch.fail();
                    }
                    return stored;
                }
                Err(WriteError::Records(failures)) => {
                    let sorted = WriteFailures::of(failures);
                    let failed = batch.extract(&sorted.indices);
                    batch.leave().count_out();
                    stored.absorb(std::mem::replace(&mut batch, failed));
                    if let Some(failure) = sorted.fatal {
                        self.fail(failure);
                        batch.fail();
                        return stored;
                    }
                    let Some(rest) = self.reject(batch, sorted.rejects).await else { return stored };
                    batch = rest;
                    let Some(failure) = sorted.retry else {
                        batch.ack();
                        return stored;
                    };
                    failure
                }
            };
            let backoff = backoff.get_or_insert_with(|| Backoff::new(&self.node.retry, RetryBudget::Timeout));
            match backoff.wait(self.node.name(), failure, &self.node.stop).await {
                Ok(Continue(())) => add(&self.node.counters.retries, 1),
                Ok(Break(())) => {
                    batch.release();
                    return stored;
                }
                Err(failure) => {
                    self.fail(failure);
                    batch.fail();
                    return stored;
                }
            }
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Acquire)
    }

    pub(crate) fn fail(&self, failure: impl Into<Failure>) {
        self.is_stopped.store(true, Release);
        self.node.fail(failure);
    }

    /// Returns what is not rejected; `None` if the run ends because of it.
    async fn reject(&self, batch: Batch, rejects: Vec<(usize, anyhow::Error)>) -> Option<Batch> {
        match self.node.reject(batch, rejects).await {
            (rest, Continue(())) => Some(rest),
            (rest, Break(())) => {
                self.is_stopped.store(true, Release);
                rest.release();
                None
            }
        }
    }
}

/// What a sink says about the records that it could not store.
struct WriteFailures {
    /// All of their indices, in ascending order.
    indices: Vec<usize>,
    /// The bad ones, by their places among `indices`.
    rejects: Vec<(usize, anyhow::Error)>,
    /// Why others are worth another try.
    retry: Option<Failure>,
    /// Why no further try will help.
    fatal: Option<Failure>,
}

impl WriteFailures {
    fn of(mut failures: Vec<(usize, Failure)>) -> Self {
        failures.sort_by_key(|(index, _)| *index);
        failures.dedup_by_key(|(index, _)| *index);
        let mut sorted = WriteFailures {
            indices: failures.iter().map(|(index, _)| *index).collect(),
            rejects: Vec::new(),
            retry: None,
            fatal: None,
        };
        for (place, (_, failure)) in failures.into_iter().enumerate() {
            match failure.class() {
                Class::Rejected => sorted.rejects.push((place, failure.into_error())),
                _ if failure.is_retryable() => sorted.retry = Some(failure),
                _ => drop(sorted.fatal.get_or_insert(failure)),
            }
        }
        sorted
    }
}
