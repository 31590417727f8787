//! The layout of rows: columns and their types, inferred or declared once. Rows that
//! match it are added to a table, others are rejected.

use std::sync::Arc;

use anyhow::Error;
use bytes::Bytes;
use runner_core::{Body, Column, ColumnType, Name, Origin, Record, Reject, Row, Table, TableHeader};

use super::scan::{QuoteError, cells, count_line_ends, split};
use super::types::{Types, fits, name_of, narrowest};

/// The CSV dialect of the rows, and how their columns get types.
#[derive(Clone, Debug)]
pub(crate) struct Dialect {
    /// The byte between two cells.
    pub(crate) delimiter: u8,
    /// Cells that mean null.
    pub(crate) null_values: Vec<Box<str>>,
    /// How columns get their types.
    pub(crate) types: Types,
}

impl Default for Dialect {
    fn default() -> Self {
        Dialect { delimiter: b',', null_values: vec!["".into()], types: Types::Infer }
    }
}

/// The columns of a file and their types.
#[derive(Debug)]
pub(crate) struct RowLayout {
    header: Arc<TableHeader>,
    delimiter: u8,
    types: Types,
    /// The columns that do not accept arbitrary text.
    checked: Box<[(usize, ColumnType)]>,
}

impl RowLayout {
    /// A layout with these columns; types that the options declare take precedence.
    pub(crate) fn new(columns: impl IntoIterator<Item = (String, ColumnType)>, dialect: &Dialect) -> Self {
        let column = |(name, inferred): (String, ColumnType)| {
            let declared = dialect.types.of(&name);
            let nullable = declared != Some(ColumnType::String);
            Column { kind: declared.unwrap_or(inferred), nullable, name: name.into() }
        };
        let columns: Vec<Column> = columns.into_iter().map(column).collect();
        let kinds = columns.iter().map(|column| column.kind).enumerate();
        let checked = kinds.filter(|&(_, kind)| kind != ColumnType::String).collect();
        let header = TableHeader::new(columns, dialect.delimiter, dialect.null_values.clone()).into();
        RowLayout { header, delimiter: dialect.delimiter, types: dialect.types.clone(), checked }
    }

    /// What the rows of a table share.
    pub(crate) fn header(&self) -> &Arc<TableHeader> {
        &self.header
    }

    pub(crate) fn has_columns(&self, names: &[String]) -> bool {
        self.columns().iter().map(|column| &*column.name).eq(names)
    }

    fn columns(&self) -> &[Column] {
        self.header.columns()
    }
}

/// Why a row is not valid.
#[derive(Debug)]
pub(crate) struct RowError {
    /// Byte offset from the start of the row.
    pub(crate) at: usize,
    /// What is wrong and what to do.
    pub(crate) message: String,
}

/// The location of a row, for messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowLocation {
    /// The file or URL, as messages show it.
    pub(crate) source: Name,
    /// The physical line, counted from 1.
    pub(crate) line: u64,
}

impl RowLocation {
    /// An error with the line and column of `error.at`.
    pub(crate) fn error(&self, row: &[u8], error: &RowError) -> Error {
        let (line, column) = self.of(row, error.at);
        Error::msg(format!("{}:{line}:{column}: {}", self.source, error.message))
    }

    /// An error for invalid quoting.
    pub(crate) fn bad_quotes(&self, row: &[u8], quote_error: QuoteError) -> Error {
        let (at, message) = match quote_error {
            QuoteError::Unclosed(at) => (
                at,
                "the quote that opens here is never closed; close it, or double it if it is a character"
                    .into(),
            ),
            QuoteError::TextAfterQuote { cell, text } => {
                let (line, column) = self.of(row, cell);
                let message = format!(
                    "there is text after the closing quote of the cell that begins at {line}:{column}; a quote \
                     inside a quoted cell is written twice (\"\"), and one that opens a cell must be closed"
                );
                (text, message)
            }
        };
        self.error(row, &RowError { at, message })
    }

    /// The physical line and column of the byte at `at`; a row with quoted line ends has several lines.
    fn of(&self, row: &[u8], at: usize) -> (u64, usize) {
        let start = row[..at].iter().rposition(|byte| matches!(byte, b'\n' | b'\r')).map_or(0, |end| end + 1);
        let column = String::from_utf8_lossy(&row[start..at]).chars().count() + 1;
        (self.line + count_line_ends(&row[..start]), column)
    }
}

/// A reject with the bytes of the row as they were read.
pub(crate) fn reject(row: &[u8], reason: Error, origin: Origin, n_before: usize) -> Reject {
    Reject { record: Record::new(Body::Bytes(Bytes::copy_from_slice(row)), origin), reason, n_before }
}

/// A table under construction.
pub(crate) struct TableBuilder {
    layout: Arc<RowLayout>,
    cells: Vec<u8>,
    ends: Vec<u32>,
}

