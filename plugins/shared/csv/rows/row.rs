//! The extent of a row, however its cells are found.

use std::ops::Range;

use memchr::{memchr_iter, memchr2};

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

/// Scans the first row of `bytes`, where `cell_end` finds the end of the cell that begins at an offset.
pub(super) fn next_row_of_cells(bytes: &[u8], at_end: bool, cell_end: impl Fn(usize) -> CellEnd) -> Next {
    let mut at = 0;
    loop {
        match cell_end(at) {
            CellEnd::Delimiter(end) => at = end + 1,
            CellEnd::Line(end) => return finish_row(bytes, end, at_end, true),
            CellEnd::TextAfterQuote(text) => {
                return bad_quotes(bytes, QuoteError::TextAfterQuote { cell: at, text }, at_end);
            }
            _ if !at_end => return Next::NeedMore,
            CellEnd::Bytes if bytes.is_empty() => return Next::End,
            CellEnd::Bytes => return finish_row(bytes, bytes.len(), at_end, true),
            CellEnd::OpenQuote => return bad_quotes(bytes, QuoteError::Unclosed(at), at_end),
        }
    }
}

/// The byte ranges of the cells of a whole row, as they are written.
pub(super) fn cells_of_row(
    row: &[u8],
    cell_end: impl Fn(usize) -> CellEnd,
) -> impl Iterator<Item = Range<usize>> {
    let mut next = Some(0);
    std::iter::from_fn(move || {
        let start = next?;
        let end = match cell_end(start) {
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

/// Skips to the end of the line on which the quote opens.
#[cold]
fn bad_quotes(bytes: &[u8], error: QuoteError, at_end: bool) -> Next {
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

/// A row whose content ends at `content`.
pub(super) fn finish_row(bytes: &[u8], content: usize, at_end: bool, quoted: bool) -> Next {
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
pub(super) enum CellEnd {
    Delimiter(usize),
    Line(usize),
    /// With the bytes.
    Bytes,
    /// Nowhere: its quote is not closed.
    OpenQuote,
    /// Where text begins after the closing quote of the cell.
    TextAfterQuote(usize),
}
