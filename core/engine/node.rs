//! What every task of the engine knows about the component that it runs.

use std::ops::ControlFlow::{Break, Continue};
use std::sync::Arc;

use anyhow::Error;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::control::Control;
use crate::batch::Batch;
use crate::dead_letter::DeadLetter;
use crate::error::Failure;
use crate::observer::Event;
use crate::pipeline_options::RetryLimits;
use crate::progress::{Counters, add};
use crate::quoting::without_values;
use crate::record::{Body, Headers, Record};
use crate::stop::Flow;

/// One component of a running pipeline.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) index: usize,
    /// Cancelled when this component must stop.
    pub(crate) stop: CancellationToken,
    pub(crate) counters: Arc<Counters>,
    pub(crate) control: Arc<Control>,
    pub(crate) retry: RetryLimits,
    pub(crate) pipeline: Arc<str>,
    pub(crate) rejects: RejectsTo,
    /// Whether this is a dry run or a test: no sink stores records, and pauses are skipped. See `dry_run.rs`.
    pub(crate) stores_nothing: bool,
}

/// Where the records go that a component rejects.
#[derive(Clone)]
pub(crate) enum RejectsTo {
    /// To the sink of `[dead_letter]`.
    DeadLetters(mpsc::Sender<Batch>),
    /// Nowhere: without `[dead_letter]`, the first rejected record ends the run.
    Nothing,
    /// Nowhere, since this is the sink of `[dead_letter]`.
    NothingElse,
}

impl Node {
    pub(crate) fn name(&self) -> &str {
        self.control.name(self.index)
    }

    pub(crate) fn fail(&self, failure: impl Into<Failure>) {
        self.control.fail(self.index, failure.into());
    }

    /// Fails as a source that cannot read on.
    pub(crate) fn fail_source(&self, failure: Failure) {
        self.control.fail_source(self.index, failure);
    }

    /// Sends the records at the given indices to the dead letters and returns the others.
    ///
    /// Without dead letters the run ends: the records before the first bad one are returned and still
    /// delivered, and the rest is released.
    pub(crate) async fn reject(&self, mut batch: Batch, rejects: Vec<(usize, Error)>) -> (Batch, Flow) {
        if rejects.is_empty() {
            return (batch, Continue(()));
        }
        let RejectsTo::DeadLetters(dead_letters) = &self.rejects else {
            return (self.fail_for(batch, rejects), Break(()));
        };
        let indices: Vec<usize> = rejects.iter().map(|(index, _)| *index).collect();
        let mut bad = batch.extract(&indices);
        for (record, (_, reason)) in bad.records_mut().iter_mut().zip(&rejects) {
            if !self.stores_nothing {
                tracing::warn!(component = self.name(), "{}: {}", describe(record), without_values(reason));
            }
            self.counters.observe(Event::Rejected(record, reason));
            self.turn_into_letter(record, reason);
        }
        let n_bad = bad.len() as u64;
        if let Err(closed) = dead_letters.send(bad).await {
            // The sink of the dead letters has failed, and so has the run.
            closed.0.release();
            batch.release();
            return (Batch::default(), Break(()));
        }
        add(&self.counters.rejected, n_bad);
        (batch, Continue(()))
    }

    /// Fails the run because of the first of these records; returns what was before it.
    fn fail_for(&self, mut batch: Batch, rejects: Vec<(usize, Error)>) -> Batch {
        let (index, reason) = rejects.into_iter().next().expect("there is at least one");
        let mut described = describe(&batch.records()[index]);
        if matches!(self.rejects, RejectsTo::Nothing) {
            described += "; correct it, or add a `[dead_letter]` block, which takes such records";
        }
        add(&self.counters.rejected, 1);
        // It is printed, so it must not show values of the record; its origin says where they are.
        let error = Error::msg(without_values(&reason)).context(described);
        match self.rejects {
            // This letter will be refused again, but the record was not bad for lack of a `[dead_letter]`.
            RejectsTo::NothingElse => self.fail(Failure::fatal(error)),
            RejectsTo::Nothing | RejectsTo::DeadLetters(_) => {
                self.control.fail_for_record(self.index, Failure::rejected(error));
            }
        }
        let front = batch.split_front(index);
        let mut bad = batch.split_front(1);
        // It has been counted as rejected, so it must not count as released.
        drop(bad.leave());
        bad.release();
        batch.release();
        front
    }

    /// Turns a record into a dead letter. The letter's key is the component, so that letters of
    /// several components about one record can be told apart.
    fn turn_into_letter(&self, record: &mut Record, reason: &Error) {
        let letter = DeadLetter::new(record, reason, &self.pipeline, self.name());
        record.body = Body::Bytes(letter.to_json().into());
        record.key = Some(self.name().to_owned().into());
        record.headers = Headers::default();
        record.timestamp = None;
    }
}

/// Names a record in messages.
fn describe(record: &Record) -> String {
    match &record.entry {
        Some(entry) => format!("entry {} from {} is a bad record", entry.text(), record.place()),
        None => format!("the record from {} is a bad record", record.place()),
    }
}
