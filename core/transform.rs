//! The contract of a transform: what becomes of this batch?

use std::sync::Arc;

use anyhow::{Error, Result};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::batch::Batch;
use crate::build_context::BuildContext;
use crate::saved_state::SavedState;
use crate::stop::Flow;

/// The options of a transform: its documentation, its schema and its constructor.
pub trait TransformConfig: DeserializeOwned + JsonSchema + Send + 'static {
    /// Reads the options and does nothing else.
    fn build(self, context: &BuildContext) -> Result<Box<dyn Transform>>;
}

/// Changes, filters, splits, paces or counts records.
///
/// A transform that looks at one record at a time implements [`MapRecord`](crate::MapRecord)
/// instead.
#[async_trait]
pub trait Transform: Send {
    /// Sends what becomes of a batch: nothing, the same records, or many batches over time. A
    /// batch that has become empty is sent as well.
    async fn apply(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow>;

    /// The names of its outputs, for a transform that sends records to different components:
    /// `inputs` of these name `split.nya` for the output `nya` of the transform `split`. Empty for
    /// all others, which have one output without a name.
    fn outputs(&self) -> &[String] {
        &[]
    }

    /// Why it filters a record, in a few words; a dry run shows it.
    fn filter_reason(&self) -> &'static str {
        ""
    }

    /// What the transform needs to know after a restart; see [`SavedState`].
    fn saved_state(&self) -> Option<Arc<dyn SavedState>> {
        None
    }

    /// Sends what is still held when the input has ended.
    async fn finish(&mut self, _out: &mut dyn Output) -> Result<()> {
        Ok(())
    }
}

/// Where a transform sends its records.
#[async_trait]
pub trait Output: Send {
    /// Waits until the next component has taken the batch. When this returns a reason to stop, the
    /// engine has dealt with the batch, and the transform must release everything else it holds.
    async fn send(&mut self, batch: Batch) -> Result<Flow>;

    /// Sends a batch as [`send`](Self::send) does, to the output at this index of
    /// [`Transform::outputs`].
    async fn send_to(&mut self, _output: usize, batch: Batch) -> Result<Flow> {
        self.send(batch).await
    }

    /// Whether any component reads the output at this index of [`Transform::outputs`].
    fn is_read(&self, _output: usize) -> bool {
        true
    }

    /// Sends the records at the given indices, which ascend, to the dead letters and returns the
    /// others. Without dead letters the run ends: the records before the first bad one are
    /// returned, and sending them returns a reason to stop.
    async fn reject(&mut self, batch: Batch, rejects: Vec<(usize, Error)>) -> Result<Batch>;

    /// Waits until `deadline`, or returns early with a reason to stop.
    async fn sleep_until_or_stop(&mut self, deadline: Instant) -> Flow;
}
