//! Counts a batch that leaves a component.

use std::sync::Arc;

use crate::progress::{Counters, add};

/// A batch that leaves the component which had received it.
#[must_use = "every batch that leaves must be counted"]
pub(crate) struct OutCount {
    pub(super) component: Option<Arc<Counters>>,
    pub(super) n_records: u64,
    pub(super) n_bytes: u64,
}

impl OutCount {
    /// Counts the batch as sent, or stored.
    pub(crate) fn count_out(self) {
        if let Some(component) = &self.component {
            add(&component.records_out, self.n_records);
            add(&component.bytes_out, self.n_bytes);
        }
    }

    /// Counts the batch as released, since the next component did not take it.
    pub(crate) fn count_released(self) {
        if let Some(component) = &self.component {
            add(&component.released, self.n_records);
        }
    }
}
