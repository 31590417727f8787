//! Rows and cells: where they begin and end in the bytes of a text.
//!
//! A [`Grammar`] divides bytes into rows, and rows into cells. `plain` has the usual grammar, which is the fast one, and
//! `grammar` all others. `row` has what both return, and `blanks` the characters that `trim` removes. [`Rows`] goes through
//! a whole text. `error` gives a row that is not valid its line and column.

mod blanks;
mod error;
mod grammar;
mod plain;
mod row;

pub(crate) use blanks::is_blank;
pub(crate) use error::{NonRow, RowError, RowLocation};
pub(crate) use grammar::Grammar;
pub(crate) use plain::split;
pub(crate) use row::{Next, QuoteError, Span, count_line_ends, first_line_end};

/// The rows of a text, or of a part of one, without blank lines.
#[derive(Clone, Debug)]
pub(crate) struct Rows<'a> {
    /// What follows the last row that was taken.
    pub(crate) rest: &'a [u8],
    /// The physical line on which that begins.
    pub(crate) line: u64,
    grammar: &'a Grammar,
    is_last: bool,
}

/// A row of [`Rows`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScannedRow<'a> {
    /// The bytes of the row, without its line end.
    pub(crate) bytes: &'a [u8],
    /// The physical line it begins on, counted from 1.
    pub(crate) line: u64,
    /// Whether the row contains a quote, or belongs to another grammar than the plain one.
    pub(crate) quoted: bool,
    /// Set if the row is not valid.
    pub(crate) error: Option<QuoteError>,
}

impl<'a> Rows<'a> {
    /// The rows of `bytes`, whose first line is `line`. If they are not the last part of a text, a row that may continue
    /// behind them is not among the rows.
    pub(crate) fn of_part(bytes: &'a [u8], grammar: &'a Grammar, line: u64, is_last: bool) -> Self {
        Rows { rest: bytes, grammar, line, is_last }
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = ScannedRow<'a>;

    fn next(&mut self) -> Option<ScannedRow<'a>> {
        loop {
            let (row, line) = (self.rest, self.line);
            let (span, error) = match self.grammar.next_row(row, self.is_last) {
                Next::Row(span) => (span, None),
                Next::BadQuotes(span, error) => (span, Some(error)),
                Next::End | Next::NeedMore => return None,
            };
            self.rest = &row[span.len..];
            self.line += span.n_lines;
            if span.content > 0 {
                return Some(ScannedRow { bytes: &row[..span.content], line, quoted: span.quoted, error });
            }
        }
    }
}

#[cfg(test)]
mod tests;
