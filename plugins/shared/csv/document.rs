//! Reads a whole CSV text, such as the response of an API, in parts.
//!
//! `saved_columns` has what earlier texts have told about the columns. `fractions` reads rows that do not match it.

mod fractions;
mod saved_columns;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, Error, Result, anyhow, bail};
use bytes::Bytes;
use runner_core::{Name, Row};

use self::fractions::Fractions;
use self::saved_columns::ColumnHistory;
pub(crate) use self::saved_columns::{OtherColumns, SavedColumns};
use crate::shared::csv::dialect::{CellTexts, Dialect};
use crate::shared::csv::first_rows::{Inference, SAMPLE, wider_rows};
use crate::shared::csv::header::{
    BYTE_ORDER_MARK, END_OF_TEXT, Header, check_sep_line, column_names, is_underline_of, sep_line_delimiter,
};
use crate::shared::csv::rows::{QuoteError, RowError, RowLocation, Rows, ScannedRow, first_line_end};
use crate::shared::csv::table::{RowLayout, TableBuilder};
use crate::shared::file_part::FilePart;

/// How many rows, and how many bytes of them, are read at once.
const CHUNK_ROWS: usize = 1024;
const CHUNK_BYTES: usize = 256 << 10;

/// The front of a large text, with the header and the rows from which the types are inferred.
const FRONT: usize = 4 << 20;

/// Reads CSV texts one after another. The type of a column is inferred from the first one that has values in it.
#[derive(Debug)]
pub(crate) struct DocumentReader {
    dialect: Arc<Dialect>,
    /// The layout of the last text that had rows.
    layout: Option<Arc<RowLayout>>,
    columns: ColumnHistory,
    /// Whether a warning of fractions was given.
    has_warned_of_fractions: Arc<AtomicBool>,
    /// In how many bytes the header is looked for, and the types are inferred.
    front: usize,
}

impl Default for DocumentReader {
    fn default() -> Self {
        DocumentReader::new(Dialect::default())
    }
}

/// The rows of a text that were not taken. They are read in chunks, since a row takes more memory than its text.
#[derive(Debug)]
pub(crate) struct Document {
    /// What was not read, and the physical line that it begins on.
    rest: FilePart,
    line: u64,
    source: Name,
    layout: Arc<RowLayout>,
    chunk: VecDeque<Result<Row, BadRow>>,
    fractions: Fractions,
    n_left: usize,
    is_truncated: bool,
}

/// A row of a chunk.
enum ReadRow {
    /// The next one of the table.
    InTable,
    Alone(Row),
    Bad(BadRow),
}

/// A row that is not valid.
#[derive(Debug)]
pub(crate) struct BadRow {
    /// The row without its line end.
    pub(crate) bytes: Bytes,
    pub(crate) reason: Error,
}

impl DocumentReader {
    /// A reader of texts in this dialect.
    pub(crate) fn new(dialect: Dialect) -> Self {
        let columns = ColumnHistory::new(&dialect);
        let dialect = Arc::new(dialect);
        DocumentReader {
            dialect,
            layout: None,
            columns,
            has_warned_of_fractions: Arc::default(),
            front: FRONT,
        }
    }

    /// Goes on with the columns of an earlier run, unless the options of rows have changed since.
    pub(crate) fn resume(&mut self, columns: &SavedColumns) {
        self.columns.resume(columns);
    }

    /// The next texts are pages of one walk, with the same columns. If it is continued, so has the text before.
    pub(crate) fn begin_walk(&mut self, is_continued: bool) {
        self.columns.begin_walk(is_continued);
    }

    /// What is known about the columns, if it has changed since the last call.
    pub(crate) fn take_changed_columns(&mut self) -> Option<SavedColumns> {
        self.columns.take_changed()
    }

    /// Whether the first line of a text is its header.
    pub(crate) fn begins_with_header(&self) -> bool {
        self.dialect.has_header && self.dialect.skip_lines == 0
    }

    /// Reads the header of a text from `source`, and counts its rows.
    ///
    /// A text without a header is an error, and so are other columns than those of the text before in one walk.
    pub(crate) fn open(&mut self, mut text: FilePart, source: Name) -> Result<Document> {
        let dialect = Arc::clone(&self.dialect);
        text.fill(self.front)?;
        text.without_last(END_OF_TEXT)?;
        let n_skipped = n_skipped_lines(&text, &dialect, source)?;
        // The header may be longer than the front.
        while !text.is_last() && front_rows(&text, &dialect, n_skipped).next().is_none() {
            text.grow(0)?;
        }
        let mut rest = text.clone();
        let mut rows = front_rows(&text, &dialect, n_skipped);
        let mut header = Header { names: dialect.columns.clone(), line: rows.line, ..Header::default() };
        if dialect.has_header {
            let Some(first) = rows.next() else {
                bail!("{source}: the response is empty, and a header row was expected");
            };
            header.names = self.names_of(first, source)?;
            (header.raw, header.line) = (first.bytes.to_vec(), first.line);
            let mut after_underline = rows.clone();
            header.is_underlined = after_underline.next().is_some_and(|row| {
                row.error.is_none() && is_underline_of(&header.names, row.bytes, &dialect)
            });
            if header.is_underlined {
                rows = after_underline;
            }
        }
        self.columns.check(&header, rows.clone().next().is_some(), &dialect, source)?;
        let layout = self.layout_of(&header, rows.clone(), source)?;
        let (n_rest, line) = (rows.rest.len(), rows.line);
        rest.skip(rest.bytes.len() - n_rest);
        let fractions = Fractions::new(&self.has_warned_of_fractions);
        let chunk = VecDeque::new();
        let mut document =
            Document { rest, line, source, layout, chunk, fractions, n_left: 0, is_truncated: false };
        document.count_rows().with_context(|| format!("{source}: reading the response"))?;
        Ok(document)
    }

