//! Finds where rows and cells begin and end in the bytes of a file.
//!
//! The grammar is that of the `csv` crate (a property test compares both), except that text after
//! the closing quote of a cell is an error, as in RFC 4180: the crate appends it to the cell, so an
//! unclosed quote swallows the rows up to the next quote. `csv-core` cannot be used because it returns
//! only unescaped cells: errors and positions need the byte offsets of rows and cells.

use std::ops::Range;

use memchr::{memchr, memchr_iter, memchr2, memchr3};

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
    /// The quote of the cell that begins here is never closed: the cell reaches to the end of the input.
    Unclosed(usize),
    /// Text follows the closing quote of a cell. The row ends with that line, because the text
    /// within the quotes may be rows or one cell with line ends.
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
    /// Bytes of the row without its line end.
    pub(crate) content: usize,
    /// Bytes of the row with its line end.
    pub(crate) len: usize,
    /// Number of line ends in those bytes.
    pub(crate) n_lines: u64,
    /// Whether the row contains a quote.
    pub(crate) quoted: bool,
}

impl Span {
    /// Whether a line end closes the row; the last one of a file may have none.
    pub(crate) fn is_closed(self) -> bool {
        self.len > self.content
    }
}

/// Scans the first row of `bytes`; `at_end` means that no more bytes follow.
pub(crate) fn next_row(bytes: &[u8], delimiter: u8, at_end: bool) -> Next {
    match memchr3(b'\n', b'\r', b'"', bytes) {
        Some(end) if bytes[end] != b'"' => finish_row(bytes, end, at_end, false),
        Some(_) => next_quoted_row(bytes, delimiter, at_end),
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
                return bad_quotes(bytes, QuoteError::TextAfterQuote { cell: at, text }, text, at_end);
            }
            _ if !at_end => return Next::NeedMore,
            CellEnd::Bytes => return finish_row(bytes, bytes.len(), at_end, true),
            CellEnd::OpenQuote => return bad_quotes(bytes, QuoteError::Unclosed(at), bytes.len(), at_end),
        }
    }
}

/// Skips to the line end after `from`.
#[cold]
fn bad_quotes(bytes: &[u8], error: QuoteError, from: usize, at_end: bool) -> Next {
    let end = match memchr2(b'\n', b'\r', &bytes[from..]) {
        Some(n) => from + n,
        None if at_end => bytes.len(),
        None => return Next::NeedMore,
    };
    match finish_row(bytes, end, at_end, true) {
        Next::Row(span) => Next::BadQuotes(span, error),
        other => other,
    }
}

/// The rows of a complete text, without blank lines.
#[derive(Clone, Debug)]
pub(crate) struct Rows<'a> {
    rest: &'a [u8],
    delimiter: u8,
    line: u64,
}

