//! The plain grammar against the `csv` crate, and any grammar against a reader that goes through a text character by
//! character, for any block size.

use std::ops::Range;

use proptest::prelude::*;

use super::*;
use crate::shared::csv::dialect::{CellTexts, Dialect};

type Cells = Vec<Vec<u8>>;
type Misquoted = (Range<usize>, QuoteError);

/// The rows, and the ranges with invalid quoting, when the bytes arrive in blocks of these lengths.
fn read_in_blocks(grammar: &Grammar, bytes: &[u8], blocks: &[usize]) -> Vec<Result<Cells, Misquoted>> {
    let dialect = Dialect { grammar: grammar.clone(), null_values: Vec::new(), ..Dialect::default() };
    let (mut rows, mut texts) = (Vec::new(), CellTexts::default());
    let mut blocks = blocks.iter().copied().cycle();
    let (mut start, mut end) = (0, 0);
    loop {
        let len = match grammar.next_row(&bytes[start..end], end == bytes.len()) {
            Next::Row(span) => {
                if span.content > 0 {
                    texts.read(&bytes[start..start + span.content], span.quoted, &dialect);
                    rows.push(Ok(texts.iter().map(<[u8]>::to_vec).collect()));
                }
                span.len
            }
            Next::NeedMore => {
                end = bytes.len().min(end + blocks.next().unwrap_or(1));
                continue;
            }
            Next::BadQuotes(span, error) => {
                rows.push(Err((start..start + span.len, error)));
                span.len
            }
            Next::End => return rows,
        };
        start += len;
    }
}

/// As [`read_in_blocks`], the rows apart from the errors.
fn read(grammar: &Grammar, bytes: &[u8], blocks: &[usize]) -> (Vec<Cells>, Vec<Misquoted>) {
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    for row in read_in_blocks(grammar, bytes, blocks) {
        row.map_or_else(|error| errors.push(error), |row| rows.push(row));
    }
    (rows, errors)
}

fn rows_of_the_csv_crate(bytes: &[u8], delimiter: u8) -> Vec<Cells> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(bytes);
    let rows = reader.byte_records().map(|row| row.expect("reading from memory"));
    rows.map(|row| row.iter().map(<[u8]>::to_vec).collect()).collect()
}

/// A dialect of the reference reader.
#[derive(Clone, Debug)]
struct Reference {
    quote: Option<u8>,
    escape: Option<u8>,
    comment: Option<&'static str>,
    trim: bool,
}

impl Reference {
    fn grammar(&self) -> Grammar {
        Grammar::new(b',', self.quote, self.escape, self.comment.map(Into::into), self.trim)
    }

    /// The rows up to the first cell with invalid quoting, and where its row begins.
    fn read(&self, bytes: &[u8]) -> (Vec<Cells>, Option<usize>) {
        let (mut rows, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            let start = at;
            let line_end = (start..bytes.len()).find(|&at| is_line_end(bytes[at])).unwrap_or(bytes.len());
            let line = &bytes[start..line_end];
            let shown = if self.trim { trimmed(line) } else { line };
            let is_comment = self.comment.is_some_and(|comment| {
                let line = if self.trim { trimmed_start(&bytes[start..]) } else { &bytes[start..] };
                line.starts_with(comment.as_bytes())
            });
            if is_comment || shown.is_empty() {
                at = after_line_end(bytes, line_end);
                continue;
            }
            let mut cells = Cells::new();
            loop {
                let Some((cell, end)) = self.cell(bytes, at) else { return (rows, Some(start)) };
                cells.push(cell);
                if bytes.get(end) == Some(&b',') {
                    at = end + 1;
                    continue;
                }
                at = after_line_end(bytes, end);
                break;
            }
            rows.push(cells);
        }
        (rows, None)
    }

