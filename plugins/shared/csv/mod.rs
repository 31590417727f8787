//! CSV parsing: rows, cells, and the types of columns.
//!
//! Each folder uses only those before it:
//!
//! 1. [`encoding`] turns text of other encodings into UTF-8.
//! 2. [`rows`] finds the rows and cells in bytes.
//! 3. [`types`] knows numbers and the types of columns.
//! 4. [`dialect`] has the options that decide what a row means.
//! 5. [`header`] reads the names of the columns, and distinguishes rows from other lines.
//! 6. [`first_rows`] infers types from the first rows, and warns of what is unusual about them.
//! 7. [`table`] adds rows to a table, or says why it rejects them.
//! 8. [`document`] reads a whole text, such as the response of an API.

mod dialect;
mod document;
mod encoding;
mod first_rows;
mod header;
mod rows;
mod table;
mod types;

pub(crate) use dialect::{
    CellTexts, Comment, Delimiter, Dialect, DialectOptions, Escape, ExtraCells, MissingCells,
    NumberSeparator, Quote, default_null_values, with_dialect_options,
};
pub(crate) use document::{Document, DocumentReader, OtherColumns, SavedColumns};
pub(crate) use encoding::{TextEncoding, Transcoder};
pub(crate) use first_rows::{Inference, wider_rows};
pub(crate) use header::{
    BYTE_ORDER_MARK, END_OF_TEXT, Header, check_sep_line, column_names, is_fixed_width_underline,
    is_underline_of, sep_line_delimiter, unknown_column,
};
pub(crate) use rows::{
    Grammar, Next, NonRow, QuoteError, RowError, RowLocation, Span, count_line_ends, first_line_end,
};
pub(crate) use table::{RowLayout, TableBuilder, reject};
pub(crate) use types::{DeclaredColumn, Types, type_name, types_schema};
