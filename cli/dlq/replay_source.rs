//! The source of a replay: reads the records of dead letters for one component.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use runner_core::{
    BatchLimits, Committer, DeadLetter, Failure, Next, Position, ReadBatch, Record, Replay, Source, Start,
    async_trait,
};
use tokio::task::spawn_blocking;

use super::locked_file::{LockedFile, Number};
use super::reader::Line;
use super::replay_state::ReplayState;

pub(super) type LetterLines = Box<dyn Iterator<Item = Result<(Line, Option<Number>)>> + Send>;

pub(super) struct ReplaySource {
    /// The component whose dead letters it reads; `None` for all of them.
    only: Option<String>,
    /// `None` while a thread reads from it, and at the end.
    lines: Option<LetterLines>,
    limits: BatchLimits,
    n_read: u64,
    in_flight: Arc<Mutex<VecDeque<Number>>>,
    state: Arc<ReplayState>,
}

/// The lines of the files as they are now; dead letters that are removed later are still read.
pub(super) fn lines_of(files: &[LockedFile]) -> Result<LetterLines> {
    let lines = files.iter().map(LockedFile::lines).collect::<Result<Vec<_>>>()?;
    Ok(Box::new(lines.into_iter().flatten()))
}

impl ReplaySource {
    pub(super) fn new(
        only: Option<String>,
        lines: LetterLines,
        limits: BatchLimits,
        state: Arc<ReplayState>,
    ) -> ReplaySource {
        ReplaySource { only, lines: Some(lines), limits, n_read: 0, in_flight: Arc::default(), state }
    }
}

#[async_trait]
impl Source for ReplaySource {
    fn identity(&self) -> String {
        "dead letters".into()
    }

    fn replay(&self) -> Replay {
        Replay::External
    }

    async fn open(&mut self, _: &Start) -> Result<(), Failure> {
        Ok(())
    }

    fn committer(&mut self) -> Option<Box<dyn Committer>> {
        let (in_flight, state) = (Arc::clone(&self.in_flight), Arc::clone(&self.state));
        Some(Box::new(ReplayCommitter { n_settled: 0, in_flight, state }))
    }

    async fn next(&mut self) -> Result<Next, Failure> {
        let Some(mut lines) = self.lines.take() else { return Ok(Next::End) };
        let (only, limits) = (self.only.clone(), self.limits);
        let state = Arc::clone(&self.state);
        let read = move || read(&mut lines, only.as_deref(), limits, &state).map(|records| (lines, records));
        // The reader cannot continue after an error, and the store has retried already.
        let read = spawn_blocking(read).await.context("reading dead letters")?;
        let (lines, records) = read.map_err(|error| Failure::from(error).after_retries())?;
        if records.is_empty() {
            return Ok(Next::End);
        }
        self.lines = Some(lines);
        let n_before = self.n_read;
        self.n_read += records.len() as u64;
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        in_flight.extend(records.iter().filter_map(Record::dead_letter));
        drop(in_flight);
        let after = move |n_items: usize| Position::new(n_before + n_items as u64);
        Ok(Next::Batch(ReadBatch::new(records).with_positions(after)))
    }
}

/// The next records, without those of repeated letters; empty at the end.
fn read(
    lines: &mut LetterLines,
    only: Option<&str>,
    limits: BatchLimits,
    state: &ReplayState,
) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    let mut n_bytes = 0;
    while records.len() < limits.max_records && n_bytes < limits.max_bytes {
        let Some(line) = lines.next() else { break };
        let (line, Some(number)) = line? else { continue };
        if state.is_repeat(number) {
            continue;
        }
        let DeadLetter { component, mut record, .. } = line.letter()?;
        if only.is_none_or(|only| only == component) {
            record.set_dead_letter(number);
            n_bytes += record.size();
            records.push(record);
        }
    }
    Ok(records)
}

/// Marks dead letters as settled once their records are acknowledged.
struct ReplayCommitter {
    n_settled: u64,
    in_flight: Arc<Mutex<VecDeque<Number>>>,
    state: Arc<ReplayState>,
}

#[async_trait]
impl Committer for ReplayCommitter {
    async fn commit(&mut self, position: &Position) -> Result<()> {
        let &n_settled: &u64 = position.downcast_ref().context("not a position of a replay")?;
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        let n_more = usize::try_from(n_settled - self.n_settled)?;
        in_flight.drain(..n_more).for_each(|letter| self.state.settle(letter));
        self.n_settled = n_settled;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn letters_that_cannot_be_read_end_the_replay_with_an_error() {
        let error = Failure::transient(anyhow::anyhow!("503"));
        let lines: LetterLines = Box::new(std::iter::once(Err(error.into())));
        let mut source = ReplaySource::new(None, lines, BatchLimits::default(), Arc::default());
        let error = source.next().await.expect_err("not the end of the letters");
        assert!(!error.is_retryable(), "the reader cannot go on");
    }
}
