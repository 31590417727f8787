//! Dead letters in the `[dead_letter]` sink of a pipeline, as lines like those of a file.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use runner_core::{
    Batch, Failure, LetterId, LetterReader, LetterStore, Pipeline, Sink, StopReason, StoredLetter,
};
use runner_core::{WriteError, async_trait};
use tokio::runtime::Runtime;

use super::locked_file::Number;
use super::reader::Line;
use super::replay_source::LetterLines;
use super::replay_state::ReplayState;

/// A store, and the runtime that its requests run on.
#[derive(Clone)]
pub(super) struct Store {
    store: Arc<dyn LetterStore>,
    runtime: Arc<Runtime>,
}

impl Store {
    /// The store of the pipeline's `[dead_letter]` sink, which is taken out of the pipeline.
    pub(super) fn of(pipeline: &mut Pipeline) -> Result<(Store, Box<dyn Sink>)> {
        let file = pipeline.file.display().to_string();
        let sink =
            pipeline.take_dead_letter().with_context(|| format!("{file} has no `[dead_letter]` table"))?;
        let store = sink.letter_store().with_context(|| {
            format!("the dead letters of {file} are neither in a topic nor in a bucket: name their files")
        })?;
        let runtime = Arc::new(Runtime::new().context("starting the async runtime")?);
        Ok((Store { store, runtime }, sink))
    }

    pub(super) fn location(&self) -> String {
        self.store.location()
    }

    /// The letters that are there now, numbered from 1.
    pub(super) fn lines(&self) -> Result<StoredLines> {
        let reader = self.runtime.block_on(self.store.read())?;
        Ok(StoredLines { store: self.clone(), reader, waiting: VecDeque::new(), n_read: 0 })
    }

    /// The letters of a replay, with their numbers.
    pub(super) fn replay_lines(&self, numbers: &Arc<BTreeMap<LetterId, Number>>) -> Result<LetterLines> {
        let numbers = Arc::clone(numbers);
        Ok(Box::new(self.lines()?.map(move |line| {
            let (id, line) = line?;
            Ok((line, numbers.get(&id).copied()))
        })))
    }

    pub(super) fn begin(&self, pending: Vec<LetterId>) -> Result<()> {
        Ok(self.runtime.block_on(self.store.begin(pending))?)
    }

    pub(super) fn remove(&self, letters: &[LetterId]) -> Result<()> {
        Ok(self.runtime.block_on(self.store.remove(letters))?)
    }

    pub(super) fn end(&self, kept: &[LetterId]) -> Result<()> {
        Ok(self.runtime.block_on(self.store.end(kept))?)
    }
}

/// Reads the letters of a store.
pub(super) struct StoredLines {
    store: Store,
    reader: Box<dyn LetterReader>,
    waiting: VecDeque<StoredLetter>,
    n_read: usize,
}

impl StoredLines {
    /// Notes for the user about letters that retention has deleted.
    pub(super) fn notes(&self) -> &[String] {
        self.reader.notes()
    }

    fn read(&mut self) -> Result<Option<(LetterId, Line)>> {
        if self.waiting.is_empty() {
            self.waiting = self.store.runtime.block_on(self.reader.next())?.into();
        }
        let letter = self.waiting.pop_front();
        self.n_read += usize::from(letter.is_some());
        Ok(letter.map(|letter| (letter.id, Line { number: self.n_read, bytes: letter.bytes.to_vec() })))
    }
}

impl Iterator for StoredLines {
    type Item = Result<(LetterId, Line)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// The letters of a replay in a store.
pub(super) struct StoredLetters {
    store: Store,
    /// Those that have not been removed, by their numbers.
    left: BTreeMap<Number, LetterId>,
    /// Those that cannot be replayed.
    kept: Vec<LetterId>,
    has_removed: bool,
}

impl StoredLetters {
    pub(super) fn new(
        store: Store,
        numbers: &BTreeMap<LetterId, Number>,
        kept: BTreeSet<LetterId>,
    ) -> Result<Self> {
        let left: BTreeMap<Number, LetterId> =
            numbers.iter().map(|(id, number)| (*number, id.clone())).collect();
        let kept: Vec<LetterId> = kept.into_iter().collect();
        store.begin(left.values().chain(&kept).cloned().collect())?;
        Ok(StoredLetters { store, left, kept, has_removed: false })
    }

    /// Removes the letters that are settled: delivered, or written again.
    pub(super) fn save(&mut self, is_settled: impl Fn(Number) -> bool) -> Result<()> {
        let settled: Vec<Number> = self.left.keys().copied().filter(|number| is_settled(*number)).collect();
        if settled.is_empty() {
            return Ok(());
        }
        let ids: Vec<LetterId> = settled.iter().filter_map(|number| self.left.get(number).cloned()).collect();
        self.store.remove(&ids)?;
        self.has_removed = true;
        for number in &settled {
            self.left.remove(number);
        }
        Ok(())
    }

    pub(super) fn end(&self) -> Result<()> {
        if self.has_removed { self.store.end(&self.kept) } else { Ok(()) }
    }
}

/// The `[dead_letter]` sink during a replay. A record that is rejected again is written to it at once, before its
/// old letter is removed.
pub(super) struct RejectedAgain {
    pub(super) sink: Box<dyn Sink>,
    pub(super) state: Arc<ReplayState>,
}

#[async_trait]
impl Sink for RejectedAgain {
    async fn open(&mut self) -> Result<(), Failure> {
        self.sink.open().await
    }

    async fn write(&self, batch: &Batch) -> Result<(), WriteError> {
        // Before the write, which may store only some records. A letter is counted when it is settled.
        for record in batch.records() {
            let letter =
                record.dead_letter().context("a record of a replay does not come from a dead letter")?;
            self.state.note_again(letter);
        }
        self.sink.write(batch).await
    }

    fn concurrency(&self) -> usize {
        self.sink.concurrency()
    }

    fn max_in_flight_records(&self) -> usize {
        self.sink.max_in_flight_records()
    }

    async fn flush(&self, reason: StopReason) -> Result<(), Failure> {
        self.sink.flush(reason).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runner_core::testing::records;

    /// Stores all records but the last of a batch.
    struct AllButLast;

    #[async_trait]
    impl Sink for AllButLast {
        async fn write(&self, batch: &Batch) -> Result<(), WriteError> {
            let failure = Failure::transient(anyhow::anyhow!("503"));
            WriteError::of_records(vec![(batch.len() - 1, failure)])
        }
    }

    #[tokio::test]
    async fn letter_stored_beside_a_failed_one_counts_as_rejected_again() {
        let state = Arc::<ReplayState>::default();
        let sink = RejectedAgain { sink: Box::new(AllButLast), state: Arc::clone(&state) };
        let mut batch = records(["{}", "{}"]);
        for (record, letter) in batch.records_mut().iter_mut().zip(1..) {
            record.set_dead_letter(letter);
        }
        assert!(sink.write(&batch).await.is_err());
        batch.ack();
        state.settle(1);
        assert_eq!((state.counts().n_again, state.counts().n_delivered), (1, 0));
    }
}
