//! Why a row is not valid, and where.

use anyhow::Error;
use runner_core::Name;

use super::row::{QuoteError, count_line_ends};

/// Why a row is not valid. The message contains no value of the row.
#[derive(Debug)]
pub(crate) struct RowError {
    /// Byte offset from the start of the row.
    pub(crate) at: usize,
    /// What is wrong and what to do.
    pub(crate) message: String,
    /// Set if the line is not a row, so that nothing is wrong with it.
    pub(crate) non_row: Option<NonRow>,
}

/// A line that is not a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NonRow {
    /// The header again, as in files that were joined.
    RepeatedHeader,
    /// A count of rows, as programs print it behind them.
    RowCount,
}

impl RowError {
    pub(crate) fn new(at: usize, message: String) -> Self {
        RowError { at, message, non_row: None }
    }

    pub(crate) fn of_non_row(line: NonRow) -> Self {
        RowError { at: 0, message: "this line is not a row".into(), non_row: Some(line) }
    }
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
                let is_escaped = memchr::memmem::find(&row[cell..text], b"\\\"").is_some();
                let escape = if is_escaped { ": if `\\\"` is a quote in a cell, set escape = \"\\\\\"" } else { "" };
                let message = message + escape;
                (text, message)
            }
        };
        self.error(row, &RowError::new(at, message))
    }

    /// The physical line and column of the byte at `at`; a row with quoted line ends has several lines.
    fn of(&self, row: &[u8], at: usize) -> (u64, usize) {
        let start = row[..at].iter().rposition(|byte| matches!(byte, b'\n' | b'\r')).map_or(0, |end| end + 1);
        let column = String::from_utf8_lossy(&row[start..at]).chars().count() + 1;
        (self.line + count_line_ends(&row[..start]), column)
    }
}
