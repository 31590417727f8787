//! A transform that looks at one record at a time.

use anyhow::{Error, Result};
use async_trait::async_trait;

use crate::batch::{Batch, Mapped};
use crate::record::Record;
use crate::stop::Flow;
use crate::transform::{Output, Transform};

/// Decides about one record at a time; [`map_records`] makes a transform of it.
pub trait MapRecord: Send + 'static {
    /// Changes, filters or splits a record. An error rejects it, as it is then.
    fn map(&mut self, record: &mut Record) -> Result<Mapped, Error>;
}

/// A transform that asks `mapper` about every record.
pub fn map_records(mapper: impl MapRecord) -> Box<dyn Transform> {
    Box::new(MapRecords(mapper))
}

struct MapRecords<M>(M);

#[async_trait]
impl<M: MapRecord> Transform for MapRecords<M> {
    async fn apply(&mut self, mut batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let rejects = batch.map(|record| self.0.map(record).unwrap_or_else(Mapped::Reject));
        if !rejects.is_empty() {
            batch = out.reject(batch, rejects).await?;
        }
        out.send(batch).await
    }
}
