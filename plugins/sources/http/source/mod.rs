//! The source: polls at an interval, walks the elements of a poll one after another, and fetches their pages.
//!
//! `http_source` is the state machine. A `poll` has elements. A `page_walk` reads the pages of one of them, with a request that
//! `conditional_request` makes. `position` is what a checkpoint saves. `warnings` are given once per run. `fixture` reads a file
//! in place of the API in tests of a pipeline.

mod conditional_request;
mod fixture;
mod http_source;
mod page_walk;
mod poll;
mod position;
mod settings;
mod warnings;

pub(crate) use self::http_source::{HttpSource, State};
pub(crate) use self::page_walk::{NextStep, PageWalk};
#[cfg(test)]
pub(crate) use self::position::ElementState;
pub(crate) use self::position::{
    ElementPosition, FoundRecords, HttpPosition, RecordsHash, Validators, WalkSnapshot,
};
pub(crate) use self::settings::Settings;
pub(crate) use self::warnings::Warning;
