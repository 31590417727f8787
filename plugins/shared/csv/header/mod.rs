//! The header: the row that names the columns, and how rows are told from it and from other lines.
//!
//! `names` reads the names of the columns. `repeated` finds the header between the rows of joined files.
//! `non_row_lines` knows the lines that programs print before the header, under it and behind the rows.

mod names;
mod non_row_lines;
mod repeated;

pub(crate) use names::{BYTE_ORDER_MARK, column_names, encoding_advice, unknown_column};
pub(crate) use non_row_lines::{
    END_OF_TEXT, check_separator, is_count, is_fixed_width_rule, is_rule_under, separator_line,
};
pub(crate) use repeated::HeaderRow;
