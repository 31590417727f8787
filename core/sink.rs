//! A sink answers one question: is it stored?

use std::any::Any;
use std::sync::Arc;

use anyhow::{Error, Result};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::plugin::BuildContext;
use crate::record::Record;

/// The options of a sink: its documentation, its schema and its constructor.
pub trait SinkConfig: DeserializeOwned + JsonSchema + Send + 'static {
    /// Reads the options and does nothing else: opens no file and no connection.
    fn build(self, context: &BuildContext) -> Result<Box<dyn Sink>>;
}

/// How the input of a sink has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownReason {
    /// By itself: the sources are through, or a limit was reached.
    InputEnded,
    /// Somebody stopped the run, or it has failed.
    Stopped,
}

/// What joins a sink that writes in transactions with the source whose positions they hold.
pub struct Transaction {
    /// The option that asks for it; an error about it is shown there.
    pub option: &'static str,
    /// Whatever the plugins of both sides understand; the engine passes it on unseen.
    pub handle: Arc<dyn Any + Send + Sync>,
}

/// Writes records to the outside world.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Connects, creates what is missing, checks what must be there; called again while it answers
    /// [`Unreachable`](crate::Unreachable) or [`Missing`](crate::Missing), until `retry.connect` has passed.
    async fn open(&mut self) -> Result<()> {
        Ok(())
    }

    /// Makes the records durable. `Ok` means that all of them are.
    async fn write(&self, records: &[Record]) -> Result<(), WriteError>;

    /// How many writes may overlap. They begin in the order of the batches: each is
    /// polled for the first time after the one before it has been. A write that is
    /// tried again may be overtaken.
    fn concurrency(&self) -> usize {
        1
    }

    /// Another write begins only while fewer records than this are under way in
    /// the others: what is under way must be stored before a stop can end.
    fn max_in_flight_records(&self) -> usize {
        usize::MAX
    }

    /// `Some` if what it writes counts only once the position of its source is committed with it.
    ///
    /// All that reaches such a sink comes from one source and goes
    /// nowhere else; otherwise the pipeline is refused. That source is handed the transaction. Its
    /// [`Committer`](crate::Committer) is called only with positions behind all that has been
    /// written since it was called last, and no write begins until it has answered. So `Ok` of
    /// `write` means here that the records are durable as soon as the transaction is committed.
    fn transaction(&self) -> Option<Transaction> {
        None
    }

    /// Works beside the writes, from `open` on until the input ends, when the
    /// future is dropped. Must not end by itself unless it has failed.
    async fn run_background(&self) -> Result<()> {
        std::future::pending().await
    }

    /// Finishes what `write` has left for later; called once, when the input has ended.
    async fn flush(&self, _ending: ShutdownReason) -> Result<()> {
        Ok(())
    }

    /// The folder that it writes to, as a URL such as `s3://bucket/folder/`, for a sink behind it.
    fn location(&self) -> Option<String> {
        None
    }

    /// Whether what it takes can be found again or is seen by somebody; a sink of which that is not
    /// so cannot take dead letters.
    fn keeps_records(&self) -> bool {
        true
    }

    /// Whether `runner crawl` has anything to do here.
    fn is_crawler(&self) -> bool {
        false
    }

    /// Does by hand, on an opened sink, what it does at the end of a run.
    async fn crawl(&self) -> Result<()> {
        Ok(())
    }
}

/// Why records could not be stored.
#[derive(Debug)]
pub enum WriteError {
    /// Worth another try, all of it.
    Retry(Error),
    /// These failed; all others are durable.
    Partial(Vec<Failure>),
    /// No further try will help, and nothing of it counts as stored.
    Fatal(Error),
    /// No further try will help; all but these records are durable.
    FatalFor {
        /// What went wrong.
        error: Error,
        /// Which records of the slice have not been stored.
        not_stored: Vec<usize>,
    },
}

/// Why one record could not be stored.
#[derive(Debug)]
pub struct Failure {
    /// Which record of the slice that was to be written.
    pub index: usize,
    /// What went wrong.
    pub error: Error,
    /// Worth another try; otherwise the record is rejected.
    pub retry: bool,
}

impl WriteError {
    /// `Ok` if there is no failure, else [`WriteError::Partial`].
    pub fn unless_empty(failures: Vec<Failure>) -> Result<(), WriteError> {
        if failures.is_empty() { Ok(()) } else { Err(WriteError::Partial(failures)) }
    }
}

impl From<Error> for WriteError {
    fn from(error: Error) -> Self {
        WriteError::Fatal(error)
    }
}
