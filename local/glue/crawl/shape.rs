//! The shape of objects: their columns, inferred from the JSON records in them.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use datafusion::arrow::datatypes::Fields;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::reader::infer_json_schema_from_iterator;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::{Halt, check};
use crate::catalogue::hive;

/// How many records are in memory before their columns are inferred.
const BATCH: usize = 10_000;

#[derive(Default)]
pub(super) struct Shape {
    /// In the order of their first occurrence, with names in lower case.
    pub(super) fields: Fields,
    /// The names of columns as in the objects, by the name in lower case.
    pub(super) originals: BTreeMap<String, String>,
    pub(super) n_records: u64,
    pub(super) n_objects: u64,
}

impl Shape {
    /// The shape of the objects of one folder, none if they are not JSON lines; reads at most `sample` objects.
    pub(super) fn infer(
        files: &[PathBuf],
        sample: usize,
        stop: &CancellationToken,
    ) -> Result<Option<Shape>, Halt> {
        let mut shape = Shape::default();
        let mut records = Vec::new();
        let mut n_read = 0;
        for file in files.iter().take(sample) {
            check(stop)?;
            match fs::read(file) {
                Ok(bytes) => shape.read(&bytes, &mut records),
                // Deleted since the folder was read.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(Halt::Failed(format!("reading {}: {error}", file.display()))),
            }
            n_read += 1;
            if records.len() >= BATCH {
                shape.add(&mut records)?;
            }
        }
        shape.add(&mut records)?;
        if shape.fields.is_empty() {
            return Ok(None);
        }
        shape.n_objects = files.len() as u64;
        // Estimates the number of records in the objects that were not read.
        shape.n_records = shape.n_records * shape.n_objects / n_read.max(1);
        Ok(Some(shape))
    }

    /// Collects the records of one object up to the first invalid line.
    fn read(&mut self, bytes: &[u8], records: &mut Vec<Value>) {
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        for record in lines.map_while(|line| serde_json::from_slice::<Map<String, Value>>(line).ok()) {
            for key in record.keys() {
                self.originals.entry(key.to_lowercase()).or_insert_with(|| key.clone());
            }
            records.push(Value::Object(hive::lower_keys(record)));
        }
    }

    fn add(&mut self, records: &mut Vec<Value>) -> Result<(), Halt> {
        match infer(records) {
            Ok(fields) => self.fields = hive::merge_fields(&self.fields, &fields),
            // Some column has objects and arrays: their type is found record by record, and is text.
            Err(_) => {
                for record in &*records {
                    let fields =
                        infer(std::slice::from_ref(record)).map_err(|error| column_error(record, &error))?;
                    self.fields = hive::merge_fields(&self.fields, &fields);
                }
            }
        }
        self.n_records += records.len() as u64;
        records.clear();
        Ok(())
    }

    pub(super) fn merge(&mut self, other: Shape) {
        self.fields = hive::merge_fields(&self.fields, &other.fields);
        self.originals.extend(other.originals);
        self.n_records += other.n_records;
        self.n_objects += other.n_objects;
    }
}

/// The columns of records.
fn infer(records: &[Value]) -> Result<Fields, ArrowError> {
    Ok(infer_json_schema_from_iterator(records.iter().map(Ok::<_, ArrowError>))?.fields)
}

/// Names the column of a record whose values have no common type, such as an array with objects and numbers.
fn column_error(record: &Value, error: &ArrowError) -> Halt {
    let mut columns = record.as_object().into_iter().flatten();
    let wrong = columns.find(|(name, value)| infer(&[json!({ name.as_str(): value })]).is_err());
    let column = wrong.map_or_else(|| "a column".into(), |(name, _)| format!("the column `{name}`"));
    Halt::Failed(format!("{column} has values of types that do not go together: {error}"))
}
