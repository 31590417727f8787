//! What a transform makes of a record.

use anyhow::Error;

use super::RecordHandle;
use crate::record::Record;

/// What [`Batch::map`](super::Batch::map) makes of one record.
#[derive(Debug)]
pub enum Mapped {
    /// The record, as it is now.
    Keep,
    /// Nothing: the record is filtered on purpose and counts as delivered.
    Filter,
    /// Nothing: the record is filtered, and ends as this one ends, which a transform has sent on
    /// before. It is released if that one is not delivered.
    FilterWith(RecordHandle),
    /// Any number of records. The original is acknowledged when all of them are. Their entry
    /// numbers are that of the original with `-0`, `-1`, … added.
    Split(Vec<Record>),
    /// The record is bad, for this reason.
    Reject(Error),
}
