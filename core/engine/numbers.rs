//! Gives entry numbers, and remembers in the checkpoint which have been given.
//!
//! Numbers are reserved ahead of use: when a source can no longer read what it
//! has read (its block was edited, its API answers anew), counting goes on
//! behind everything that may have been stored under an earlier number.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};

use super::checkpoint::{Checkpoint, Folder};
use super::ledger::Progress;
use crate::batch::Position;
use crate::record::{Entry, Name};
use crate::source::{Numbering, Start};

/// The first reservation; each further one is twice as long, up to the last.
const FIRST_STEP: u64 = 1 << 10;
const LAST_STEP: u64 = 1 << 20;

/// The numbers of one source and its checkpoint.
#[derive(Debug)]
pub(crate) struct Numbers {
    folder: Arc<Folder>,
    source: Name,
    /// The number of the first item of this run.
    first: u64,
    state: Mutex<State>,
    /// Held while the file is written, so that no older state replaces a newer one.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    checkpoint: Checkpoint,
    /// What the file says of `checkpoint.reserved`; no number from there on may be given.
    reserved_in_file: u64,
    step: u64,
    /// Whether the file says less than `checkpoint`.
    is_dirty: bool,
}

impl Numbers {
    /// Takes up a source's past, as `taken_up` sees it. `fresh` is the checkpoint of one without any.
    pub(crate) fn resume(
        folder: Arc<Folder>,
        fresh: Checkpoint,
        taken_up: impl FnOnce(Checkpoint) -> Checkpoint,
        numbering: Numbering,
        from_start: bool,
    ) -> Result<(Self, Start)> {
        let checkpoint = match folder.read(&fresh.component) {
            _ if from_start => fresh,
            Ok(None) => fresh,
            Ok(Some(old)) => {
                let old = taken_up(old);
                if !old.is_of(&fresh) {
                    tracing::info!(
                        component = fresh.component,
                        "reads {} `{}` from its start, where the last run read {} `{}`; numbering goes on at {}",
                        fresh.plugin,
                        fresh.identity,
                        old.plugin,
                        old.identity,
                        old.reserved
                    );
                }
                old.goes_on(fresh, numbering)
            }
            Err(error) => return Err(error),
        };
        // With `from_start` the file may say more, of numbers that are to be forgotten.
        let reserved_in_file = checkpoint.reserved;
        let start = Start { position: checkpoint.position.clone().map(Position), from_start };
        let numbers = Numbers {
            folder,
            source: Name::new(&format!("{}/{}", checkpoint.pipeline, checkpoint.component)),
            first: checkpoint.next_entry,
            state: Mutex::new(State { checkpoint, reserved_in_file, step: FIRST_STEP, is_dirty: from_start }),
            writing: tokio::sync::Mutex::default(),
        };
        Ok((numbers, start))
    }

