//! Drives a source.

use anyhow::{Context as _, Result};
use bytes::Bytes;

use crate::error::Failure;
use crate::position::{Position, Start};
use crate::read_batch::ReadBatch;
use crate::record::Record;
use crate::source::{Committer, Next, Source};

/// A source that is open, and what it has read.
pub struct SourceDriver {
    source: Box<dyn Source>,
    committer: Option<Box<dyn Committer>>,
    batches: Vec<ReadBatch>,
}

/// What a source has read until it ended, or had enough.
#[derive(Default)]
pub struct Read {
    /// The records, in order.
    pub records: Vec<Record>,
    /// How many items it could not turn into records.
    pub n_rejects: usize,
    /// Whether it has no more records.
    pub has_ended: bool,
}

impl Read {
    /// The bodies as they would be written.
    pub fn bodies(&self) -> Vec<Bytes> {
        self.records.iter().filter_map(Record::to_bytes).collect()
    }
}

/// The start of a run that resumes from a position which a batch gave after `n_items` items.
pub fn start_at(batch: &ReadBatch, n_items: usize) -> Result<Start> {
    Ok(Start { position: Some(position_after(batch, n_items)?.to_json()?), from_start: false })
}

fn position_after(batch: &ReadBatch, n_items: usize) -> Result<Position> {
    let positions = batch.positions.as_ref().context("the batch has no positions")?;
    Ok(positions.after(n_items))
}

impl SourceDriver {
    /// Opens a source.
    pub async fn open(mut source: Box<dyn Source>, start: &Start) -> Result<Self, Failure> {
        source.open(start).await?;
        let committer = source.committer();
        Ok(SourceDriver { source, committer, batches: Vec::new() })
    }

    /// Reads until the source ends or has read `n_items` items (records and rejects) in this call.
    pub async fn read(&mut self, n_items: usize) -> Result<Read, Failure> {
        let mut read = Read::default();
        while read.records.len() + read.n_rejects < n_items {
            match self.source.next().await? {
                Next::Batch(batch) => {
                    read.records.extend(batch.records().iter().cloned());
                    read.n_rejects += batch.rejects().len();
                    self.batches.push(batch);
                }
                Next::Idle => {}
                Next::End => {
                    read.has_ended = true;
                    break;
                }
            }
        }
        Ok(read)
    }

    /// The start of a run that resumes after the first `n_items` items of what was read so far.
    pub fn start_after(&self, n_items: usize) -> Result<Start> {
        let (batch, n_items) = self.find(n_items)?;
        start_at(batch, n_items)
    }

    /// Commits the position after the first `n_items` items of what was read so far, as the engine does once they are
    /// delivered. Does nothing for a source whose positions are only in the checkpoint.
    pub async fn commit_after(&mut self, n_items: usize) -> Result<()> {
        let (batch, n_items) = self.find(n_items)?;
        let position = position_after(batch, n_items)?;
        match &mut self.committer {
            Some(committer) => committer.commit(&position).await,
            None => Ok(()),
        }
    }

    /// The batch of that item, and how many items of the batch come up to it.
    fn find(&self, n_items: usize) -> Result<(&ReadBatch, usize)> {
        let mut left = n_items;
        for batch in &self.batches {
            let n_in_batch = batch.records().len() + batch.rejects().len();
            if left <= n_in_batch {
                return Ok((batch, left));
            }
            left -= n_in_batch;
        }
        anyhow::bail!("fewer than {n_items} items were read")
    }

    /// Closes the source, as the engine does at the end of a run.
    pub async fn close(mut self) -> Result<()> {
        self.source.close().await
    }
}
