//! The contract of a source: what comes next?

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::build_context::BuildContext;
use crate::error::Failure;
use crate::position::{Position, Start};
use crate::read_batch::ReadBatch;
use crate::sink::Written;
use crate::transaction::TransactionalSource;

/// The options of a source: its documentation, its schema and its constructor.
pub trait SourceConfig: DeserializeOwned + JsonSchema + Send + 'static {
    /// Reads the options and does nothing else: opens no file and no connection.
    fn build(self, context: &BuildContext) -> Result<Box<dyn Source>>;
}

/// What a source gives when it reads again from an earlier position, and so who gives the entry
/// numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// The same records in the same order. The engine counts them, and a record that is read again
    /// gets the number that it had.
    Deterministic,
    /// Possibly other records. The engine counts them and never gives a number twice.
    NonDeterministic,
    /// The records bring their entry numbers along, and another system keeps the position.
    External,
    /// Nothing: what was read is gone, as from a pipe. The engine counts the records and never gives a number twice. If
    /// the run is asked to stop, it delivers what was read; see [`Source::end_reading`].
    Impossible,
}

/// What a source has read.
#[derive(Debug)]
pub enum Next {
    /// Records.
    Batch(ReadBatch),
    /// Nothing new, but the service has answered: retries start over.
    Idle,
    /// There will never be any more records.
    End,
}

/// Reads records from another system.
#[async_trait]
pub trait Source: Send {
    /// What is read, in a few words: the path, the URL, the topics. A position is valid only for
    /// a source of the same type and identity.
    fn identity(&self) -> String;

    /// What reading again gives.
    fn replay(&self) -> Replay {
        Replay::Deterministic
    }

    /// Whether a position of a source of this type with that identity is valid for this one too:
    /// one that has read a shorter list of files, for example.
    fn can_resume_from(&self, identity: &str) -> bool {
        self.identity() == identity
    }

    /// What makes it read everything that a sink writes there, such as `` `topics` contains `stocks` ``; `None` if it does not.
    fn reads(&self, _written: &Written) -> Option<String> {
        None
    }

    /// A saved position for people, as `runner checkpoint show` prints it. A cursor may be a token, so by default no
    /// text is shown.
    fn shown_position(&self, position: &Value) -> Value {
        without_text(position)
    }

    /// Prepares for a dry run; called once, before `open`. From then on the source must change nothing in the system
    /// that it reads, also with [`Start::from_start`]: it joins no group and moves no position.
    fn set_dry_run(&mut self) {}

    /// Connects. While this fails with [`Unreachable`](crate::Class::Unreachable) or
    /// [`Transient`](crate::Class::Transient) it is called again with the same start, until
    /// `retry.connect` has passed.
    async fn open(&mut self, start: &Start) -> Result<(), Failure>;

    /// The position to resume from if the records after `start` may not be those that were
    /// numbered before; called once, after `open`. The position is saved before any record leaves
    /// the source, and no number that was reserved after the old position is given again.
    fn restart_position(&mut self) -> Option<Position> {
        None
    }

    /// Receives committed positions, in addition to the checkpoint; called once, after `open`.
    fn committer(&mut self) -> Option<Box<dyn Committer>> {
        None
    }

    /// The ability to commit positions in the transactions of a sink.
    fn transactional(&mut self) -> Option<&mut dyn TransactionalSource> {
        None
    }

    /// The ability to read a file in place of its system, for tests of a pipeline.
    fn fixture(&mut self) -> Option<&mut dyn ReadsFixture> {
        None
    }

    /// Takes nothing more from its system; called once, when a stop is requested, for a source whose
    /// [`replay`](Source::replay) is [`Replay::Impossible`]. From then on `next` returns what was read before, and then
    /// [`Next::End`]. It must return also what a call of `next` had read whose future was dropped.
    fn end_reading(&mut self) {}

    /// Waits for more records and returns those that are there, without waiting for more.
    ///
    /// The engine calls this only while the pipeline has room, so batches grow by themselves when
    /// the next component is busy. It drops the future only when the pipeline stops: what was read
    /// but not returned must be read again by the next run.
    async fn next(&mut self) -> Result<Next, Failure>;

    /// Called last, after the last commit.
    async fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The value with `***` in place of every text.
pub(crate) fn without_text(value: &Value) -> Value {
    match value {
        Value::String(_) => "***".into(),
        Value::Array(items) => items.iter().map(without_text).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), without_text(value))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// A source that can read a file in place of its system: `runner test` uses it before `open`.
pub trait ReadsFixture {
    /// The option of `[[tests.inputs]]` that names such a file, such as `csv`.
    fn option(&self) -> &'static str;

    /// Makes the source read this file once, from its beginning, and then end.
    fn read_from(&mut self, fixture: &Fixture) -> Result<()>;
}

/// A file that a source reads in place of its system.
#[derive(Clone, Debug)]
pub struct Fixture {
    /// The file.
    pub path: PathBuf,
    /// For a source that asks for several elements: the values of the element that the file belongs to.
    pub element: BTreeMap<String, String>,
}

/// Receives the positions up to which everything has been delivered.
#[async_trait]
pub trait Committer: Send {
    /// Commits `position`. A later position covers the earlier ones, so the engine may leave some
    /// out.
    async fn commit(&mut self, position: &Position) -> Result<()>;
}
