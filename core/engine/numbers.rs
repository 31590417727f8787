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
    step: u64,
    /// Whether the file says less than `checkpoint`.
    is_dirty: bool,
}

impl Numbers {
    /// Takes up a source's past. `fresh` is the checkpoint of one without any.
    pub(crate) fn resume(
        folder: Arc<Folder>,
        fresh: Checkpoint,
        numbering: Numbering,
        from_start: bool,
    ) -> Result<(Self, Start)> {
        let mut checkpoint = match folder.read(&fresh.component) {
            _ if from_start => fresh,
            Ok(None) => fresh,
            Ok(Some(old)) if old.plugin == fresh.plugin && old.identity == fresh.identity => {
                match numbering {
                    Numbering::Replayed => old,
                    Numbering::Anew | Numbering::Carried => Checkpoint { next_entry: old.reserved, ..old },
                }
            }
            Ok(Some(old)) => {
                tracing::info!(
                    component = fresh.component,
                    "reads {} `{}` from its start, where the last run read {} `{}`; numbering goes on at {}",
                    fresh.plugin,
                    fresh.identity,
                    old.plugin,
                    old.identity,
                    old.reserved
                );
                Checkpoint { next_entry: old.reserved, reserved: old.reserved, ..fresh }
            }
            Err(error) => return Err(error),
        };
        checkpoint.reserved = checkpoint.reserved.max(checkpoint.next_entry);
        let start = Start { position: checkpoint.position.clone().map(Position), from_start };
        let numbers = Numbers {
            folder,
            source: Name::new(&format!("{}/{}", checkpoint.pipeline, checkpoint.component)),
            first: checkpoint.next_entry,
            state: Mutex::new(State { checkpoint, step: FIRST_STEP, is_dirty: from_start }),
            writing: tokio::sync::Mutex::default(),
        };
        Ok((numbers, start))
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
            if needed <= state.checkpoint.reserved {
                return Ok(());
            }
            state.checkpoint.reserved = needed + state.step;
            state.step = (state.step * 2).min(LAST_STEP);
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

    /// Writes the checkpoint if there is anything new.
    pub(crate) async fn write(&self) -> Result<()> {
        let _turn = self.writing.lock().await;
        let checkpoint = {
            let mut state = self.state();
            if !std::mem::take(&mut state.is_dirty) {
                return Ok(());
            }
            state.checkpoint.clone()
        };
        let folder = Arc::clone(&self.folder);
        let written = tokio::task::spawn_blocking(move || folder.write(&checkpoint)).await;
        written.context("writing the checkpoint")?
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
