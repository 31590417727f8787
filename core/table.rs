//! A table holds the rows of one batch, all cells end to end in one buffer.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json;

/// What the cells of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    /// Whole numbers, kept digit by digit.
    Integer,
    /// EntryAllocator with a fraction or exponent; in JSON an integer gets `.0`.
    Float,
    /// `true` and `false`.
    Boolean,
    /// Text.
    String,
}

/// One column of a table.
#[derive(Clone, Debug)]
pub struct Column {
    /// As the header says it.
    pub name: Box<str>,
    /// What its cells are; whoever builds a table has checked them.
    pub kind: ColumnType,
    /// Whether a cell that stands for nothing becomes `null`.
    pub nullable: bool,
}

/// What the rows of a table share.
#[derive(Debug)]
pub struct TableHeader {
    columns: Vec<Column>,
    delimiter: u8,
    null_values: Vec<Box<str>>,
    keys: JsonKeys,
}

impl TableHeader {
    /// A header for `columns`; cells equal to one of `null_values` stand for nothing.
    pub fn new(columns: Vec<Column>, delimiter: u8, null_values: Vec<Box<str>>) -> Self {
        let keys = JsonKeys::new(columns.iter().map(|column| &*column.name));
        TableHeader { columns, delimiter, null_values, keys }
    }

    /// The columns, in the order of the cells.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// What stands between the cells of a line.
    pub(crate) fn delimiter(&self) -> u8 {
        self.delimiter
    }

    pub(crate) fn null_values(&self) -> &[Box<str>] {
        &self.null_values
    }

    /// Whether a cell of a nullable column stands for nothing.
    pub fn is_null(&self, cell: &[u8]) -> bool {
        self.null_values.iter().any(|null| null.as_bytes() == cell)
    }
}

/// The keys of a JSON object, escaped once: `{"Index":`, `,"Date":` and so on.
#[derive(Debug)]
pub struct JsonKeys(Vec<Box<[u8]>>);

impl JsonKeys {
    /// Keys in the order of the columns.
    pub fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let key = |(index, name)| {
            let mut key = vec![if index == 0 { b'{' } else { b',' }];
            json::write_string(str::as_bytes(name), &mut key);
            key.push(b':');
            key.into()
        };
        JsonKeys(names.enumerate().map(key).collect())
    }
}

/// The rows of one batch: all cells end to end in one buffer.
#[derive(Debug)]
pub struct Table {
    header: Arc<TableHeader>,
    cells: Vec<u8>,
    ends: Vec<u32>,
}

impl Table {
    /// A table of UTF-8 `cells` whose ends are `ends`, as many a row as there are columns.
    ///
    /// # Panics
    /// If the last row is not whole.
    pub fn new(header: Arc<TableHeader>, cells: Vec<u8>, ends: Vec<u32>) -> Self {
        assert!(ends.len().is_multiple_of(header.columns.len()), "the last row is not whole");
        Table { header, cells, ends }
    }

    /// How many rows there are.
    pub fn n_rows(&self) -> usize {
        self.ends.len() / self.header.columns.len()
    }

    fn cell(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.cells[start..self.ends[index] as usize]
    }
}

/// One row of a table.
#[derive(Clone, Debug)]
pub struct Row {
    table: Arc<Table>,
    index: u32,
}

impl Row {
    /// The row at `index`, counted from 0.
    ///
    /// # Panics
    /// If the table has no such row.
    pub fn new(table: Arc<Table>, index: usize) -> Self {
        assert!(index < table.n_rows(), "no such row");
        Row { table, index: index as u32 }
    }

    /// Reads a line that [`write_csv`](Self::write_csv) has written.
    pub(crate) fn read_csv(header: Arc<TableHeader>, line: &[u8]) -> Result<Row> {
        std::str::from_utf8(line).context("it is not UTF-8")?;
        let (n_columns, delimiter) = (header.columns.len(), header.delimiter);
        let mut cells = Vec::with_capacity(line.len());
        let mut ends = Vec::with_capacity(n_columns);
        let mut rest = line.iter().copied().peekable();
        loop {
            let is_quoted = rest.next_if_eq(&b'"').is_some();
            let end = loop {
                match rest.next() {
                    Some(b'"') if is_quoted && rest.next_if_eq(&b'"').is_none() => break rest.next(),
                    None if is_quoted => bail!("a quote is never closed"),
                    Some(byte) if is_quoted || byte != delimiter => cells.push(byte),
                    end => break end,
                }
            };
            ends.push(u32::try_from(cells.len())?);
            match end {
                None => break,
                Some(byte) => ensure!(byte == delimiter, "text stands behind a closing quote"),
            }
        }
        ensure!(ends.len() == n_columns, "it has {} cells and there are {n_columns} columns", ends.len());
        let row = Row::new(Arc::new(Table::new(header, cells, ends)), 0);
        let mut json = Vec::new();
        row.write_json(&mut json);
        serde_json::from_slice::<IgnoredAny>(&json).context("a cell is not of the type of its column")?;
        Ok(row)
    }

    /// What the rows of the table share.
    pub fn header(&self) -> &Arc<TableHeader> {
        &self.table.header
    }

    /// The cells, as text, in the order of the columns.
    pub fn cells(&self) -> impl Iterator<Item = &[u8]> {
        let n_columns = self.table.header.columns.len();
        let first = self.index as usize * n_columns;
        (first..first + n_columns).map(|index| self.table.cell(index))
    }