impl TableBuilder {
    /// An empty table, with room for about `n_bytes` of cells in `n_rows` rows.
    pub(crate) fn new(layout: Arc<RowLayout>, n_rows: usize, n_bytes: usize) -> Self {
        let ends = Vec::with_capacity(n_rows * layout.columns().len());
        TableBuilder { cells: Vec::with_capacity(n_bytes), ends, layout }
    }

    /// Appends a row. On an error the table stays unchanged.
    pub(crate) fn push(&mut self, row: &[u8], quoted: bool) -> Result<(), RowError> {
        let (n_bytes, n_ends) = (self.cells.len(), self.ends.len());
        split(row, self.layout.delimiter, quoted, &mut self.cells, &mut self.ends);
        let result = self.check(row, n_bytes, n_ends);
        if result.is_err() {
            self.cells.truncate(n_bytes);
            self.ends.truncate(n_ends);
        }
        result
    }

    /// Checks the row whose cells begin at `n_bytes` and end as `ends[n_ends..]` say.
    fn check(&self, row: &[u8], n_bytes: usize, n_ends: usize) -> Result<(), RowError> {
        let layout = &*self.layout;
        let ends = &self.ends[n_ends..];
        if ends.len() != layout.columns().len() {
            return Err(layout.wrong_width(row, ends.len()));
        }
        if std::str::from_utf8(row).is_err() {
            return Err(layout.not_utf8(row));
        }
        for &(index, kind) in &layout.checked {
            let start = if index == 0 { n_bytes } else { ends[index - 1] as usize };
            let cell = &self.cells[start..ends[index] as usize];
            if !fits(cell, kind) && !layout.header.is_null(cell) {
                return Err(layout.misfit(row, index, cell));
            }
        }
        Ok(())
    }

    /// How many rows there are.
    pub(crate) fn n_rows(&self) -> usize {
        self.ends.len() / self.layout.columns().len()
    }

    /// How many bytes the cells take.
    pub(crate) fn n_bytes(&self) -> usize {
        self.cells.len()
    }

    /// The rows, in order.
    pub(crate) fn finish(self) -> impl Iterator<Item = Row> {
        let n_rows = self.n_rows();
        let table = Arc::new(Table::new(Arc::clone(&self.layout.header), self.cells, self.ends));
        (0..n_rows).map(move |index| Row::new(Arc::clone(&table), index))
    }
}

impl RowLayout {
    fn wrong_width(&self, row: &[u8], n_cells: usize) -> RowError {
        let n_columns = self.columns().len();
        let surplus = cells(row, self.delimiter).nth(n_columns);
        let (what, advice) = match &surplus {
            Some(_) => (
                "too many",
                format!(
                    "remove the extra cells, or quote a cell that contains `{}`",
                    char::from(self.delimiter).escape_debug()
                ),
            ),
            None => ("too few", "add the missing cells, which may be empty".into()),
        };
        RowError {
            at: surplus.map_or(row.len(), |cell| cell.start),
            message: format!(
                "{what} cells: the row has {n_cells}, the file has {n_columns} columns; {advice}"
            ),
        }
    }

    fn not_utf8(&self, row: &[u8]) -> RowError {
        let bad = cells(row, self.delimiter)
            .enumerate()
            .find_map(|(index, cell)| Some((index, cell.start, std::str::from_utf8(&row[cell]).err()?)));
        let (index, at, n_valid) =
            bad.map_or((0, 0, 0), |(index, at, error)| (index, at, error.valid_up_to()));
        let byte = row.get(at + n_valid).copied().unwrap_or_default();
        RowError {
            at,
            message: format!(
                "column `{}` is not UTF-8: byte 0x{byte:02X} at {} of the cell; convert the file with `iconv -t UTF-8`",
                self.columns()[index].name,
                n_valid + 1,
            ),
        }
    }

    fn misfit(&self, row: &[u8], index: usize, cell: &[u8]) -> RowError {
        let column = &self.columns()[index];
        let wider = match (column.kind, narrowest(cell)) {
            (ColumnType::Integer, ColumnType::Integer | ColumnType::Float) => ColumnType::Float,
            _ => ColumnType::String,
        };
        let origin = match self.types.of(&column.name) {
            Some(_) => "declared in the pipeline file",
            None => "inferred from its first rows",
        };
        RowError {
            at: cells(row, self.delimiter).nth(index).map_or(0, |cell| cell.start),
            message: format!(
                "column `{}` is {} ({origin}), and `{}` is not; correct the row, or add to the source: {}",
                column.name,
                with_article(column.kind),
                shortened(cell),
                self.types.line_with(&column.name, wider),
            ),
        }
    }
}

fn with_article(kind: ColumnType) -> String {
    let article = if kind == ColumnType::Integer { "an" } else { "a" };
    format!("{article} {}", name_of(kind))
}

/// A cell for messages: on one line, at most 40 characters.
fn shortened(cell: &[u8]) -> String {
    const AT_MOST: usize = 40;
    let text = String::from_utf8_lossy(cell);
    let mut short: String = text.chars().take(AT_MOST).flat_map(char::escape_debug).collect();
    if text.chars().count() > AT_MOST {
        short.push('…');
    }
    short
}
