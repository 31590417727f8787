//! A sink that writes one record at a time.

use std::sync::Arc;

use anyhow::{Error, Result};
use async_trait::async_trait;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::{JoinError, JoinSet};

use crate::batch::Batch;
use crate::error::{Class, Failure};
use crate::letter_store::LetterStore;
use crate::record::Record;
use crate::sink::{Sink, WriteError};
use crate::stop::StopReason;

/// Writes one record at a time; [`record_sink`] makes a sink of it. The engine takes care of
/// order, concurrency, retries, and the records of a batch that could not be written.
#[async_trait]
pub trait RecordSink: Send + Sync + 'static {
    /// Connects; see [`Sink::open`].
    async fn open(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// Makes one record durable. A record that is [`Rejected`](Class::Rejected) goes to the dead
    /// letters; after a [`Fatal`](Class::Fatal) failure no other record of the batch is written.
    async fn put(&self, record: &Record) -> Result<(), Failure>;

    /// How many records may be written at the same time. They begin in their order.
    fn max_in_flight(&self) -> usize {
        1
    }

    /// Finishes what `put` has left for later; see [`Sink::flush`].
    async fn flush(&self, _reason: StopReason) -> Result<(), Failure> {
        Ok(())
    }

    /// The dead letters that it has stored; see [`Sink::letter_store`].
    fn letter_store(&self) -> Option<Arc<dyn LetterStore>> {
        None
    }

    /// Where it would store a record; see [`Sink::destination`].
    fn destination(&self, _record: &Record) -> Result<Option<String>, Error> {
        Ok(None)
    }

    /// The folder that it writes to; see [`Sink::location`].
    fn location(&self) -> Option<String> {
        None
    }

    /// Learns that a crawler makes a table of what it writes; see [`Sink::set_crawled`].
    fn set_crawled(&mut self, _target: &str) -> Result<()> {
        Ok(())
    }

    /// Whether a record is filtered on purpose; see [`Sink::skips`].
    fn skips(&self, _record: &Record) -> bool {
        false
    }
}

/// A sink that gives its records to `sink` one by one.
pub fn record_sink<S: RecordSink>(sink: S) -> Box<dyn Sink> {
    let n_slots = sink.max_in_flight().clamp(1, Semaphore::MAX_PERMITS);
    Box::new(OneByOne {
        sink: Arc::new(sink),
        n_slots,
        slots: Arc::new(Semaphore::new(n_slots)),
        turn: Mutex::default(),
    })
}

struct OneByOne<S> {
    sink: Arc<S>,
    n_slots: usize,
    /// One for each record that is being written, of whichever batch.
    slots: Arc<Semaphore>,
    /// Held by the batch whose records are begun now, so that batches begin in their order.
    turn: Mutex<()>,
}

/// What has become of one record of a batch.
type Put = (usize, Result<(), Failure>);

#[async_trait]
impl<S: RecordSink> Sink for OneByOne<S> {
    async fn open(&mut self) -> Result<(), Failure> {
        Arc::get_mut(&mut self.sink).expect("nothing is written before it is open").open().await
    }

    async fn write(&self, batch: &Batch) -> Result<(), WriteError> {
        let records = batch.shared_records();
        let mut outcome = Outcome::default();
        let mut puts: JoinSet<Put> = JoinSet::new();
        let turn = self.turn.lock().await;
        for index in 0..records.len() {
            let slot = Arc::clone(&self.slots).acquire_owned().await.expect("it is never closed");
            while let Some(put) = puts.try_join_next() {
                outcome.note(put);
            }
            if outcome.is_fatal {
                outcome.skip(index..records.len());
                break;
            }
            let (sink, records) = (Arc::clone(&self.sink), Arc::clone(&records));
            puts.spawn(async move {
                let put = sink.put(&records[index]).await;
                drop(slot);
                (index, put)
            });
        }
        drop(turn);
        while let Some(put) = puts.join_next().await {
            outcome.note(put);
        }
        outcome.into_result()
    }

    /// Batches of one record use all slots as well. A batch that waits for its turn costs nothing.
    fn concurrency(&self) -> usize {
        self.n_slots
    }

    /// The next batch begins while the slowest records of this one are being written, and a stop
    /// waits for no more than two batches.
    fn max_in_flight_records(&self) -> usize {
        self.n_slots.saturating_add(1024)
    }

    async fn flush(&self, reason: StopReason) -> Result<(), Failure> {
        self.sink.flush(reason).await
    }

    fn letter_store(&self) -> Option<Arc<dyn LetterStore>> {
        self.sink.letter_store()
    }

    fn destination(&self, record: &Record) -> Result<Option<String>, Error> {
        self.sink.destination(record)
    }

    fn location(&self) -> Option<String> {
        self.sink.location()
    }

    fn set_crawled(&mut self, target: &str) -> Result<()> {
        Arc::get_mut(&mut self.sink).expect("nothing is written before it is open").set_crawled(target)
    }

    fn skips(&self, record: &Record) -> bool {
        self.sink.skips(record)
    }
}

/// What has become of the records of one batch.
#[derive(Default)]
struct Outcome {
    failures: Vec<(usize, Failure)>,
    /// Set once no other record will be written.
    is_fatal: bool,
    /// Why a write of one of the records has crashed.
    crashed: Option<Error>,
}

impl Outcome {
    fn note(&mut self, put: Result<Put, JoinError>) {
        match put {
            Ok((_, Ok(()))) => {}
            Ok((index, Err(failure))) => {
                self.is_fatal |= !failure.is_retryable() && failure.class() != Class::Rejected;
                self.failures.push((index, failure));
            }
            Err(panic) => {
                self.is_fatal = true;
                self.crashed = Some(Error::new(panic).context("writing a record has crashed"));
            }
        }
    }

    fn skip(&mut self, indices: std::ops::Range<usize>) {
        let skipped = || Failure::transient(Error::msg("not written, since another record has failed"));
        self.failures.extend(indices.map(|index| (index, skipped())));
    }

    fn into_result(self) -> Result<(), WriteError> {
        match self.crashed {
            Some(error) => Err(WriteError::All(Failure::fatal(error))),
            None => WriteError::of_records(self.failures),
        }
    }
}
