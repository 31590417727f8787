//! What a run says at its end.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::error::is_unreachable;
use crate::pipeline::Monitor;
use crate::plugin::Kind;

/// How a run has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Its sources were through, or a limit was reached.
    Completed,
    /// Somebody stopped it.
    Stopped,
    /// It could not go on.
    Failed,
}

/// What one pipeline says at the end of its run.
#[derive(Debug, Serialize)]
pub struct PipelineReport {
    /// The name of the pipeline.
    pub name: String,
    /// The file it was read from.
    pub file: String,
    /// How it ended.
    pub status: Status,
    /// Why it ended: what was reached, who stopped it, or the error.
    pub reason: String,
    /// When it started, RFC 3339 in UTC.
    pub started: String,
    /// When it ended.
    pub finished: String,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// A line a component, in the order of the flow.
    pub components: Vec<ComponentReport>,
    /// The error of a failed run.
    #[serde(skip)]
    pub error: Option<anyhow::Error>,
}

/// What one component says.
#[derive(Debug, Serialize)]
pub struct ComponentReport {
    /// Its name in the file.
    pub name: String,
    /// What it does.
    pub kind: Kind,
    /// The name of its plugin.
    #[serde(rename = "type")]
    pub plugin: &'static str,
    /// Records it has dealt with; what was read and released again does not count.
    pub records_in: u64,
    /// Records it has sent on, or stored.
    pub records_out: u64,
    /// Records it has filtered out on purpose.
    pub filtered: u64,
    /// Records that went to the dead letters, or ended the run.
    pub rejected: u64,
    /// Bytes of bodies that came in.
    pub bytes_in: u64,
    /// Bytes of bodies that it has sent on, or stored.
    pub bytes_out: u64,
    /// How often it tried again.
    pub retries: u64,
    /// What it wants to be known, such as the table that a crawler has made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl ComponentReport {
    pub(crate) fn new(monitor: &Monitor) -> Self {
        let counts = monitor.counts();
        ComponentReport {
            name: monitor.name.clone(),
            kind: monitor.kind,
            plugin: monitor.plugin,
            records_in: counts.records_in,
            records_out: counts.records_out,
            filtered: counts.filtered,
            rejected: counts.rejected,
            bytes_in: counts.bytes_in,
            bytes_out: counts.bytes_out,
            retries: counts.retries,
            notes: monitor.gauges.notes(),
        }
    }
}

impl PipelineReport {
    /// Whether the run failed because a service could not be reached in time.
    pub fn is_unreachable(&self) -> bool {
        self.error.as_ref().is_some_and(is_unreachable)
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
