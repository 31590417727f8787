//! The columns of objects, inferred from the JSON records in them.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use datafusion::arrow::datatypes::{DataType, Field, Fields};
use serde_json::{Map, Value};
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
            Ok(bytes) => columns = add_records(columns, &bytes),
            // Deleted since the folder was read.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(Halt::Failed(format!("reading {}: {error}", file.display()))),
        }
    }
    Ok(columns)
}

/// Adds the columns of the records of one object, up to the first invalid line.
fn add_records(columns: Fields, object: &[u8]) -> Fields {
    let lines = object.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let records = lines.map_while(|line| serde_json::from_slice(line).ok());
    records.fold(columns, |columns, record| hive::merge_fields(&columns, &fields_of(&record)))
}

/// Hive has only names in lower case.
fn fields_of(record: &Map<String, Value>) -> Fields {
    let fields = record.iter().map(|(name, value)| Field::new(name.to_lowercase(), type_of(value), true));
    hive::merge_fields(&Fields::empty(), &fields.collect())
}

fn type_of(value: &Value) -> DataType {
    match value {
        Value::Null => DataType::Null,
        Value::Bool(_) => DataType::Boolean,
        Value::Number(number) if number.is_i64() => DataType::Int64,
        Value::Number(_) => DataType::Float64,
        Value::String(_) => DataType::Utf8,
        Value::Array(items) => {
            let element = items.iter().map(type_of).reduce(|all, item| hive::merge(&all, &item));
            hive::list_of(element.unwrap_or(DataType::Null))
        }
        Value::Object(fields) => DataType::Struct(fields_of(fields)),
    }
}
