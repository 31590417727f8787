//! Tables: the rows of one batch with all cells in one buffer.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json;

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    /// Whole numbers, kept digit by digit.
    Integer,
    /// Numbers with a fraction or an exponent; in JSON an integer gets `.0`.
    Float,
    /// `true` and `false`.
    Boolean,
    /// Text.
    String,
}

/// One column of a table.
#[derive(Clone, Debug)]
pub struct Column {
    /// The name in the header.
    pub name: Box<str>,
    /// The type of its cells. The builder of the table must check them.
    pub kind: ColumnType,
    /// Whether a null cell becomes `null` in JSON.
    pub nullable: bool,
}

/// A null value for cells that a row does not have, in columns where every text is a value. It is a character that
/// Unicode reserves for uses like this one. A CSV line leaves it out.
pub const ABSENT_CELL: &str = "\u{FFFF}";

/// The header shared by the rows of a table.
#[derive(Debug)]
pub struct TableHeader {
    columns: Vec<Column>,
    delimiter: u8,
    null_values: Vec<Box<str>>,
    /// The null values of columns that have their own; empty if no column has.
    own_null_values: Vec<Option<Vec<Box<str>>>>,
    keys: JsonKeys,
}

impl TableHeader {
    /// A header for `columns`; cells equal to one of `null_values` are null.
    pub fn new(columns: Vec<Column>, delimiter: u8, null_values: Vec<Box<str>>) -> Self {
        let keys = JsonKeys::new(columns.iter().map(|column| &*column.name));
        TableHeader { columns, delimiter, null_values, own_null_values: Vec::new(), keys }
    }

    /// This header with other null values for one column, which becomes nullable.
    #[must_use]
    pub fn with_null_values(mut self, column: usize, null_values: Vec<Box<str>>) -> Self {
        self.own_null_values.resize(self.columns.len(), None);
        self.own_null_values[column] = Some(null_values);
        self.columns[column].nullable = true;
        self
    }

    /// The columns, in the order of the cells.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The byte between the cells of a line.
    pub fn delimiter(&self) -> u8 {
        self.delimiter
    }

    /// The null values of nullable columns that have none of their own.
    pub fn null_values(&self) -> &[Box<str>] {
        &self.null_values
    }

    /// The null values that only this column has.
    pub fn own_null_values(&self, column: usize) -> Option<&[Box<str>]> {
        self.own_null_values.get(column)?.as_deref()
    }

    /// Whether a cell of a nullable column without null values of its own is null.
    pub fn is_null(&self, cell: &[u8]) -> bool {
        self.null_values.iter().any(|null| null.as_bytes() == cell)
    }

    /// Whether a cell of this column is null.
    pub fn is_null_in(&self, column: usize, cell: &[u8]) -> bool {
        self.columns[column].nullable
            && match self.own_null_values(column) {
                None => self.is_null(cell),
                Some(own) => own.iter().any(|null| null.as_bytes() == cell),
            }
    }
}

/// The escaped keys of a JSON object with punctuation: `{"Index":`, `,"Date":` and so on.
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

/// The rows of one batch, with all cells in one buffer.
#[derive(Debug)]
pub struct Table {
    header: Arc<TableHeader>,
    cells: Vec<u8>,
    ends: Vec<u32>,
}

impl Table {
    /// A table of UTF-8 `cells` that end at `ends`, one for each column of each row.
    ///
    /// # Panics
    /// If the last row is incomplete.
    pub fn new(header: Arc<TableHeader>, cells: Vec<u8>, ends: Vec<u32>) -> Self {
        assert!(ends.len().is_multiple_of(header.columns.len()), "the last row is incomplete");
        Table { header, cells, ends }
    }

    /// Number of rows.
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

