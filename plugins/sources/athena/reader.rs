//! The reader starts the query, waits for it, and gives out its rows page by page.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::anyhow;
use runner_core::{
    Batch, BatchLimits, Body, BuildContext, Error, HumanDuration, Name, Origin, ReadError, Record, Replay,
    Result, Source, Start, async_trait,
};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};

use super::position::{Execution, Place};
use crate::shared::athena::{Answered, Client, Column, Page, Query, State, write_object};
use crate::shared::aws::{Endpoint, Trouble};

pub(super) struct Athena {
    query: Query,
    interval: Option<Duration>,
    timeout: Option<Duration>,
    endpoint: Option<Endpoint>,
    region: Option<String>,
    limits: BatchLimits,
    stream: Name,
    client: Option<Client>,
    /// How many rows have been given out in all runs.
    offset: u64,
    /// Whether Athena has taken a query of this run: from then on a denial may pass.
    has_succeeded: bool,
    began: Instant,
    step: Step,
}

/// What `next` does next.
enum Step {
    /// Waits, then asks.
    Wait(Instant),
    Ask,
    /// Waits for an execution, of which so many rows have been delivered by an earlier run.
    Look {
        id: String,
        taken: u64,
    },
    Give(Answer),
    End,
}

/// The rows of an execution, as far as they have been read.
struct Answer {
    id: String,
    answered: Answered,
    columns: Vec<Column>,
    rows: VecDeque<Vec<Option<String>>>,
    /// Whether any page has been read.
    has_begun: bool,
    /// Asks for the next page.
    next: Option<String>,
    /// Rows that an earlier run has delivered and that still have to be passed over.
    to_skip: u64,
    /// Rows given out or passed over.
    taken: u64,
    /// Whether an earlier run has begun to read them.
    is_taken_up: bool,
    /// Whether the position behind its last row has gone out.
    is_told: bool,
}

impl Athena {
    pub(super) fn new(
        query: Query,
        interval: Option<Duration>,
        timeout: Option<Duration>,
        endpoint: Option<Endpoint>,
        region: Option<String>,
        context: &BuildContext,
    ) -> Self {
        let now = Instant::now();
        Athena {
            stream: Name::new(query.database.as_deref().map_or("athena", |database| database)),
            query,
            interval,
            timeout,
            endpoint,
            region,
            limits: context.batch,
            client: None,
            offset: 0,
            has_succeeded: false,
            began: now,
            step: Step::Wait(now),
        }
    }

    fn client(&self) -> &Client {
        self.client.as_ref().expect("opened before it is read from")
    }

    /// Takes up the execution of an earlier run, if Athena still has it.
    async fn take_up(&mut self, place: Place) -> Result<()> {
        self.offset = place.offset;
        let Some(Execution { id, taken }) = place.execution else { return Ok(()) };
        match self.client().look(&id).await {
            Ok(_) => self.step = Step::Look { id, taken },
            Err(trouble) if trouble.is("InvalidRequestException") => {
                warn!("Athena has forgotten the query {id}, of which {taken} rows were read; asking anew");
            }
            Err(trouble) => return Err(self.client().error(trouble, "looking for the last query")),
        }
        Ok(())
    }

    async fn ask(&mut self) -> Result<(), Trouble> {
        let id = self.client().start(&self.query).await?;
        self.has_succeeded = true;
        self.began = Instant::now();
        self.step = Step::Look { id, taken: 0 };
        Ok(())
    }

