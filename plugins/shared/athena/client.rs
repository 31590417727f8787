//! The client asks Athena and says what went wrong in words.

use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use aws_sdk_athena::types::{
    QueryExecution, QueryExecutionContext, QueryExecutionState, ResultConfiguration, StatementType,
};
use tokio::time::{Instant, sleep};

use crate::shared::aws::{Access, Endpoint, Service, Trouble};

/// What is asked, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// One statement of SQL.
    pub sql: String,
    /// The database that tables without one belong to.
    pub database: Option<String>,
    /// The data catalog; absent: `AwsDataCatalog`.
    pub catalog: Option<String>,
    /// The workgroup; absent: `primary`.
    pub workgroup: Option<String>,
    /// Where Athena writes the rows, `s3://bucket/folder/`; absent: what the workgroup says.
    pub output_location: Option<String>,
}

/// How far a query has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits for its turn.
    Queued,
    /// It is at work; so many bytes have been read so far.
    Running {
        /// As far as Athena says.
        n_bytes: u64,
    },
    /// Its rows can be read.
    Succeeded(Answered),
    /// Athena has refused it, or given up; `is_passing` says whether the same may succeed later.
    Failed {
        /// The engine's words.
        reason: String,
        /// Whether Athena itself was at fault.
        is_passing: bool,
    },
    /// Somebody has stopped it.
    Cancelled,
}

/// A query that has succeeded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// The bytes it read, which is what AWS bills.
    pub n_bytes: u64,
    /// How long it took, waiting for its turn included.
    pub time: Duration,
    /// Where its rows lie, if it has any.
    pub output_location: Option<String>,
    /// Whether the first row of its first page repeats the names of the columns.
    has_header: bool,
}

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, as Athena calls it.
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

/// Some rows of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The same on every page.
    pub columns: Vec<Column>,
    /// A cell a column; none is NULL.
    pub rows: Vec<Vec<Option<String>>>,
    /// Asks for the next page, if there is one.
    pub next: Option<String>,
}

/// How long an Athena that does not answer any more is asked again.
const PATIENCE: Duration = Duration::from_secs(30);

/// Talks to Athena.
#[derive(Clone, Debug)]
pub struct Client {
    athena: aws_sdk_athena::Client,
    access: Access,
}

impl Client {
    /// A client as the environment and the profile say; asks nobody yet.
    pub async fn from_surroundings() -> Result<Client> {
        Client::load(None, None).await
    }

    /// The same, but for the region and the endpoint that are given.
    pub(crate) async fn load(region: Option<&str>, endpoint: Option<&Endpoint>) -> Result<Client> {
        let access = Access::load(Service::ATHENA, region, endpoint).await?;
        let mut config = aws_sdk_athena::config::Builder::from(&access.config);
        config.set_endpoint_url(access.endpoint.clone());
        Ok(Client { athena: aws_sdk_athena::Client::from_conf(config.build()), access })
    }

    /// Starts a query and answers with its id.
    pub(crate) async fn start(&self, query: &Query) -> Result<String, Trouble> {
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
        let started = start.send().await.map_err(|error| Trouble::of(&error))?;
        Ok(started.query_execution_id.unwrap_or_default())
    }

    /// Says how far a query has come.
    pub(crate) async fn look(&self, id: &str) -> Result<State, Trouble> {
        let answer = self.athena.get_query_execution().query_execution_id(id).send().await;
        let answer = answer.map_err(|error| Trouble::of(&error))?;
        Ok(answer.query_execution.as_ref().map_or(State::Queued, state_of))
    }

    /// Reads up to 1,000 rows of a query that has succeeded.
    pub(crate) async fn page(
        &self,
        id: &str,
        answered: &Answered,
        token: Option<String>,
    ) -> Result<Page, Trouble> {
        let is_first = token.is_none();
        let ask = self.athena.get_query_results().query_execution_id(id).set_next_token(token);
        let answer = ask.send().await.map_err(|error| Trouble::of(&error))?;
        let mut page = Page { next: answer.next_token, ..Page::default() };
        let Some(set) = answer.result_set else { return Ok(page) };
        if let Some(about) = set.result_set_metadata {
            let column = |it: aws_sdk_athena::types::ColumnInfo| Column { name: it.name, kind: it.r#type };
            page.columns = about.column_info.unwrap_or_default().into_iter().map(column).collect();
        }
        let cells = |row: aws_sdk_athena::types::Row| {
            row.data.unwrap_or_default().into_iter().map(|cell| cell.var_char_value).collect()
        };
        page.rows = set.rows.unwrap_or_default().into_iter().map(cells).collect();
        if is_first && answered.has_header && !page.rows.is_empty() {
            page.rows.remove(0);
        }
        Ok(page)
    }

    /// Stops a query that nobody waits for any more.
    pub async fn stop(&self, id: &str) -> Result<()> {
        let stopped = self.athena.stop_query_execution().query_execution_id(id).send().await;
        stopped.map(drop).map_err(|error| self.error(Trouble::of(&error), "stopping the query"))
    }

    /// Starts a query for somebody who waits.
    pub async fn begin(&self, query: &Query) -> Result<String> {
        self.start(query).await.map_err(|trouble| self.error(trouble, "starting the query"))
    }

    /// Waits until a query has succeeded, and tells `progress` about the way there.
    pub async fn wait(&self, id: &str, mut progress: impl FnMut(&State)) -> Result<Answered> {
        let mut pause = Duration::from_millis(20);
        let mut silent_since = None;
        loop {
            match self.look(id).await {
                Ok(State::Succeeded(answered)) => return Ok(answered),
                Ok(State::Failed { reason, .. }) => return Err(anyhow!(reason)),
                Ok(State::Cancelled) => bail!("somebody has stopped the query"),
                Ok(state) => {
                    silent_since = None;
                    progress(&state);
                }
                Err(trouble) => {
                    let since = *silent_since.get_or_insert_with(Instant::now);
                    if !trouble.is_passing() || since.elapsed() > PATIENCE {
                        return Err(self.error(trouble, "waiting for the query"));
                    }
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    /// Reads one page of rows for somebody who waits.
    pub async fn read(&self, id: &str, answered: &Answered, token: Option<String>) -> Result<Page> {
        self.page(id, answered, token).await.map_err(|trouble| self.error(trouble, "reading the rows"))
    }

    pub(crate) fn error(&self, trouble: Trouble, what: &str) -> anyhow::Error {
        trouble.on_open(Service::ATHENA, &self.access, what)
    }
}

fn state_of(execution: &QueryExecution) -> State {
    let status = execution.status();
    let statistics = execution.statistics();
    let n_bytes = statistics.and_then(|it| it.data_scanned_in_bytes()).unwrap_or_default();
    let n_bytes = u64::try_from(n_bytes).unwrap_or_default();
    match status.and_then(|status| status.state()) {
        Some(QueryExecutionState::Running) => State::Running { n_bytes },
        Some(QueryExecutionState::Succeeded) => {
            let millis = statistics.and_then(|it| it.total_execution_time_in_millis()).unwrap_or_default();
            let results = execution.result_configuration();
            State::Succeeded(Answered {
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
                .unwrap_or("Athena does not say why the query failed");
            State::Failed { reason: reason.to_owned(), is_passing: error.is_some_and(|it| it.retryable()) }
        }
        Some(QueryExecutionState::Cancelled) => State::Cancelled,
        _ => State::Queued,
    }
}
