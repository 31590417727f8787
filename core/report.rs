//! The report of a run.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::error::{Class, Failure};
use crate::pipeline::{Counts, Monitor};
use crate::plugin::Kind;

/// How a run has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All input was read, or a limit was reached.
    Completed,
    /// It was stopped.
    Stopped,
    /// A component failed.
    Failed,
}

/// The report of the run of one pipeline.
#[derive(Debug, Serialize)]
pub struct PipelineReport {
    /// The name of the pipeline.
    pub name: String,
    /// The file it was read from.
    pub file: String,
    /// How it ended.
    pub status: Status,
    /// Why it ended, in words.
    pub reason: String,
    /// When it started, RFC 3339 in UTC.
    pub started: String,
    /// When it ended.
    pub finished: String,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// One for each component, in the order of the flow.
    pub components: Vec<ComponentReport>,
    /// Why a failed run has failed.
    #[serde(skip)]
    pub failure: Option<Failure>,
}

/// What one component has done. Every figure is counted when it happens.
#[derive(Debug, Serialize)]
pub struct ComponentReport {
    /// Its name in the file.
    pub name: String,
    /// What it does.
    pub kind: Kind,
    /// The name of its plugin.
    #[serde(rename = "type")]
    pub plugin: &'static str,
    /// What it has counted.
    #[serde(flatten)]
    pub counts: Counts,
    /// Facts such as the table that a crawler has created.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl ComponentReport {
    pub(crate) fn new(monitor: &Monitor) -> Self {
        ComponentReport {
            name: monitor.name.clone(),
            kind: monitor.kind,
            plugin: monitor.plugin,
            counts: monitor.counts(),
            notes: monitor.gauges.notes(),
        }
    }
}

impl PipelineReport {
    /// Whether a bad record has ended the run.
    pub fn is_bad_record(&self) -> bool {
        self.failure.as_ref().is_some_and(|failure| failure.class() == Class::Rejected)
    }

    /// Whether the run failed because a service could not be reached in time.
    pub fn is_unreachable(&self) -> bool {
        self.failure.as_ref().is_some_and(|failure| failure.class() == Class::Unreachable)
    }
}

/// A moment as RFC 3339 in UTC.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

/// Whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
