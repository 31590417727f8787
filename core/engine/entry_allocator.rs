//! Gives entry numbers, and records in the checkpoint which may have been given.
//!
//! Numbers are reserved before they are used. When a source can no longer read what it has read
//! (its block was edited, its API answers differently), counting continues after every number that
//! may have been stored.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};

use super::ack_tracker::Progress;
use crate::checkpoint::{Checkpoint, Folder};
use crate::entry_number::{EntryNumber, Incarnation};
use crate::position::{Position, Start};
use crate::record::Name;
use crate::saved_state::SourceStates;
use crate::source::Replay;

/// The first reservation; each further one is twice as long, up to the last.
const FIRST_STEP: u64 = 1 << 10;
const LAST_STEP: u64 = 1 << 20;

/// The entry numbers of one source, and its checkpoint.
#[derive(Debug)]
pub(crate) struct EntryAllocator {
    folder: Arc<Folder>,
    source: Name,
    /// Whether the source had no checkpoint.
    is_new: bool,
    incarnation: Incarnation,
    /// The number of the first item of this run.
    first: u64,
    /// Earlier runs may have stored records under all numbers before this one.
    reserved_before: u64,
    state: Mutex<State>,
    /// What transforms save with the position.
    states: SourceStates,
    /// Held while the file is written, so that no older state replaces a newer one.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    checkpoint: Checkpoint,
    /// The position that `checkpoint` does not hold yet.
    position: Option<Position>,
    /// What the file says of `checkpoint.reserved`; no number from there on may be given.
    reserved_in_file: u64,
    step: u64,
    /// Whether the file is older than `checkpoint`.
    is_dirty: bool,
}

impl EntryAllocator {
    /// Resumes a source from its checkpoint, after `migrate` has adapted that. `fresh` is the
    /// checkpoint of a source without any.
    pub(crate) fn resume(
        folder: Arc<Folder>,
        fresh: Checkpoint,
        migrate: impl FnOnce(Checkpoint) -> Checkpoint,
        replay: Replay,
        from_start: bool,
    ) -> Result<(Self, Start)> {
        let saved = if from_start { None } else { folder.read(&fresh.component)? };
        let is_new = saved.is_none();
        let mut checkpoint = match saved.map(migrate) {
            None => fresh,
            Some(saved) => {
                if !saved.matches(&fresh) {
                    tracing::warn!(
                        component = fresh.component,
                        "the checkpoint is for {} `{}`, so its position is not used; reading {} `{}` from the \
                         beginning, next entry number {}",
                        saved.plugin,
                        saved.identity,
                        fresh.plugin,
                        fresh.identity,
                        saved.reserved
                    );
                }
                saved.resume(fresh, replay)
            }
        };
        // With `from_start` the file may reserve more, for numbers that are to be forgotten. A new incarnation must be
        // in the file before any record leaves with it.
        let reserved_in_file = if checkpoint.incarnation.is_some() { checkpoint.reserved } else { 0 };
        let incarnation = *checkpoint.incarnation.get_or_insert_with(Incarnation::random);
        let start = Start { position: checkpoint.position.clone(), from_start };
        let entries = EntryAllocator {
            folder,
            source: Name::new(&format!("{}/{}", checkpoint.pipeline, checkpoint.component)),
            is_new,
            incarnation,
            first: checkpoint.next_entry,
            reserved_before: checkpoint.reserved,
            state: Mutex::new(State {
                checkpoint,
                position: None,
                reserved_in_file,
                step: FIRST_STEP,
                is_dirty: from_start,
            }),
            states: SourceStates::default(),
            writing: tokio::sync::Mutex::default(),
        };
        Ok((entries, start))
    }

    /// Gives transforms what they have saved with the position, and saves with it from now on.
    pub(crate) fn resume_states(&mut self, states: SourceStates) -> Result<()> {
        states.resume(&self.state().checkpoint.states)?;
        self.states = states;
        Ok(())
    }

    /// Whether the source had no checkpoint.
    pub(crate) fn is_new(&self) -> bool {
        self.is_new
    }

    /// Restarts at `position` with numbers that were never given: those after the saved position
    /// may have gone to other records.
    pub(crate) fn restart_at(&mut self, position: Position) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let checkpoint = &mut state.checkpoint;
        if checkpoint.next_entry < checkpoint.reserved {
            tracing::warn!(
                component = checkpoint.component,
                "unread input has changed since the last run; continuing with entry {}; records after entry {} may \
                 be delivered twice",
                checkpoint.reserved,
                checkpoint.next_entry
            );
        }
        checkpoint.next_entry = checkpoint.reserved;
        self.first = checkpoint.next_entry;
        state.position = Some(position);
        state.is_dirty = true;
    }

    /// The number of an item, counted from the first one of this run.
    pub(crate) fn entry(&self, item: u64) -> EntryNumber {
        EntryNumber::new(self.first + item, self.source).of_incarnation(Some(self.incarnation))
    }

    /// Makes sure, durably, that the first `n_items` of this run may be numbered.
    pub(crate) async fn reserve(&self, n_items: u64) -> Result<()> {
        {
            let mut state = self.state();
            let needed = self.first + n_items;
            if needed <= state.reserved_in_file {
                return Ok(());
            }
            // Otherwise they are reserved already, and writing that to the file has failed.
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
        if progress.position.is_some() {
            state.position = progress.position;
        }
        // Under the lock: the states and the position cover the same records.
        self.states.advance(progress.n_items);
        state.is_dirty = true;
    }

    /// Writes the checkpoint if there is anything new. After `Ok` the file holds everything that
    /// was known when this was called, whichever caller has written it.
    pub(crate) async fn write(&self) -> Result<()> {
        let _turn = self.writing.lock().await;
        let checkpoint = {
            let mut state = self.state();
            if !state.is_dirty {
                return Ok(());
            }
            if let Some(position) = &state.position {
                state.checkpoint.position = Some(position.to_json()?);
                state.position = None;
            }
            state.checkpoint.states = self.states.save();
            state.is_dirty = false;
            state.checkpoint.clone()
        };
        let reserved = checkpoint.reserved;
        let folder = Arc::clone(&self.folder);
        let written = tokio::task::spawn_blocking(move || folder.write(&checkpoint)).await;
        let written = written.context("writing the checkpoint").flatten();
        let mut state = self.state();
        match written {
            Ok(()) => state.reserved_in_file = reserved,
            // Another caller may wait to write the same, and must not find it written.
            Err(_) => state.is_dirty = true,
        }
        written
    }

    /// Writes the checkpoint at the regular end of a run: numbers that this run has reserved, and
    /// that no sink was asked to write, are free again.
    pub(crate) async fn write_last(&self, n_tried: u64) -> Result<()> {
        {
            let mut state = self.state();
            let reserved = self.reserved_before.max(state.checkpoint.next_entry).max(self.first + n_tried);
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
