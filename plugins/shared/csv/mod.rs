//! CSV: rows out of bytes, and the types of their columns.
//!
//! `scan` knows the grammar, `types` what a cell may be, `layout` puts the two
//! together, and `answer` is all of it for bytes that are in memory as a whole.

mod answer;
mod header;
mod layout;
mod scan;
mod types;

pub(crate) use answer::Answers;
