//! A layout is what every row of a file has in common: its columns and their
//! types, settled once. Rows that keep to it become tables, others are at fault.

use std::sync::Arc;

use anyhow::Error;
use bytes::Bytes;
use runner_core::{Body, Column, ColumnType, Name, Origin, Record, Reject, Row, Table, TableHeader};

use super::scan::{Slip, cells, count_line_ends, split};
use super::types::{Types, fits, name_of, narrowest};

/// How rows are written, and what their cells may be.
#[derive(Clone, Debug)]
pub(crate) struct Dialect {
    /// What stands between two cells.
    pub(crate) delimiter: u8,
    /// Cells that stand for nothing.
    pub(crate) null_values: Vec<Box<str>>,
    /// How columns get their types.
    pub(crate) types: Types,
}

impl Default for Dialect {
    fn default() -> Self {
        Dialect { delimiter: b',', null_values: vec!["".into()], types: Types::Infer }
    }
}

/// The columns of a file and the types that were settled for them.
#[derive(Debug)]
pub(crate) struct Layout {
    header: Arc<TableHeader>,
    delimiter: u8,
    types: Types,
    /// The columns that do not take just any text.
    checked: Box<[(usize, ColumnType)]>,
}

impl Layout {
    /// Columns of these names and types; what the options declare wins.
    pub(crate) fn new(columns: impl IntoIterator<Item = (String, ColumnType)>, dialect: &Dialect) -> Self {
        let column = |(name, settled): (String, ColumnType)| {
            let declared = dialect.types.of(&name);
            let nullable = declared != Some(ColumnType::String);
            Column { kind: declared.unwrap_or(settled), nullable, name: name.into() }
        };
        let columns: Vec<Column> = columns.into_iter().map(column).collect();
        let kinds = columns.iter().map(|column| column.kind).enumerate();
        let checked = kinds.filter(|&(_, kind)| kind != ColumnType::String).collect();
        let header = TableHeader::new(columns, dialect.delimiter, dialect.null_values.clone()).into();
        Layout { header, delimiter: dialect.delimiter, types: dialect.types.clone(), checked }
    }

    /// What the rows of a table share.
    pub(crate) fn header(&self) -> &Arc<TableHeader> {
        &self.header
    }

    fn columns(&self) -> &[Column] {
        self.header.columns()
    }
}

/// What is wrong with a row.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Where, in bytes from the start of the row.
    pub(crate) at: usize,
    /// What, and what to do.
    pub(crate) message: String,
}

/// Where a row begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// The file or URL, as people are shown it.
    pub(crate) stream: Name,
    /// The physical line, counted from 1.
    pub(crate) line: u64,
}

impl Place {
    /// The error that points at `fault.at` bytes behind the start of `row`.
    pub(crate) fn error(&self, row: &[u8], fault: &Fault) -> Error {
        let (line, column) = self.of(row, fault.at);
        Error::msg(format!("{}:{line}:{column}: {}", self.stream, fault.message))
    }

    /// The error for quotes that make no sense.
    pub(crate) fn misquoted(&self, row: &[u8], slip: Slip) -> Error {
        let (at, message) = match slip {
            Slip::Open(at) => (
                at,
                "the quote that opens here is never closed; close it, or double it if it is a character"
                    .into(),
            ),
            Slip::Stray { cell, text } => {
                let (line, column) = self.of(row, cell);
                let message = format!(
                    "there is text behind the quote that closes the cell begun at {line}:{column}; a quote \
                     inside a quoted cell is written twice (\"\"), and one that opens a cell must be closed"
                );
                (text, message)
            }
        };
        self.error(row, &Fault { at, message })
    }

    /// The physical line, which need not be the first one of the row, and the column of what
    /// stands `at` bytes behind the start of `row`.
    fn of(&self, row: &[u8], at: usize) -> (u64, usize) {
        let start = row[..at].iter().rposition(|byte| matches!(byte, b'\n' | b'\r')).map_or(0, |end| end + 1);
        let column = String::from_utf8_lossy(&row[start..at]).chars().count() + 1;
        (self.line + count_line_ends(&row[..start]), column)
    }
}

