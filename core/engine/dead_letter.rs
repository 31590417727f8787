//! Dead letters: what components reject is put into an envelope and written to
//! a sink of its own. Where there is none, the first reject ends the run.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Error, Result};
use tokio::sync::Semaphore;

use super::control::Control;
use super::writer::Writer;
use crate::batch::Batch;
use crate::dead_letter::DeadLetter;
use crate::progress::{Counters, add};
use crate::record::{Body, Headers, Record};
use crate::sink::ShutdownReason;

/// Takes what components reject.
#[derive(Default)]
pub(crate) struct DeadLetters {
    pipeline: String,
    desk: Option<Desk>,
    /// Whether there could be some: a letter that its own sink rejects has nowhere to go.
    may_be: bool,
}

/// Where letters are written: every task comes here by itself, and the sink says how many at once.
struct Desk {
    writer: Writer,
    /// A permit for each of the writes that may overlap.
    turns: Semaphore,
    /// A permit for each of the records that may be under way.
    room: Semaphore,
    max_in_flight_records: usize,
    /// How many refusals of the letters' own sink are in the counts of those that have rejected the records.
    n_counted: AtomicU64,
}

impl Desk {
    fn new(writer: Writer) -> Self {
        let at_most = |n: usize| n.clamp(1, Semaphore::MAX_PERMITS);
        let max_in_flight_records = at_most(writer.sink.max_in_flight_records());
        Desk {
            turns: Semaphore::new(at_most(writer.sink.concurrency())),
            room: Semaphore::new(max_in_flight_records),
            max_in_flight_records,
            n_counted: AtomicU64::new(0),
            writer,
        }
    }

    /// Writes letters when it is their turn, and answers with what has been stored of them.
    async fn write(&self, letters: Batch) -> Batch {
        let n_letters = u32::try_from(letters.len().min(self.max_in_flight_records)).unwrap_or(u32::MAX);
        let _turn = self.turns.acquire().await.expect("nobody closes it");
        let _room = self.room.acquire_many(n_letters).await.expect("nobody closes it");
        if self.writer.is_broken.load(Ordering::Relaxed) {
            letters.release();
            return Batch::default();
        }
        self.writer.write(letters, &DeadLetters::default()).await
    }

    /// How many letters its own sink has refused, which ends the run, since this was asked last.
    fn n_refused(&self) -> u64 {
        let n_refused = self.writer.counters.rejected.load(Ordering::Relaxed);
        n_refused.saturating_sub(self.n_counted.fetch_max(n_refused, Ordering::Relaxed))
    }
}

impl DeadLetters {
    pub(crate) fn new(pipeline: &str, writer: Option<Writer>) -> Self {
        DeadLetters { pipeline: pipeline.to_owned(), desk: writer.map(Desk::new), may_be: true }
    }

    /// Puts the records at the given indices aside. Answers with the rest, and
    /// whether the run goes on; where it does not, the rest is what was in front
    /// of the first reject.
    pub(crate) async fn reject(
        &self,
        mut batch: Batch,
        rejects: Vec<(usize, Error)>,
        node: usize,
        control: &Control,
        counters: &Counters,
    ) -> (Batch, bool) {
        if rejects.is_empty() {
            return (batch, true);
        }
        let Some(desk) = &self.desk else {
            let (index, reason) = rejects.into_iter().next().expect("not empty");
            let mut described = describe(&batch.records()[index]);
            if self.may_be {
                described += "; correct it, or add a `[dead_letter]` block, which sets such records aside";
            }
            let error = reason.context(described);
            add(&counters.rejected, 1);
            batch.mark_refused(index);
            control.fail(node, error);
            let front = batch.split_front(index);
            batch.release();
            return (front, false);
        };
        let indices: Vec<usize> = rejects.iter().map(|(index, _)| *index).collect();
        let mut bad = batch.extract(&indices);
        for (record, (_, reason)) in bad.records_mut().iter_mut().zip(&rejects) {
            tracing::warn!(component = control.name(node), "{}: {reason:#}", describe(record));
            seal(record, reason, &self.pipeline, control.name(node));
        }
        let n_bad = bad.len();
        // Boxed: a sink's writer needs the dead letters, which need a writer of their own.
        let written = Box::pin(desk.write(bad)).await;
        let goes_on = written.len() == n_bad;
        // What nobody has taken because the run was stopped has not been dealt with.
        add(&counters.rejected, written.len() as u64 + desk.n_refused());
        written.ack();
        if goes_on {
            return (batch, true);
        }
        batch.release();
        (Batch::default(), false)
    }

    /// Finishes what the sink has left for later.
    pub(crate) async fn flush(&self) -> Result<()> {
        let Some(desk) = &self.desk else { return Ok(()) };
        desk.writer.sink.flush(ShutdownReason::Stopped).await.context("finishing the dead letters")
    }

    /// What the sink does beside its writes; ends only by failing.
    pub(crate) async fn run_background(&self) -> Error {
        if let Some(desk) = &self.desk
            && let Err(error) = desk.writer.sink.run_background().await
        {
            return error.context("working beside the dead letters");
        }
        std::future::pending().await
    }
}

/// Names a record in messages.
fn describe(record: &Record) -> String {
    match record.entry {
        Some(entry) => format!("entry {} from {} is a bad record", entry.number, record.origin),
        None => format!("the record from {} is a bad record", record.origin),
    }
}

/// Turns a record into a letter about it. What the record brought along is in the letter, and
/// its key is the component: letters of several components about one record can be told apart.
fn seal(record: &mut Record, reason: &Error, pipeline: &str, component: &str) {
    let letter = DeadLetter::new(record, reason, pipeline, component);
    record.body = Body::Bytes(letter.to_json().into());
    record.key = Some(component.to_owned().into());
    record.headers = Headers::default();
    record.timestamp = None;
}
