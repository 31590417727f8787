//! What the first rows suggest besides types: comments, quotes and delimiters that the options do not name.

use crate::shared::csv::dialect::{CellTexts, Dialect};
use crate::shared::csv::types::toml_string;

/// What comment lines begin with in most files. A line with one of the first three may also have as many cells as a row.
pub(super) const COMMENTS: [&str; 6] = ["#", "//", "--", "%", ";", "!"];

/// Delimiters that are too unusual to be looked for in files of several columns: those of Hive, and three more.
const RARE_DELIMITERS: &[u8] = b"\x01\x1F~^:";

/// What the first rows suggest.
#[derive(Debug, Default)]
pub(crate) struct RowHints {
    n_rows: usize,
    /// The first row that looks like a comment: what it begins with, and its line.
    comment: Option<(&'static str, u64)>,
    n_comments: usize,
    /// The line of the first row with a NUL byte, and how many have one.
    nul_line: Option<u64>,
    n_with_nuls: usize,
    /// Cells in single quotes, and cells with such a character elsewhere.
    n_in_single_quotes: usize,
    n_with_apostrophe: usize,
    has_double_quotes: bool,
    /// Cells with blanks before a quote, which then is a character.
    n_quotes_after_blanks: usize,
    /// Cells in which a backslash escapes the line end, and cells `\N`, which databases write for null.
    n_escaped_line_ends: usize,
    n_mysql_nulls: usize,
    /// Delimiters that the header and every row have equally often.
    delimiters: Vec<(u8, usize)>,
}

impl RowHints {
    /// The next rows are those of a file with this header, as it is written; empty if there is none.
    pub(crate) fn set_header(&mut self, raw: &[u8]) {
        if self.n_rows == 0 {
            let counts = RARE_DELIMITERS.iter().map(|&delimiter| (delimiter, count(raw, delimiter)));
            self.delimiters = counts.filter(|&(_, n_times)| n_times > 0).collect();
        }
    }

    /// Adds a valid row.
    pub(crate) fn observe(&mut self, row: &[u8], line: u64, cells: &CellTexts, dialect: &Dialect) {
        self.n_rows += 1;
        self.delimiters.retain(|&(delimiter, n_times)| count(row, delimiter) == n_times);
        if dialect.grammar.comment.is_none()
            && let Some(comment) = comment_of(row)
        {
            self.n_comments += 1;
            self.comment.get_or_insert((comment, line));
        }
        if row.contains(&0) {
            self.nul_line.get_or_insert(line);
            self.n_with_nuls += 1;
        }
        self.has_double_quotes |= row.contains(&b'"');
        let grammar = &dialect.grammar;
        self.n_quotes_after_blanks +=
            grammar.cells(row).filter(|cell| grammar.has_blanks_before_quote(&row[cell.clone()])).count();
        if row.contains(&b'\\') {
            self.observe_escapes(row, cells, dialect);
        }
        if dialect.grammar.quote == Some(b'\'') || !row.contains(&b'\'') {
            return;
        }
        for text in cells.iter() {
            match text {
                [b'\'', inner @ .., b'\''] if is_quoted(inner) => self.n_in_single_quotes += 1,
                _ if text.contains(&b'\'') => self.n_with_apostrophe += 1,
                _ => {}
            }
        }
    }

    /// A warning about rows with NUL bytes, with the line of the first one.
    pub(crate) fn nul_warning(&self) -> Option<(u64, String)> {
        let line = self.nul_line?;
        let others = match self.n_with_nuls {
            1 => "this row has".to_owned(),
            n => format!("this row and {} more have", n - 1),
        };
        let message = format!(
            "{others} NUL bytes, as a file has them after a power failure; they are read as characters. `tr -d '\\0'` removes them"
        );
        Some((line, message))
    }

