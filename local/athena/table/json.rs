//! JSON: one record a line; keys are matched without case, and a key that no column asks for is passed over.

use std::fmt;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::json::ReaderBuilder;
use datafusion::arrow::json::reader::Decoder;
use datafusion::common::{DataFusionError, Result};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::fit::fit;
use super::objects::Object;
use super::{PATH, Part, ROWS, Rows};

type Record = Map<String, Value>;

pub(super) fn read(part: &Part, rows: &Rows) -> Result<()> {
    if part.counts_only() {
        return count(part, rows);
    }
    let mut decoder = ReaderBuilder::new(part.schema.clone()).with_batch_size(ROWS).build_decoder()?;
    let mut records = Vec::new();
    for object in &part.objects {
        let Some(bytes) = object.read(&part.n_scanned)? else { continue };
        for line in lines(&bytes) {
            records.push(record(part, object, line)?);
            if records.len() == ROWS {
                let is_wanted = decode(&mut decoder, &mut records)?.is_none_or(|batch| rows.send(batch));
                if !is_wanted {
                    return Ok(());
                }
            }
        }
    }
    if let Some(batch) = decode(&mut decoder, &mut records)? {
        rows.send(batch);
    }
    Ok(())
}

fn count(part: &Part, rows: &Rows) -> Result<()> {
    let mut n_rows = 0;
    for object in &part.objects {
        let Some(bytes) = object.read(&part.n_scanned)? else { continue };
        for line in lines(&bytes) {
            // What is no record fails here as it fails where its columns are read.
            serde_json::from_slice::<Countable>(line).map_err(|error| no_record(object, &error))?;
            n_rows += 1;
        }
    }
    rows.send_count(&part.schema, n_rows)?;
    Ok(())
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty())
}

fn decode(decoder: &mut Decoder, records: &mut Vec<Record>) -> Result<Option<RecordBatch>> {
    decoder.serialize(records)?;
    records.clear();
    Ok(decoder.flush()?)
}

fn record(part: &Part, object: &Object, line: &[u8]) -> Result<Record> {
    let read: Record = serde_json::from_slice(line).map_err(|error| no_record(object, &error))?;
    let mut record = Record::new();
    for (key, value) in read {
        let name = key.to_lowercase();
        let Ok(field) = part.schema.field_with_name(&name) else { continue };
        let value = fit(value, field.data_type()).map_err(|what| bad_data(part, object, &name, &what))?;
        record.insert(name, value);
    }
    for (key, value) in &*object.partition {
        if let Ok(field) = part.schema.field_with_name(key) {
            let value = fit(Value::String(value.clone()), field.data_type());
            record.insert(key.clone(), value.map_err(|what| bad_data(part, object, key, &what))?);
        }
    }
    if part.schema.field_with_name(PATH).is_ok() {
        record.insert(PATH.into(), Value::String(object.url.clone()));
    }
    Ok(record)
}

fn no_record(object: &Object, error: &serde_json::Error) -> DataFusionError {
    DataFusionError::Execution(format!(
        "HIVE_CURSOR_ERROR: Row is not a valid JSON Object - JSONException: {error} in {}",
        object.url
    ))
}

/// A record of which nothing is kept.
struct Countable;

impl<'de> Deserialize<'de> for Countable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Countable, D::Error> {
        deserializer.deserialize_map(Countable)
    }
}

impl<'de> Visitor<'de> for Countable {
    type Value = Countable;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Countable, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self)
    }
}

fn bad_data(part: &Part, object: &Object, column: &str, value: &str) -> DataFusionError {
    let at = part.columns.iter().position(|name| name == column).unwrap_or_default();
    let kind =
        part.schema.field_with_name(column).map(|field| crate::catalogue::hive::name(field.data_type()));
    DataFusionError::Execution(format!(
        "HIVE_BAD_DATA: Error parsing field value '{value}' for field {at} (`{column}` of type {}): For input string: \
         \"{value}\" in {}",
        kind.unwrap_or_default(),
        object.url
    ))
}