    fn names_of(&self, first: ScannedRow<'_>, source: Name) -> Result<Vec<String>> {
        let location = RowLocation { source, line: first.line };
        if let Some(error) = first.error {
            return Err(in_table(&self.dialect, location.bad_quotes(first.bytes, error)));
        }
        let names = column_names(first.bytes, first.quoted, &self.dialect);
        names.map_err(|error| in_table(&self.dialect, location.error(first.bytes, &error)))
    }

    fn layout_of(&mut self, header: &Header, rows: Rows<'_>, source: Name) -> Result<Arc<RowLayout>> {
        let last = self.layout.as_ref().filter(|layout| layout.has_columns(&header.names)).cloned();
        if self.columns.has_types_of(&header.names, &self.dialect) {
            return Ok(last.unwrap_or_else(|| self.new_layout(header)));
        }
        let mut inference = Inference::new(&self.dialect);
        inference.begin(header);
        for row in rows.filter(|row| row.error.is_none()).take(SAMPLE) {
            inference.observe(row.bytes, row.quoted, row.line);
        }
        if let Some(wide) = inference.wider_than_header()
            && self.dialect.has_header
            && !self.dialect.drops_extra_cells
        {
            let error = anyhow!("{source}:{}: {}", header.line, wider_rows(header, wide, &self.dialect));
            return Err(in_table(&self.dialect, error));
        }
        // Only a column without values was looked at again.
        if last.is_none() {
            for warning in header.warnings(&self.dialect) {
                tracing::warn!("{}", in_table(&self.dialect, anyhow!("{source}: {warning}")));
            }
            let about_columns = inference.warnings_about_columns().into_iter();
            let about_columns =
                about_columns.map(|(place, warning)| (place.map(|place| place.line), warning));
            for (line, warning) in header.warnings_about_rows(&inference).into_iter().chain(about_columns) {
                let line = line.unwrap_or(header.line);
                tracing::warn!("{}", in_table(&self.dialect, anyhow!("{source}:{line}: {warning}")));
            }
        }
        let has_rows = inference.n_rows > 0;
        self.columns.add_types(inference.inferred(), &self.dialect);
        let layout = self.new_layout(header);
        if !has_rows {
            self.layout = None;
        }
        Ok(layout)
    }

    fn new_layout(&mut self, header: &Header) -> Arc<RowLayout> {
        let columns = self.columns.typed(&header.names);
        let layout = Arc::new(RowLayout::new(columns, None, header, &self.dialect));
        self.layout = Some(Arc::clone(&layout));
        layout
    }
}

impl Document {
    /// The next row. Fails if the file of a large text cannot be read.
    pub(crate) fn next(&mut self) -> io::Result<Option<Result<Row, BadRow>>> {
        while self.chunk.is_empty() {
            self.read_chunk();
            if self.chunk.is_empty() {
                if self.rest.is_last() {
                    return Ok(None);
                }
                self.rest.grow(0)?;
            }
        }
        self.n_left -= 1;
        Ok(self.chunk.pop_front())
    }

    /// Counts the rows, and finds out whether the text is truncated.
    fn count_rows(&mut self) -> io::Result<()> {
        let layout = Arc::clone(&self.layout);
        let dialect = layout.dialect();
        let mut texts = CellTexts::default();
        let (mut part, mut line) = (self.rest.clone(), self.line);
        let (mut has_open_quote, mut is_last_short) = (false, false);
        loop {
            let mut rows = Rows::of_part(&part.bytes, &dialect.grammar, line, part.is_last());
            while let Some(row) = rows.next() {
                if row.error.is_none() && layout.is_non_row(row.bytes, row.quoted, &mut texts) {
                    continue;
                }
                self.n_left += 1;
                has_open_quote |= matches!(row.error, Some(QuoteError::Unclosed(_)));
                if part.is_last() && rows.rest.is_empty() {
                    is_last_short = !dialect.fills_missing_cells
                        && dialect.grammar.cells(row.bytes).count() < layout.n_cells();
                }
            }
            let n_used = part.bytes.len() - rows.rest.len();
            line = rows.line;
            if part.is_last() {
                break;
            }
            part.grow(n_used)?;
        }
        let has_line_end = matches!(part.bytes.last(), Some(b'\n' | b'\r'));
        self.is_truncated = has_open_quote || !has_line_end && is_last_short;
        Ok(())
    }

