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
pub(crate) use header::{BYTE_ORDER_MARK, column_names, nameless, other_delimiter, undeclared};
pub(crate) use layout::{Dialect, Layout, Place, TableBuilder, reject};
pub(crate) use scan::{Next, Slip, Span, next_row};
pub(crate) use types::{Inference, Types, name_of};
