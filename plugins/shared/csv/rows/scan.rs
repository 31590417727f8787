//! Finds where rows and cells begin and end in the bytes of a file.
//!
//! The plain grammar is that of the `csv` crate (a property test compares both), except that text after
//! the closing quote of a cell is an error, as in RFC 4180: the crate appends it to the cell, so an
//! unclosed quote swallows the rows up to the next quote. Here it affects the line it is on. `csv-core`
//! cannot be used because it returns only unescaped cells: errors and positions need the byte offsets
//! of rows and cells.

use std::ops::Range;

use memchr::{memchr, memchr_iter, memchr2, memchr3};

use super::grammar::Grammar;

/// The result of scanning for the next row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A whole row; one without content is a blank line, which callers skip.
    Row(Span),
    /// The bytes end within a row; the caller must read more.
    NeedMore,
    /// Invalid quoting; the span covers the bytes to skip.
    BadQuotes(Span, QuoteError),
    /// The end of the input.
    End,
}

/// Invalid quoting. Offsets are in bytes from the start of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QuoteError {
    /// The quote of the cell that begins here is not closed before the end of the input. The row ends with the
    /// line of the opening quote, since the next lines are more likely rows than parts of the cell.
    Unclosed(usize),
    /// The quote of the cell that begins here is closed on a later line, by a quote that text follows. The row
    /// ends with the line of the opening quote, too.
    ClosedByAnother(usize),
    /// Text follows the closing quote of a cell on the line where the cell begins. The row ends with that line.
    TextAfterQuote {
        /// Where the cell begins.
        cell: usize,
        /// Where the text after it begins.
        text: usize,
    },
}

/// The extent of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Bytes of the row without its line end; 0 for a blank line and a comment.
    pub(crate) content: usize,
    /// Bytes of the row with its line end.
    pub(crate) len: usize,
    /// Number of line ends in those bytes.
    pub(crate) n_lines: u64,
    /// Whether the row contains a quote, or belongs to another grammar than the plain one.
    pub(crate) quoted: bool,
    /// Whether a line end closes the row; the last one of a file may have none.
    pub(crate) is_closed: bool,
}

/// Scans the first row of `bytes`; `at_end` means that no more bytes follow.
pub(crate) fn next_row(bytes: &[u8], grammar: &Grammar, at_end: bool) -> Next {
    if !grammar.is_plain() {
        return grammar.next_row(bytes, at_end);
    }
    match memchr3(b'\n', b'\r', b'"', bytes) {
        Some(end) if bytes[end] != b'"' => finish_row(bytes, end, at_end, false),
        Some(_) => next_quoted_row(bytes, grammar.delimiter, at_end),
        None if !at_end => Next::NeedMore,
        None if bytes.is_empty() => Next::End,
        None => finish_row(bytes, bytes.len(), at_end, false),
    }
}

fn next_quoted_row(bytes: &[u8], delimiter: u8, at_end: bool) -> Next {
    let mut at = 0;
    loop {
        match cell_end(bytes, at, delimiter) {
            CellEnd::Delimiter(end) => at = end + 1,
            CellEnd::Line(end) => return finish_row(bytes, end, at_end, true),
            CellEnd::TextAfterQuote(text) => {
                return bad_quotes(bytes, QuoteError::TextAfterQuote { cell: at, text }, at_end);
            }
            _ if !at_end => return Next::NeedMore,
            CellEnd::Bytes => return finish_row(bytes, bytes.len(), at_end, true),
            CellEnd::OpenQuote => return bad_quotes(bytes, QuoteError::Unclosed(at), at_end),
        }
    }
}

/// Skips to the end of the line on which the quote opens.
#[cold]
pub(crate) fn bad_quotes(bytes: &[u8], error: QuoteError, at_end: bool) -> Next {
    let (QuoteError::Unclosed(cell)
    | QuoteError::ClosedByAnother(cell)
    | QuoteError::TextAfterQuote { cell, .. }) = error;
    let line_end = first_line_end(bytes, cell);
    let error = match error {
        QuoteError::TextAfterQuote { text, .. } if line_end.is_some_and(|end| end < text) => {
            QuoteError::ClosedByAnother(cell)
        }
        error => error,
    };
    let end = match line_end {
        Some(end) => end,
        None if at_end => bytes.len(),
        None => return Next::NeedMore,
    };
    match finish_row(bytes, end, at_end, true) {
        Next::Row(span) => Next::BadQuotes(span, error),
        other => other,
    }
}

/// Where the line ends that contains the byte at `from`.
pub(crate) fn first_line_end(bytes: &[u8], from: usize) -> Option<usize> {
    memchr2(b'\n', b'\r', &bytes[from..]).map(|n| from + n)
}