    /// Begins at `position` with numbers that were never given: those behind it may have gone to other records.
    pub(crate) fn begin_anew(&mut self, Position(position): Position) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let checkpoint = &mut state.checkpoint;
        if checkpoint.next_entry < checkpoint.reserved {
            tracing::warn!(
                component = checkpoint.component,
                "what it has not read to the end has changed: numbering goes on at {}, and records that were \
                 stored behind entry {} may be stored once more",
                checkpoint.reserved,
                checkpoint.next_entry
            );
        }
        checkpoint.position = Some(position);
        checkpoint.next_entry = checkpoint.reserved;
        self.first = checkpoint.next_entry;
        state.is_dirty = true;
    }

    /// The number of an item, counted from the first one of this run.
    pub(crate) fn entry(&self, item: u64) -> Entry {
        Entry { number: self.first + item, source: self.source }
    }

    /// Makes sure, durably, that the first `n_items` of this run may be numbered.
    pub(crate) async fn reserve(&self, n_items: u64) -> Result<()> {
        {
            let mut state = self.state();
            let needed = self.first + n_items;
            if needed <= state.reserved_in_file {
                return Ok(());
            }
            // Otherwise they are reserved already, and a write that was to say so has failed.
            if needed > state.checkpoint.reserved {
                state.checkpoint.reserved = needed + state.step;
                state.step = (state.step * 2).min(LAST_STEP);
            }
            state.is_dirty = true;
        }
        self.write().await
    }

    /// Notes what has been delivered; `write` makes it durable.
    pub(crate) fn delivered(&self, progress: Progress) {
        let mut state = self.state();
        state.checkpoint.next_entry = self.first + progress.n_items;
        if let Some(Position(position)) = progress.position {
            state.checkpoint.position = Some(position);
        }
        state.is_dirty = true;
    }

    /// Writes the checkpoint if there is anything new. After `Ok` the file says all that was
    /// known when this was called, whoever has written it.
    pub(crate) async fn write(&self) -> Result<()> {
        let _turn = self.writing.lock().await;
        let checkpoint = {
            let mut state = self.state();
            if !std::mem::take(&mut state.is_dirty) {
                return Ok(());
            }
            state.checkpoint.clone()
        };
        let reserved = checkpoint.reserved;
        let folder = Arc::clone(&self.folder);
        let written = tokio::task::spawn_blocking(move || folder.write(&checkpoint)).await;
        let written = written.context("writing the checkpoint").flatten();
        let mut state = self.state();
        match written {
            Ok(()) => state.reserved_in_file = reserved,
            // Somebody may wait for his turn to write the same: he must not take it for written.
            Err(_) => state.is_dirty = true,
        }
        written
    }

    /// Writes the checkpoint at the end of a run in order: numbers that were
    /// reserved, and have not left for the outside world, are free again.
    pub(crate) async fn write_last(&self, n_tried: u64) -> Result<()> {
        {
            let mut state = self.state();
            let reserved = state.checkpoint.next_entry.max(self.first + n_tried);
            state.is_dirty |= reserved != state.checkpoint.reserved;
            state.checkpoint.reserved = reserved;
        }
        self.write().await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::path::{Path, PathBuf};

    use proptest::prelude::*;
    use serde_json::json;
    use tokio::runtime::{Builder, Runtime};

    use super::*;

    /// A folder whose checkpoint can be kept from being written.
    struct Disk(tempfile::TempDir);

    impl Disk {
        fn new() -> Self {
            Disk(tempfile::tempdir().unwrap())
        }

        fn path(&self) -> &Path {
            self.0.path()
        }

        fn obstacle(&self) -> PathBuf {
            self.path().join("in.json.new")
        }

        /// Nothing can be written until it is freed.
        fn fill(&self) {
            // What a crash has left there goes first.
            let _ = std::fs::remove_file(self.obstacle());
            std::fs::create_dir_all(self.obstacle()).unwrap();
        }

        fn free(&self) {
            let _ = std::fs::remove_dir(self.obstacle());
        }

        fn resume(&self, numbering: Numbering) -> (Numbers, Start) {
            let folder = Arc::new(Folder::open(self.path()).unwrap());
            let fresh = Checkpoint::new("p", "in", "test", "a".into());
            Numbers::resume(folder, fresh, |old| old, numbering, false).unwrap()
        }

        fn reserved(&self) -> u64 {
            let all = crate::checkpoints(self.path()).unwrap();
            all.first().map_or(0, |checkpoint| checkpoint.reserved)
        }
    }

    fn progress(n_items: u64, position: u64) -> Progress {
        Progress { position: Some(Position(json!(position))), n_items }
    }

    #[tokio::test]
    async fn a_reservation_that_another_write_has_failed_to_keep_is_not_taken_for_kept() {
        let disk = Disk::new();
        let (numbers, _) = disk.resume(Numbering::Anew);
        numbers.reserve(10).await.unwrap();
        // Somebody writes; behind him the keeper queues, and behind him the source.
        let writing = numbers.writing.lock().await;
        numbers.delivered(progress(10, 10));
        disk.fill();
        let release = async { drop(writing) };
        let (kept, reserved, ()) = tokio::join!(numbers.write(), numbers.reserve(5_000), release);
        assert!(kept.is_err());
        assert!(reserved.is_err(), "no file holds the numbers up to 5000");
        assert!(disk.reserved() < 5_000);
        assert!(numbers.reserve(5_000).await.is_err(), "nor does one now");
        disk.free();
        numbers.reserve(5_000).await.unwrap();
        assert!(disk.reserved() >= 5_000);
    }

    #[tokio::test]
    async fn what_could_not_be_written_is_written_with_the_next_try() {
        let disk = Disk::new();
        let (numbers, _) = disk.resume(Numbering::Replayed);
        numbers.delivered(progress(3, 3));
        disk.fill();
        numbers.write().await.unwrap_err();
        disk.free();
        numbers.write().await.unwrap();
        drop(numbers);
        assert_eq!(disk.resume(Numbering::Replayed).1.position, Some(Position(json!(3))));
    }

    /// What happens to a source that counts.
    #[derive(Clone, Copy, Debug)]
    enum Event {
        /// It reads so many and numbers them; the keeper may write meanwhile.
        Read { n: u64, beside_keeper: bool },
        /// Of what it has numbered in this run, this share has been delivered (in 255ths).
        Delivered(u8),
        /// The keeper writes.
        Kept,
        /// The disk is full, or is not any more.
        Disk { is_full: bool },
        /// It dies: at once, or with both of them writing and polled so often.
        Crashed { n_polls: u8 },
        /// It ends in order; this share of what it has numbered left for the outside world.
        Ended(u8),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            4 => (1_u64..3_000, any::<bool>()).prop_map(|(n, beside_keeper)| Event::Read { n, beside_keeper }),
            2 => any::<u8>().prop_map(Event::Delivered),
            2 => Just(Event::Kept),
            1 => any::<bool>().prop_map(|is_full| Event::Disk { is_full }),
            2 => (0_u8..4).prop_map(|n_polls| Event::Crashed { n_polls }),
            1 => any::<u8>().prop_map(Event::Ended),
        ]
    }

    /// One run of the source, and what the test knows of it.
    struct Life {
        numbers: Numbers,
        runtime: Runtime,
        /// The place in the source at which this run began to read.
        start: u64,
        n_given: u64,
        n_delivered: u64,
    }

    impl Life {
        fn begin(disk: &Disk, numbering: Numbering) -> Self {
            let (numbers, start) = disk.resume(numbering);
            let start = start.position.map_or(0, |position| position.0.as_u64().unwrap());
            let runtime = Builder::new_current_thread().build().unwrap();
            Life { numbers, runtime, start, n_given: 0, n_delivered: 0 }
        }

        /// Answers with the numbers and the places of what was read.
        fn read(&mut self, n: u64, beside_keeper: bool) -> Vec<(u64, u64)> {
            let reserve = self.numbers.reserve(self.n_given + n);
            let reserved = self.runtime.block_on(async {
                if beside_keeper { tokio::join!(self.numbers.write(), reserve).1 } else { reserve.await }
            });
            if reserved.is_err() {
                return Vec::new();
            }
            let items = self.n_given..self.n_given + n;
            self.n_given += n;
            items.map(|item| (self.numbers.entry(item).number, self.start + item)).collect()
        }

        fn crash(self, n_polls: u8) {
            self.runtime.block_on(async {
                let reserve = self.numbers.reserve(self.n_given + 5_000);
                let both = async { tokio::join!(self.numbers.write(), reserve) };
                tokio::pin!(both);
                for _ in 0..n_polls {
                    if futures_util::poll!(&mut both).is_ready() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
            });
            // A write that is under way ends before the file is looked at again.
            drop(self.runtime);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn no_number_is_given_twice_and_none_to_another_record(
            events in proptest::collection::vec(event(), 1..20),
        ) {
            for numbering in [Numbering::Anew, Numbering::Replayed] {
                let disk = Disk::new();
                let mut given = HashSet::new();
                let mut life = Life::begin(&disk, numbering);
                for &event in &events {
                    match event {
                        Event::Read { n, beside_keeper } => {
                            for (number, place) in life.read(n, beside_keeper) {
                                if numbering == Numbering::Replayed {
                                    prop_assert_eq!(number, place);
                                } else {
                                    prop_assert!(given.insert(number), "{} is given twice", number);
                                }
                            }
                        }
                        Event::Delivered(share) => {
                            life.n_delivered = life.n_delivered.max(life.n_given * u64::from(share) / 255);
                            life.numbers.delivered(progress(life.n_delivered, life.start + life.n_delivered));
                        }
                        Event::Kept => drop(life.runtime.block_on(life.numbers.write())),
                        Event::Disk { is_full: true } => disk.fill(),
                        Event::Disk { is_full: false } => disk.free(),
                        Event::Crashed { n_polls } => {
                            life.crash(n_polls);
                            life = Life::begin(&disk, numbering);
                        }
                        Event::Ended(share) => {
                            let n_tried = life.n_delivered.max(life.n_given * u64::from(share) / 255);
                            if life.runtime.block_on(life.numbers.write_last(n_tried)).is_ok() {
                                // Nobody outside has seen the rest.
                                for item in n_tried..life.n_given {
                                    given.remove(&life.numbers.entry(item).number);
                                }
                            }
                            drop(life);
                            life = Life::begin(&disk, numbering);
                        }
                    }
                }
            }
        }
    }
}
