//! The state of a replay: which dead letters are delivered, and which were rejected again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use runner_core::{Batch, Sink, WriteError, async_trait};

use super::locked_file::{LineEdit, LockedFile, Number};
use super::repeats::Repeats;
use super::store::StoredLetters;

#[derive(Default)]
pub(super) struct ReplayState {
    entries: Mutex<Entries>,
    /// Locked while the files are written.
    letters: Mutex<ReplayLetters>,
    repeats: Repeats,
}

/// The letters that are removed once they are settled.
pub(super) enum ReplayLetters {
    Files(Vec<LockedFile>),
    Store(StoredLetters),
}

impl Default for ReplayLetters {
    fn default() -> Self {
        ReplayLetters::Files(Vec::new())
    }
}

#[derive(Clone, Default)]
struct Entries {
    /// Whether each dead letter is settled, by its number.
    is_settled: Vec<bool>,
    /// The new dead letters of each one that was rejected again, by its number.
    again: HashMap<Number, Vec<Bytes>>,
    counts: Counts,
    has_changed: bool,
}

/// How many dead letters were delivered, and how many were rejected again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) n_delivered: u64,
    pub(super) n_again: u64,
    /// Removed with the letters that they repeat.
    pub(super) n_repeats: u64,
}

impl ReplayState {
    pub(super) fn new(letters: ReplayLetters, repeats: Repeats) -> Self {
        ReplayState { letters: Mutex::new(letters), repeats, ..ReplayState::default() }
    }

    /// Whether the letter repeats another one, with which it is settled.
    pub(super) fn is_repeat(&self, letter: Number) -> bool {
        self.repeats.contains(letter)
    }

    /// Marks a dead letter and its repeats as settled: its record is acknowledged, so it is delivered or rejected
    /// again.
    pub(super) fn settle(&self, letter: Number) {
        let mut entries = self.entries();
        let repeats = self.repeats.of(letter);
        for settled in repeats.iter().chain([&letter]) {
            let index = *settled as usize;
            if entries.is_settled.len() <= index {
                entries.is_settled.resize(index + 1, false);
            }
            entries.is_settled[index] = true;
        }
        entries.counts.n_repeats += repeats.len() as u64;
        if entries.again.contains_key(&letter) {
            entries.counts.n_again += 1;
        } else {
            entries.counts.n_delivered += 1;
        }
        entries.has_changed = true;
    }

    /// Notes that a record was rejected again and its new letter is stored.
    pub(super) fn note_again(&self, letter: Number) {
        self.entries().again.entry(letter).or_default();
    }

    /// The last save.
    pub(super) fn end(&self) -> Result<()> {
        self.save()?;
        match &*self.letters.lock().unwrap_or_else(PoisonError::into_inner) {
            ReplayLetters::Files(_) => Ok(()),
            ReplayLetters::Store(letters) => letters.end().context("keeping dead letters"),
        }
    }

    pub(super) fn counts(&self) -> Counts {
        self.entries().counts
    }

    /// Removes delivered dead letters from the files, and replaces those that were rejected again.
    pub(super) fn save(&self) -> Result<()> {
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = {
            let mut entries = self.entries();
            if !entries.has_changed {
                return Ok(());
            }
            entries.has_changed = false;
            entries.clone()
        };
        let result = match &mut *letters {
            ReplayLetters::Files(files) => files.iter_mut().try_for_each(|file| entries.write(file)),
            ReplayLetters::Store(letters) => letters.save(|letter| entries.is_settled(letter)),
        };
        let mut now = self.entries();
        match &result {
            Ok(()) => now.again.retain(|letter, _| !entries.is_settled(*letter)),
            Err(_) => now.has_changed = true,
        }
        result.context("removing delivered dead letters")
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn is_settled(&self, letter: Number) -> bool {
        self.is_settled.get(letter as usize).copied().unwrap_or(false)
    }

    fn write(&self, file: &mut LockedFile) -> Result<()> {
        if !file.numbers().any(|letter| self.is_settled(letter)) {
            return Ok(());
        }
        file.rewrite(|letter| {
            if self.is_settled(letter) {
                LineEdit::Replace(self.again.get(&letter).map_or(&[], Vec::as_slice))
            } else {
                LineEdit::Keep
            }
        })
    }
}

/// The dead-letter sink of a replay. It collects new dead letters in memory: the old one stays in the file until
/// its record is acknowledged by every branch.
pub(super) struct Rejected(pub(super) Arc<ReplayState>);

#[async_trait]
impl Sink for Rejected {
    async fn write(&self, batch: &Batch) -> Result<(), WriteError> {
        let mut entries = self.0.entries();
        for record in batch.records() {
            let letter =
                record.dead_letter().context("a record of a replay does not come from a dead letter")?;
            let envelope = record.to_bytes().context("a dead letter has a body")?;
            entries.again.entry(letter).or_default().push(envelope);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::repeats::RepeatFinder;
    use super::*;
    use runner_core::testing::records;

    fn state_of(text: &str, repeats: Repeats) -> (tempfile::TempDir, std::path::PathBuf, Arc<ReplayState>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead");
        std::fs::write(&path, text).unwrap();
        let file = LockedFile::open(&path, |line| Some(line.number as Number)).unwrap();
        (folder, path, Arc::new(ReplayState::new(ReplayLetters::Files(vec![file]), repeats)))
    }

    async fn reject(state: &Arc<ReplayState>, letter: Number, envelope: &str) {
        let mut batch = records([envelope]);
        batch.records_mut()[0].set_dead_letter(letter);
        Rejected(Arc::clone(state)).write(&batch).await.unwrap();
        batch.ack();
    }

    #[tokio::test]
    async fn letter_is_kept_until_settled_and_then_removed_or_replaced() {
        let (_folder, path, state) = state_of("1\n2\n3\n", Repeats::default());
        let text = || {
            state.save().unwrap();
            std::fs::read_to_string(&path).unwrap()
        };
        reject(&state, 2, "2 again").await;
        assert_eq!(text(), "1\n2\n3\n");
        state.settle(1);
        assert_eq!(text(), "2\n3\n");
        state.settle(2);
        assert_eq!(text(), "2 again\n3\n");
        state.settle(3);
        assert_eq!(text(), "2 again\n");
        assert_eq!(state.counts(), Counts { n_delivered: 2, n_again: 1, n_repeats: 0 });
    }

    #[tokio::test]
    async fn letter_rejected_by_two_branches_becomes_two() {
        let (_folder, path, state) = state_of("1\n2\n", Repeats::default());
        reject(&state, 1, "1 by lake").await;
        reject(&state, 1, "1 by broker").await;
        state.settle(1);
        state.save().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1 by lake\n1 by broker\n2\n");
        assert_eq!(state.counts(), Counts { n_delivered: 0, n_again: 1, n_repeats: 0 });
    }

    #[tokio::test]
    async fn repeats_are_removed_with_the_letter_that_they_repeat() {
        let mut finder = RepeatFinder::default();
        for (letter, subject) in [(1, 7), (2, 8), (3, 7), (4, 8)] {
            finder.add(letter, subject);
        }
        let (_folder, path, state) = state_of("1\n2\n1\n2\n", finder.finish());
        reject(&state, 2, "2 again").await;
        state.settle(2);
        state.save().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n2 again\n1\n");
        state.settle(1);
        state.save().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "2 again\n");
        assert_eq!(state.counts(), Counts { n_delivered: 1, n_again: 1, n_repeats: 2 });
    }
}
