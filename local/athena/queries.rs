//! Queries: waiting, running and ended ones.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::engine::{Engine, Job};
use super::execution::{Execution, State};
use super::output::Output;
use super::sql::Query;
use super::{ATHENA, AthenaSettings, big_stack};
use crate::{Catalogue, Fault};

pub(super) struct Queries {
    pub(super) settings: AthenaSettings,
    engine: Arc<Engine>,
    kept: Mutex<Kept>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

#[derive(Default)]
struct Kept {
    executions: BTreeMap<String, Execution>,
    /// The query of each client token: a request that is sent twice starts one query.
    tokens: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ById {
    query_execution_id: String,
}

impl Queries {
    pub(super) fn new(catalogue: Arc<Catalogue>, objects_root: PathBuf, settings: AthenaSettings) -> Queries {
        Queries {
            settings,
            engine: Arc::new(Engine::new(catalogue, objects_root)),
            kept: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    pub(super) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn find(&self, id: &str) -> Result<Execution, Fault> {
        let missing = || ATHENA.invalid(format!("QueryExecution {id} was not found"));
        self.lock().executions.get(id).cloned().ok_or_else(missing)
    }

    pub(super) fn start(self: &Arc<Self>, input: &Value) -> Result<Value, Fault> {
        let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
        let sql = text(&input["QueryString"]).ok_or_else(|| ATHENA.invalid("QueryString is missing"))?;
        let query = big_stack::run_now(|| Query::parse(&sql));
        let query = query
            .ok_or_else(|| ATHENA.invalid("the query cannot be parsed"))?
            .map_err(|error| ATHENA.invalid(error))?;
        let id = Uuid::new_v4().to_string();
        let location = text(&input["ResultConfiguration"]["OutputLocation"]);
        let location = location.or(self.settings.output_location.clone());
        let output = Output::choose(&self.engine, location.as_deref(), &id, query.kind() == "DML")?;

        let cancel = self.stop.child_token();
        let mut execution = Execution::new(id.clone(), sql, query.kind(), cancel.clone());
        let database = input["QueryExecutionContext"]["Database"].as_str();
        execution.database = database.map(str::to_lowercase);
        execution.output = output.url();
        let job = Job {
            database: execution.database.clone().unwrap_or_else(|| "default".into()),
            n_scanned: execution.n_scanned.clone(),
            query,
            output,
        };
        if let Some(earlier) = self.lock().insert(execution, text(&input["ClientRequestToken"])) {
            return Ok(json!({ "QueryExecutionId": earlier }));
        }
        let (queries, of) = (self.clone(), id.clone());
        self.tasks.spawn(async move { queries.run(&of, job, cancel).await });
        Ok(json!({ "QueryExecutionId": id }))
    }

    async fn run(self: &Arc<Self>, id: &str, job: Job, cancel: CancellationToken) {
        let (queries, of) = (self.clone(), id.to_owned());
        let outcome = big_stack::run(async move {
            let work = async {
                queries.with(&of, Execution::begin);
                Box::pin(queries.engine.clone().run(job)).await
            };
            tokio::select! {
                biased;
                () = cancel.cancelled() => None,
                outcome = work => Some(outcome),
            }
        });
        let panicked = || Some(Err("GENERIC_INTERNAL_ERROR: the engine panicked".into()));
        let outcome = outcome.await.unwrap_or_else(panicked);
        self.with(id, |execution| match outcome {
            None => execution.cancel(),
            Some(Err(message)) => execution.end(State::Failed, Some(message)),
            Some(Ok(result)) => {
                execution.result = Some(result);
                execution.end(State::Succeeded, None);
            }
        });
    }

    fn with(&self, id: &str, change: impl FnOnce(&mut Execution)) {
        if let Some(execution) = self.lock().executions.get_mut(id) {
            change(execution);
        }
    }

    pub(super) fn get(&self, input: ById) -> Result<Value, Fault> {
        Ok(json!({ "QueryExecution": self.find(&input.query_execution_id)?.show() }))
    }

    pub(super) fn cancel(&self, input: ById) -> Result<Value, Fault> {
        let execution = self.find(&input.query_execution_id)?;
        execution.cancelled.cancel();
        self.with(&execution.id, Execution::cancel);
        Ok(json!({}))
    }
}

impl Kept {
    /// Keeps a query, or returns the id of the query that was started with the same token.
    fn insert(&mut self, execution: Execution, token: Option<String>) -> Option<String> {
        if let Some(token) = token {
            if let Some(earlier) = self.tokens.get(&token) {
                return Some(earlier.clone());
            }
            self.tokens.insert(token, execution.id.clone());
        }
        self.executions.insert(execution.id.clone(), execution);
        None
    }
}
