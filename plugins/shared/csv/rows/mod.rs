//! Rows and cells: where they begin and end in the bytes of a text.
//!
//! `scan` has the usual grammar and `grammar` all others, which the options of a dialect describe. `blanks` are the
//! characters that `trim` removes. `error` gives a row that is not valid its line and column.

mod blanks;
mod error;
mod grammar;
mod scan;

pub(crate) use blanks::is_blank;
pub(crate) use error::{OtherLine, RowError, RowLocation};
pub(crate) use grammar::Grammar;
pub(crate) use scan::{Next, QuoteError, Rows, ScannedRow, Span, cells, count_line_ends, next_row, split};
