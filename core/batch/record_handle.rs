//! Follows a record that was sent on.

use std::sync::Arc;

use crate::ack::BatchTracker;
use crate::saved_state::ReadOrder;

/// A record that was sent on, to find out whether it has ended.
#[derive(Clone, Debug)]
pub struct RecordHandle {
    pub(super) tracker: Arc<BatchTracker>,
    pub(super) item: u32,
}

impl RecordHandle {
    /// Where the record is in the reading order of its source.
    pub fn read_order(&self) -> ReadOrder {
        ReadOrder { source: self.tracker.source(), item: self.tracker.place(self.item) }
    }

    /// Whether all records that stand for the same item of the source have been delivered,
    /// released or have failed.
    pub fn has_ended(&self) -> bool {
        self.tracker.has_ended(self.item)
    }
}