/// A row that no record can be made of, as it was read.
pub(crate) fn reject(row: &[u8], reason: Error, origin: Origin, n_before: usize) -> Reject {
    Reject { record: Record::new(Body::Bytes(Bytes::copy_from_slice(row)), origin), reason, n_before }
}

/// A table under construction.
pub(crate) struct TableBuilder {
    layout: Arc<Layout>,
    cells: Vec<u8>,
    ends: Vec<u32>,
}

impl TableBuilder {
    /// An empty table, with room for about `n_bytes` of cells in `n_rows` rows.
    pub(crate) fn new(layout: Arc<Layout>, n_rows: usize, n_bytes: usize) -> Self {
        let ends = Vec::with_capacity(n_rows * layout.columns().len());
        TableBuilder { cells: Vec::with_capacity(n_bytes), ends, layout }
    }

    /// Appends a row, or says what is wrong with it and leaves the table as it was.
    pub(crate) fn push(&mut self, row: &[u8], quoted: bool) -> Result<(), Fault> {
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
    fn check(&self, row: &[u8], n_bytes: usize, n_ends: usize) -> Result<(), Fault> {
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

impl Layout {
    fn wrong_width(&self, row: &[u8], n_cells: usize) -> Fault {
        let n_columns = self.columns().len();
        let surplus = cells(row, self.delimiter).nth(n_columns);
        let (what, advice) = match &surplus {
            Some(_) => (
                "too many",
                format!(
                    "take the others out, or put a cell that holds a `{}` in quotes",
                    char::from(self.delimiter).escape_debug()
                ),
            ),
            None => ("too few", "add the missing ones, which may be empty".into()),
        };
        Fault {
            at: surplus.map_or(row.len(), |cell| cell.start),
            message: format!(
                "{what} cells: the row has {n_cells} and the file {n_columns} columns; {advice}"
            ),
        }
    }

    fn not_utf8(&self, row: &[u8]) -> Fault {
        let bad = cells(row, self.delimiter)
            .enumerate()
            .find_map(|(index, cell)| Some((index, cell.start, std::str::from_utf8(&row[cell]).err()?)));
        let (index, at, n_valid) =
            bad.map_or((0, 0, 0), |(index, at, error)| (index, at, error.valid_up_to()));
        let byte = row.get(at + n_valid).copied().unwrap_or_default();
        Fault {
            at,
            message: format!(
                "column `{}` is not UTF-8: byte 0x{byte:02X} at {} of the cell; convert the file with `iconv -t UTF-8`",
                self.columns()[index].name,
                n_valid + 1,
            ),
        }
    }

    fn misfit(&self, row: &[u8], index: usize, cell: &[u8]) -> Fault {
        let column = &self.columns()[index];
        let wider = match (column.kind, narrowest(cell)) {
            (ColumnType::Integer, ColumnType::Integer | ColumnType::Float) => ColumnType::Float,
            _ => ColumnType::String,
        };
        let settled = match self.types.of(&column.name) {
            Some(_) => "as the pipeline file declares",
            None => "as its first rows have settled",
        };
        Fault {
            at: cells(row, self.delimiter).nth(index).map_or(0, |cell| cell.start),
            message: format!(
                "column `{}` is {}, {settled}, and `{}` is not; correct the row, or add to the source: {}",
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

/// A cell for people to look at: one line, and not too long.
fn shortened(cell: &[u8]) -> String {
    const AT_MOST: usize = 40;
    let text = String::from_utf8_lossy(cell);
    let mut short: String = text.chars().take(AT_MOST).flat_map(char::escape_debug).collect();
    if text.chars().count() > AT_MOST {
        short.push('…');
    }
    short
}
