//! Watches what becomes of each record: for `runner test` and `runner run --dry-run`.

use std::fmt;
use std::sync::Arc;

use anyhow::Error;

use crate::record::Record;

/// Is told what happens to the records of a pipeline, in the order in which it happens at each
/// component.
pub trait Observer: Send + Sync {
    /// Something has happened at `component`.
    fn observe(&self, component: &str, event: Event<'_>);
}

/// What happens to records at one component.
#[derive(Debug)]
pub enum Event<'a> {
    /// It has received these records. A source receives what it reads.
    Received(&'a [Record]),
    /// It sends these records on.
    Sent(&'a [Record]),
    /// It sends these records to the output at this index of its outputs. `Sent` follows.
    Routed(usize, &'a [Record]),
    /// It filters this record on purpose.
    Filtered(&'a Record),
    /// It rejects this record, for this reason.
    Rejected(&'a Record, &'a Error),
    /// As a sink of a dry run it would store this record: where, or `None` if the sink has no name for a
    /// place.
    WouldStore(&'a Record, Option<String>),
}

/// The observer of one component.
#[derive(Clone)]
pub(crate) struct Observation {
    component: String,
    observer: Arc<dyn Observer>,
}

impl Observation {
    pub(crate) fn new(component: &str, observer: &Arc<dyn Observer>) -> Self {
        Observation { component: component.to_owned(), observer: Arc::clone(observer) }
    }

    pub(crate) fn observe(&self, event: Event<'_>) {
        self.observer.observe(&self.component, event);
    }
}

impl fmt::Debug for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observation").field("component", &self.component).finish_non_exhaustive()
    }
}
