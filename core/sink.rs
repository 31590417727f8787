//! The contract of a sink: is it stored?

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::batch::Batch;
use crate::build_context::BuildContext;
use crate::error::Failure;
use crate::letter_store::LetterStore;
use crate::record::Record;
use crate::stop::StopReason;
use crate::transaction::TransactionalSink;

/// The options of a sink: its documentation, its schema and its constructor.
pub trait SinkConfig: DeserializeOwned + JsonSchema + Send + 'static {
    /// Reads the options and does nothing else: opens no file and no connection.
    fn build(self, context: &BuildContext) -> Result<Box<dyn Sink>>;
}

/// Writes records to another system.
///
/// A sink that writes one record at a time implements [`RecordSink`](crate::RecordSink) instead.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Connects, creates what is missing, checks what must exist. While this fails with
    /// [`Unreachable`](crate::Class::Unreachable) or [`Transient`](crate::Class::Transient) it is
    /// called again, until `retry.connect` has passed.
    async fn open(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// Makes the records durable. `Ok` means that all of them are.
    async fn write(&self, batch: &Batch) -> Result<(), WriteError>;

    /// How many writes may overlap. Their first polls are in the order of the batches. A write
    /// that is retried may be overtaken by a later one.
    fn concurrency(&self) -> usize {
        1
    }

    /// Another write begins only while fewer records than this are in flight in this sink: what is
    /// in flight must be stored before a stop can end.
    fn max_in_flight_records(&self) -> usize {
        usize::MAX
    }

    /// Finishes what `write` has left for later; called once, when the input has ended.
    async fn flush(&self, _reason: StopReason) -> Result<(), Failure> {
        Ok(())
    }

    /// The folder that it writes to, as a URL such as `s3://bucket/folder/`, for a sink behind it.
    fn location(&self) -> Option<String> {
        None
    }

    /// Where it writes to, if a source can read it there: a pipeline whose records come back is refused.
    fn written(&self) -> Option<Written> {
        None
    }

    /// Learns before `open` that a crawler makes a table of `target`, a URL such as
    /// `s3://bucket/folder/` that holds its [`location`](Sink::location). From then on it rejects what
    /// such a table cannot hold. An error refuses the pipeline.
    fn set_crawled(&mut self, _target: &str) -> Result<()> {
        Ok(())
    }

    /// Whether a record is filtered on purpose: it counts as delivered and is not written.
    fn skips(&self, _record: &Record) -> bool {
        false
    }

    /// Where it would store a record, in words such as ``topic `stocks`, key `NYA` ``; an error if it would reject the
    /// record. Called without `open`, for a dry run.
    fn destination(&self, _record: &Record) -> Result<Option<String>> {
        Ok(None)
    }

    /// Whether a user can find what it was given; if not, it cannot take dead letters.
    fn stores_records(&self) -> bool {
        true
    }

    /// The ability to return the dead letters that it has stored.
    fn letter_store(&self) -> Option<Arc<dyn LetterStore>> {
        None
    }

    /// The ability to write in transactions.
    fn transactional(&self) -> Option<&dyn TransactionalSink> {
        None
    }

    /// Work that runs next to the writes.
    fn background(&self) -> Option<&dyn Background> {
        None
    }

    /// The ability to be started by `runner crawl`.
    fn crawler(&self) -> Option<&dyn Crawler> {
        None
    }
}

/// Where a sink writes to, as its options name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The option that names it.
    pub option: &'static str,
    /// The kind of system.
    pub system: &'static str,
    /// The addresses of its servers; any of them stands for the system.
    pub servers: Vec<String>,
    /// The names there. Those of a template are examples: a source that reads all of them reads everything that the
    /// template gives.
    pub names: Vec<String>,
}

/// Work of a sink that runs next to its writes.
#[async_trait]
pub trait Background: Sync {
    /// Called after `open`. The future is dropped when the input of the sink ends, and must not
    /// return before that unless it fails.
    async fn run(&self) -> Result<(), Failure>;
}

/// A sink that crawls: `runner crawl` starts it without a run.
#[async_trait]
pub trait Crawler: Sync {
    /// The crawler that it starts, as its options describe it.
    fn definition(&self) -> CrawlerDefinition;

    /// Does on an opened sink what it does at the end of a run, and waits for it.
    async fn crawl(&self) -> Result<(), Failure>;
}

/// A crawler as the options of a sink describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrawlerDefinition {
    /// Which crawler it is: sinks with the same id start the same one.
    pub id: String,
    /// The option that names it.
    pub option: &'static str,
    /// The folder of which it makes a table, as a URL that ends with `/`.
    pub target: String,
    /// The settings in which all definitions of one crawler must agree, as text for messages.
    pub settings: String,
}

impl CrawlerDefinition {
    /// Whether both are one crawler, with other settings.
    pub fn conflicts_with(&self, other: &CrawlerDefinition) -> bool {
        self.id == other.id && self.settings != other.settings
    }
}

/// Why records could not be stored.
#[derive(Debug)]
pub enum WriteError {
    /// None of them is stored.
    All(Failure),
    /// These are not stored, with their places in the batch; all others are durable.
    Records(Vec<(usize, Failure)>),
}

impl WriteError {
    /// `Ok` if there are no failures, else [`WriteError::Records`].
    pub fn of_records(failures: Vec<(usize, Failure)>) -> Result<(), WriteError> {
        if failures.is_empty() { Ok(()) } else { Err(WriteError::Records(failures)) }
    }
}

impl From<Failure> for WriteError {
    fn from(failure: Failure) -> Self {
        WriteError::All(failure)
    }
}

impl From<anyhow::Error> for WriteError {
    fn from(error: anyhow::Error) -> Self {
        WriteError::All(error.into())
    }
}
