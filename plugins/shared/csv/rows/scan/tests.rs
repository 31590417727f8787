//! The plain grammar against the `csv` crate, for any block size.

use super::*;
use proptest::prelude::*;

type Rows = Vec<Vec<Vec<u8>>>;

fn rows_of_the_csv_crate(bytes: &[u8], delimiter: u8) -> Rows {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(bytes);
    let rows = reader.byte_records().map(|row| row.expect("reading from memory"));
    rows.map(|row| row.iter().map(<[u8]>::to_vec).collect()).collect()
}

/// The rows, and the ranges with invalid quoting, when the bytes arrive in blocks of these lengths.
fn rows_in_blocks(bytes: &[u8], delimiter: u8, blocks: &[usize]) -> (Rows, Vec<(Range<usize>, QuoteError)>) {
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    let mut blocks = blocks.iter().copied().cycle();
    let (mut start, mut end) = (0, 0);
    loop {
        let at_end = end == bytes.len();
        match next_row(&bytes[start..end], &Grammar::plain(delimiter), at_end) {
            Next::Row(span) => {
                let row = &bytes[start..start + span.content];
                start += span.len;
                if !row.is_empty() {
                    let (mut cells, mut ends) = (Vec::new(), Vec::new());
                    split(row, &Grammar::plain(delimiter), span.quoted, &mut cells, &mut ends);
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
            match next_row(&bytes[start..end], &Grammar::default(), end == bytes.len()) {
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
    let span = Span { content: 4, len: 5, n_lines: 1, quoted: true, is_closed: true };
    let plain = Grammar::default();
    assert_eq!(next_row(b"a,\"b\nc,d\n", &plain, true), Next::BadQuotes(span, QuoteError::Unclosed(2)));
    assert_eq!(next_row(b"a,\"b\nc,d\n", &plain, false), Next::NeedMore);
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
            let (rows, errors) = rows_in_blocks(bytes, b',', &[block]);
            assert_eq!(errors, [(skipped.clone(), error)], "in blocks of {block}");
            assert_eq!(rows.len(), n_rows);
        }
    }
}
