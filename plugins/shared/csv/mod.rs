//! CSV parsing: rows, cells, and the types of columns.
//!
//! `scan` and `grammar` divide text into rows and cells, `types`, `number` and `inference` are about column
//! types, `layout` combines them, and `document` reads a whole CSV text in memory. `encoding` turns other
//! encodings into UTF-8. `report_lines` and `header_row` recognize lines that are not rows. `header_warnings`, `reasons`,
//! `readings` and `date_pattern` name the option that would read what does not fit.

mod blanks;
mod cells;
mod characters;
mod date_pattern;
mod dialect;
mod document;
mod encoding;
mod grammar;
mod header;
mod header_row;
mod header_warnings;
mod inference;
mod layout;
mod number;
mod options;
mod readings;
mod reasons;
mod report_lines;
mod row_error;
mod row_signs;
mod scan;
mod types;
mod types_option;
mod wide_rows;

pub(crate) use characters::{Comment, Delimiter, Escape, Mark, Quote};
pub(crate) use dialect::Dialect;
pub(crate) use document::{Document, DocumentReader};
pub(crate) use encoding::{TextEncoding, Transcoder};
pub(crate) use grammar::Grammar;
pub(crate) use header::{BYTE_ORDER_MARK, column_names, unknown_column};
pub(crate) use header_warnings::Header;
pub(crate) use inference::Inference;
pub(crate) use layout::{RowLayout, TableBuilder, reject};
pub(crate) use options::{
    DialectOptions, ExtraCells, MissingCells, default_null_values, default_true, types_schema,
};
pub(crate) use report_lines::{
    END_OF_TEXT, check_separator, is_fixed_width_rule, is_rule_under, separator_line,
};
pub(crate) use row_error::{OtherLine, RowError, RowLocation};
pub(crate) use scan::{Next, QuoteError, Span, count_line_ends, next_row};
pub(crate) use types::{DeclaredColumn, Types, name_of};
pub(crate) use wide_rows::wider_rows;
