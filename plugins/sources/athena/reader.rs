//! Starts the query, waits for it, and reads its rows page by page.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::anyhow;
use runner_core::{
    BatchLimits, Body, BuildContext, Failure, HumanDuration, Name, Next, Origin, Position, ReadBatch, Record,
    Replay, Result, Source, Start, async_trait,
};
use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};

use super::position::{AthenaPosition, Execution};
use crate::shared::athena::{
    Client, Column, CompletedQuery, POLL_MAX, POLL_MIN, Page, Query, QueryState, RequestToken,
    rename_repeated, write_object,
};
use crate::shared::aws::{AccessOptions, AwsError};

pub(super) struct Athena {
    query: Query,
    interval: Option<Duration>,
    timeout: Option<Duration>,
    access: AccessOptions,
    limits: BatchLimits,
    name: Name,
    client: Option<Client>,
    /// How many rows have been read in all runs.
    offset: u64,
    /// Whether Athena has accepted a query of this run: from then on a denial is retried.
    has_succeeded: bool,
    /// When the current query was started.
    started: Instant,
    /// The token of the next start, kept until Athena has answered.
    token: RequestToken,
    step: Step,
}

/// What `next` does next.
enum Step {
    Wait(Instant),
    Start,
    /// Waits until the execution has ended.
    Poll(Execution),
    Read(Rows),
    End,
}

/// The rows of an execution, as far as they have been read.
struct Rows {
    id: String,
    query: CompletedQuery,
    columns: Vec<Column>,
    rows: VecDeque<Vec<Option<String>>>,
    has_first_page: bool,
    /// The token of the next page.
    next_page: Option<String>,
    /// How many rows an earlier run has delivered, as far as they have not been skipped yet.
    to_skip: u64,
    /// How many rows have been delivered or skipped.
    taken: u64,
    /// Whether an earlier run has read some of them.
    is_resumed: bool,
    /// Whether a batch with the position after the last row was returned.
    is_complete: bool,
}

impl Athena {
    pub(super) fn new(
        query: Query,
        interval: Option<Duration>,
        timeout: Option<Duration>,
        access: AccessOptions,
        context: &BuildContext,
    ) -> Self {
        let now = Instant::now();
        Athena {
            name: Name::new(query.database.as_deref().unwrap_or("athena")),
            query,
            interval,
            timeout,
            access,
            limits: context.batch,
            client: None,
            offset: 0,
            has_succeeded: false,
            started: now,
            token: RequestToken::new(),
            step: Step::Wait(now),
        }
    }

    fn client(&self) -> &Client {
        self.client.as_ref().expect("the engine opens a source before it reads from it")
    }

    /// Resumes the execution of an earlier run, if Athena still has it.
    async fn resume(&mut self, position: AthenaPosition) -> Result<()> {
        self.offset = position.offset;
        let Some(execution) = position.execution else { return Ok(()) };
        match self.client().state(&execution.id).await {
            Ok(_) => self.step = Step::Poll(execution),
            Err(error) if error.is("InvalidRequestException") => {
                let Execution { id, taken } = execution;
                warn!(
                    "Athena no longer has the query {id}, of which {taken} rows were read; running it again"
                );
            }
            Err(error) => return Err(self.client().error(error, "looking for the last query")),
        }
        Ok(())
    }

    async fn start(&mut self) -> Result<(), AwsError> {
        let id = self.client().try_start(&self.query, &self.token).await?;
        self.token = RequestToken::new();
        self.has_succeeded = true;
        self.started = Instant::now();
        self.step = Step::Poll(Execution { id, taken: 0 });
        Ok(())
    }

    async fn poll(&mut self, Execution { id, taken }: Execution) -> Result<(), Failure> {
        let mut pause = POLL_MIN;
        loop {
            let state = self.client().state(&id).await;
            match state.map_err(|error| self.failure(error, "waiting for the query"))? {
                QueryState::Succeeded(query) => {
                    let (time, n_bytes) = (HumanDuration(query.time), query.n_bytes);
                    info!("the query {id} has succeeded after {time} and scanned {n_bytes} bytes");
                    self.step = Step::Read(Rows::new(id, query, taken));
                    return Ok(());
                }
                QueryState::Failed { reason, is_transient } => {
                    self.step = Step::Start;
                    let error = anyhow!(reason).context(format!("the query {id} has failed"));
                    return Err(if is_transient { Failure::transient(error) } else { Failure::fatal(error) });
                }
                QueryState::Cancelled => {
                    self.step = Step::Start;
                    return Err(anyhow!("the query {id} was cancelled").into());
                }
                QueryState::Queued | QueryState::Running { .. } => {}
            }
            if let Some(timeout) = self.timeout
                && self.started.elapsed() > timeout
            {
                let timeout = HumanDuration(timeout);
                return Err(anyhow!("the query {id} has not ended within {timeout} (`timeout`)").into());
            }
            sleep(pause).await;
            pause = (pause * 2).min(POLL_MAX);
        }
    }

    fn failure(&self, error: AwsError, action: &str) -> Failure {
        let is_transient = error.is_transient() || (self.has_succeeded && error.is_denied());
        let error = self.client().error(error, action);
        // An error of the client may be that the service is unreachable.
        let failure = Failure::from(error);
        if is_transient && !failure.is_retryable() {
            return Failure::transient(failure.into_error());
        }
        failure
    }
}

