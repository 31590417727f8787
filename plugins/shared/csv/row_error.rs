//! Why a row is not valid, and where.

use anyhow::Error;
use runner_core::{ColumnType, Name};

use super::cells::CellTexts;
use super::header::encoding_advice;
use super::layout::RowLayout;
use super::scan::{QuoteError, cells, count_line_ends};
use super::types::{name_of, narrowest};
use crate::shared::values::TypeName;

/// Why a row is not valid. The message contains no value of the row.
#[derive(Debug)]
pub(crate) struct RowError {
    /// Byte offset from the start of the row.
    pub(crate) at: usize,
    /// What is wrong and what to do.
    pub(crate) message: String,
}

/// The location of a row, for messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowLocation {
    /// The file or URL, as messages show it.
    pub(crate) source: Name,
    /// The physical line, counted from 1.
    pub(crate) line: u64,
}

impl RowLocation {
    /// An error with the line and column of `error.at`.
    pub(crate) fn error(&self, row: &[u8], error: &RowError) -> Error {
        let (line, column) = self.of(row, error.at);
        Error::msg(format!("{}:{line}:{column}: {}", self.source, error.message))
    }

    /// An error for invalid quoting.
    pub(crate) fn bad_quotes(&self, row: &[u8], quote_error: QuoteError) -> Error {
        let (at, message) = match quote_error {
            QuoteError::Unclosed(at) | QuoteError::ClosedByAnother(at) => (
                at,
                "the quote that opens here is never closed; close it, or double it if it is a character. If quotes \
                 have no meaning in this file, set quote = \"\""
                    .into(),
            ),
            QuoteError::TextAfterQuote { cell, text } => {
                let (line, column) = self.of(row, cell);
                let message = format!(
                    "there is text after the closing quote of the cell that begins at {line}:{column}; a quote \
                     inside a quoted cell is written twice (\"\"), and one that opens a cell must be closed. See \
                     the options `escape`, `quote` and `trim`"
                );
                (text, message)
            }
        };
        self.error(row, &RowError { at, message })
    }

    /// The physical line and column of the byte at `at`; a row with quoted line ends has several lines.
    fn of(&self, row: &[u8], at: usize) -> (u64, usize) {
        let start = row[..at].iter().rposition(|byte| matches!(byte, b'\n' | b'\r')).map_or(0, |end| end + 1);
        let column = String::from_utf8_lossy(&row[start..at]).chars().count() + 1;
        (self.line + count_line_ends(&row[..start]), column)
    }
}

impl RowLayout {
    /// The row has another number of cells than its file has columns.
    pub(super) fn wrong_width(&self, row: &[u8], texts: &CellTexts) -> RowError {
        let (n_cells, n_columns) = (texts.len(), self.n_cells());
        let grammar = &self.dialect().grammar;
        let delimiter = char::from(grammar.delimiter).escape_debug();
        let surplus = cells(row, grammar).nth(n_columns);
        let (what, advice) = match &surplus {
            Some(_) if texts.has_text_from(n_columns) => {
                ("too many", format!("remove the extra cells, or quote a cell that contains `{delimiter}`"))
            }
            Some(_) => (
                "too many",
                format!(
                    "the row ends with `{delimiter}`, and the header does not: set extra_cells = \"drop\" to ignore it"
                ),
            ),
            None => (
                "too few",
                "add the missing cells, which may be empty, or set missing_cells = \"null\"".into(),
            ),
        };
        RowError {
            at: surplus.map_or(row.len(), |cell| cell.start),
            message: format!(
                "{what} cells: the row has {n_cells}, the file has {n_columns} columns; {advice}"
            ),
        }
    }

    /// The row has bytes that are not UTF-8.
    pub(super) fn not_utf8(&self, row: &[u8]) -> RowError {
        let dialect = self.dialect();
        let bad = cells(row, &dialect.grammar)
            .enumerate()
            .find_map(|(index, cell)| Some((index, cell.start, std::str::from_utf8(&row[cell]).err()?)));
        let (index, at, n_valid) =
            bad.map_or((0, 0, 0), |(index, at, error)| (index, at, error.valid_up_to()));
        let column = match self.column_of_cell(index) {
            Some(column) => format!("column `{}`", column.name),
            None => format!("cell {}", index + 1),
        };
        let what = if dialect.encoding == "UTF-8" {
            let byte = row.get(at + n_valid).copied().unwrap_or_default();
            format!("byte 0x{byte:02X} at {} of the cell", n_valid + 1)
        } else {
            format!("at character {} of the cell", n_valid + 1)
        };
        let message = format!("{column} is not {}: {what}; {}", dialect.encoding, encoding_advice(dialect));
        RowError { at, message }
    }

    /// The text of a cell does not match the type of its column.
    pub(super) fn misfit(&self, row: &[u8], cell: usize, column: usize, text: &[u8]) -> RowError {
        let dialect = self.dialect();
        let column = &self.header().columns()[column];
        let kind = narrowest(text, dialect.numbers, &mut Vec::new());
        let wider = match (column.kind, kind) {
            (ColumnType::Integer, ColumnType::Integer | ColumnType::Float) => TypeName::Float,
            _ => TypeName::String,
        };
        let expected = match dialect.types.declaration_of(&column.name) {
            Some(declared) => {
                let name = declared.value_type.name();
                let form = match (name, &declared.parse) {
                    (TypeName::Boolean, _) => " (true/false, yes/no, t/f, y/n or 1/0)".to_owned(),
                    (TypeName::Date | TypeName::Timestamp, Some(parse)) => format!(" in the form `{parse}`"),
                    (TypeName::Date | TypeName::Timestamp, None) => {
                        " in the form of ISO 8601 (another form: `parse`)".to_owned()
                    }
                    _ => String::new(),
                };
                format!("{}{form} (declared in the pipeline file)", with_article(name.as_str()))
            }
            None => format!("{} (inferred from its first rows)", with_article(name_of(column.kind))),
        };
        let found = match (kind, text) {
            (_, b"") => "is empty".to_owned(),
            (ColumnType::String, _) => "is text".to_owned(),
            (kind, _) => format!("is {}", with_article(name_of(kind))),
        };
        RowError {
            at: cells(row, &dialect.grammar).nth(cell).map_or(0, |cell| cell.start),
            message: format!(
                "column `{}` is {expected}, and this cell {found}; correct the row, or add to the source: {}",
                column.name,
                dialect.types.line_with(&column.name, wider),
            ),
        }
    }
}

fn with_article(name: &str) -> String {
    let article = if name == "integer" { "an" } else { "a" };
    format!("{article} {name}")
}