/// The rows of a text, or of a part of one, without blank lines.
#[derive(Clone, Debug)]
pub(crate) struct Rows<'a> {
    rest: &'a [u8],
    grammar: &'a Grammar,
    line: u64,
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

    /// What follows the last row that was taken.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The physical line on which that begins.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = ScannedRow<'a>;

    fn next(&mut self) -> Option<ScannedRow<'a>> {
        loop {
            let (row, line) = (self.rest, self.line);
            let (span, error) = match next_row(row, self.grammar, self.is_last) {
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

/// A row whose content ends at `content`.
pub(crate) fn finish_row(bytes: &[u8], content: usize, at_end: bool, quoted: bool) -> Next {
    let len = match &bytes[content..] {
        [] => content,
        // Whether a line feed follows decides where the next row begins.
        [b'\r'] if !at_end => return Next::NeedMore,
        [b'\r', b'\n', ..] => content + 2,
        _ => content + 1,
    };
    let n_lines = if quoted { count_line_ends(&bytes[..len]) } else { u64::from(len > content) };
    Next::Row(Span { content, len, n_lines, quoted, is_closed: len > content })
}

/// Counts line ends: `\n`, `\r\n` and `\r`.
pub(crate) fn count_line_ends(bytes: &[u8]) -> u64 {
    let lone_returns = memchr_iter(b'\r', bytes).filter(|&at| bytes.get(at + 1) != Some(&b'\n')).count();
    (memchr_iter(b'\n', bytes).count() + lone_returns) as u64
}

/// Where a cell ends.
pub(crate) enum CellEnd {
    Delimiter(usize),
    Line(usize),
    /// With the bytes.
    Bytes,
    /// Nowhere: its quote is not closed.
    OpenQuote,
    /// Where text begins after the closing quote of the cell.
    TextAfterQuote(usize),
}

/// Where the cell that begins at `start` ends. Quotes count only at its very
/// beginning: `5" pipe` is a cell of seven characters.
fn cell_end(bytes: &[u8], start: usize, delimiter: u8) -> CellEnd {
    let mut at = start;
    if bytes.get(at) == Some(&b'"') {
        at += 1;
        loop {
            let Some(n) = memchr(b'"', &bytes[at..]) else { return CellEnd::OpenQuote };
            at += n + 1;
            match bytes.get(at) {
                Some(b'"') => at += 1,
                Some(&byte) if byte == delimiter => return CellEnd::Delimiter(at),
                Some(b'\n' | b'\r') => return CellEnd::Line(at),
                Some(_) => return CellEnd::TextAfterQuote(at),
                None => return CellEnd::Bytes,
            }
        }
    }
    match memchr3(delimiter, b'\n', b'\r', &bytes[at..]) {
        Some(n) if bytes[at + n] == delimiter => CellEnd::Delimiter(at + n),
        Some(n) => CellEnd::Line(at + n),
        None => CellEnd::Bytes,
    }
}

/// The byte ranges of the cells of a whole row, as they are written.
pub(crate) fn cells<'a>(row: &'a [u8], grammar: &'a Grammar) -> Box<dyn Iterator<Item = Range<usize>> + 'a> {
    if grammar.is_plain() {
        return Box::new(plain_cells(row, grammar.delimiter));
    }
    Box::new(grammar.cells(row))
}

fn plain_cells(row: &[u8], delimiter: u8) -> impl Iterator<Item = Range<usize>> {
    let mut next = Some(0);
    std::iter::from_fn(move || {
        let start = next?;
        let end = match cell_end(row, start, delimiter) {
            CellEnd::Delimiter(end) => {
                next = Some(end + 1);
                return Some(start..end);
            }
            CellEnd::Line(end) => end,
            CellEnd::Bytes | CellEnd::OpenQuote | CellEnd::TextAfterQuote(_) => row.len(),
        };
        next = None;
        Some(start..end)
    })
}

/// Appends the texts of the cells of a whole row, without quotes, and the end of each.
pub(crate) fn split(row: &[u8], grammar: &Grammar, quoted: bool, into: &mut Vec<u8>, ends: &mut Vec<u32>) {
    if !grammar.is_plain() {
        for cell in grammar.cells(row) {
            grammar.decode(&row[cell], into);
            ends.push(into.len() as u32);
        }
        return;
    }
    let delimiter = grammar.delimiter;
    if quoted {
        for cell in plain_cells(row, delimiter) {
            unquote(&row[cell], into);
            ends.push(into.len() as u32);
        }
        return;
    }
    let mut start = 0;
    for end in memchr_iter(delimiter, row) {
        into.extend_from_slice(&row[start..end]);
        ends.push(into.len() as u32);
        start = end + 1;
    }
    into.extend_from_slice(&row[start..]);
    ends.push(into.len() as u32);
}

fn unquote(cell: &[u8], into: &mut Vec<u8>) {
    let Some(mut rest) = cell.strip_prefix(b"\"") else {
        return into.extend_from_slice(cell);
    };
    while let Some(quote) = memchr(b'"', rest) {
        into.extend_from_slice(&rest[..quote]);
        rest = &rest[quote + 1..];
        if rest.first() != Some(&b'"') {
            break;
        }
        into.push(b'"');
        rest = &rest[1..];
    }
    into.extend_from_slice(rest);
}

#[cfg(test)]
mod tests;