    /// The text of the cell at `at` and where it ends; `None` if its quoting is invalid.
    fn cell(&self, bytes: &[u8], at: usize) -> Option<(Vec<u8>, usize)> {
        let (mut at, mut text) = (at, Vec::new());
        if self.trim {
            at += bytes[at..].len() - trimmed_start(&bytes[at..]).len();
        }
        let quote = self.quote.filter(|quote| bytes.get(at) == Some(quote));
        if quote.is_some() {
            at += 1;
        }
        loop {
            let Some(&byte) = bytes.get(at) else {
                return quote.is_none().then(|| (self.finished(text), at));
            };
            if self.escape == Some(byte) {
                let n_bytes = if bytes[at + 1..].starts_with(b"\r\n") { 2 } else { 1 };
                let escaped = bytes.get(at + 1..at + 1 + n_bytes).unwrap_or(&[]);
                let has_meaning = escaped.first().is_some_and(|&next| {
                    next == b',' || is_line_end(next) || self.quote == Some(next) || next == byte
                });
                if !has_meaning {
                    text.push(byte);
                }
                text.extend_from_slice(escaped);
                at += 1 + escaped.len();
                continue;
            }
            match quote {
                None if byte == b',' || is_line_end(byte) => return Some((self.finished(text), at)),
                Some(quote) if byte == quote => {
                    if bytes.get(at + 1) == Some(&quote) {
                        text.push(quote);
                        at += 2;
                        continue;
                    }
                    at += 1;
                    if self.trim {
                        at += bytes[at..].len() - trimmed_start(&bytes[at..]).len();
                    }
                    let is_end = bytes.get(at).is_none_or(|&next| next == b',' || is_line_end(next));
                    return is_end.then(|| (self.finished(text), at));
                }
                _ => text.push(byte),
            }
            at += 1;
        }
    }

    fn finished(&self, text: Vec<u8>) -> Vec<u8> {
        if self.trim { trimmed(&text).to_vec() } else { text }
    }
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

fn after_line_end(bytes: &[u8], at: usize) -> usize {
    if bytes[at..].starts_with(b"\r\n") { at + 2 } else { (at + 1).min(bytes.len()) }
}

const BLANKS: [&str; 5] = [" ", "\t", "\u{a0}", "\u{202f}", "\u{3000}"];

fn trimmed_start(mut bytes: &[u8]) -> &[u8] {
    while let Some(rest) = BLANKS.iter().find_map(|blank| bytes.strip_prefix(blank.as_bytes())) {
        bytes = rest;
    }
    bytes
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    let mut bytes = trimmed_start(bytes);
    while let Some(rest) = BLANKS.iter().find_map(|blank| bytes.strip_suffix(blank.as_bytes())) {
        bytes = rest;
    }
    bytes
}

fn any_csv_text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just("a"), 1 => Just("bc"), 3 => Just(","), 3 => Just("\""), 1 => Just("\"\""),
        2 => Just("\n"), 1 => Just("\r\n"), 1 => Just("\r"), 1 => Just(";"), 1 => Just(" "), 1 => Just("é"),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat().into_bytes())
}

