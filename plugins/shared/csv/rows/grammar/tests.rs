//! The grammar of dialects against a plain reader that goes through a text character by character.

use proptest::prelude::*;

use super::*;
use crate::shared::csv::rows::{next_row, split};

type Cells = Vec<Vec<u8>>;

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
                return quote.is_none().then(|| (self.finished(text, false), at));
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
                None if byte == b',' || is_line_end(byte) => return Some((self.finished(text, false), at)),
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
                    return is_end.then(|| (self.finished(text, true), at));
                }
                _ => text.push(byte),
            }
            at += 1;
        }
    }

    fn finished(&self, text: Vec<u8>, _is_quoted: bool) -> Vec<u8> {
        if self.trim { trimmed(&text).to_vec() } else { text }
    }
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

fn after_line_end(bytes: &[u8], at: usize) -> usize {
    if bytes[at..].starts_with(b"\r\n") { at + 2 } else { (at + 1).min(bytes.len()) }
}

const BLANKS: [&str; 4] = [" ", "\t", "\u{a0}", "\u{202f}"];

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

/// The rows up to the first invalid quoting, and where that row begins, when the bytes arrive in blocks.
fn read_in_blocks(grammar: &Grammar, bytes: &[u8], block: usize) -> (Vec<Cells>, Option<usize>) {
    let (mut rows, mut start, mut end) = (Vec::new(), 0, 0);
    loop {
        match next_row(&bytes[start..end], grammar, end == bytes.len()) {
            Next::Row(span) => {
                if span.content > 0 {
                    let (mut texts, mut ends) = (Vec::new(), Vec::new());
                    split(&bytes[start..start + span.content], grammar, span.quoted, &mut texts, &mut ends);
                    let mut from = 0;
                    let cell = |&end: &u32| {
                        let cell = texts[from..end as usize].to_vec();
                        from = end as usize;
                        cell
                    };
                    rows.push(ends.iter().map(cell).collect());
                }
                start += span.len;
            }
            Next::NeedMore => end = bytes.len().min(end + block),
            Next::BadQuotes(..) => return (rows, Some(start)),
            Next::End => return (rows, None),
        }
    }
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
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn any_dialect_gives_the_rows_of_the_reference_reader(
        dialect in any_dialect(),
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "a", "bc", ",", ",", "\"", "\"", "'", "\\", "\n", "\n", "\r\n", "\r", " ", "\t", "#", "--", "-", "é", "\u{a0}",
                "\u{202f}",
            ]),
            0..60,
        ),
        block in 1_usize..20,
    ) {
        let bytes = pieces.concat().into_bytes();
        prop_assert_eq!(read_in_blocks(&dialect.grammar(), &bytes, block), dialect.read(&bytes));
    }
}

fn rows(grammar: &Grammar, text: &str) -> Vec<Vec<String>> {
    let (rows, bad) = read_in_blocks(grammar, text.as_bytes(), 7);
    assert_eq!(bad, None);
    let text = |cell: Vec<u8>| String::from_utf8(cell).unwrap();
    rows.into_iter().map(|cells| cells.into_iter().map(text).collect()).collect()
}

#[test]
fn escape_before_a_quote_or_a_line_end_makes_it_a_character() {
    let grammar = Grammar::new(b',', Some(b'"'), Some(b'\\'), None, false);
    let text = "\"Foo \\\"Bar\\\"\",\\N\n\"one\\\ntwo\",a\\,b\n\"ends \\\\\",C:\\data\n";
    assert_eq!(rows(&grammar, text), [["Foo \"Bar\"", "\\N"], ["one\ntwo", "a,b"], ["ends \\", "C:\\data"]]);
}

#[test]
fn quote_may_be_another_character_or_none() {
    let single = Grammar::new(b',', Some(b'\''), None, None, false);
    assert_eq!(rows(&single, "1,'a, b'\n2,'it''s'\n3,\"x\n"), [["1", "a, b"], ["2", "it's"], ["3", "\"x"]]);
    let none = Grammar::new(b';', None, None, None, false);
    assert_eq!(rows(&none, "\"a;b\"\n"), [["\"a", "b\""]]);
}

#[test]
fn comments_are_lines_and_may_contain_quotes() {
    let grammar = Grammar::new(b',', Some(b'"'), None, Some("#".into()), false);
    assert_eq!(
        rows(&grammar, "# it's \"open\na,b\n#\n1,\"x\n# no comment\"\n"),
        [["a", "b"], ["1", "x\n# no comment"]]
    );
}

#[test]
fn blanks_around_cells_and_quotes_do_not_count_with_trim() {
    let grammar = Grammar::new(b',', Some(b'"'), None, None, true);
    let text = "month,  day , \"air, line \" \n \t\n1,  2,\" x\"\n\u{a0}3,4\u{202f},\"\u{3000}y\"\u{a0}\n";
    assert_eq!(rows(&grammar, text), [["month", "day", "air, line"], ["1", "2", "x"], ["3", "4", "y"]]);
    let tabs = Grammar::new(b'\t', Some(b'"'), None, None, true);
    assert_eq!(rows(&tabs, "a \t\t c\n"), [["a", "", "c"]]);
}
