//! A source that polls: it asks for what comes after a position.

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Failure;
use crate::position::{Position, Start};
use crate::read_batch::ReadBatch;
use crate::record::Record;
use crate::source::{Next, Replay, Source};

/// Asks for the records after a position; [`poll_source`] makes a source of it. The engine takes
/// care of retries, checkpoints and resuming.
#[async_trait]
pub trait PollSource: Send + 'static {
    /// Where to resume. The default is the beginning.
    type Position: Serialize + DeserializeOwned + Default + Clone + Send + Sync + 'static;

    /// What is read, in a few words; see [`Source::identity`].
    fn identity(&self) -> String;

    /// What polling again from an earlier position gives; see [`Source::replay`].
    fn replay(&self) -> Replay {
        Replay::Deterministic
    }

    /// Connects; see [`Source::open`].
    async fn open(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// Waits for records after `position`.
    async fn poll(&mut self, position: &Self::Position) -> Result<Polled<Self::Position>, Failure>;
}

/// What one poll has given.
pub enum Polled<P> {
    /// Records, each with the position after it.
    Records(Vec<(Record, P)>),
    /// Nothing new, but the service has answered.
    Idle,
    /// There will never be any more records.
    End,
}

/// A source that asks `poller` for its records.
pub fn poll_source<P: PollSource>(poller: P) -> Box<dyn Source> {
    Box::new(Polling { poller, position: P::Position::default() })
}

struct Polling<P: PollSource> {
    poller: P,
    position: P::Position,
}

#[async_trait]
impl<P: PollSource> Source for Polling<P> {
    fn identity(&self) -> String {
        self.poller.identity()
    }

    fn replay(&self) -> Replay {
        self.poller.replay()
    }

    async fn open(&mut self, start: &Start) -> Result<(), Failure> {
        self.position = start.position()?.unwrap_or_default();
        self.poller.open().await
    }

    async fn next(&mut self) -> Result<Next, Failure> {
        let polled = match self.poller.poll(&self.position).await? {
            Polled::Records(polled) if !polled.is_empty() => polled,
            Polled::Records(_) | Polled::Idle => return Ok(Next::Idle),
            Polled::End => return Ok(Next::End),
        };
        let before = self.position.clone();
        let (records, positions): (Vec<Record>, Vec<P::Position>) = polled.into_iter().unzip();
        self.position = positions.last().cloned().unwrap_or_else(|| before.clone());
        let positions: Arc<[P::Position]> = positions.into();
        let after = move |n_items: usize| {
            let position = n_items.checked_sub(1).map_or(&before, |last| &positions[last]);
            Position::new(position.clone())
        };
        Ok(Next::Batch(ReadBatch::new(records).with_positions(after)))
    }
}
