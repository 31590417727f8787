//! The source: polls at an interval, walks the elements of a poll one after another, and fetches their pages.
//!
//! `http` is the state machine. A `poll` has elements; a `page_walk` reads the pages of one of them, with the request of
//! `walk_request`. `position` is what a checkpoint saves. `warnings` are given once per run. `fixture` reads a file in place of
//! the API in tests of a pipeline.

mod fixture;
mod http;
mod page_walk;
mod poll;
mod position;
mod settings;
mod walk_request;
mod warnings;

pub(crate) use self::http::{Http, State};
pub(crate) use self::page_walk::{Follow, Walk};
#[cfg(test)]
pub(crate) use self::position::ElementState;
pub(crate) use self::position::{
    ElementPosition, FoundRecords, HttpPosition, RecordsHash, Validators, WalkSnapshot,
};
pub(crate) use self::settings::Settings;
pub(crate) use self::warnings::Hint;