/// A row of [`Rows`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScannedRow<'a> {
    /// The bytes of the row, without its line end.
    pub(crate) bytes: &'a [u8],
    /// The physical line it begins on, counted from 1.
    pub(crate) line: u64,
    /// Whether the row contains a quote.
    pub(crate) quoted: bool,
    /// Set if the row is not valid.
    pub(crate) error: Option<QuoteError>,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(bytes: &'a [u8], delimiter: u8) -> Self {
        Rows { rest: bytes, delimiter, line: 1 }
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = ScannedRow<'a>;

    fn next(&mut self) -> Option<ScannedRow<'a>> {
        loop {
            let (row, line) = (self.rest, self.line);
            let (span, error) = match next_row(row, self.delimiter, true) {
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
fn finish_row(bytes: &[u8], content: usize, at_end: bool, quoted: bool) -> Next {
    let len = match &bytes[content..] {
        [] => content,
        // Whether a line feed follows decides where the next row begins.
        [b'\r'] if !at_end => return Next::NeedMore,
        [b'\r', b'\n', ..] => content + 2,
        _ => content + 1,
    };
    let n_lines = if quoted { count_line_ends(&bytes[..len]) } else { u64::from(len > content) };
    Next::Row(Span { content, len, n_lines, quoted })
}

/// Counts line ends: `\n`, `\r\n` and `\r`.
pub(crate) fn count_line_ends(bytes: &[u8]) -> u64 {
    let lone_returns = memchr_iter(b'\r', bytes).filter(|&at| bytes.get(at + 1) != Some(&b'\n')).count();
    (memchr_iter(b'\n', bytes).count() + lone_returns) as u64
}

enum CellEnd {
    Delimiter(usize),
    Line(usize),
    Bytes,
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

/// The byte ranges of the cells of a whole row, quotes included.
pub(crate) fn cells(row: &[u8], delimiter: u8) -> impl Iterator<Item = Range<usize>> {
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

/// Appends the cells of a whole row, without their quotes, and the end of each.
pub(crate) fn split(row: &[u8], delimiter: u8, quoted: bool, into: &mut Vec<u8>, ends: &mut Vec<u32>) {
    if quoted {
        for cell in cells(row, delimiter) {
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Rows = Vec<Vec<Vec<u8>>>;

    fn rows_of_the_csv_crate(bytes: &[u8], delimiter: u8) -> Rows {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .from_reader(bytes);
        let rows = reader.byte_records().map(|row| row.expect("reading from memory"));
        rows.map(|row| row.iter().map(<[u8]>::to_vec).collect()).collect()
    }

    /// The rows, and the ranges with invalid quoting, when the bytes arrive in blocks of these lengths.
    fn rows_in_blocks(
        bytes: &[u8],
        delimiter: u8,
        blocks: &[usize],
    ) -> (Rows, Vec<(Range<usize>, QuoteError)>) {
        let (mut rows, mut errors) = (Vec::new(), Vec::new());
        let mut blocks = blocks.iter().copied().cycle();
        let (mut start, mut end) = (0, 0);
        loop {
            let at_end = end == bytes.len();
            match next_row(&bytes[start..end], delimiter, at_end) {
                Next::Row(span) => {
                    let row = &bytes[start..start + span.content];
                    start += span.len;
                    if !row.is_empty() {
                        let (mut cells, mut ends) = (Vec::new(), Vec::new());
                        split(row, delimiter, span.quoted, &mut cells, &mut ends);
                        let mut from = 0;
                        let cell = |&end: &u32| {
                            let cell = cells[from..end as usize].to_vec();
                            from = end as usize;
                            cell
                        };
                        rows.push(ends.iter().map(cell).collect());
                    }
                }
                Next::NeedMore => end = bytes.len().min(end + blocks.next().unwrap_or(1)),
                Next::BadQuotes(span, error) => {
                    errors.push((start..start + span.len, error));
                    start += span.len;
                }
                Next::End => return (rows, errors),
            }
        }
    }

    fn any_csv_text() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            4 => Just("a"), 1 => Just("bc"), 3 => Just(","), 3 => Just("\""), 1 => Just("\"\""),
            2 => Just("\n"), 1 => Just("\r\n"), 1 => Just("\r"), 1 => Just(";"), 1 => Just(" "), 1 => Just("é"),
        ];
        prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn scanner_returns_the_rows_of_the_csv_crate_for_any_block_size(
            bytes in any_csv_text(),
            blocks in prop::collection::vec(1_usize..9, 1..8),
            delimiter in prop_oneof![Just(b','), Just(b';')],
        ) {
            let (rows, errors) = rows_in_blocks(&bytes, delimiter, &blocks);
            // The crate returns arbitrary rows where the quoting is invalid.
            let (mut expected, mut start) = (Rows::new(), 0);
            for (skipped, _) in &errors {
                expected.extend(rows_of_the_csv_crate(&bytes[start..skipped.start], delimiter));
                start = skipped.end;
            }
            expected.extend(rows_of_the_csv_crate(&bytes[start..], delimiter));
            prop_assert_eq!(rows, expected);
        }

        #[test]
        fn scanner_reads_back_what_the_csv_crate_writes(
            rows in prop::collection::vec(prop::collection::vec("[a,\"\r\n;é ]{0,6}", 2..5), 1..8),
            blocks in prop::collection::vec(1_usize..30, 1..8),
        ) {
            let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let bytes = writer.into_inner().unwrap();
            let (read, errors) = rows_in_blocks(&bytes, b',', &blocks);
            prop_assert_eq!(errors, []);
            let rows: Rows =
                rows.iter().map(|row| row.iter().map(|cell| cell.clone().into_bytes()).collect()).collect();
            prop_assert_eq!(read, rows);
        }

        #[test]
        fn scanner_counts_each_line_end_once(bytes in any_csv_text(), block in 1_usize..20) {
            let (mut start, mut end, mut n_lines) = (0, 0, 0);
            loop {
                match next_row(&bytes[start..end], b',', end == bytes.len()) {
                    Next::Row(span) | Next::BadQuotes(span, _) => {
                        start += span.len;
                        n_lines += span.n_lines;
                    }
                    Next::NeedMore => end = bytes.len().min(end + block),
                    Next::End => break,
                }
            }
            prop_assert_eq!(n_lines, count_line_ends(&bytes[..start]));
        }
    }

    #[test]
    fn quote_in_the_middle_of_a_cell_is_a_character() {
        let (rows, errors) = rows_in_blocks(b"5\" pipe,x\n6\" pipe,y\n", b',', &[64]);
        assert_eq!(errors, []);
        assert_eq!(rows[1][0], b"6\" pipe");
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn unclosed_quote_is_reported_at_its_start() {
        let span = Span { content: 9, len: 9, n_lines: 2, quoted: true };
        assert_eq!(next_row(b"a,\"b\nc,d\n", b',', true), Next::BadQuotes(span, QuoteError::Unclosed(2)));
        assert_eq!(next_row(b"a,\"b\nc,d\n", b',', false), Next::NeedMore);
    }

    #[test]
    fn text_after_a_closing_quote_ends_the_row_with_its_line() {
        for (bytes, skipped, error, n_rows) in [
            (&b"1,\"x\n1,\"q\"\n2,\"q\"\n"[..], 0..11, QuoteError::TextAfterQuote { cell: 2, text: 8 }, 1),
            (b"\"x\"y\r\n1\r\n", 0..6, QuoteError::TextAfterQuote { cell: 0, text: 3 }, 1),
            (b"1,\"x\" ,2", 0..8, QuoteError::TextAfterQuote { cell: 2, text: 5 }, 0),
            (b"1,\"\"x\"\n", 0..7, QuoteError::TextAfterQuote { cell: 2, text: 4 }, 0),
        ] {
            for block in 1..=bytes.len() {
                let (rows, errors) = rows_in_blocks(bytes, b',', &[block]);
                assert_eq!(errors, [(skipped.clone(), error)], "in blocks of {block}");
                assert_eq!(rows.len(), n_rows);
            }
        }
    }
}
