//! JSON: objects of records, one a line.

use std::collections::BTreeMap;

use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::reader::infer_json_schema_from_iterator;
use serde_json::{Map, Value};

use super::{Contents, Format, Shape};
use crate::glue::crawl::Halt;

/// How many records are held before their columns are inferred.
const AT_ONCE: usize = 10_000;

pub(super) fn infer(first: Vec<u8>, contents: &mut Contents) -> Result<Option<Shape>, Halt> {
    let mut shape: Option<Shape> = None;
    let mut originals = BTreeMap::new();
    let mut records = Vec::new();
    let mut next = Some(first);
    while let Some(bytes) = next {
        read(&bytes, &mut records, &mut originals);
        if records.len() >= AT_ONCE {
            add(&mut shape, &mut records)?;
        }
        next = contents.next()?;
    }
    add(&mut shape, &mut records)?;
    Ok(shape.map(|shape| Shape { originals, ..shape }))
}

/// The records of one object; one that is not JSON throughout counts as far as it can be read.
fn read(bytes: &[u8], records: &mut Vec<Value>, originals: &mut BTreeMap<String, String>) {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    for record in lines.map_while(|line| serde_json::from_slice::<Map<String, Value>>(line).ok()) {
        for key in record.keys() {
            originals.entry(key.to_lowercase()).or_insert_with(|| key.clone());
        }
        records.push(lower(Value::Object(record)));
    }
}

fn add(shape: &mut Option<Shape>, records: &mut Vec<Value>) -> Result<(), Halt> {
    if records.is_empty() {
        return Ok(());
    }
    let inferred = infer_json_schema_from_iterator(records.iter().map(Ok::<_, ArrowError>));
    let schema = inferred.map_err(|error| {
        Halt::Failed(format!("the records have a column that is one thing here and another there: {error}"))
    })?;
    let more = Shape::new(Format::Json, schema.fields, records.len() as u64);
    records.clear();
    match shape {
        Some(shape) => shape.merge(more),
        None => *shape = Some(more),
    }
    Ok(())
}

/// Hive knows names in lower case only.
fn lower(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            map.into_iter().map(|(key, value)| (key.to_lowercase(), lower(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(lower).collect(),
        other => other,
    }
}
