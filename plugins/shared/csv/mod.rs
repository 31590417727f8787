//! CSV parsing: rows, cells, and the types of columns.
//!
//! `scan` implements the grammar, `types` the column types, `layout` combines both,
//! and `document` reads a whole CSV text in memory.

mod document;
mod header;
mod layout;
mod scan;
mod types;

pub(crate) use document::DocumentReader;
pub(crate) use header::{BYTE_ORDER_MARK, column_names, likely_delimiter, unknown_column, unnamed_column};
pub(crate) use layout::{Dialect, RowLayout, RowLocation, TableBuilder, reject};
pub(crate) use scan::{Next, QuoteError, Span, next_row};
pub(crate) use types::{Inference, Types, name_of};
