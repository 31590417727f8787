//! Help for the tests of plugins, ours and a stranger's.

use anyhow::{Error, Result};
use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

use crate::batch::{Batch, Position, Reject};
use crate::plugin::{BatchLimits, BuildContext, RetryLimits};
use crate::progress::Gauges;
use crate::record::{Body, Name, Origin, Record};
use crate::transform::{Flow, Output, Transform};

/// A record with this body, read at `offset` of the stream `test`.
pub fn record(body: impl Into<String>, offset: u64) -> Record {
    let origin = Origin { source: Name::new("test"), partition: 0, offset };
    Record::new(Body::Bytes(Bytes::from(body.into())), origin)
}

/// A batch of records with these bodies, numbered from 0.
pub fn records(bodies: impl IntoIterator<Item = impl Into<String>>) -> Batch {
    Batch::new(bodies.into_iter().zip(0..).map(|(body, offset)| record(body, offset)).collect())
}

/// Where a source would go on once the first `n_items` of what it has read were delivered.
pub fn position_after(batch: &Batch, n_items: usize) -> Option<Position> {
    batch.positions.as_ref().map(|positions| positions.after(n_items))
}

/// What a source could not make records of.
pub fn rejects(batch: &Batch) -> &[Reject] {
    &batch.rejects
}

/// What a transform has sent and rejected.
#[derive(Default)]
pub struct Collected {
    /// The records sent, in order.
    pub records: Vec<Record>,
    /// The records rejected, with the reason.
    pub rejected: Vec<(Record, Error)>,
    /// What the last `apply` or `send` answered.
    pub stopped: bool,
}

impl Collected {
    /// The bodies as they would be written.
    pub fn bodies(&self) -> Vec<Bytes> {
        self.records.iter().filter_map(Record::to_bytes).collect()
    }
}

#[async_trait]
impl Output for Collected {
    async fn send(&mut self, mut batch: Batch) -> Result<Flow> {
        self.records.extend(batch.records_mut().iter().cloned());
        batch.ack();
        Ok(Flow::Continue)
    }

    async fn reject(&mut self, mut batch: Batch, rejects: Vec<(usize, Error)>) -> Result<Batch> {
        let indices: Vec<usize> = rejects.iter().map(|(index, _)| *index).collect();
        let bad = batch.extract(&indices);
        let reasons = rejects.into_iter().map(|(_, reason)| reason);
        self.rejected.extend(bad.records().iter().cloned().zip(reasons));
        bad.ack();
        Ok(batch)
    }

    async fn sleep_until_or_stop(&mut self, deadline: Instant) -> bool {
        tokio::time::sleep_until(deadline).await;
        false
    }
}

/// Sends one batch through a transform, and the end of the input.
pub async fn apply(transform: &mut dyn Transform, batch: Batch) -> Result<Collected> {
    let mut out = Collected::default();
    let flow = transform.apply(batch, &mut out).await?;
    out.stopped = flow == Flow::Stop;
    transform.finish(&mut out).await?;
    Ok(out)
}

/// The context of a component called `test`, with the defaults of a pipeline file.
pub fn context() -> BuildContext {
    BuildContext {
        pipeline: "pipeline".into(),
        component: "test".into(),
        folder: std::env::temp_dir(),
        batch: BatchLimits::default(),
        retry: RetryLimits::default(),
        gauges: Gauges::default().into(),
        upstream_locations: Vec::new(),
        numbered_by: Vec::new(),
        is_dead_letter: false,
    }
}
