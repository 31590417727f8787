//! CSV: columns are told by their places; a lazy `SerDe` reads what does not fit as NULL, the other refuses it.

use std::sync::Arc;

use csv::ReaderBuilder;
use datafusion::arrow::array::{ArrayRef, RecordBatch, StringBuilder};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::common::{DataFusionError, Result};

use super::{PATH, Part, ROWS, Rows};

pub(super) fn read(part: &Part, delimiter: u8, n_skipped: usize, is_strict: bool, rows: &Rows) -> Result<()> {
    let mut texts = Texts::new(part, is_strict);
    let mut n_rows = 0;
    for object in &part.objects {
        let Some(bytes) = object.read(&part.n_scanned)? else { continue };
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .quoting(is_strict)
            .from_reader(bytes.as_slice());
        for record in reader.records().skip(n_skipped) {
            let record = record.map_err(|error| {
                DataFusionError::Execution(format!("HIVE_CURSOR_ERROR: {error} in {}", object.url))
            })?;
            n_rows += 1;
            texts.push(|name| {
                if name == PATH {
                    return Some(object.url.as_str());
                }
                let partition = object.partition.iter().find(|(key, _)| key == name);
                let at = || part.columns.iter().position(|column| column == name);
                partition.map(|(_, value)| value.as_str()).or_else(|| record.get(at()?))
            });
            if texts.n_rows == ROWS && !rows.send(texts.take()?) {
                return Ok(());
            }
        }
    }
    if part.counts_only() {
        rows.send_count(&part.schema, n_rows)?;
    } else if texts.n_rows > 0 {
        rows.send(texts.take()?);
    }
    Ok(())
}

/// Fields as they stand there, before they become what their columns are.
struct Texts<'a> {
    part: &'a Part,
    is_strict: bool,
    columns: Vec<StringBuilder>,
    n_rows: usize,
}

impl<'a> Texts<'a> {
    fn new(part: &'a Part, is_strict: bool) -> Texts<'a> {
        let columns = part.schema.fields().iter().map(|_| StringBuilder::new()).collect();
        Texts { part, is_strict, columns, n_rows: 0 }
    }

    fn push<'b>(&mut self, value: impl Fn(&str) -> Option<&'b str>) {
        for (column, field) in self.columns.iter_mut().zip(self.part.schema.fields()) {
            // An empty field of a number is no number.
            let is_text = field.data_type().is_string();
            column.append_option(value(field.name()).filter(|text| is_text || !text.trim().is_empty()));
        }
        if !self.columns.is_empty() {
            self.n_rows += 1;
        }
    }

    fn take(&mut self) -> Result<RecordBatch> {
        self.n_rows = 0;
        let options = CastOptions { safe: !self.is_strict, ..CastOptions::default() };
        let columns = self.columns.iter_mut().zip(self.part.schema.fields()).map(|(column, field)| {
            let texts: ArrayRef = Arc::new(column.finish());
            cast_with_options(&texts, field.data_type(), &options).map_err(|error| {
                DataFusionError::Execution(format!(
                    "HIVE_BAD_DATA: Error parsing column `{}`: {error}",
                    field.name()
                ))
            })
        });
        Ok(RecordBatch::try_new(self.part.schema.clone(), columns.collect::<Result<_>>()?)?)
    }
}
