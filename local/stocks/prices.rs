//! The prices of all stock APIs: the rows of a CSV file.

use anyhow::{Context as _, Result};
use serde_json::Value;

/// Rows, each with the text of its JSON object.
#[derive(Debug)]
pub(super) struct Prices {
    columns: csv::StringRecord,
    rows: Vec<csv::StringRecord>,
    objects: Vec<String>,
}

impl Prices {
    /// Reads the rows of a CSV text with a header.
    pub(super) fn from_csv(text: &[u8]) -> Result<Prices> {
        let mut reader = csv::Reader::from_reader(text);
        let what = "reading the prices of the stock API";
        let columns = reader.headers().context(what)?.clone();
        let rows: Vec<_> = reader.records().collect::<Result<_, _>>().context(what)?;
        let objects = rows.iter().map(|row| object(&columns, row)).collect();
        Ok(Prices { columns, rows, objects })
    }

    /// All rows as JSON objects, in the order of the file.
    pub(super) fn objects(&self) -> &[String] {
        &self.objects
    }

    /// The cell of a row; empty if the column does not exist.
    pub(super) fn cell(&self, row: usize, column: &str) -> &str {
        let at = self.columns.iter().position(|name| name == column);
        at.and_then(|at| self.rows[row].get(at)).unwrap_or_default()
    }

    /// The rows of one index, or of all without one: the newest first, rows of one day in the order of the file.
    pub(super) fn newest_first(&self, index: Option<&str>) -> Vec<usize> {
        let is_asked = |row: &usize| index.is_none_or(|index| self.cell(*row, "Index") == index);
        let mut rows: Vec<usize> = (0..self.rows.len()).filter(is_asked).collect();
        rows.sort_by(|a, b| self.cell(*b, "Date").cmp(self.cell(*a, "Date")));
        rows
    }
}

/// A row as a JSON object; numbers keep their digits.
fn object(names: &csv::StringRecord, row: &csv::StringRecord) -> String {
    let members = names.iter().zip(row).map(|(name, cell)| {
        let is_number = serde_json::from_str::<serde_json::Number>(cell).is_ok();
        let cell = if is_number { cell.to_owned() } else { Value::from(cell).to_string() };
        format!("{}:{cell}", Value::from(name))
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}
