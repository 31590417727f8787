//! Gives entry numbers, and remembers in the checkpoint which have been given.
//!
//! EntryAllocator are reserved ahead of use: when a source can no longer read what it
//! has read (its block was edited, its API answers anew), counting goes on
//! behind everything that may have been stored under an earlier number.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};

use super::ack_tracker::Progress;
use super::checkpoint::{Checkpoint, Folder};
use crate::batch::Position;
use crate::record::{EntryNumber, Name};
use crate::source::{Replay, Start};

/// The first reservation; each further one is twice as long, up to the last.
const FIRST_STEP: u64 = 1 << 10;
const LAST_STEP: u64 = 1 << 20;

/// The numbers of one source and its checkpoint.
#[derive(Debug)]
pub(crate) struct EntryAllocator {
    folder: Arc<Folder>,
    source: Name,
    /// The number of the first item of this run.
    first: u64,
    /// Earlier runs may have stored records under the numbers in front of this one.
    taken: u64,
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

impl EntryAllocator {
    /// Takes up a source's past, as `migrated` sees it. `fresh` is the checkpoint of one without any.
    pub(crate) fn resume(
        folder: Arc<Folder>,
        fresh: Checkpoint,
        migrated: impl FnOnce(Checkpoint) -> Checkpoint,
        numbering: Replay,
        from_start: bool,
    ) -> Result<(Self, Start)> {
        let checkpoint = match folder.read(&fresh.component) {
            _ if from_start => fresh,
            Ok(None) => fresh,
            Ok(Some(old)) => {
                let old = migrated(old);
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
                old.resume_for(fresh, numbering)
            }
            Err(error) => return Err(error),
        };
        // With `from_start` the file may say more, of numbers that are to be forgotten.
        let reserved_in_file = checkpoint.reserved;
        let start = Start { position: checkpoint.position.clone().map(Position), from_start };
        let numbers = EntryAllocator {
            folder,
            source: Name::new(&format!("{}/{}", checkpoint.pipeline, checkpoint.component)),
            first: checkpoint.next_entry,
            taken: checkpoint.reserved,
            state: Mutex::new(State { checkpoint, reserved_in_file, step: FIRST_STEP, is_dirty: from_start }),
            writing: tokio::sync::Mutex::default(),
        };
        Ok((numbers, start))
    }

    /// Begins at `position` with numbers that were never given: those behind it may have gone to other records.
    pub(crate) fn restart_at(&mut self, Position(position): Position) {
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
    pub(crate) fn entry(&self, item: u64) -> EntryNumber {
        EntryNumber { number: self.first + item, source: self.source }
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

    /// Writes the checkpoint at the end of a run in order: numbers that it has
    /// reserved, and that have not left for the outside world, are free again.
    pub(crate) async fn write_last(&self, n_tried: u64) -> Result<()> {
        {
            let mut state = self.state();
            let reserved = self.taken.max(state.checkpoint.next_entry).max(self.first + n_tried);
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
mod tests;