    /// Waits for an execution to end.
    async fn look(&mut self, id: &str, taken: u64) -> Result<(), ReadError> {
        let mut pause = Duration::from_millis(20);
        loop {
            match self
                .client()
                .look(id)
                .await
                .map_err(|trouble| self.read_error(trouble, "waiting for it"))?
            {
                State::Succeeded(answered) => {
                    let (time, n_bytes) = (HumanDuration(answered.time), answered.n_bytes);
                    info!("Athena has answered the query {id} after {time}; it has read {n_bytes} bytes");
                    self.step = Step::Give(Answer::new(id.to_owned(), answered, taken));
                    return Ok(());
                }
                State::Failed { reason, is_passing } => {
                    self.step = Step::Ask;
                    let error = anyhow!(reason).context(format!("Athena has given up the query {id}"));
                    return Err(if is_passing {
                        ReadError::Retry { error, after: None }
                    } else {
                        ReadError::Fatal(error)
                    });
                }
                State::Cancelled => {
                    self.step = Step::Ask;
                    return Err(anyhow!("somebody has stopped the query {id}").into());
                }
                State::Queued | State::Running { .. } => {}
            }
            if let Some(timeout) = self.timeout
                && self.began.elapsed() > timeout
            {
                let timeout = HumanDuration(timeout);
                return Err(anyhow!("the query {id} has not ended within {timeout} (`timeout`)").into());
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    fn read_error(&self, trouble: Trouble, what: &str) -> ReadError {
        let passes = trouble.is_passing() || (self.has_succeeded && trouble.is_denial());
        let error: Error = self.client().error(trouble, what);
        if passes { ReadError::Retry { error, after: None } } else { ReadError::Fatal(error) }
    }
}

#[async_trait]
impl Source for Athena {
    fn identity(&self) -> String {
        let Query { sql, database, catalog, .. } = &self.query;
        let of = |part: &Option<String>| part.clone().unwrap_or_default();
        format!("{}.{}: {sql}", of(catalog), of(database))
    }

    /// The same query may answer with other rows tomorrow.
    fn replay(&self) -> Replay {
        Replay::NonDeterministic
    }

    /// Asks at once, so that a slip in the query or a lack of rights is the first thing heard.
    async fn open(&mut self, start: &Start) -> Result<()> {
        self.client = Some(Client::load(self.region.as_deref(), self.endpoint.as_ref()).await?);
        if let Some(position) = &start.position {
            match Place::from_position(position) {
                Ok(place) => self.take_up(place).await?,
                Err(error) => warn!("the saved position cannot be read ({error}); asking anew"),
            }
        }
        if matches!(self.step, Step::Wait(_)) {
            self.ask().await.map_err(|trouble| self.client().error(trouble, "starting the query"))?;
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Batch>, ReadError> {
        loop {
            match &mut self.step {
                Step::Wait(until) => {
                    sleep_until(*until).await;
                    self.step = Step::Ask;
                }
                Step::Ask => {
                    let asked = self.ask().await;
                    asked.map_err(|trouble| self.read_error(trouble, "starting the query"))?;
                }
                Step::Look { id, taken } => {
                    let (id, taken) = (id.clone(), *taken);
                    self.look(&id, taken).await?;
                }
                Step::Give(answer) => {
                    if let Some(batch) = answer.cut(self.limits, self.stream, &mut self.offset) {
                        return Ok(Some(batch));
                    }
                    if answer.wants_page() {
                        let client = self.client.as_ref().expect("opened before it is read from");
                        match client.page(&answer.id, &answer.answered, answer.next.clone()).await {
                            Ok(page) => answer.take(page),
                            Err(trouble) if answer.is_taken_up && trouble.is("InvalidRequestException") => {
                                warn!("the rows of the query {} are gone: {trouble}; asking anew", answer.id);
                                self.step = Step::Ask;
                            }
                            Err(trouble) => return Err(self.read_error(trouble, "reading the rows")),
                        }
                        continue;
                    }
                    self.step = match self.interval {
                        Some(interval) => Step::Wait(self.began + interval),
                        None => Step::End,
                    };
                }
                Step::End => return Ok(None),
            }
        }
    }

    /// A query that nobody will read is not worth its price.
    async fn close(&mut self) -> Result<()> {
        if let Step::Look { id, taken: 0 } = &self.step {
            self.client().stop(id).await?;
        }
        Ok(())
    }
}

impl Answer {
    fn new(id: String, answered: Answered, to_skip: u64) -> Self {
        Answer {
            id,
            answered,
            columns: Vec::new(),
            rows: VecDeque::new(),
            has_begun: false,
            next: None,
            to_skip,
            taken: 0,
            is_taken_up: to_skip > 0,
            is_told: false,
        }
    }

    fn wants_page(&self) -> bool {
        self.rows.is_empty() && (!self.has_begun || self.next.is_some())
    }

    fn take(&mut self, page: Page) {
        self.has_begun = true;
        self.columns = page.columns;
        self.next = page.next;
        let n_skipped = self.to_skip.min(page.rows.len() as u64);
        self.to_skip -= n_skipped;
        self.taken += n_skipped;
        self.rows = page.rows.into_iter().skip(n_skipped as usize).collect();
    }

    /// Cuts the next batch off; an empty one behind the last row, if the rows have
    /// not said themselves that the execution is through.
    fn cut(&mut self, limits: BatchLimits, stream: Name, offset: &mut u64) -> Option<Batch> {
        let is_last_page = self.has_begun && self.next.is_none();
        if self.is_told || (self.rows.is_empty() && !is_last_page) {
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
            records.push(Record::new(
                Body::Bytes(object.into()),
                Origin { source: stream, partition: 0, offset: *offset },
            ));
            *offset += 1;
        }
        let n_records = records.len();
        self.taken += n_records as u64;
        self.is_told = is_last_page && self.rows.is_empty();
        let (id, is_through) = (self.id.clone(), self.is_told);
        Some(Batch::new(records).with_positions(move |n_items: usize| {
            let is_through = is_through && n_items == n_records;
            let taken = first_taken + n_items as u64;
            let execution = (!is_through).then(|| Execution { id: id.clone(), taken });
            Place { execution, offset: first_offset + n_items as u64 }.to_position()
        }))
    }
}
