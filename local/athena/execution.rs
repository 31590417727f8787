//! An execution: one query from its start to its result.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::CATALOG;
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
    pub(super) fn name(self) -> &'static str {
        match self {
            State::Queued => "QUEUED",
            State::Running => "RUNNING",
            State::Succeeded => "SUCCEEDED",
            State::Failed => "FAILED",
            State::Cancelled => "CANCELLED",
        }
    }

    pub(super) fn has_ended(self) -> bool {
        matches!(self, State::Succeeded | State::Failed | State::Cancelled)
    }
}

/// The result of a query: rows in a file.
#[derive(Clone, Debug)]
pub(super) struct QueryResult {
    pub(super) columns: Vec<OutputColumn>,
    pub(super) file: PathBuf,
}

#[derive(Clone)]
pub(super) struct Execution {
    pub(super) id: String,
    pub(super) sql: String,
    /// `DML`, `DDL` or `UTILITY`.
    pub(super) kind: &'static str,
    pub(super) database: Option<String>,
    /// The file of the result, as `s3://…`.
    pub(super) output: String,
    pub(super) state: State,
    pub(super) reason: Option<String>,
    pub(super) result: Option<QueryResult>,
    pub(super) submitted: f64,
    pub(super) completed: Option<f64>,
    pub(super) n_scanned: Arc<AtomicU64>,
    pub(super) cancelled: CancellationToken,
}

impl Execution {
    pub(super) fn new(
        id: String,
        sql: String,
        kind: &'static str,
        cancelled: CancellationToken,
    ) -> Execution {
        Execution {
            id,
            sql,
            kind,
            database: None,
            output: String::new(),
            state: State::Queued,
            reason: None,
            result: None,
            submitted: now(),
            completed: None,
            n_scanned: Arc::default(),
            cancelled,
        }
    }

    pub(super) fn begin(&mut self) {
        if !self.state.has_ended() {
            self.state = State::Running;
        }
    }

    pub(super) fn cancel(&mut self) {
        self.end(State::Cancelled, Some("Query cancelled by user".into()));
    }

    /// Only the first end counts: a query that was cancelled does not succeed afterwards.
    pub(super) fn end(&mut self, state: State, reason: Option<String>) {
        if self.state.has_ended() {
            return;
        }
        self.state = state;
        self.reason = reason;
        self.completed = Some(now());
    }

    pub(super) fn show(&self) -> Value {
        let status = json!({
            "State": self.state.name(), "StateChangeReason": self.reason,
            "SubmissionDateTime": self.submitted, "CompletionDateTime": self.completed,
        });
        let seconds = self.completed.unwrap_or_else(now) - self.submitted;
        let millis = (seconds * 1000.0) as u64;
        json!({
            "QueryExecutionId": self.id,
            "Query": self.sql,
            "StatementType": self.kind,
            "ResultConfiguration": { "OutputLocation": self.output },
            "QueryExecutionContext": { "Database": self.database, "Catalog": CATALOG },
            "Status": status,
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
