//! The grammar of a dialect: what separates, quotes and escapes cells, and which lines are comments.
//!
//! The plain grammar is in `plain`; here is the general one. It is slower, and as exact about where rows and cells are.

use std::ops::Range;

use memchr::{memchr, memchr2, memchr3};

use super::blanks::{is_part_of_blank, n_blanks, n_blanks_at_end};
use super::plain;
use super::row::{CellEnd, Next, Span, cells_of_row, finish_row, first_line_end, next_row_of_cells};

/// How the bytes of a file are divided into rows and cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grammar {
    /// The byte between two cells.
    pub(crate) delimiter: u8,
    /// What stands around cells.
    pub(crate) quote: Option<u8>,
    /// What takes the meaning from the next character.
    pub(crate) escape: Option<u8>,
    /// What lines begin with that are ignored.
    pub(crate) comment: Option<Box<str>>,
    /// Whether blanks around cells are removed.
    pub(crate) trim: bool,
    /// Whether the plain grammar applies.
    is_plain: bool,
}

impl Default for Grammar {
    fn default() -> Self {
        Grammar::plain(b',')
    }
}

impl Grammar {
    /// Cells in double quotes, in which a doubled quote is a character.
    pub(crate) fn plain(delimiter: u8) -> Self {
        Grammar::new(delimiter, Some(b'"'), None, None, false)
    }

    pub(crate) fn new(
        delimiter: u8,
        quote: Option<u8>,
        escape: Option<u8>,
        comment: Option<Box<str>>,
        trim: bool,
    ) -> Self {
        let escape = escape.filter(|_| escape != quote);
        let is_plain = quote == Some(b'"') && escape.is_none() && comment.is_none() && !trim;
        Grammar { delimiter, quote, escape, comment, trim, is_plain }
    }

    /// Whether the plain grammar applies.
    pub(crate) fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Whether a text begins with a comment.
    pub(crate) fn begins_with_a_comment(&self, text: &[u8]) -> bool {
        self.comment.as_deref().is_some_and(|comment| text.starts_with(comment.as_bytes()))
    }

    /// Whether a cell begins with blanks and then a quote, which opens the cell only with `trim`.
    pub(crate) fn has_blanks_before_quote(&self, cell: &[u8]) -> bool {
        let n_blanks = n_blanks(cell, self.delimiter);
        n_blanks > 0 && !self.trim && self.quote.is_some_and(|quote| cell.get(n_blanks) == Some(&quote))
    }

    /// What determines the rows of a file, for the checkpoint; empty for the plain grammar.
    pub(crate) fn describe(&self) -> String {
        if self.is_plain {
            return String::new();
        }
        let of = |byte: Option<u8>| byte.map_or("none".to_owned(), |byte| char::from(byte).to_string());
        let comment = self.comment.as_deref().unwrap_or("none");
        format!("quote {} escape {} comment {comment} trim {}", of(self.quote), of(self.escape), self.trim)
    }

    /// The grammar that [`describe`](Self::describe) has described; `None` if it is not understood.
    pub(crate) fn described(delimiter: u8, description: &str) -> Option<Self> {
        if description.is_empty() {
            return Some(Grammar::plain(delimiter));
        }
        let (quote, rest) = description.strip_prefix("quote ")?.split_once(" escape ")?;
        let (escape, rest) = rest.split_once(" comment ")?;
        let (comment, trim) = rest.rsplit_once(" trim ")?;
        let of = |text: &str| match text.as_bytes() {
            b"none" => Some(None),
            [byte] => Some(Some(*byte)),
            _ => None,
        };
        let comment = (comment != "none").then(|| comment.into());
        Some(Grammar::new(delimiter, of(quote)?, of(escape)?, comment, trim.parse().ok()?))
    }

    /// Scans the first row of `bytes`; `at_end` means that no more bytes follow.
    pub(crate) fn next_row(&self, bytes: &[u8], at_end: bool) -> Next {
        if !self.is_plain {
            let ignored = self.ignored_line(bytes, at_end);
            return ignored
                .unwrap_or_else(|| next_row_of_cells(bytes, at_end, |at| self.cell_end(bytes, at)));
        }
        match memchr3(b'\n', b'\r', b'"', bytes) {
            Some(end) if bytes[end] != b'"' => finish_row(bytes, end, at_end, false),
            Some(_) => next_row_of_cells(bytes, at_end, |at| plain::cell_end(bytes, at, self.delimiter)),
            None if !at_end => Next::NeedMore,
            None if bytes.is_empty() => Next::End,
            None => finish_row(bytes, bytes.len(), at_end, false),
        }
    }

    /// The byte ranges of the cells of a whole row, with quotes and blanks.
    pub(crate) fn cells<'a>(&'a self, row: &'a [u8]) -> impl Iterator<Item = Range<usize>> + 'a {
        cells_of_row(row, |at| {
            if self.is_plain { plain::cell_end(row, at, self.delimiter) } else { self.cell_end(row, at) }
        })
    }

