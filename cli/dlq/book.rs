//! The book of a replay: which letters have come through, and which were rejected again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use runner_core::{Record, Sink, WriteError, async_trait};

use super::file::{Fate, LetterFile, Number};

#[derive(Default)]
pub(super) struct Book {
    entries: Mutex<Entries>,
    /// Held while files are written.
    files: Mutex<Vec<LetterFile>>,
}

#[derive(Clone, Default)]
struct Entries {
    /// By the numbers of the letters.
    is_through: Vec<bool>,
    /// What a letter has become that was rejected again, by its number.
    again: HashMap<Number, Vec<Bytes>>,
    counts: Counts,
    has_news: bool,
}

/// How many letters have ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) n_delivered: u64,
    pub(super) n_again: u64,
}

impl Book {
    pub(super) fn new(files: Vec<LetterFile>) -> Self {
        Book { files: Mutex::new(files), ..Book::default() }
    }

    /// Notes that a letter has come through: what it has become lies elsewhere, or is in the book.
    pub(super) fn settle(&self, letter: Number) {
        let mut entries = self.entries();
        let index = letter as usize;
        if entries.is_through.len() <= index {
            entries.is_through.resize(index + 1, false);
        }
        entries.is_through[index] = true;
        if entries.again.contains_key(&letter) {
            entries.counts.n_again += 1;
        } else {
            entries.counts.n_delivered += 1;
        }
        entries.has_news = true;
    }

    pub(super) fn counts(&self) -> Counts {
        self.entries().counts
    }

    /// Replaces the files by what is left of them.
    pub(super) fn save(&self) -> Result<()> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = {
            let mut entries = self.entries();
            if !entries.has_news {
                return Ok(());
            }
            entries.has_news = false;
            entries.clone()
        };
        let saved = files.iter_mut().try_for_each(|file| entries.write(file));
        let mut now = self.entries();
        match &saved {
            Ok(()) => now.again.retain(|letter, _| !entries.is_through(*letter)),
            Err(_) => now.has_news = true,
        }
        saved.context("removing delivered letters")
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn is_through(&self, letter: Number) -> bool {
        self.is_through.get(letter as usize).copied().unwrap_or(false)
    }

    fn write(&self, file: &mut LetterFile) -> Result<()> {
        if !file.numbers().any(|letter| self.is_through(letter)) {
            return Ok(());
        }
        file.rewrite(|letter| {
            if self.is_through(letter) {
                Fate::Replaced(self.again.get(&letter).map_or(&[], Vec::as_slice))
            } else {
                Fate::Stays
            }
        })
    }
}

/// The dead-letter sink of a replay. It only notes: until its letter has come through on every
/// branch, the old one is still in the file.
pub(super) struct Rejected(pub(super) Arc<Book>);

#[async_trait]
impl Sink for Rejected {
    async fn write(&self, records: &[Record]) -> Result<(), WriteError> {
        let mut entries = self.0.entries();
        for record in records {
            let letter = record.letter().context("a record of a replay is none of a letter")?;
            let envelope = record.to_bytes().context("a dead letter has a body")?;
            entries.again.entry(letter).or_default().push(envelope);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runner_core::testing::records;

    fn scene(text: &str) -> (tempfile::TempDir, std::path::PathBuf, Arc<Book>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead");
        std::fs::write(&path, text).unwrap();
        let file = LetterFile::open(&path, |line| Some(line.number as Number)).unwrap();
        (folder, path, Arc::new(Book::new(vec![file])))
    }

    async fn reject(book: &Arc<Book>, letter: Number, envelope: &str) {
        let mut batch = records([envelope]);
        batch.records_mut()[0].set_dead_letter(letter);
        Rejected(Arc::clone(book)).write(batch.records()).await.unwrap();
        batch.ack();
    }

    #[tokio::test]
    async fn a_letter_stays_until_it_is_through_and_then_as_what_it_has_become() {
        let (_folder, path, book) = scene("1\n2\n3\n");
        let text = || {
            book.save().unwrap();
            std::fs::read_to_string(&path).unwrap()
        };
        reject(&book, 2, "2 again").await;
        assert_eq!(text(), "1\n2\n3\n");
        book.settle(1);
        assert_eq!(text(), "2\n3\n");
        book.settle(2);
        assert_eq!(text(), "2 again\n3\n");
        book.settle(3);
        assert_eq!(text(), "2 again\n");
        assert_eq!(book.counts(), Counts { n_delivered: 2, n_again: 1 });
    }

    #[tokio::test]
    async fn a_letter_that_two_branches_reject_becomes_two() {
        let (_folder, path, book) = scene("1\n2\n");
        reject(&book, 1, "1 by lake").await;
        reject(&book, 1, "1 by broker").await;
        book.settle(1);
        book.save().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1 by lake\n1 by broker\n2\n");
        assert_eq!(book.counts(), Counts { n_delivered: 0, n_again: 1 });
    }
}
