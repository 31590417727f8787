//! Where rows and cells begin and end in the bytes of a file.
//!
//! The grammar is that of the `csv` crate, and a property holds the two
//! together. It is read here because `csv-core` hands out unescaped cells alone:
//! an error that names line and column, and a position that is exact to the
//! row, need to know where each row and cell lies in the bytes as they are.
//! Rows without a quote, nearly all there are, cost two passes of `memchr`.

use std::ops::Range;

use memchr::{memchr, memchr_iter, memchr3};

/// What stands next in the bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A whole row; one without content is a blank line, which is no row.
    Row(Span),
    /// The bytes end within a row, and more may follow.
    More,
    /// The bytes end within the quotes that were opened here, and no more follow.
    OpenQuote(usize),
    /// There is nothing left.
    End,
}

/// How far a row reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Bytes of the row without the line end behind it.
    pub(crate) content: usize,
    /// Bytes of the row and the line end behind it.
    pub(crate) len: usize,
    /// How many line ends there are in those bytes.
    pub(crate) n_lines: u64,
    /// Whether there is a quote somewhere in the row.
    pub(crate) quoted: bool,
}

impl Span {
    /// Whether a line end closes the row; the last one of a file may have none.
    pub(crate) fn is_closed(self) -> bool {
        self.len > self.content
    }
}

/// Looks for the row at the front of `bytes`; `at_end` says that no more will follow them.
pub(crate) fn next_row(bytes: &[u8], delimiter: u8, at_end: bool) -> Next {
    match memchr3(b'\n', b'\r', b'"', bytes) {
        Some(end) if bytes[end] != b'"' => close(bytes, end, at_end, false),
        Some(_) => next_quoted_row(bytes, delimiter, at_end),
        None if !at_end => Next::More,
        None if bytes.is_empty() => Next::End,
        None => close(bytes, bytes.len(), at_end, false),
    }
}

fn next_quoted_row(bytes: &[u8], delimiter: u8, at_end: bool) -> Next {
    let mut at = 0;
    loop {
        match cell_end(bytes, at, delimiter) {
            CellEnd::Delimiter(end) => at = end + 1,
            CellEnd::Line(end) => return close(bytes, end, at_end, true),
            _ if !at_end => return Next::More,
            CellEnd::Bytes => return close(bytes, bytes.len(), at_end, true),
            CellEnd::OpenQuote => return Next::OpenQuote(at),
        }
    }
}

/// The rows of bytes that are all there, without the blank lines.
#[derive(Clone, Debug)]
pub(crate) struct Rows<'a> {
    rest: &'a [u8],
    delimiter: u8,
    line: u64,
}

/// One of [`Rows`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    /// The row as it is written, without the line end behind it.
    pub(crate) row: &'a [u8],
    /// The physical line it begins on, counted from 1.
    pub(crate) line: u64,
    /// Whether there is a quote somewhere in the row.
    pub(crate) quoted: bool,
    /// Where in the row quotes were opened that are never closed.
    pub(crate) open_quote: Option<usize>,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(bytes: &'a [u8], delimiter: u8) -> Self {
        Rows { rest: bytes, delimiter, line: 1 }
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        loop {
            let (row, line) = (self.rest, self.line);
            match next_row(row, self.delimiter, true) {
                Next::Row(span) => {
                    self.rest = &row[span.len..];
                    self.line += span.n_lines;
                    if span.content > 0 {
                        let (row, quoted) = (&row[..span.content], span.quoted);
                        return Some(Found { row, line, quoted, open_quote: None });
                    }
                }
                Next::OpenQuote(at) => {
                    self.rest = &[];
                    return Some(Found { row, line, quoted: true, open_quote: Some(at) });
                }
                Next::End | Next::More => return None,
            }
        }
    }
}

/// A row whose content ends at `content`.
fn close(bytes: &[u8], content: usize, at_end: bool, quoted: bool) -> Next {
    let len = match &bytes[content..] {
        [] => content,
        // Whether a line feed follows decides where the next row begins.
        [b'\r'] if !at_end => return Next::More,
        [b'\r', b'\n', ..] => content + 2,
        _ => content + 1,
    };
    let n_lines = if quoted { count_line_ends(&bytes[..len]) } else { u64::from(len > content) };
    Next::Row(Span { content, len, n_lines, quoted })
}