    /// A comment, or a line of blanks where blanks do not count.
    fn ignored_line(&self, bytes: &[u8], at_end: bool) -> Option<Next> {
        let start = self.after_blanks(bytes, 0);
        let rest = &bytes[start..];
        let is_ignored = match self.comment.as_deref().map(str::as_bytes) {
            Some(comment) if rest.starts_with(comment) => true,
            Some(comment) if !at_end && comment.starts_with(rest) => return Some(Next::NeedMore),
            _ => start > 0 && matches!(rest.first(), None | Some(b'\n' | b'\r')),
        };
        if !is_ignored {
            return None;
        }
        let end = match first_line_end(bytes, start) {
            Some(end) => end,
            None if at_end => bytes.len(),
            None => return Some(Next::NeedMore),
        };
        Some(match finish_row(bytes, end, at_end, true) {
            Next::Row(span) => Next::Row(Span { content: 0, ..span }),
            other => other,
        })
    }

    /// The first byte from `at` on that is not a blank to ignore.
    fn after_blanks(&self, bytes: &[u8], at: usize) -> usize {
        if !self.trim {
            return at;
        }
        at + n_blanks(&bytes[at..], self.delimiter)
    }

    /// Where the cell that begins at `start` ends.
    fn cell_end(&self, bytes: &[u8], start: usize) -> CellEnd {
        let at = self.after_blanks(bytes, start);
        if self.quote.is_some() && bytes.get(at).copied() == self.quote {
            return self.quoted_cell_end(bytes, at + 1);
        }
        let mut at = at;
        loop {
            let is_special = |&byte: &u8| {
                byte == self.delimiter || matches!(byte, b'\n' | b'\r') || Some(byte) == self.escape
            };
            let Some(n) = bytes[at..].iter().position(is_special) else { return CellEnd::Bytes };
            at += n;
            match bytes[at] {
                byte if byte == self.delimiter => return CellEnd::Delimiter(at),
                b'\n' | b'\r' => return CellEnd::Line(at),
                _ => at = (at + n_escaped(&bytes[at..])).min(bytes.len()),
            }
        }
    }

    /// Where the cell ends whose opening quote is before `at`.
    fn quoted_cell_end(&self, bytes: &[u8], mut at: usize) -> CellEnd {
        let Some(quote) = self.quote else { return CellEnd::Bytes };
        loop {
            let found = match self.escape {
                Some(escape) => memchr2(quote, escape, &bytes[at..]),
                None => memchr(quote, &bytes[at..]),
            };
            let Some(n) = found else { return CellEnd::OpenQuote };
            at += n;
            if Some(bytes[at]) == self.escape {
                at += n_escaped(&bytes[at..]);
                if at >= bytes.len() {
                    return CellEnd::OpenQuote;
                }
                continue;
            }
            at += 1;
            if bytes.get(at) == Some(&quote) {
                at += 1;
                continue;
            }
            at = self.after_blanks(bytes, at);
            return match bytes.get(at) {
                Some(&byte) if byte == self.delimiter => CellEnd::Delimiter(at),
                Some(b'\n' | b'\r') => CellEnd::Line(at),
                // The rest of the blank may follow.
                Some(_) if self.trim && is_part_of_blank(&bytes[at..]) => CellEnd::Bytes,
                Some(_) => CellEnd::TextAfterQuote(at),
                None => CellEnd::Bytes,
            };
        }
    }

    /// A cell without the blanks around it, as it is written.
    pub(crate) fn trimmed<'a>(&self, cell: &'a [u8]) -> &'a [u8] {
        let cell = &cell[self.after_blanks(cell, 0)..];
        if !self.trim {
            return cell;
        }
        &cell[..cell.len() - n_blanks_at_end(cell)]
    }

    /// Appends the text of a cell: without blanks around it, quotes and escapes.
    pub(crate) fn decode(&self, cell: &[u8], into: &mut Vec<u8>) {
        let written = self.trimmed(cell);
        let Some(quote) = self.quote.filter(|quote| written.first() == Some(quote)) else {
            return self.decode_inner(written, None, into);
        };
        let start = into.len();
        self.decode_inner(&written[1..], Some(quote), into);
        // Blanks within the quotes do not count either, nor does a delimiter that is a blank.
        if self.trim {
            into.truncate(into.len() - n_blanks_at_end(&into[start..]));
            into.drain(start..start + n_blanks(&into[start..], b'\n'));
        }
    }

    /// Appends a text without its escapes, up to the closing `quote` if there is one.
    fn decode_inner(&self, text: &[u8], quote: Option<u8>, into: &mut Vec<u8>) {
        let mut at = 0;
        while let Some(&byte) = text.get(at) {
            if Some(byte) == self.escape {
                at += self.push_escaped(&text[at..], into);
                continue;
            }
            if Some(byte) == quote {
                if text.get(at + 1).copied() != quote {
                    return;
                }
                at += 1;
            }
            into.push(byte);
            at += 1;
        }
    }

    /// Appends what an escape at the start of `text` stands for, and returns its length. Before anything
    /// that has no meaning in the grammar the escape is a character, as in `C:\data`.
    fn push_escaped(&self, text: &[u8], into: &mut Vec<u8>) -> usize {
        let n_bytes = n_escaped(text).min(text.len());
        let escaped = &text[1..n_bytes];
        let has_meaning = |byte: u8| {
            byte == self.delimiter
                || matches!(byte, b'\n' | b'\r')
                || Some(byte) == self.quote
                || byte == text[0]
        };
        if !escaped.first().copied().is_some_and(has_meaning) {
            into.push(text[0]);
        }
        into.extend_from_slice(escaped);
        n_bytes
    }
}

/// The length of an escape with what it escapes; `\r\n` is one line end.
fn n_escaped(text: &[u8]) -> usize {
    if text[1..].starts_with(b"\r\n") { 3 } else { 2 }
}
