//! The header: the row that names the columns, and how rows are distinguished from it and from other lines.
//!
//! `names` reads the names of the columns. `repeated` finds the header between the rows of joined files.
//! `non_row_lines` knows the lines that programs print before the header, under it and behind the rows.

mod names;
mod non_row_lines;
mod repeated;

pub(crate) use names::{BYTE_ORDER_MARK, RUNS_OF_BLANKS, column_names, encoding_advice, unknown_column};
pub(crate) use non_row_lines::{
    END_OF_TEXT, check_sep_line, is_fixed_width_underline, is_row_count, is_underline_of, sep_line_delimiter,
};
pub(crate) use repeated::{HeaderRow, without_marks};

/// The header of a text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Header {
    /// The names of the columns, which the options may replace.
    pub(crate) names: Vec<String>,
    /// The row as it is written; empty if there is none.
    pub(crate) raw: Vec<u8>,
    /// Its line, or that of the first row if there is none.
    pub(crate) line: u64,
    /// Whether a line of dashes is under it, as in a report.
    pub(crate) is_underlined: bool,
}
