//! Whether a component stops, and why a run has ended.

use std::ops::ControlFlow;

/// Why no more records are processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The sources have no more records.
    InputEnded,
    /// A transform wants no more records, as `limit` does.
    LimitReached,
    /// The user or the caller asked for a stop.
    Requested,
    /// A component has failed.
    Failed,
}

impl StopReason {
    /// Whether the pipeline has done all it was meant to do.
    pub fn is_completed(self) -> bool {
        matches!(self, StopReason::InputEnded | StopReason::LimitReached)
    }
}

/// Whether to continue, or to stop.
pub type Flow = ControlFlow<()>;
