//! Where rows and cells begin and end in the bytes of a file.
//!
//! The grammar is that of the `csv` crate, and a property holds the two together, but for
//! text behind the quote that closes a cell. The crate adds it to the cell, so that a quote
//! which is left open takes in all rows up to the next one; here, and in RFC 4180, it is a slip.
//!
//! It is read here because `csv-core` hands out unescaped cells alone: an error that names
//! line and column, and a position that is exact to the row, need to know where each row
//! and cell lies in the bytes as they are. Rows without a quote, nearly all there are, cost
//! two passes of `memchr`.

use std::ops::Range;

use memchr::{memchr, memchr_iter, memchr2, memchr3};

/// What stands next in the bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A whole row; one without content is a blank line, which is no row.
    Row(Span),
    /// The bytes end within a row, and more may follow.
    More,
    /// Quotes that make no sense, and how far the bytes reach that no row can be made of.
    Misquoted(Span, Slip),
    /// There is nothing left.
    End,
}

/// Quotes that make no sense; where, in bytes from the start of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slip {
    /// A cell that begins here is never closed: it reaches to the end of the bytes.
    Open(usize),
    /// A cell was closed, and text follows. Its row reaches to the end of that line: what was
    /// within the quotes may be rows, or a cell with line ends, and nobody can tell.
    Stray {
        /// Where the cell begins.
        cell: usize,
        /// Where the text behind it begins.
        text: usize,
    },
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
            CellEnd::Stray(text) => return misquoted(bytes, Slip::Stray { cell: at, text }, text, at_end),
            _ if !at_end => return Next::More,
            CellEnd::Bytes => return close(bytes, bytes.len(), at_end, true),
            CellEnd::OpenQuote => return misquoted(bytes, Slip::Open(at), bytes.len(), at_end),
        }
    }
}

/// Bytes without sense up to the line end behind `from`.
#[cold]
fn misquoted(bytes: &[u8], slip: Slip, from: usize, at_end: bool) -> Next {
    let end = match memchr2(b'\n', b'\r', &bytes[from..]) {
        Some(n) => from + n,
        None if at_end => bytes.len(),
        None => return Next::More,
    };
    match close(bytes, end, at_end, true) {
        Next::Row(span) => Next::Misquoted(span, slip),
        other => other,
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
    /// Why it is no row after all.
    pub(crate) slip: Option<Slip>,
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
            let (span, slip) = match next_row(row, self.delimiter, true) {
                Next::Row(span) => (span, None),
                Next::Misquoted(span, slip) => (span, Some(slip)),
                Next::End | Next::More => return None,
            };
            self.rest = &row[span.len..];
            self.line += span.n_lines;
            if span.content > 0 {
                return Some(Found { row: &row[..span.content], line, quoted: span.quoted, slip });
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
    /// Where text begins behind the quote that has closed the cell.
    Stray(usize),
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
                Some(_) => return CellEnd::Stray(at),
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
            CellEnd::Bytes | CellEnd::OpenQuote | CellEnd::Stray(_) => row.len(),
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

    /// Our rows, when the bytes arrive in blocks of these lengths, and where others lie
    /// whose quotes make no sense.
    fn rows_in_blocks(bytes: &[u8], delimiter: u8, blocks: &[usize]) -> (Rows, Vec<(Range<usize>, Slip)>) {
        let (mut rows, mut slips) = (Vec::new(), Vec::new());
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
                Next::Misquoted(span, slip) => {
                    slips.push((start..start + span.len, slip));
                    start += span.len;
                }
                Next::End => return (rows, slips),
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
            let (rows, slips) = rows_in_blocks(&bytes, delimiter, &blocks);
            // What is misquoted here is some row or other there.
            let (mut expected, mut start) = (Rows::new(), 0);
            for (misquoted, _) in &slips {
                expected.extend(rows_of_the_csv_crate(&bytes[start..misquoted.start], delimiter));
                start = misquoted.end;
            }
            expected.extend(rows_of_the_csv_crate(&bytes[start..], delimiter));
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
            let (read, slips) = rows_in_blocks(&bytes, b',', &blocks);
            prop_assert_eq!(slips, []);
            let rows: Rows =
                rows.iter().map(|row| row.iter().map(|cell| cell.clone().into_bytes()).collect()).collect();
            prop_assert_eq!(read, rows);
        }

        #[test]
        fn lines_are_counted_once_each(bytes in text_of_many_kinds(), block in 1_usize..20) {
            let (mut start, mut end, mut n_lines) = (0, 0, 0);
            loop {
                match next_row(&bytes[start..end], b',', end == bytes.len()) {
                    Next::Row(span) | Next::Misquoted(span, _) => {
                        start += span.len;
                        n_lines += span.n_lines;
                    }
                    Next::More => end = bytes.len().min(end + block),
                    Next::End => break,
                }
            }
            prop_assert_eq!(n_lines, count_line_ends(&bytes[..start]));
        }
    }

    #[test]
    fn a_quote_in_the_middle_of_a_cell_is_a_character() {
        let (rows, slips) = rows_in_blocks(b"5\" pipe,x\n6\" pipe,y\n", b',', &[64]);
        assert_eq!(slips, []);
        assert_eq!(rows[1][0], b"6\" pipe");
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn an_open_quote_is_found_where_it_was_opened() {
        let span = Span { content: 9, len: 9, n_lines: 2, quoted: true };
        assert_eq!(next_row(b"a,\"b\nc,d\n", b',', true), Next::Misquoted(span, Slip::Open(2)));
        assert_eq!(next_row(b"a,\"b\nc,d\n", b',', false), Next::More);
    }

    #[test]
    fn text_behind_a_closing_quote_ends_the_row_with_its_line_wherever_the_blocks_end() {
        for (bytes, misquoted, slip, n_rows) in [
            (&b"1,\"x\n1,\"q\"\n2,\"q\"\n"[..], 0..11, Slip::Stray { cell: 2, text: 8 }, 1),
            (b"\"x\"y\r\n1\r\n", 0..6, Slip::Stray { cell: 0, text: 3 }, 1),
            (b"1,\"x\" ,2", 0..8, Slip::Stray { cell: 2, text: 5 }, 0),
            (b"1,\"\"x\"\n", 0..7, Slip::Stray { cell: 2, text: 4 }, 0),
        ] {
            for block in 1..=bytes.len() {
                let (rows, slips) = rows_in_blocks(bytes, b',', &[block]);
                assert_eq!(slips, [(misquoted.clone(), slip)], "in blocks of {block}");
                assert_eq!(rows.len(), n_rows);
            }
        }
    }
}
