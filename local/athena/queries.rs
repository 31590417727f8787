//! Queries: those that wait, run and have ended.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::ATHENA;
use super::engine::{Engine, Job};
use super::execution::{Execution, State};
use super::output::Output;
use super::sql::Query;
use super::{AthenaSettings, deep, workgroups};
use crate::request::Page;
use crate::{Catalogue, Fault};

/// How many queries run at once; others are QUEUED.
const AT_ONCE: usize = 4;
/// How many queries are remembered.
const REMEMBERED: usize = 10_000;

pub(super) struct Queries {
    pub(super) settings: AthenaSettings,
    engine: Arc<Engine>,
    known: Mutex<Known>,
    tasks: TaskTracker,
    turns: Arc<Semaphore>,
    stop: CancellationToken,
}

#[derive(Default)]
struct Known {
    executions: BTreeMap<String, Execution>,
    /// The oldest first.
    order: VecDeque<String>,
    /// Which query a client's token stands for, and what was asked with it.
    tokens: BTreeMap<String, (String, Value)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Start {
    query_string: String,
    #[serde(default)]
    client_request_token: Option<String>,
    #[serde(default)]
    query_execution_context: Context,
    #[serde(default)]
    result_configuration: ResultConfiguration,
    #[serde(default)]
    work_group: Option<String>,
    #[serde(default)]
    execution_parameters: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Context {
    database: Option<String>,
    catalog: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ResultConfiguration {
    output_location: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Named {
    query_execution_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Many {
    query_execution_ids: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    #[serde(default)]
    work_group: Option<String>,
    #[serde(flatten)]
    page: Page,
}

impl Known {
    /// The query that a token stands for, which has to be asked for in the same words.
    fn known(&self, token: Option<&str>, asked: &Value) -> Result<Option<String>, Fault> {
        match token.and_then(|token| self.tokens.get(token)) {
            Some((id, before)) if before == asked => Ok(Some(id.clone())),
            Some(_) => Err(ATHENA.invalid(
                "Idempotent parameters do not match: the ClientRequestToken was used for another query already",
            )),
            None => Ok(None),
        }
    }
}

impl Start {
    /// What tells this query from others that are asked with its token.
    fn asked(&self) -> Value {
        json!([
            self.query_string,
            self.query_execution_context.database,
            self.query_execution_context.catalog,
            self.result_configuration.output_location,
            self.work_group,
            self.execution_parameters,
        ])
    }
}

impl Queries {
    pub(super) fn new(catalogue: Arc<Catalogue>, objects_root: PathBuf, settings: AthenaSettings) -> Queries {
        Queries {
            settings,
            engine: Arc::new(Engine::new(catalogue, objects_root)),
            known: Mutex::default(),
            tasks: TaskTracker::new(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            stop: CancellationToken::new(),
        }
    }

    pub(super) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn find(&self, id: &str) -> Result<Execution, Fault> {
        let missing = || ATHENA.invalid(format!("QueryExecution {id} was not found"));
        self.lock().executions.get(id).cloned().ok_or_else(missing)
    }

    pub(super) fn start(self: &Arc<Self>, input: Start) -> Result<Value, Fault> {
        let asked = input.asked();
        if let Some(id) = self.lock().known(input.client_request_token.as_deref(), &asked)? {
            return Ok(json!({ "QueryExecutionId": id }));
        }
        if !input.execution_parameters.is_empty() {
            return Err(ATHENA
                .invalid("the offline Athena takes no ExecutionParameters: write the values into the SQL"));
        }
        let catalog = input.query_execution_context.catalog.as_deref();
        if let Some(other) = catalog.filter(|it| !it.is_empty() && !it.eq_ignore_ascii_case("awsdatacatalog"))
        {
            return Err(
                ATHENA.invalid(format!("the offline Athena has no catalog `{other}`, only AwsDataCatalog"))
            );
        }
        let query = deep::now(|| Query::parse(&input.query_string));
        let query = query
            .ok_or_else(|| ATHENA.invalid("the query cannot be parsed"))?
            .map_err(|error| ATHENA.invalid(error))?;
        let id = Uuid::new_v4().to_string();
        let workgroup = input.work_group.unwrap_or_else(|| workgroups::PRIMARY.into());
        let group = workgroups::find(&self.engine.catalogue, &self.settings, &workgroup)?;
        group.check()?;
        let location = group.output(input.result_configuration.output_location);
        let output = Output::choose(&self.engine, location.as_deref(), &id, query.has_rows())?;

        let mut execution =
            Execution::new(id.clone(), input.query_string, query.kind(), self.stop.child_token());
        execution.database = input.query_execution_context.database.map(|it| it.to_lowercase());
        execution.workgroup = workgroup;
        execution.output = output.url();
        let job = Job {
            database: execution.database.clone().unwrap_or_else(|| "default".into()),
            n_scanned: execution.n_scanned.clone(),
            query,
            output,
            cancel: execution.cancel.clone(),
        };
        let cancel = execution.cancel.clone();
        // The same may have been asked meanwhile.
        if let Some(id) = self.remember(execution, input.client_request_token, asked)? {
            return Ok(json!({ "QueryExecutionId": id }));
        }
        let (queries, of) = (self.clone(), id.clone());
        self.tasks.spawn(async move { queries.run(&of, job, cancel).await });
        Ok(json!({ "QueryExecutionId": id }))
    }

    /// Keeps a query, unless its token stands for another, whose id is given then.
    fn remember(
        &self,
        execution: Execution,
        token: Option<String>,
        asked: Value,
    ) -> Result<Option<String>, Fault> {
        let mut known = self.lock();
        if let Some(id) = known.known(token.as_deref(), &asked)? {
            return Ok(Some(id));
        }
        let id = execution.id.clone();
        if let Some(token) = token {
            known.tokens.insert(token, (id.clone(), asked));
        }
        known.order.push_back(id.clone());
        known.executions.insert(id, execution);
        if known.order.len() > REMEMBERED
            && let Some(oldest) = known.order.pop_front()
        {
            known.executions.remove(&oldest);
            known.tokens.retain(|_, (id, _)| *id != oldest);
        }
        Ok(None)
    }

    async fn run(self: &Arc<Self>, id: &str, job: Job, cancel: CancellationToken) {
        let (queries, of) = (self.clone(), id.to_owned());
        let outcome = deep::run(async move {
            let work = async {
                let _turn = queries.turns.acquire().await;
                queries.with(&of, Execution::begin);
                Box::pin(queries.engine.clone().run(job)).await
            };
            tokio::select! {
                biased;
                () = cancel.cancelled() => None,
                outcome = work => Some(outcome),
            }
        });
        let panicked = || Some(Err("GENERIC_INTERNAL_ERROR: the engine has stumbled over this query".into()));
        let outcome = outcome.await.unwrap_or_else(panicked);
        self.with(id, |execution| match outcome {
            None => execution.end(State::Cancelled, Some("Query cancelled by user".into())),
            Some(Err(message)) => execution.end(State::Failed, Some(message)),
            Some(Ok(given)) => {
                execution.given = Some(given);
                execution.end(State::Succeeded, None);
            }
        });
    }

    fn with(&self, id: &str, change: impl FnOnce(&mut Execution)) {
        if let Some(execution) = self.lock().executions.get_mut(id) {
            change(execution);
        }
    }

    pub(super) fn get(&self, input: Named) -> Result<Value, Fault> {
        Ok(json!({ "QueryExecution": self.find(&input.query_execution_id)?.show() }))
    }

    pub(super) fn get_many(&self, input: Many) -> Value {
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for id in input.query_execution_ids {
            match self.find(&id) {
                Ok(execution) => found.push(execution.show()),
                Err(fault) => missing.push(json!({
                    "QueryExecutionId": id, "ErrorCode": "INVALID_QUERY_EXECUTION_ID", "ErrorMessage": fault.message,
                })),
            }
        }
        json!({ "QueryExecutions": found, "UnprocessedQueryExecutionIds": missing })
    }

    pub(super) fn list(&self, input: Listed) -> Result<Value, Fault> {
        let known = self.lock();
        let group = input.work_group.as_deref().unwrap_or(workgroups::PRIMARY);
        let ids = known.order.iter().rev();
        let ids = ids.filter(|id| known.executions.get(*id).is_some_and(|it| it.workgroup == group));
        ATHENA.cut(&input.page, "QueryExecutionIds", ids, |id| json!(id))
    }

    pub(super) fn cancel(&self, input: Named) -> Result<Value, Fault> {
        let execution = self.find(&input.query_execution_id)?;
        execution.cancel.cancel();
        self.with(&execution.id, |execution| {
            execution.end(State::Cancelled, Some("Query cancelled by user".into()));
        });
        Ok(json!({}))
    }
}
