//! The client of Athena: starts queries, waits for them, and reads their rows.

use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use aws_sdk_athena::types::{
    QueryExecution, QueryExecutionContext, QueryExecutionState, ResultConfiguration, StatementType,
};
use tokio::time::{Instant, sleep};

use crate::shared::aws::{Access, AwsError, Endpoint};

/// A query and where to run it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// One statement of SQL.
    pub sql: String,
    /// The default database.
    pub database: Option<String>,
    /// The data catalog; `None`: `AwsDataCatalog`.
    pub catalog: Option<String>,
    /// The workgroup; `None`: `primary`.
    pub workgroup: Option<String>,
    /// Where Athena writes the rows, `s3://bucket/folder/`; `None`: the setting of the workgroup.
    pub output_location: Option<String>,
}

/// The state of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryState {
    /// Waiting to run.
    Queued,
    /// Running.
    Running {
        /// The bytes that it has scanned so far.
        n_bytes: u64,
    },
    /// Succeeded; its rows can be read.
    Succeeded(CompletedQuery),
    /// Failed.
    Failed {
        /// The message of the query engine.
        reason: String,
        /// Whether a retry may succeed.
        is_transient: bool,
    },
    /// Stopped by a user.
    Cancelled,
}

/// A query that has succeeded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompletedQuery {
    /// The bytes it has scanned, which AWS bills.
    pub n_bytes: u64,
    /// How long it took, with the time in the queue.
    pub time: Duration,
    /// Where its rows are stored, if it has any.
    pub output_location: Option<String>,
    /// Whether the first row of its first page contains the column names.
    has_header: bool,
}

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type in Athena.
    pub kind: String,
}

impl Column {
    /// Whether its cells are numbers, decimals included.
    pub fn is_number(&self) -> bool {
        let is_binary = matches!(
            &*self.kind,
            "tinyint" | "smallint" | "integer" | "int" | "bigint" | "real" | "float" | "double"
        );
        is_binary || self.is_decimal()
    }

    pub(super) fn is_decimal(&self) -> bool {
        self.kind.split('(').next() == Some("decimal")
    }
}

/// A page of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The same on every page.
    pub columns: Vec<Column>,
    /// One cell for each column; `None` is NULL.
    pub rows: Vec<Vec<Option<String>>>,
    /// The token of the next page, if there is one.
    pub next: Option<String>,
}

/// How long transient errors are retried while a query runs.
const RETRY_TIMEOUT: Duration = Duration::from_secs(30);

/// A client of Athena.
#[derive(Clone, Debug)]
pub struct Client {
    athena: aws_sdk_athena::Client,
    access: Access,
}

impl Client {
    /// A client configured by the environment and the profile; sends no request.
    pub async fn from_env() -> Result<Client> {
        Client::load(None, None).await
    }

    /// The same, except that `region` and `endpoint` take precedence.
    pub(crate) async fn load(region: Option<&str>, endpoint: Option<&Endpoint>) -> Result<Client> {
        let access = Access::load("Athena", region, endpoint).await?;
        let mut config = aws_sdk_athena::config::Builder::from(&access.config);
        config.set_endpoint_url(access.endpoint.clone());
        Ok(Client { athena: aws_sdk_athena::Client::from_conf(config.build()), access })
    }

    /// Starts a query and returns its id.
    pub(crate) async fn try_start(&self, query: &Query) -> Result<String, AwsError> {
        let context = QueryExecutionContext::builder()
            .set_catalog(query.catalog.clone())
            .set_database(query.database.clone())
            .build();
        let output = query.output_location.as_ref();
        let start = self
            .athena
            .start_query_execution()
            .query_string(&query.sql)
            .query_execution_context(context)
            .set_work_group(query.workgroup.clone())
            .set_result_configuration(
                output.map(|location| ResultConfiguration::builder().output_location(location).build()),
            );
        let started = start.send().await?;
        Ok(started.query_execution_id.unwrap_or_default())
    }

    pub(crate) async fn state(&self, id: &str) -> Result<QueryState, AwsError> {
        let response = self.athena.get_query_execution().query_execution_id(id).send().await?;
        Ok(response.query_execution.as_ref().map_or(QueryState::Queued, state_of))
    }