    /// How many rows remain.
    pub(crate) fn len(&self) -> usize {
        self.n_left
    }

    /// Whether the text seems to end inside a row: a quote is not closed, or the last row has no line end and not
    /// all cells.
    pub(crate) fn is_truncated(&self) -> bool {
        self.is_truncated
    }

    /// The texts of the first rows, as they are written. For a document none of whose rows was taken.
    pub(crate) fn raw_rows(&self) -> impl Iterator<Item = &[u8]> {
        let rest = &self.rest;
        let rows = Rows::of_part(&rest.bytes, &self.layout.dialect().grammar, self.line, rest.is_last());
        let mut texts = CellTexts::default();
        let is_row = move |row: &ScannedRow<'_>| {
            row.error.is_some() || !self.layout.is_non_row(row.bytes, row.quoted, &mut texts)
        };
        rows.filter(is_row).map(|row| row.bytes)
    }

    fn read_chunk(&mut self) {
        let layout = Arc::clone(&self.layout);
        let mut rows =
            Rows::of_part(&self.rest.bytes, &layout.dialect().grammar, self.line, self.rest.is_last());
        let mut table = TableBuilder::new(
            Arc::clone(&layout),
            CHUNK_ROWS.min(self.n_left),
            CHUNK_BYTES.min(self.rest.bytes.len()),
        );
        let mut read: Vec<ReadRow> = Vec::new();
        while read.len() < CHUNK_ROWS
            && table.n_bytes() < CHUNK_BYTES
            && let Some(row) = rows.next()
        {
            let location = RowLocation { source: self.source, line: row.line };
            let pushed = match row.error {
                Some(error) => Err(location.bad_quotes(row.bytes, error)),
                None => match table.push(row.bytes, row.quoted) {
                    Err(RowError { non_row: Some(_), .. }) => continue,
                    pushed => pushed.map_err(|error| location.error(row.bytes, &error)),
                },
            };
            read.push(match pushed {
                Ok(()) => ReadRow::InTable,
                Err(error) => {
                    let bytes = self.rest.bytes.slice_ref(row.bytes);
                    let fraction = self.fractions.read(row, &layout, location).map(ReadRow::Alone);
                    fraction.unwrap_or_else(|| {
                        ReadRow::Bad(BadRow { bytes, reason: in_table(layout.dialect(), error) })
                    })
                }
            });
        }
        let (n_used, line) = (self.rest.bytes.len() - rows.rest.len(), rows.line);
        let mut valid = table.finish();
        self.chunk = read
            .into_iter()
            .filter_map(|row| match row {
                ReadRow::InTable => valid.next().map(Ok),
                ReadRow::Alone(row) => Some(Ok(row)),
                ReadRow::Bad(bad) => Some(Err(bad)),
            })
            .collect();
        self.line = line;
        self.rest.skip(n_used);
    }
}

/// The error, and the table that its options go into.
fn in_table(dialect: &Dialect, error: Error) -> Error {
    match dialect.prefix.strip_suffix('.') {
        Some(table) => anyhow!("{error:#} (options of rows go into the table `{table}`)"),
        None => error,
    }
}

/// How many lines come before the header: those of `skip_lines`, or one that names the delimiter.
fn n_skipped_lines(text: &FilePart, dialect: &Dialect, source: Name) -> Result<u64> {
    let text = without_mark(text);
    let named = sep_line_delimiter(text).filter(|_| dialect.skip_lines == 0);
    let Some(named) = named else { return Ok(dialect.skip_lines) };
    let at = RowLocation { source, line: 1 };
    check_sep_line(named, dialect).map_err(|error| in_table(dialect, at.error(text, &error)))?;
    Ok(1)
}

/// The rows of the front of a text, whose first one is the header if there is one.
fn front_rows<'a>(text: &'a FilePart, dialect: &'a Dialect, n_skipped: u64) -> Rows<'a> {
    let (front, line) = after_skipped_lines(without_mark(text), n_skipped);
    Rows::of_part(front, &dialect.grammar, line, text.is_last())
}

fn without_mark(text: &FilePart) -> &[u8] {
    text.bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text.bytes)
}

/// The text after `n_lines` lines, and the number of its first line.
fn after_skipped_lines(mut bytes: &[u8], n_lines: u64) -> (&[u8], u64) {
    let mut line = 1;
    while line <= n_lines && !bytes.is_empty() {
        let end = first_line_end(bytes, 0).unwrap_or(bytes.len());
        let n_end = if bytes[end..].starts_with(b"\r\n") { 2 } else { 1 };
        bytes = bytes.get(end + n_end..).unwrap_or_default();
        line += 1;
    }
    (bytes, line)
}

#[cfg(test)]
mod tests;
