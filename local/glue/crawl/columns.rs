//! The columns of objects, inferred from the JSON records in them.

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

/// The columns of the objects of one folder in the order of their first occurrence, with names in lower case; none
/// if the objects are not JSON lines. Reads at most `sample` objects.
pub(super) fn of(files: &[PathBuf], sample: usize, stop: &CancellationToken) -> Result<Fields, Halt> {
    let mut columns = Fields::empty();
    for file in files.iter().take(sample) {
        check(stop)?;
        match fs::read(file) {
            Ok(bytes) => columns = hive::merge_fields(&columns, &columns_of(&records(&bytes))?),
            // Deleted since the folder was read.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(Halt::Failed(format!("reading {}: {error}", file.display()))),
        }
    }
    Ok(columns)
}

/// The records of one object up to the first invalid line.
fn records(bytes: &[u8]) -> Vec<Value> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let records = lines.map_while(|line| serde_json::from_slice::<Map<String, Value>>(line).ok());
    records.map(|record| Value::Object(hive::lower_keys(record))).collect()
}

fn columns_of(records: &[Value]) -> Result<Fields, Halt> {
    if let Ok(columns) = infer(records) {
        return Ok(columns);
    }
    // Some column has objects and arrays: their type is found record by record, and is text.
    let mut columns = Fields::empty();
    for record in records {
        let more = infer(std::slice::from_ref(record)).map_err(|error| column_error(record, &error))?;
        columns = hive::merge_fields(&columns, &more);
    }
    Ok(columns)
}

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