    fn observe_escapes(&mut self, row: &[u8], cells: &CellTexts, dialect: &Dialect) {
        let is_escaped = row.windows(2).any(|pair| matches!(pair, [b'\\', b'\n' | b'\r']));
        if is_escaped && dialect.grammar.escape.is_none() {
            self.n_escaped_line_ends += 1;
        }
        if !dialect.is_null(b"\\N") {
            self.n_mysql_nulls += cells.iter().filter(|text| text == b"\\N").count();
        }
    }

    /// A warning about cells as databases write them.
    pub(crate) fn escape_warning(&self) -> Option<String> {
        let null = "cells `\\N`, which stand for null in exports of MySQL and PostgreSQL, are read as text: add \"\\\\N\" to \
                    `null_values`";
        let escape = "cells contain `\\` before a line end; if it takes the meaning from the line end, set escape = \"\\\\\"";
        match (self.n_mysql_nulls, self.n_escaped_line_ends) {
            (0, 0) => None,
            (0, _) => Some(escape.into()),
            (_, 0) => Some(null.into()),
            _ => Some(format!("{null}; {escape}")),
        }
    }

    /// A warning about blanks before quotes, if that is how the file is written.
    pub(crate) fn blanks_warning(&self) -> Option<String> {
        (self.n_quotes_after_blanks * 2 >= self.n_rows.max(1)).then(|| {
            "cells have blanks before their quotes, so the quotes are read as characters; trim = true removes blanks \
             around cells, and then the quotes"
                .into()
        })
    }

    /// Whether some cells are in single quotes, and no other cell has one.
    pub(crate) fn has_single_quotes(&self) -> bool {
        self.n_in_single_quotes > 1 && self.n_with_apostrophe == 0 && !self.has_double_quotes
    }

    /// The delimiter that a header of one column and its rows have in common.
    pub(crate) fn delimiter(&self) -> Option<u8> {
        let (delimiter, _) = self.delimiters.first()?;
        (self.n_rows > 0).then_some(*delimiter)
    }

    /// A warning about rows that look like comments, where most rows do not, with the line of the first one.
    pub(crate) fn comment_warning(&self) -> Option<(u64, String)> {
        let (comment, line) = self.comment?;
        if self.n_comments * 2 >= self.n_rows {
            return None;
        }
        let others = match self.n_comments {
            1 => "this row begins".to_owned(),
            n => format!("this row and {} more begin", n - 1),
        };
        let message = format!(
            "{others} with `{comment}` and is read as a row, since it has as many cells; if it is a comment, set comment = {} \
             to ignore lines that begin so",
            toml_string(comment)
        );
        Some((line, message))
    }
}

/// What a row begins with if it looks like a comment.
fn comment_of(row: &[u8]) -> Option<&'static str> {
    let row = row.trim_ascii_start();
    let comment = COMMENTS.into_iter().take(3).find(|comment| row.starts_with(comment.as_bytes()))?;
    // Dashes alone stand for a missing value.
    let is_text = comment == "#"
        || row[comment.len()..].first().is_some_and(|next| *next == b' ' || next.is_ascii_alphabetic());
    is_text.then_some(comment)
}

/// Whether the text between two single quotes is a quoted cell: every single quote in it is doubled.
fn is_quoted(inner: &[u8]) -> bool {
    let mut quotes = inner.iter().enumerate().filter(|&(_, &byte)| byte == b'\'').map(|(at, _)| at);
    while let Some(at) = quotes.next() {
        if quotes.next() != Some(at + 1) {
            return false;
        }
    }
    true
}

fn count(text: &[u8], byte: u8) -> usize {
    memchr::memchr_iter(byte, text).count()
}

/// What a line begins with if it looks like a comment.
pub(crate) fn comment_mark(line: &str) -> Option<String> {
    let line = line.trim_start();
    if let Some(mark) = COMMENTS.into_iter().find(|mark| line.starts_with(mark)) {
        return Some(mark.to_owned());
    }
    let is_sign = |char: &char| !char.is_alphanumeric() && !char.is_control() && !matches!(char, '"' | '\'');
    line.chars().next().filter(is_sign).map(String::from)
}
