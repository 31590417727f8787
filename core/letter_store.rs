//! The ability of a sink to return the dead letters that it has stored.

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::Failure;

/// Names a stored dead letter, for the store that has returned it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LetterId {
    /// Where it is: the key of an object, a partition and an offset.
    pub place: String,
    /// Which of several that were stored there one after another; empty where there is only one.
    pub version: String,
}

/// A dead letter as it is stored.
#[derive(Clone, Debug)]
pub struct StoredLetter {
    /// Its name in the store.
    pub id: LetterId,
    /// The envelope.
    pub bytes: Bytes,
}

/// Lists and removes stored dead letters, for `runner dlq`. It connects by itself: the sink that has returned it need
/// not be open.
#[async_trait]
pub trait LetterStore: Send + Sync {
    /// Where the letters are, in a few words: `topic rejected at host:9092`.
    fn location(&self) -> String;

    /// Reads the letters that are there now.
    async fn read(&self) -> Result<Box<dyn LetterReader>, Failure>;

    /// A replay begins. `pending` are all letters of its pipeline: those that it delivers and then removes, and those
    /// that it cannot deliver. Fails if another replay delivers them now, where the store can tell.
    async fn begin(&self, pending: Vec<LetterId>) -> Result<(), Failure>;

    /// Removes letters that have been delivered, or written again; durable once this returns. A letter that has been
    /// replaced meanwhile stays.
    async fn remove(&self, letters: &[LetterId]) -> Result<(), Failure>;

    /// A replay ends that has removed letters. The letters of `kept` must be read by the next one.
    async fn end(&self, kept: &[LetterId]) -> Result<(), Failure>;
}

/// Reads the letters of a store, oldest first where the store knows the order.
#[async_trait]
pub trait LetterReader: Send {
    /// The next letters; none at the end.
    async fn next(&mut self) -> Result<Vec<StoredLetter>, Failure>;

    /// Notes for the user about letters that retention has deleted; known before the first one is read.
    fn notes(&self) -> &[String] {
        &[]
    }
}