fn any_dialect() -> impl Strategy<Value = Reference> {
    (
        prop_oneof![Just(Some(b'"')), Just(Some(b'\'')), Just(None)],
        prop_oneof![Just(None), Just(Some(b'\\')), Just(Some(b'"'))],
        prop_oneof![Just(None), Just(Some("#")), Just(Some("--"))],
        any::<bool>(),
    )
        .prop_map(|(quote, escape, comment, trim)| Reference {
            quote,
            escape: escape.filter(|_| escape != quote),
            comment,
            trim,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn scanner_returns_the_rows_of_the_csv_crate_for_any_block_size(
        bytes in any_csv_text(),
        blocks in prop::collection::vec(1_usize..9, 1..8),
        delimiter in prop_oneof![Just(b','), Just(b';')],
    ) {
        let (rows, errors) = read(&Grammar::plain(delimiter), &bytes, &blocks);
        // The crate returns arbitrary rows where the quoting is invalid.
        let (mut expected, mut start) = (Vec::<Cells>::new(), 0);
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
        let (read, errors) = read(&Grammar::default(), &bytes, &blocks);
        prop_assert_eq!(errors, []);
        let rows: Vec<Cells> =
            rows.iter().map(|row| row.iter().map(|cell| cell.clone().into_bytes()).collect()).collect();
        prop_assert_eq!(read, rows);
    }

    #[test]
    fn scanner_counts_each_line_end_once(bytes in any_csv_text(), block in 1_usize..20) {
        let (mut start, mut end, mut n_lines) = (0, 0, 0);
        loop {
            match Grammar::default().next_row(&bytes[start..end], end == bytes.len()) {
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn any_dialect_gives_the_rows_of_the_reference_reader(
        dialect in any_dialect(),
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "a", "bc", ",", ",", "\"", "\"", "'", "\\", "\n", "\n", "\r\n", "\r", " ", "\t", "#", "--", "-", "é", "\u{a0}",
                "\u{202f}", "\u{3000}",
            ]),
            0..60,
        ),
        block in 1_usize..20,
    ) {
        let bytes = pieces.concat().into_bytes();
        let mut read = read_in_blocks(&dialect.grammar(), &bytes, &[block]).into_iter().peekable();
        let rows: Vec<Cells> = std::iter::from_fn(|| read.next_if(Result::is_ok)?.ok()).collect();
        prop_assert_eq!((rows, read.next().map(|bad| bad.unwrap_err().0.start)), dialect.read(&bytes));
    }
}

#[test]
fn quote_in_the_middle_of_a_cell_is_a_character() {
    let (rows, errors) = read(&Grammar::default(), b"5\" pipe,x\n6\" pipe,y\n", &[64]);
    assert_eq!(errors, []);
    assert_eq!(rows[1][0], b"6\" pipe");
    assert_eq!(rows.len(), 2);
}

#[test]
fn unclosed_quote_is_reported_at_its_start() {
    let span = Span { content: 4, len: 5, n_lines: 1, quoted: true, is_closed: true };
    let plain = Grammar::default();
    assert_eq!(plain.next_row(b"a,\"b\nc,d\n", true), Next::BadQuotes(span, QuoteError::Unclosed(2)));
    assert_eq!(plain.next_row(b"a,\"b\nc,d\n", false), Next::NeedMore);
}

#[test]
fn text_after_a_closing_quote_ends_the_row_with_its_line() {
    for (bytes, skipped, error, n_rows) in [
        (&b"1,\"x\n1,\"q\"\n2,\"q\"\n"[..], 0..5, QuoteError::ClosedByAnother(2), 2),
        (b"\"x\"y\r\n1\r\n", 0..6, QuoteError::TextAfterQuote { cell: 0, text: 3 }, 1),
        (b"1,\"x\" ,2", 0..8, QuoteError::TextAfterQuote { cell: 2, text: 5 }, 0),
        (b"1,\"\"x\"\n", 0..7, QuoteError::TextAfterQuote { cell: 2, text: 4 }, 0),
    ] {
        for block in 1..=bytes.len() {
            let (rows, errors) = read(&Grammar::default(), bytes, &[block]);
            assert_eq!(errors, [(skipped.clone(), error)], "in blocks of {block}");
            assert_eq!(rows.len(), n_rows);
        }
    }
}

#[test]
fn delimiter_that_is_a_blank_is_not_trimmed() {
    let tabs = Grammar::new(b'\t', Some(b'"'), None, None, true);
    assert_eq!(read(&tabs, b"a \t\t c\n", &[7]).0, [[&b"a"[..], b"", b"c"]]);
    assert_eq!(read(&tabs, b"\"\ta\t\"\tb\n", &[7]).0, [[&b"a"[..], b"b"]], "within quotes it is");
}
