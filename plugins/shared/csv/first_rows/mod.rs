//! The first rows of a text: the types that they suggest, and what is unusual about them.
//!
//! `inference` observes the rows one by one. From each it takes the types of the columns, and the hints at options that are
//! missing: `option_hints` and `cell_counts` for each column, `row_hints` and `row_width` for the rows. `warnings` and
//! `column_warnings` put the hints into words.

mod cell_counts;
mod column_warnings;
mod inference;
mod option_hints;
mod row_hints;
mod row_width;
mod warnings;

pub(crate) use inference::{Inference, SAMPLE};
pub(crate) use option_hints::OptionHints;
pub(crate) use row_hints::comment_mark;
pub(crate) use row_width::wider_rows;
