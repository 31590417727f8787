//! Programs in VRL: compiled when a pipeline file is read, then run on the bodies of records.
//!
//! Without the feature `remap` the options are the same, and every program is refused with the
//! name of the feature.

#![cfg_attr(not(feature = "remap"), allow(dead_code, reason = "no program is compiled"))]

mod text;

#[cfg(not(feature = "remap"))]
mod absent;
#[cfg(feature = "remap")]
mod compiled;

use bytes::Bytes;
use runner_core::Body;

#[cfg(not(feature = "remap"))]
use absent as engine;
#[cfg(feature = "remap")]
use compiled as engine;

pub(crate) use engine::{Metadata, Program, on_large_stack};
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
pub(crate) enum ProgramResult {
    /// Nothing: the program has called `abort`, or has left null.
    Nothing,
    /// One value, as JSON.
    One(Bytes),
    /// The elements of an array, each as JSON.
    Many(Vec<Bytes>),
}