    /// How many bytes its cells take.
    pub fn size(&self) -> usize {
        let n_columns = self.table.header.columns.len();
        let first = self.index as usize * n_columns;
        let start = if first == 0 { 0 } else { self.table.ends[first - 1] };
        (self.table.ends[first + n_columns - 1] - start) as usize + n_columns
    }

    /// Appends the row as one compact JSON object under the header's names.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        self.write_json_as(&self.table.header.keys, out);
    }

    /// Appends the row as one compact JSON object under other names.
    pub fn write_json_as(&self, keys: &JsonKeys, out: &mut Vec<u8>) {
        let header = &*self.table.header;
        for ((column, key), cell) in header.columns.iter().zip(&keys.0).zip(self.cells()) {
            out.extend_from_slice(key);
            if column.nullable && header.is_null(cell) {
                out.extend_from_slice(b"null");
                continue;
            }
            match column.kind {
                ColumnType::Integer => out.extend_from_slice(cell),
                ColumnType::Float => {
                    out.extend_from_slice(cell);
                    if !cell.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
                        out.extend_from_slice(b".0");
                    }
                }
                ColumnType::Boolean => out.extend(cell.iter().map(u8::to_ascii_lowercase)),
                ColumnType::String => json::write_string(cell, out),
            }
        }
        out.push(b'}');
    }

    /// The row as a JSON object.
    pub fn to_value(&self) -> Value {
        let mut bytes = Vec::with_capacity(self.size() * 2);
        self.write_json(&mut bytes);
        // Only a cell that its column's type does not allow can fail here, and
        // whoever built the table has checked them.
        serde_json::from_slice(&bytes).unwrap_or(Value::Null)
    }

    /// Appends the row as a CSV line without its end, quoted where it must be.
    pub fn write_csv(&self, out: &mut Vec<u8>) {
        let delimiter = self.table.header.delimiter;
        for (index, cell) in self.cells().enumerate() {
            if index > 0 {
                out.push(delimiter);
            }
            let quoted = cell.iter().any(|&byte| byte == delimiter || matches!(byte, b'"' | b'\n' | b'\r'));
            if !quoted {
                out.extend_from_slice(cell);
                continue;
            }
            out.push(b'"');
            for &byte in cell {
                if byte == b'"' {
                    out.push(b'"');
                }
                out.push(byte);
            }
            out.push(b'"');
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(columns: &[(&str, ColumnType)], cells: &[&str]) -> Row {
        let columns =
            columns.iter().map(|&(name, kind)| Column { name: name.into(), kind, nullable: true }).collect();
        let header = Arc::new(TableHeader::new(columns, b',', vec!["".into()]));
        let mut ends = Vec::new();
        let mut buffer = Vec::new();
        for cell in cells {
            buffer.extend_from_slice(cell.as_bytes());
            ends.push(buffer.len() as u32);
        }
        let table = Arc::new(Table::new(header, buffer, ends));
        let last = table.n_rows() - 1;
        Row::new(table, last)
    }

    fn json_of(row: &Row) -> String {
        let mut out = Vec::new();
        row.write_json(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_keep_their_digits_and_floats_have_a_point() {
        use ColumnType::{Boolean, Float, Integer, String};
        let columns = [("Adj Close", Float), ("n", Integer), ("ok", Boolean), ("s", String)];
        let row = row(&columns, &["1", "2", "false", "", "1500", "007", "True", "a\"b"]);
        assert_eq!(json_of(&row), r#"{"Adj Close":1500.0,"n":007,"ok":true,"s":"a\"b"}"#);
    }

    #[test]
    fn a_cell_that_stands_for_nothing_is_null() {
        let row = row(&[("a", ColumnType::Float), ("b", ColumnType::String)], &["", ""]);
        assert_eq!(json_of(&row), r#"{"a":null,"b":null}"#);
    }

    proptest! {
        #[test]
        fn a_line_is_read_back_as_the_row_it_was(cells in prop::collection::vec("[a,;\"\r\n ]{0,4}", 1..4)) {
            let columns = vec![("a", ColumnType::String); cells.len()];
            let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
            let row = row(&columns, &cells);
            let mut line = Vec::new();
            row.write_csv(&mut line);
            let back = Row::read_csv(Arc::clone(row.header()), &line).unwrap();
            prop_assert!(back.cells().eq(row.cells()));
        }
    }

    #[test]
    fn a_line_that_is_no_row_is_refused() {
        let header = || {
            Arc::clone(row(&[("n", ColumnType::Integer), ("s", ColumnType::String)], &["1", "a"]).header())
        };
        for (line, reason) in [
            ("1", "it has 1 cells"),
            ("1,a,b", "it has 3 cells"),
            ("1,\"a", "never closed"),
            ("1,\"a\"b", "behind a closing quote"),
            ("x,a", "not of the type of its column"),
        ] {
            let error = Row::read_csv(header(), line.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_row_is_written_back_as_the_line_it_was() {
        let row = row(&[("a", ColumnType::String), ("b", ColumnType::String)], &["x,y", "say \"hi\""]);
        let mut line = Vec::new();
        row.write_csv(&mut line);
        assert_eq!(String::from_utf8(line).unwrap(), r#""x,y","say ""hi""""#);
    }
}
