//! Queries: waiting, running and ended ones.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::engine::Engine;
use super::execution::{Execution, State};
use super::output::Output;
use super::sql::Query;
use super::{ATHENA, big_stack};
use crate::Fault;
use crate::catalogue::now;
use crate::request::Page;

/// The reason of a query that was stopped.
const CANCELLED: &str = "Query cancelled by user";

pub(super) struct Queries {
    /// Where results are stored by default.
    results: String,
    engine: Arc<Engine>,
    /// By their ids.
    executions: Mutex<BTreeMap<String, Execution>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ById {
    pub(super) query_execution_id: String,
    /// Of the results.
    #[serde(flatten)]
    pub(super) page: Page,
}

impl Queries {
    pub(super) fn new(engine: Engine, results: String) -> Queries {
        Queries {
            results,
            engine: Arc::new(engine),
            executions: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    pub(super) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Execution>> {
        self.executions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn find(&self, id: &str) -> Result<Execution, Fault> {
        let missing = || ATHENA.invalid(format!("QueryExecution {id} was not found"));
        self.lock().get(id).cloned().ok_or_else(missing)
    }

    pub(super) async fn start(self: &Arc<Self>, input: Value) -> Result<Value, Fault> {
        let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
        let sql = text(&input["QueryString"]).ok_or_else(|| ATHENA.invalid("QueryString is missing"))?;
        let parsed = sql.clone();
        let query = big_stack::run(async move { Query::parse(&parsed) }).await;
        let query = query
            .ok_or_else(|| ATHENA.invalid("the query cannot be parsed"))?
            .map_err(|error| ATHENA.invalid(error))?;
        let id = Uuid::new_v4().to_string();
        let location = text(&input["ResultConfiguration"]["OutputLocation"]).filter(|it| !it.is_empty());
        let suffix = if query.kind() == "DML" { "csv" } else { "txt" };
        let location = location.as_deref().unwrap_or(&self.results);
        let output = Output::choose(&self.engine, location, format!("{id}.{suffix}"))?;
        let database = input["QueryExecutionContext"]["Database"].as_str().unwrap_or("default");

        let execution = Execution {
            id: id.clone(),
            sql,
            kind: query.kind(),
            database: database.to_lowercase(),
            output,
            state: State::Queued,
            reason: None,
            columns: Vec::new(),
            submitted: now(),
            completed: None,
            n_scanned: Arc::default(),
            cancelled: self.stop.child_token(),
        };
        self.lock().insert(id.clone(), execution.clone());
        let queries = self.clone();
        self.tasks.spawn(async move { queries.run(query, execution).await });
        Ok(json!({ "QueryExecutionId": id }))
    }

    async fn run(self: &Arc<Self>, query: Query, execution: Execution) {
        let (id, cancel) = (execution.id.clone(), execution.cancelled.clone());
        self.with(&id, |execution| execution.change(State::Running, None));
        let engine = self.engine.clone();
        let outcome = big_stack::run(async move {
            tokio::select! {
                biased;
                () = cancel.cancelled() => None,
                outcome = Box::pin(engine.run(query, execution)) => Some(outcome),
            }
        });
        let panicked = || Some(Err("GENERIC_INTERNAL_ERROR: the engine panicked".into()));
        let outcome = outcome.await.unwrap_or_else(panicked);
        self.with(&id, |execution| match outcome {
            None => execution.change(State::Cancelled, Some(CANCELLED.into())),
            Some(Err(message)) => execution.change(State::Failed, Some(message)),
            Some(Ok(columns)) => {
                execution.columns = columns;
                execution.change(State::Succeeded, None);
            }
        });
    }

    fn with(&self, id: &str, change: impl FnOnce(&mut Execution)) {
        if let Some(execution) = self.lock().get_mut(id) {
            change(execution);
        }
    }

    pub(super) fn get(&self, input: ById) -> Result<Value, Fault> {
        Ok(json!({ "QueryExecution": self.find(&input.query_execution_id)?.show() }))
    }

    pub(super) fn cancel(&self, input: ById) -> Result<Value, Fault> {
        let execution = self.find(&input.query_execution_id)?;
        execution.cancelled.cancel();
        self.with(&execution.id, |it| it.change(State::Cancelled, Some(CANCELLED.into())));
        Ok(json!({}))
    }
}
