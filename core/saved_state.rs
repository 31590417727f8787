//! State of a transform that is saved with the positions that it covers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// Where a record is in the reading order of its source, in this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadOrder {
    /// The source, by a number that it has in this run.
    pub source: usize,
    /// How many items the source had read before. The parts of a split record have the same.
    pub item: u64,
}

/// What a transform knows of records that it has seen, and needs after a restart.
///
/// A checkpoint holds, with the position of a source, the state that the records before this
/// position have left, and nothing of the records after it: they will be read again. So the
/// transform notes for each record its [`ReadOrder`], before it sends it on, and the engine says how
/// far all has been delivered. A source that keeps its position in another system has no
/// checkpoint, and its records leave no state.
pub trait SavedState: Send + Sync {
    /// A source that has a checkpoint resumes, with the state that was saved with its position;
    /// `None` if there is none. Called before the first record.
    fn resume(&self, source: usize, saved: Option<&Value>) -> Result<()>;

    /// The first `n_items` items of this run have been delivered; the number never falls.
    fn advance(&self, source: usize, n_items: u64);

    /// The state after the items that `advance` has named last.
    fn save(&self, source: usize) -> Value;
}

/// The states that are saved in the checkpoint of one source.
#[derive(Clone, Default)]
pub(crate) struct SourceStates {
    source: usize,
    /// By the names of the transforms.
    states: Vec<(String, Arc<dyn SavedState>)>,
}

impl SourceStates {
    pub(crate) fn new(source: usize, states: Vec<(String, Arc<dyn SavedState>)>) -> Self {
        SourceStates { source, states }
    }

    pub(crate) fn resume(&self, saved: &BTreeMap<String, Value>) -> Result<()> {
        for (name, state) in &self.states {
            let resumed = state.resume(self.source, saved.get(name));
            resumed.with_context(|| format!("reading the state of `{name}` in the checkpoint"))?;
        }
        Ok(())
    }

    pub(crate) fn advance(&self, n_items: u64) {
        self.states.iter().for_each(|(_, state)| state.advance(self.source, n_items));
    }

    pub(crate) fn save(&self) -> BTreeMap<String, Value> {
        self.states.iter().map(|(name, state)| (name.clone(), state.save(self.source))).collect()
    }
}

impl fmt::Debug for SourceStates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.states.iter().map(|(name, _)| name)).finish()
    }
}
