//! A transform answers one question: what becomes of this batch?

use anyhow::{Error, Result};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::batch::Batch;
use crate::plugin::BuildContext;

/// The options of a transform: its documentation, its schema and its constructor.
pub trait TransformConfig: DeserializeOwned + JsonSchema + Send + 'static {
    /// Reads the options and does nothing else.
    fn build(self, context: &BuildContext) -> Result<Box<dyn Transform>>;
}

/// Whether more is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Flow {
    /// Go on.
    Continue,
    /// Nothing more is wanted: give back what is held, the run ends upstream.
    Stop,
}

/// Changes, filters, paces or counts records.
#[async_trait]
pub trait Transform: Send {
    /// Sends on what becomes of a batch: nothing, the same records, or many
    /// batches over time. A batch of which nothing is left is sent on as well.
    async fn apply(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow>;

    /// Sends on what is still held when the input has ended.
    async fn finish(&mut self, _out: &mut dyn Output) -> Result<()> {
        Ok(())
    }
}

/// Where a transform sends.
#[async_trait]
pub trait Output: Send {
    /// Waits until the next stage has taken the batch. After [`Flow::Stop`] the
    /// batch has been taken care of, and whatever else is held is to be released.
    async fn send(&mut self, batch: Batch) -> Result<Flow>;

    /// Puts the records at the given indices, which ascend, into the dead
    /// letters and answers with the rest. Where there are no dead letters the
    /// rest is what was in front of the first of them, and sending it answers
    /// [`Flow::Stop`].
    async fn reject(&mut self, batch: Batch, rejects: Vec<(usize, Error)>) -> Result<Batch>;

    /// Waits until `deadline`; true as soon as the pipeline stops before that.
    async fn sleep_until_or_stop(&mut self, deadline: Instant) -> bool;
}
