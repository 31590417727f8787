//! An execution: one query from its start to its result, and what is told about it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

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

/// What a query gave: rows in a file.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) columns: Vec<OutputColumn>,
    pub(super) file: PathBuf,
    /// CSV with names in the first row, as a SELECT gives it; otherwise lines of text.
    pub(super) is_csv: bool,
}

#[derive(Clone)]
pub(super) struct Execution {
    pub(super) id: String,
    pub(super) sql: String,
    /// `DML`, `DDL` or `UTILITY`.
    pub(super) kind: &'static str,
    pub(super) database: Option<String>,
    pub(super) workgroup: String,
    /// The file of the result, as `s3://…`.
    pub(super) output: String,
    pub(super) state: State,
    pub(super) reason: Option<String>,
    pub(super) given: Option<Given>,
    pub(super) submitted: f64,
    pub(super) completed: Option<f64>,
    submitted_at: Instant,
    started_at: Option<Instant>,
    ended_at: Option<Instant>,
    pub(super) n_scanned: Arc<AtomicU64>,
    pub(super) cancel: CancellationToken,
}

impl Execution {
    pub(super) fn new(id: String, sql: String, kind: &'static str, cancel: CancellationToken) -> Execution {
        Execution {
            id,
            sql,
            kind,
            database: None,
            workgroup: String::new(),
            output: String::new(),
            state: State::Queued,
            reason: None,
            given: None,
            submitted: now(),
            completed: None,
            submitted_at: Instant::now(),
            started_at: None,
            ended_at: None,
            n_scanned: Arc::default(),
            cancel,
        }
    }

    pub(super) fn begin(&mut self) {
        if self.state.has_ended() {
            return;
        }
        self.state = State::Running;
        self.started_at = Some(Instant::now());
    }

    /// The first end counts: a query that was stopped does not succeed afterwards.
    pub(super) fn end(&mut self, state: State, reason: Option<String>) {
        if self.state.has_ended() {
            return;
        }
        self.state = state;
        self.reason = reason;
        self.ended_at = Some(Instant::now());
        self.completed = Some(now());
    }

    pub(super) fn show(&self) -> Value {
        let mut status = json!({ "State": self.state.name(), "SubmissionDateTime": self.submitted });
        if let Some(completed) = self.completed {
            status["CompletionDateTime"] = json!(completed);
        }
        if let Some(reason) = &self.reason {
            status["StateChangeReason"] = json!(reason);
            if self.state == State::Failed {
                // 2: the query is at fault, and not Athena.
                status["AthenaError"] =
                    json!({ "ErrorCategory": 2, "ErrorMessage": reason, "Retryable": false });
            }
        }
        let ended = self.ended_at.unwrap_or_else(Instant::now);
        let millis = |from: Instant, to: Instant| to.saturating_duration_since(from).as_millis() as u64;
        let started = self.started_at.unwrap_or(ended);
        json!({
            "QueryExecutionId": self.id,
            "Query": self.sql,
            "StatementType": self.kind,
            "ResultConfiguration": { "OutputLocation": self.output },
            "QueryExecutionContext": { "Database": self.database, "Catalog": "awsdatacatalog" },
            "Status": status,
            "Statistics": {
                "EngineExecutionTimeInMillis": millis(started, ended),
                "DataScannedInBytes": self.n_scanned.load(Ordering::Relaxed),
                "TotalExecutionTimeInMillis": millis(self.submitted_at, ended),
                "QueryQueueTimeInMillis": millis(self.submitted_at, started),
                "ServiceProcessingTimeInMillis": 0,
            },
            "WorkGroup": self.workgroup,
            "EngineVersion": { "SelectedEngineVersion": "AUTO", "EffectiveEngineVersion": "Athena engine version 3" },
        })
    }
}
