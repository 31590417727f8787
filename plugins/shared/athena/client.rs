//! The client of Athena: starts queries, waits for them, and reads their rows.

use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use aws_sdk_athena::types::{
    QueryExecution, QueryExecutionContext, QueryExecutionState, ResultConfiguration, StatementType,
};
use tokio::time::{Instant, sleep};
use tracing::debug;

use crate::shared::aws::{Access, AccessOptions, AwsError, Cause};

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

/// How long transient errors, such as those of a throttled request, are retried.
const RETRY_TIMEOUT: Duration = Duration::from_mins(2);
/// How long an outage may last while a query runs.
const OUTAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// The first and the longest pause before a request is tried again.
const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(3);
/// The first and the longest pause between two requests for the state of a query. Athena limits the rate of
/// requests of an account.
pub(crate) const POLL_MIN: Duration = Duration::from_millis(50);
pub(crate) const POLL_MAX: Duration = Duration::from_secs(1);

/// The idempotency token of one start of a query.
#[derive(Debug)]
pub(crate) struct RequestToken(String);

impl RequestToken {
    /// A token that no other start has.
    pub(crate) fn new() -> RequestToken {
        RequestToken(format!("{:032x}{:032x}", fastrand::u128(..), fastrand::u128(..)))
    }
}

/// A client of Athena.
#[derive(Clone, Debug)]
pub struct Client {
    athena: aws_sdk_athena::Client,
    access: Access,
}

impl Client {
    /// A client configured by the environment and the profile; sends no request.
    pub async fn from_env() -> Result<Client> {
        Client::load(&AccessOptions::default()).await
    }

    /// The same, except that `options` take precedence.
    pub(crate) async fn load(options: &AccessOptions) -> Result<Client> {
        Ok(Client::new(Access::load("Athena", options).await?))
    }

    fn new(access: Access) -> Client {
        let mut config = aws_sdk_athena::config::Builder::from(&access.config);
        config.set_endpoint_url(access.endpoint.clone());
        Client { athena: aws_sdk_athena::Client::from_conf(config.build()), access }
    }

    /// Starts a query and returns its id. Athena starts one query for all requests with the same
    /// `token`: if the response is lost, the query is not billed twice.
    pub(crate) async fn try_start(&self, query: &Query, token: &RequestToken) -> Result<String, AwsError> {
        let context = QueryExecutionContext::builder()
            .set_catalog(query.catalog.clone())
            .set_database(query.database.clone())
            .build();
        let output = query.output_location.as_ref();
        let start = self
            .athena
            .start_query_execution()
            .query_string(&query.sql)
            .client_request_token(&token.0)
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
        let token = RequestToken::new();
        self.retry("starting the query", Duration::ZERO, || self.try_start(query, &token)).await
    }

    /// Waits until a query has succeeded, and reports its states to `progress`.
    pub async fn wait(&self, id: &str, mut progress: impl FnMut(&QueryState)) -> Result<CompletedQuery> {
        let mut pause = POLL_MIN;
        loop {
            match self.retry("waiting for the query", OUTAGE_TIMEOUT, || self.state(id)).await? {
                QueryState::Succeeded(query) => return Ok(query),
                QueryState::Failed { reason, .. } => return Err(anyhow!(reason)),
                QueryState::Cancelled => bail!("the query was cancelled"),
                state => progress(&state),
            }
            sleep(pause).await;
            pause = (pause * 2).min(POLL_MAX);
        }
    }

    /// Reads a page of up to 1,000 rows; without a token the first one.
    pub async fn read(&self, id: &str, query: &CompletedQuery, token: Option<String>) -> Result<Page> {
        self.retry("reading the rows", OUTAGE_TIMEOUT, || self.try_read(id, query, token.clone())).await
    }

    /// Repeats a request that is throttled or fails for a while. A service that cannot be reached is waited
    /// for only once a query has started.
    async fn retry<T, F>(&self, action: &str, outage: Duration, request: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, AwsError>>,
    {
        let started = Instant::now();
        let mut pause = RETRY_MIN;
        loop {
            let error = match request().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let limit = match error.cause {
                Cause::Unreachable => outage,
                Cause::Transient => RETRY_TIMEOUT,
                _ => Duration::ZERO,
            };
            if started.elapsed() >= limit {
                return Err(self.error(error, action));
            }
            debug!("{action}: {error}; retrying");
            sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
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

#[cfg(test)]
mod tests;
