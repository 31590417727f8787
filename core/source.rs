//! A source answers one question: what comes next?

use std::any::Any;
use std::sync::Arc;

use anyhow::{Error, Result};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::batch::{Batch, Position};
use crate::plugin::BuildContext;

/// The options of a source: its documentation, its schema and its constructor.
pub trait SourceConfig: DeserializeOwned + JsonSchema + Send + 'static {
    /// Reads the options and does nothing else: opens no file and no connection.
    fn build(self, context: &BuildContext) -> Result<Box<dyn Source>>;
}

/// Where the numbers of a source's records come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// Counted by the engine; reading again gives the same records in the same order.
    Deterministic,
    /// Counted by the engine and never given twice, since what is read again may differ.
    NonDeterministic,
    /// The records bring their numbers along, and whoever they come from keeps the position.
    External,
}

/// Where a source begins.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// The position that was committed last; `None` at the very first start.
    pub position: Option<Position>,
    /// Forget positions, also those that are kept elsewhere (`--from-start`).
    pub from_start: bool,
}

/// Reads records from the outside world.
#[async_trait]
pub trait Source: Send {
    /// What is read, in few words: the path, the URL, the topics. A position is
    /// good only for a source of the same type and identity.
    fn identity(&self) -> String;

    /// Where the numbers of the records come from.
    fn replay(&self) -> Replay {
        Replay::Deterministic
    }

    /// Whether a position of a source of its type with that identity is good for this one too: one that
    /// has read a shorter list of files, say.
    fn can_resume_from(&self, identity: &str) -> bool {
        self.identity() == identity
    }

    /// Has the positions committed in the transactions of the sink that its records end in, whose
    /// [`Transaction::handle`](crate::Transaction) this is. Called before `open`; the error says
    /// why that cannot be. After the last commit, `close` has what is not committed given up.
    fn join_transaction(&mut self, _transaction: Arc<dyn Any + Send + Sync>) -> Result<()> {
        anyhow::bail!("it keeps its position elsewhere")
    }

    /// Connects; called again with the same start while it answers [`Unreachable`](crate::Unreachable)
    /// or [`Missing`](crate::Missing), until `retry.connect` has passed.
    async fn open(&mut self, start: &Start) -> Result<()>;

    /// Where reading begins, if what lies behind that place may be other than it was when numbers were given
    /// to it; asked once, after `open`. The position is kept before any record leaves, and numbers that
    /// have been given behind the old one are not given again.
    fn restart_position(&mut self) -> Option<Position> {
        None
    }

    /// Who is told of committed positions beside the checkpoint; asked once, after `open`.
    fn committer(&mut self) -> Option<Box<dyn Committer>> {
        None
    }

    /// Waits for more records; `None` once there will never be any.
    ///
    /// The engine asks only when there is room, and drops the future only when
    /// the pipeline stops: what was read but not returned is read again later.
    async fn next(&mut self) -> Result<Option<Batch>, ReadError>;

    /// Called last, after the last commit.
    async fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Takes positions of what has been delivered.
#[async_trait]
pub trait Committer: Send {
    /// Everything up to `position` has been delivered. A later position covers
    /// the earlier ones, so the engine may leave some out. Where the position is
    /// part of a transaction this commits it, and nothing is written meanwhile.
    async fn commit(&mut self, position: &Position) -> Result<()>;
}

/// Why `next` had nothing to give.
#[derive(Debug)]
pub enum ReadError {
    /// Worth another try.
    Retry {
        /// What went wrong.
        error: Error,
        /// How long the other side asks to wait (`Retry-After`).
        after: Option<std::time::Duration>,
    },
    /// No further try will help.
    Fatal(Error),
}

impl From<Error> for ReadError {
    fn from(error: Error) -> Self {
        ReadError::Fatal(error)
    }
}
