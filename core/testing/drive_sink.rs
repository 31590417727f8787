//! Drives a sink.

use crate::record::Record;
use crate::sink::{Sink, WriteError};

/// Writes records to a sink that is open, in one batch and without retries.
pub async fn write(sink: &dyn Sink, records: impl IntoIterator<Item = Record>) -> Result<(), WriteError> {
    let batch = super::batch(records);
    let written = sink.write(&batch).await;
    batch.ack();
    written
}
