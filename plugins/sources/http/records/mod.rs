//! From items to records: `remap`, then `add`, then batches.
//!
//! `make` applies the program of `remap` and the fields of `add` to the items of a page. `emit` skips what was delivered before
//! and emits the others in batches, with a position after each record.

mod add;
mod emit;
mod make;
mod remap;

pub(crate) use self::add::{Add, AddedFields};
pub(crate) use self::make::{ShapedRecord, array_of, made_of_answer, made_of_value};
pub(crate) use self::remap::{Metadata, On, Remap, RemapConfig, metadata};
