//! Programs in VRL: compiled when a pipeline file is read, then run on the bodies of records.
//!
//! Without the feature `remap` the options are the same, and every program is refused with the
//! name of the feature.

#![cfg_attr(not(feature = "remap"), allow(dead_code, reason = "no program is compiled"))]

mod text;

#[cfg(not(feature = "remap"))]
mod absent;
#[cfg(feature = "remap")]
mod append;
#[cfg(feature = "remap")]
mod compile;
#[cfg(feature = "remap")]
mod functions;
#[cfg(feature = "remap")]
mod guards;
#[cfg(feature = "remap")]
mod limits;
#[cfg(feature = "remap")]
mod metadata;
#[cfg(feature = "remap")]
mod multiply;
#[cfg(feature = "remap")]
mod program;
#[cfg(feature = "remap")]
mod reason;
#[cfg(feature = "remap")]
mod rewrite;
#[cfg(feature = "remap")]
mod syntax;
#[cfg(feature = "remap")]
mod target;
#[cfg(test)]
#[cfg(feature = "remap")]
mod tests;
#[cfg(feature = "remap")]
mod value;

use bytes::Bytes;
use runner_core::Body;

#[cfg(not(feature = "remap"))]
pub(crate) use absent::{Metadata, Program, on_large_stack};
#[cfg(feature = "remap")]
pub(crate) use limits::on_large_stack;
#[cfg(feature = "remap")]
pub(crate) use metadata::Metadata;
#[cfg(feature = "remap")]
pub(crate) use program::Program;
pub(crate) use text::ProgramText;

/// What `.` is at the start of a program.
pub(crate) enum Input<'a> {
    /// The value that a body holds; null for a tombstone.
    Body(&'a Body),
    /// The value that a JSON text holds.
    Json(&'a [u8]),
    /// This text, as it is.
    Text(Bytes),
}

/// What a program makes of a record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Made {
    /// Nothing: the program has called `abort`, or has left null.
    Nothing,
    /// One value, as JSON.
    One(Bytes),
    /// The elements of an array, each as JSON.
    Many(Vec<Bytes>),
}