    /// Reads up to 1,000 rows of a query that has succeeded.
    pub(crate) async fn try_read(
        &self,
        id: &str,
        query: &CompletedQuery,
        token: Option<String>,
    ) -> Result<Page, AwsError> {
        let is_first = token.is_none();
        let request = self.athena.get_query_results().query_execution_id(id).set_next_token(token);
        let response = request.send().await?;
        let mut page = Page { next: response.next_token, ..Page::default() };
        let Some(set) = response.result_set else { return Ok(page) };
        if let Some(metadata) = set.result_set_metadata {
            let column = |it: aws_sdk_athena::types::ColumnInfo| Column { name: it.name, kind: it.r#type };
            page.columns = metadata.column_info.unwrap_or_default().into_iter().map(column).collect();
        }
        let cells = |row: aws_sdk_athena::types::Row| {
            row.data.unwrap_or_default().into_iter().map(|cell| cell.var_char_value).collect()
        };
        page.rows = set.rows.unwrap_or_default().into_iter().map(cells).collect();
        if is_first && query.has_header && !page.rows.is_empty() {
            page.rows.remove(0);
        }
        Ok(page)
    }

    /// Stops a query whose result is not needed any more.
    pub async fn stop(&self, id: &str) -> Result<()> {
        let stopped = self.athena.stop_query_execution().query_execution_id(id).send().await;
        stopped.map(drop).map_err(|error| self.error(error.into(), "stopping the query"))
    }

    /// Starts a query and returns its id.
    pub async fn start(&self, query: &Query) -> Result<String> {
        self.try_start(query).await.map_err(|error| self.error(error, "starting the query"))
    }

    /// Waits until a query has succeeded, and reports its states to `progress`.
    pub async fn wait(&self, id: &str, mut progress: impl FnMut(&QueryState)) -> Result<CompletedQuery> {
        let mut pause = Duration::from_millis(20);
        let mut failing_since = None;
        loop {
            match self.state(id).await {
                Ok(QueryState::Succeeded(query)) => return Ok(query),
                Ok(QueryState::Failed { reason, .. }) => return Err(anyhow!(reason)),
                Ok(QueryState::Cancelled) => bail!("the query was cancelled"),
                Ok(state) => {
                    failing_since = None;
                    progress(&state);
                }
                Err(error) => {
                    let since = *failing_since.get_or_insert_with(Instant::now);
                    if !error.is_transient() || since.elapsed() > RETRY_TIMEOUT {
                        return Err(self.error(error, "waiting for the query"));
                    }
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    /// Reads a page of up to 1,000 rows; without a token the first one.
    pub async fn read(&self, id: &str, query: &CompletedQuery, token: Option<String>) -> Result<Page> {
        self.try_read(id, query, token).await.map_err(|error| self.error(error, "reading the rows"))
    }

    pub(crate) fn error(&self, error: AwsError, action: &str) -> anyhow::Error {
        error.into_open_failure(&self.access, action).into()
    }
}

fn state_of(execution: &QueryExecution) -> QueryState {
    let status = execution.status();
    let statistics = execution.statistics();
    let n_bytes = statistics.and_then(|it| it.data_scanned_in_bytes()).unwrap_or_default();
    let n_bytes = u64::try_from(n_bytes).unwrap_or_default();
    match status.and_then(|status| status.state()) {
        Some(QueryExecutionState::Running) => QueryState::Running { n_bytes },
        Some(QueryExecutionState::Succeeded) => {
            let millis = statistics.and_then(|it| it.total_execution_time_in_millis()).unwrap_or_default();
            let results = execution.result_configuration();
            QueryState::Succeeded(CompletedQuery {
                n_bytes,
                time: Duration::from_millis(u64::try_from(millis).unwrap_or_default()),
                output_location: results.and_then(|it| it.output_location()).map(Into::into),
                has_header: execution.statement_type() == Some(&StatementType::Dml),
            })
        }
        Some(QueryExecutionState::Failed) => {
            let error = status.and_then(|status| status.athena_error());
            let reason = status
                .and_then(|status| status.state_change_reason())
                .or_else(|| error.and_then(|error| error.error_message()))
                .unwrap_or("Athena returned no reason");
            QueryState::Failed {
                reason: reason.to_owned(),
                is_transient: error.is_some_and(|it| it.retryable()),
            }
        }
        Some(QueryExecutionState::Cancelled) => QueryState::Cancelled,
        _ => QueryState::Queued,
    }
}
