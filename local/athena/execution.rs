//! An execution: one query from its start to its result.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::CATALOG;
use super::output::Output;
use super::value::OutputColumn;
use crate::catalogue::now;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

impl State {
    pub(super) fn name(self) -> String {
        format!("{self:?}").to_uppercase()
    }

    pub(super) fn has_ended(self) -> bool {
        matches!(self, State::Succeeded | State::Failed | State::Cancelled)
    }
}

#[derive(Clone)]
pub(super) struct Execution {
    pub(super) id: String,
    pub(super) sql: String,
    /// `DML` or `UTILITY`.
    pub(super) kind: &'static str,
    pub(super) database: String,
    pub(super) output: Output,
    pub(super) state: State,
    pub(super) reason: Option<String>,
    /// The columns of the result, empty before it exists.
    pub(super) columns: Vec<OutputColumn>,
    pub(super) submitted: f64,
    pub(super) completed: Option<f64>,
    pub(super) n_scanned: Arc<AtomicU64>,
    pub(super) cancelled: CancellationToken,
}

impl Execution {
    /// Only the first end counts: a query that was cancelled does not succeed afterwards.
    pub(super) fn change(&mut self, state: State, reason: Option<String>) {
        if self.state.has_ended() {
            return;
        }
        self.state = state;
        self.reason = reason;
        self.completed = state.has_ended().then(now);
    }

    pub(super) fn show(&self) -> Value {
        let seconds = self.completed.unwrap_or_else(now) - self.submitted;
        let millis = (seconds * 1000.0) as u64;
        json!({
            "QueryExecutionId": self.id,
            "Query": self.sql,
            "StatementType": self.kind,
            "ResultConfiguration": { "OutputLocation": self.output.url() },
            "QueryExecutionContext": { "Database": self.database, "Catalog": CATALOG },
            "Status": {
                "State": self.state.name(), "StateChangeReason": self.reason,
                "SubmissionDateTime": self.submitted, "CompletionDateTime": self.completed,
            },
            "Statistics": {
                "EngineExecutionTimeInMillis": millis,
                "DataScannedInBytes": self.n_scanned.load(Ordering::Relaxed),
                "TotalExecutionTimeInMillis": millis,
            },
            "WorkGroup": "primary",
            "EngineVersion": { "SelectedEngineVersion": "AUTO", "EffectiveEngineVersion": "Athena engine version 3" },
        })
    }
}
