//! Drives a transform.

use std::ops::ControlFlow::Continue;

use anyhow::{Error, Result};
use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

use crate::batch::Batch;
use crate::record::Record;
use crate::stop::Flow;
use crate::transform::{Output, Transform};

/// What a transform has sent and rejected.
#[derive(Default)]
pub struct Collected {
    /// The records it has sent, in order.
    pub records: Vec<Record>,
    /// The output that each of them was sent to; 0 for a transform with one output.
    pub outputs: Vec<usize>,
    /// The records it has rejected, and why.
    pub rejected: Vec<(Record, Error)>,
    /// Whether it wants no more records.
    pub is_stopped: bool,
}

impl Collected {
    /// The bodies as they would be written.
    pub fn bodies(&self) -> Vec<Bytes> {
        self.records.iter().filter_map(Record::to_bytes).collect()
    }
}

#[async_trait]
impl Output for Collected {
    async fn send(&mut self, batch: Batch) -> Result<Flow> {
        self.send_to(0, batch).await
    }

    async fn send_to(&mut self, output: usize, batch: Batch) -> Result<Flow> {
        self.outputs.resize(self.outputs.len() + batch.len(), output);
        self.records.extend(batch.records().iter().cloned());
        batch.ack();
        Ok(Continue(()))
    }

    async fn reject(&mut self, mut batch: Batch, rejects: Vec<(usize, Error)>) -> Result<Batch> {
        let indices: Vec<usize> = rejects.iter().map(|(index, _)| *index).collect();
        let bad = batch.extract(&indices);
        let reasons = rejects.into_iter().map(|(_, reason)| reason);
        self.rejected.extend(bad.records().iter().cloned().zip(reasons));
        bad.ack();
        Ok(batch)
    }

    async fn sleep_until_or_stop(&mut self, deadline: Instant) -> Flow {
        tokio::time::sleep_until(deadline).await;
        Continue(())
    }
}

/// Sends one batch through a transform, and then the end of the input.
pub async fn apply(transform: &mut dyn Transform, batch: Batch) -> Result<Collected> {
    let mut out = Collected::default();
    out.is_stopped = transform.apply(batch, &mut out).await?.is_break();
    transform.finish(&mut out).await?;
    Ok(out)
}