#[async_trait]
impl Source for Athena {
    fn identity(&self) -> String {
        let Query { sql, database, catalog, .. } = &self.query;
        let (catalog, database) = (catalog.as_deref(), database.as_deref());
        format!("{}.{}: {sql}", catalog.unwrap_or_default(), database.unwrap_or_default())
    }

    /// A later execution of the same query may return other rows.
    fn replay(&self) -> Replay {
        Replay::NonDeterministic
    }

    /// It has the id of an execution and numbers.
    fn shown_position(&self, position: &Value) -> Value {
        position.clone()
    }

    /// Starts the query, so that an error in it or a missing permission ends the run at once.
    async fn open(&mut self, start: &Start) -> Result<(), Failure> {
        self.client = Some(Client::load(&self.access).await?);
        match start.position::<AthenaPosition>() {
            Ok(None) => {}
            Ok(Some(position)) => self.resume(position).await?,
            Err(error) => warn!("the saved position is not valid ({error:#}); running the query again"),
        }
        if matches!(self.step, Step::Wait(_)) {
            self.start().await.map_err(|error| self.client().error(error, "starting the query"))?;
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Next, Failure> {
        loop {
            match &mut self.step {
                Step::Wait(until) => {
                    sleep_until(*until).await;
                    self.step = Step::Start;
                }
                Step::Start => {
                    let started = self.start().await;
                    started.map_err(|error| self.failure(error, "starting the query"))?;
                }
                Step::Poll(execution) => {
                    let execution = execution.clone();
                    self.poll(execution).await?;
                }
                Step::Read(rows) => {
                    if let Some(batch) = rows.next_batch(self.limits, self.name, &mut self.offset) {
                        return Ok(Next::Batch(batch));
                    }
                    if rows.needs_page() {
                        let client =
                            self.client.as_ref().expect("the engine opens a source before it reads from it");
                        match client.try_read(&rows.id, &rows.query, rows.next_page.clone()).await {
                            Ok(page) => rows.add(page),
                            Err(error) if rows.is_resumed && error.is("InvalidRequestException") => {
                                let id = &rows.id;
                                warn!("the rows of the query {id} were deleted: {error}; running it again");
                                self.step = Step::Start;
                            }
                            Err(error) => return Err(self.failure(error, "reading the rows")),
                        }
                        continue;
                    }
                    self.step = match self.interval {
                        Some(interval) => Step::Wait(self.started + interval),
                        None => Step::End,
                    };
                }
                Step::End => return Ok(Next::End),
            }
        }
    }

    /// Stops a query whose rows nothing has been read of: AWS bills what it scans.
    async fn close(&mut self) -> Result<()> {
        if let Step::Poll(Execution { id, taken: 0 }) = &self.step {
            self.client().stop(id).await?;
        }
        Ok(())
    }
}

impl Rows {
    fn new(id: String, query: CompletedQuery, to_skip: u64) -> Self {
        Rows {
            id,
            query,
            columns: Vec::new(),
            rows: VecDeque::new(),
            has_first_page: false,
            next_page: None,
            to_skip,
            taken: 0,
            is_resumed: to_skip > 0,
            is_complete: false,
        }
    }

    fn has_all_pages(&self) -> bool {
        self.has_first_page && self.next_page.is_none()
    }

    fn needs_page(&self) -> bool {
        self.rows.is_empty() && !self.has_all_pages()
    }

    fn add(&mut self, page: Page) {
        self.has_first_page = true;
        let is_first = self.columns.is_empty();
        self.columns = page.columns;
        let repeated = rename_repeated(&mut self.columns);
        if is_first && !repeated.is_empty() {
            warn!(
                "the query names more than one column `{}`: the later ones become `{}_2` and so on; name them with `AS`",
                repeated.join("`, `"),
                repeated[0]
            );
        }
        self.next_page = page.next;
        let n_skipped = self.to_skip.min(page.rows.len() as u64);
        self.to_skip -= n_skipped;
        self.taken += n_skipped;
        self.rows = page.rows.into_iter().skip(n_skipped as usize).collect();
    }

    /// The next batch of the rows that have been read. The last one ends the execution in the
    /// position; it is empty if the rows before it were the last ones of their page.
    fn next_batch(&mut self, limits: BatchLimits, source: Name, offset: &mut u64) -> Option<ReadBatch> {
        let has_all_pages = self.has_all_pages();
        if self.is_complete || (self.rows.is_empty() && !has_all_pages) {
            return None;
        }
        let (first_offset, first_taken) = (*offset, self.taken);
        let mut records = Vec::new();
        let mut n_bytes = 0;
        while records.len() < limits.max_records
            && n_bytes < limits.max_bytes
            && let Some(row) = self.rows.pop_front()
        {
            let mut object = Vec::new();
            write_object(&self.columns, &row, &mut object);
            n_bytes += object.len();
            let origin = Origin { source, partition: 0, offset: *offset };
            records.push(Record::new(Body::Bytes(object.into()), origin));
            *offset += 1;
        }
        let n_records = records.len();
        self.taken += n_records as u64;
        self.is_complete = has_all_pages && self.rows.is_empty();
        let (id, is_complete) = (self.id.clone(), self.is_complete);
        Some(ReadBatch::new(records).with_positions(move |n_items: usize| {
            let taken = first_taken + n_items as u64;
            let is_last = is_complete && n_items == n_records;
            let execution = (!is_last).then(|| Execution { id: id.clone(), taken });
            Position::new(AthenaPosition { execution, offset: first_offset + n_items as u64 })
        }))
    }
}
