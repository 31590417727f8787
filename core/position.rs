//! Positions: where a source resumes after a restart.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Where a source resumes: a value of the source's own type.
///
/// It becomes JSON only when a checkpoint is written, at most once a second.
#[derive(Clone)]
pub struct Position(Arc<dyn PositionValue>);

trait PositionValue: Any + Send + Sync {
    fn to_json(&self) -> serde_json::Result<Value>;
}

impl<T: Serialize + Any + Send + Sync> PositionValue for T {
    fn to_json(&self) -> serde_json::Result<Value> {
        serde_json::to_value(self)
    }
}

impl Position {
    /// A position; a later version of the source must be able to read it as JSON.
    pub fn new<T: Serialize + Any + Send + Sync>(value: T) -> Self {
        Position(Arc::new(value))
    }

    /// The value that [`Position::new`] was given, if it has that type.
    pub fn downcast_ref<T: Any>(&self) -> Option<&T> {
        (self.0.as_ref() as &dyn Any).downcast_ref()
    }

    /// The position as it is stored in a checkpoint.
    pub fn to_json(&self) -> Result<Value> {
        self.0.to_json().context("writing the position as JSON")
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Position").field(&self.0.to_json()).finish()
    }
}

impl PartialEq for Position {
    fn eq(&self, other: &Self) -> bool {
        matches!((self.0.to_json(), other.0.to_json()), (Ok(one), Ok(other)) if one == other)
    }
}

/// Knows the position after each item of a batch.
///
/// Items are the records and the rejects of the batch, in the order in which they were read. A
/// position is complete: it also covers everything that was read before the batch.
pub trait Positions: Send + Sync {
    /// The position once the first `n_items` items have been delivered.
    fn after(&self, n_items: usize) -> Position;
}

impl<F: Fn(usize) -> Position + Send + Sync> Positions for F {
    fn after(&self, n_items: usize) -> Position {
        self(n_items)
    }
}

/// Where a source starts to read.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// The last committed position, as it was stored; `None` at the first start.
    pub position: Option<Value>,
    /// Ignore all positions, also those that another system keeps (`--from-start`).
    pub from_start: bool,
}

impl Start {
    /// The last committed position; an error if it is not a `T`.
    pub fn position<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let Some(position) = &self.position else { return Ok(None) };
        T::deserialize(position)
            .map(Some)
            .context("the position in the checkpoint was not written by this source")
    }
}