/// How many line ends there are, of whatever kind.
pub(crate) fn count_line_ends(bytes: &[u8]) -> u64 {
    let lone_returns = memchr_iter(b'\r', bytes).filter(|&at| bytes.get(at + 1) != Some(&b'\n')).count();
    (memchr_iter(b'\n', bytes).count() + lone_returns) as u64
}

enum CellEnd {
    Delimiter(usize),
    Line(usize),
    Bytes,
    OpenQuote,
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
            if bytes.get(at) != Some(&b'"') {
                break;
            }
            at += 1;
        }
    }
    match memchr3(delimiter, b'\n', b'\r', &bytes[at..]) {
        Some(n) if bytes[at + n] == delimiter => CellEnd::Delimiter(at + n),
        Some(n) => CellEnd::Line(at + n),
        None => CellEnd::Bytes,
    }
}

/// Where the cells of a whole row lie, quotes included.
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
            CellEnd::Bytes | CellEnd::OpenQuote => row.len(),
        };
        next = None;
        Some(start..end)
    })
}

/// Appends the cells of a whole row, without their quotes, and where each ends.
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

    /// Our rows, when the bytes arrive in blocks of these lengths.
    fn rows_in_blocks(bytes: &[u8], delimiter: u8, blocks: &[usize]) -> (Rows, bool) {
        let mut rows = Vec::new();
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
                Next::More => end = bytes.len().min(end + blocks.next().unwrap_or(1)),
                Next::OpenQuote(_) => return (rows, true),
                Next::End => return (rows, false),
            }
        }
    }

    fn text_of_many_kinds() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            4 => Just("a"), 1 => Just("bc"), 3 => Just(","), 3 => Just("\""), 1 => Just("\"\""),
            2 => Just("\n"), 1 => Just("\r\n"), 1 => Just("\r"), 1 => Just(";"), 1 => Just(" "), 1 => Just("é"),
        ];
        prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn rows_are_those_of_the_csv_crate_wherever_the_blocks_end(
            bytes in text_of_many_kinds(),
            blocks in prop::collection::vec(1_usize..9, 1..8),
            delimiter in prop_oneof![Just(b','), Just(b';')],
        ) {
            let (rows, open) = rows_in_blocks(&bytes, delimiter, &blocks);
            let mut expected = rows_of_the_csv_crate(&bytes, delimiter);
            if open {
                // What stands in open quotes is no row here, and one there.
                expected.pop();
            }
            prop_assert_eq!(rows, expected);
        }

        #[test]
        fn what_a_writer_has_quoted_reads_back_the_same(
            rows in prop::collection::vec(prop::collection::vec("[a,\"\r\n;é ]{0,6}", 2..5), 1..8),
            blocks in prop::collection::vec(1_usize..30, 1..8),
        ) {
            let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let bytes = writer.into_inner().unwrap();
            let (read, open) = rows_in_blocks(&bytes, b',', &blocks);
            prop_assert!(!open);
            let rows: Rows =
                rows.iter().map(|row| row.iter().map(|cell| cell.clone().into_bytes()).collect()).collect();
            prop_assert_eq!(read, rows);
        }

        #[test]
        fn lines_are_counted_once_each(bytes in text_of_many_kinds(), block in 1_usize..20) {
            let (mut start, mut end, mut n_lines) = (0, 0, 0);
            loop {
                match next_row(&bytes[start..end], b',', end == bytes.len()) {
                    Next::Row(span) => {
                        start += span.len;
                        n_lines += span.n_lines;
                    }
                    Next::More => end = bytes.len().min(end + block),
                    Next::OpenQuote(_) | Next::End => break,
                }
            }
            prop_assert_eq!(n_lines, count_line_ends(&bytes[..start]));
        }
    }

    #[test]
    fn a_quote_in_the_middle_of_a_cell_is_a_character() {
        let (rows, open) = rows_in_blocks(b"5\" pipe,x\n6\" pipe,y\n", b',', &[64]);
        assert!(!open);
        assert_eq!(rows[1][0], b"6\" pipe");
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn an_open_quote_is_found_where_it_was_opened() {
        assert_eq!(next_row(b"a,\"b\nc,d\n", b',', true), Next::OpenQuote(2));
        assert_eq!(next_row(b"a,\"b\nc,d\n", b',', false), Next::More);
    }
}