    /// Parses a line written by [`write_csv`](Self::write_csv).
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
                Some(byte) => ensure!(byte == delimiter, "text follows a closing quote"),
            }
        }
        ensure!(ends.len() == n_columns, "it has {} cells, but there are {n_columns} columns", ends.len());
        let row = Row::new(Arc::new(Table::new(header, cells, ends)), 0);
        let mut json = Vec::new();
        row.write_json(&mut json);
        serde_json::from_slice::<IgnoredAny>(&json)
            .context("a cell does not match the type of its column")?;
        Ok(row)
    }

    /// The header of the table.
    pub fn header(&self) -> &Arc<TableHeader> {
        &self.table.header
    }

    /// The cells, as UTF-8 text, in the order of the columns.
    pub fn cells(&self) -> impl Iterator<Item = &[u8]> {
        let n_columns = self.table.header.columns.len();
        let first = self.index as usize * n_columns;
        (first..first + n_columns).map(|index| self.table.cell(index))
    }

    /// The cell of a column, as UTF-8 text.
    pub fn cell(&self, column: usize) -> &[u8] {
        let n_columns = self.table.header.columns.len();
        assert!(column < n_columns, "no such column");
        self.table.cell(self.index as usize * n_columns + column)
    }

    /// Size of the cells in bytes.
    pub fn size(&self) -> usize {
        let n_columns = self.table.header.columns.len();
        let first = self.index as usize * n_columns;
        let start = if first == 0 { 0 } else { self.table.ends[first - 1] };
        (self.table.ends[first + n_columns - 1] - start) as usize + n_columns
    }

    /// Appends the row as a compact JSON object with the column names as keys.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        self.write_json_as(&self.table.header.keys, out);
    }

    /// Appends the row as a compact JSON object with other keys.
    pub fn write_json_as(&self, keys: &JsonKeys, out: &mut Vec<u8>) {
        let header = &*self.table.header;
        for (((index, column), key), cell) in header.columns.iter().enumerate().zip(&keys.0).zip(self.cells())
        {
            out.extend_from_slice(key);
            if column.nullable && header.is_null_in(index, cell) {
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
        // Fails only if a cell does not match the type of its column, which the builder has checked.
        serde_json::from_slice(&bytes).unwrap_or(Value::Null)
    }

    /// Appends the row as a CSV line without a line end; cells are quoted if needed.
    pub fn write_csv(&self, out: &mut Vec<u8>) {
        let delimiter = self.table.header.delimiter;
        // Programs that read CSV skip a blank line.
        let is_alone = self.table.header.columns().len() == 1;
        for (index, cell) in self.cells().enumerate() {
            if index > 0 {
                out.push(delimiter);
            }
            if cell == ABSENT_CELL.as_bytes() {
                continue;
            }
            let has_marks =
                cell.iter().any(|&byte| byte == delimiter || matches!(byte, b'"' | b'\n' | b'\r'));
            let quoted = has_marks || is_alone && cell.is_empty();
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
    fn write_json_keeps_digits_and_adds_a_point_to_floats() {
        use ColumnType::{Boolean, Float, Integer, String};
        let columns = [("Adj Close", Float), ("n", Integer), ("ok", Boolean), ("s", String)];
        let row = row(&columns, &["1", "2", "false", "", "1500", "007", "True", "a\"b"]);
        assert_eq!(json_of(&row), r#"{"Adj Close":1500.0,"n":007,"ok":true,"s":"a\"b"}"#);
    }

    #[test]
    fn null_cell_is_written_as_null() {
        let row = row(&[("a", ColumnType::Float), ("b", ColumnType::String)], &["", ""]);
        assert_eq!(json_of(&row), r#"{"a":null,"b":null}"#);
    }

    #[test]
    fn column_with_its_own_null_values_ignores_those_of_the_table() {
        let columns =
            ["a", "b"].map(|name| Column { name: name.into(), kind: ColumnType::String, nullable: true });
        let header = TableHeader::new(columns.into(), b',', vec!["".into()]);
        let header = Arc::new(header.with_null_values(1, vec!["-".into()]));
        let table = Arc::new(Table::new(header, b"-".to_vec(), vec![0, 0, 0, 1]));
        let row = |index| json_of(&Row::new(Arc::clone(&table), index));
        assert_eq!([row(0), row(1)], [r#"{"a":null,"b":""}"#, r#"{"a":null,"b":null}"#]);
    }

    proptest! {
        #[test]
        fn csv_line_round_trips(cells in prop::collection::vec("[a,;\"\r\n ]{0,4}", 1..4)) {
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
    fn read_csv_refuses_invalid_lines() {
        let header = || {
            Arc::clone(row(&[("n", ColumnType::Integer), ("s", ColumnType::String)], &["1", "a"]).header())
        };
        for (line, reason) in [
            ("1", "it has 1 cells"),
            ("1,a,b", "it has 3 cells"),
            ("1,\"a", "never closed"),
            ("1,\"a\"b", "follows a closing quote"),
            ("x,a", "not match the type of its column"),
        ] {
            let error = Row::read_csv(header(), line.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn write_csv_quotes_cells_if_needed() {
        let columns = [("a", ColumnType::String), ("b", ColumnType::String)];
        for (n_columns, cells, expected) in [
            (2, &["x,y", "say \"hi\""][..], r#""x,y","say ""hi""""#),
            (2, &["", ""], ","),
            (1, &[""], r#""""#),
        ] {
            let mut line = Vec::new();
            row(&columns[..n_columns], cells).write_csv(&mut line);
            assert_eq!(String::from_utf8(line).unwrap(), expected);
        }
    }
}
