//! `to_json`: converts every body to compact JSON on one line.

mod keys;
mod text;

use std::sync::Arc;

use bytes::Bytes;
use runner_core::{
    Batch, Body, BuildContext, Error, Flow, JsonKeys, Output, Plugin, Result, Row, TableHeader, Transform,
    TransformConfig, async_trait,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

runner_core::register! {
    Plugin::transform::<ToJsonConfig>("to_json").example(
        r#"type = "to_json"
inputs = ["stocks"]
keys = "snake_case""#,
    )
}

/// Converts every body to compact JSON on one line.
///
/// A row becomes an object with the column names as keys. Values of a float column always
/// have a decimal point or an exponent (`1500` becomes `1500.0`); apart from that all digits
/// are kept. A body that is JSON is checked and compacted; its digits and the order of its
/// keys are kept. Any other body is rejected. A record without a body (a tombstone in Kafka)
/// passes unchanged.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ToJsonConfig {
    /// The names of keys.
    #[serde(default)]
    keys: Keys,
}

/// The names of keys.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Keys {
    /// Unchanged.
    #[default]
    AsIs,
    /// `Adj Close` becomes `adj_close` and `CloseUSD` becomes `close_usd`, at every depth, so
    /// that SQL needs no quotes.
    SnakeCase,
}

impl TransformConfig for ToJsonConfig {
    fn build(self, _: &BuildContext) -> Result<Box<dyn Transform>> {
        Ok(Box::new(ToJson::new(self.keys)))
    }
}

struct ToJson {
    keys: Keys,
    /// The renamed columns of the last header.
    renamed: Option<(Arc<TableHeader>, JsonKeys)>,
    /// The size of the last buffer, to allocate the next one.
    capacity: usize,
    /// Where the body of each record ends in the buffer.
    ends: Vec<usize>,
}

#[async_trait]
impl Transform for ToJson {
    async fn apply(&mut self, mut batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let rejects = self.convert(&mut batch)?;
        if !rejects.is_empty() {
            batch = out.reject(batch, rejects).await?;
        }
        out.send(batch).await
    }
}

impl ToJson {
    fn new(keys: Keys) -> Self {
        ToJson { keys, renamed: None, capacity: 0, ends: Vec::new() }
    }

    /// Writes all bodies into one buffer and assigns each record its slice: one allocation per
    /// batch. A body that is compact JSON already keeps its bytes.
    fn convert(&mut self, batch: &mut Batch) -> Result<Vec<(usize, Error)>> {
        let mut rejects = Vec::new();
        let mut buffer = Vec::with_capacity(self.capacity);
        self.ends.clear();
        for (index, record) in batch.records().iter().enumerate() {
            match &record.body {
                Body::Tombstone => {}
                Body::Row(row) => self.write_row(row, &mut buffer)?,
                body => {
                    if let Err(reason) = self.write_json(body, &mut buffer) {
                        rejects.push((index, reason));
                    }
                }
            }
            self.ends.push(buffer.len());
        }
        self.capacity = buffer.len() + buffer.len() / 8;
        let buffer = Bytes::from(buffer);
        let mut start = 0;
        for (record, &end) in batch.records_mut().iter_mut().zip(&self.ends) {
            if end > start {
                record.body = Body::Bytes(buffer.slice(start..end));
            }
            start = end;
        }
        Ok(rejects)
    }

    fn write_row(&mut self, row: &Row, buffer: &mut Vec<u8>) -> Result<()> {
        if self.keys == Keys::AsIs {
            row.write_json(buffer);
            return Ok(());
        }
        let header = row.header();
        let keys = match &self.renamed {
            Some((known, keys)) if Arc::ptr_eq(known, header) => keys,
            _ => {
                let keys = keys::of_columns(header)?;
                &self.renamed.insert((Arc::clone(header), keys)).1
            }
        };
        row.write_json_as(keys, buffer);
        Ok(())
    }

    /// Appends the body, or nothing if it is unchanged or not JSON.
    fn write_json(&self, body: &Body, buffer: &mut Vec<u8>) -> Result<()> {
        let start = buffer.len();
        let text: Bytes;
        let json = match body {
            Body::Bytes(bytes) => text::checked(bytes)?,
            Body::ParsedBytes(bytes, _) => bytes,
            Body::Value(value) => {
                text = value.to_string().into();
                &text
            }
            Body::Tombstone | Body::Row(_) => return Ok(()),
        };
        let written = match self.keys {
            Keys::AsIs => {
                text::compact(json, buffer);
                Ok(())
            }
            Keys::SnakeCase => keys::rename(json, buffer),
        };
        let is_unchanged = !matches!(body, Body::Value(_)) && buffer[start..] == *json;
        if written.is_err() || is_unchanged {
            buffer.truncate(start);
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use runner_core::testing::{Collected, apply, batch, record, records};
    use runner_core::{Column, ColumnType, Record, Table};

    use super::*;

    fn rows(names: &[&str], kind: ColumnType, rows: &[&[&str]]) -> Batch {
        let columns = names.iter().map(|&name| Column { name: name.into(), kind, nullable: true }).collect();
        let header = Arc::new(TableHeader::new(columns, b',', vec!["".into()]));
        let (mut cells, mut ends) = (Vec::new(), Vec::new());
        for cell in rows.iter().copied().flatten() {
            cells.extend_from_slice(cell.as_bytes());
            ends.push(cells.len() as u32);
        }
        let table = Arc::new(Table::new(header, cells, ends));
        let record = |index| {
            let mut record = record("", index as u64);
            record.body = Body::Row(Row::new(Arc::clone(&table), index));
            record
        };
        batch((0..rows.len()).map(record))
    }

    async fn convert(keys: Keys, batch: Batch) -> Collected {
        apply(&mut ToJson::new(keys), batch).await.unwrap()
    }

    #[tokio::test]
    async fn rows_become_objects_in_one_buffer() {
        let batch = rows(&["Open", "Adj Close"], ColumnType::Float, &[&["1", "2.50"], &["", "1e3"]]);
        let bodies = convert(Keys::AsIs, batch).await.bodies();
        assert_eq!(bodies, [r#"{"Open":1.0,"Adj Close":2.50}"#, r#"{"Open":null,"Adj Close":1e3}"#]);
        let first_end = bodies[0].as_ptr_range().end;
        assert_eq!(first_end, bodies[1].as_ptr(), "the second body must follow the first");
    }

    #[tokio::test]
    async fn snake_case_renames_the_columns_of_every_header() {
        let mut batch = rows(&["Adj Close", "CloseUSD"], ColumnType::Integer, &[&["1", "2"], &["3", "4"]]);
        batch.absorb(rows(&["Open Int"], ColumnType::Integer, &[&["5"]]));
        let bodies = convert(Keys::SnakeCase, batch).await.bodies();
        assert_eq!(
            bodies,
            [r#"{"adj_close":1,"close_usd":2}"#, r#"{"adj_close":3,"close_usd":4}"#, r#"{"open_int":5}"#]
        );
    }

    #[tokio::test]
    async fn snake_case_of_two_columns_with_one_name_is_an_error() {
        let batch = rows(&["Adj Close", "Open", "adj_close"], ColumnType::Integer, &[&["1", "2", "3"]]);
        let error = format!("{:#}", apply(&mut ToJson::new(Keys::SnakeCase), batch).await.err().unwrap());
        assert!(error.contains("`Adj Close` and `adj_close`"), "{error}");
    }

    #[tokio::test]
    async fn json_keeps_its_digits_and_the_order_of_its_keys() {
        let pretty = "{\n  \"z\": 12345678901234567890.10,\n  \"a b\": [1, 2.0, 1e400, -0],\t\"s\": \" x \\\" , \" }\n";
        let out = convert(Keys::AsIs, records([pretty])).await;
        let compact = r#"{"z":12345678901234567890.10,"a b":[1,2.0,1e400,-0],"s":" x \" , "}"#;
        assert_eq!(out.bodies(), [compact]);
    }

    #[tokio::test]
    async fn compact_json_is_not_copied() {
        for keys in [Keys::AsIs, Keys::SnakeCase] {
            let batch = records([r#"{"a":1}"#]);
            let before = batch.records()[0].to_bytes().unwrap().as_ptr();
            assert_eq!(convert(keys, batch).await.bodies()[0].as_ptr(), before);
        }
    }

    #[tokio::test]
    async fn snake_case_renames_keys_at_every_depth_and_nothing_else() {
        let body = r#"{ "Adj Close": [ { "CloseUSD": "CloseUSD" }, "A,B" ], "caf\u00e9 Bar": { } }"#;
        let out = convert(Keys::SnakeCase, records([body])).await;
        assert_eq!(out.bodies(), [r#"{"adj_close":[{"close_usd":"CloseUSD"},"A,B"],"café_bar":{}}"#]);
    }

    #[tokio::test]
    async fn invalid_json_is_rejected_with_its_first_characters() {
        let batch = records([r#"{"a": 1}"#, "<html>Bad gateway</html>", r#"{"a": 1"#, "1 2", "", "[01]"]);
        let out = convert(Keys::AsIs, batch).await;
        assert_eq!(out.bodies(), [r#"{"a":1}"#]);
        let offsets: Vec<u64> = out.rejected.iter().map(|(record, _)| record.origin.offset).collect();
        assert_eq!(offsets, [1, 2, 3, 4, 5]);
        let reason = format!("{:#}", out.rejected[0].1);
        assert!(reason.contains("not JSON") && reason.contains("<html>Bad gateway"), "{reason}");
        assert_eq!(out.rejected[0].0.to_bytes().unwrap(), "<html>Bad gateway</html>");
    }

    #[tokio::test]
    async fn snake_case_of_two_keys_with_one_name_rejects_the_record() {
        let out = convert(Keys::SnakeCase, records([r#"{"aB":1,"a_b":2}"#, r#"{"a":{"b":1},"b":1}"#])).await;
        assert_eq!(out.bodies(), [r#"{"a":{"b":1},"b":1}"#]);
        let reason = out.rejected[0].1.to_string();
        assert!(reason.contains("`aB` and `a_b`"), "{reason}");
    }

    #[tokio::test]
    async fn values_are_written_and_tombstones_pass() {
        let mut batch = records([r#"{ "n": 1 }"#, "", r#"{ "n": 3 }"#]);
        let [first, second, third] = batch.records_mut() else { unreachable!() };
        first.value_mut().unwrap()["n"] = 2.into();
        second.body = Body::Tombstone;
        third.value().unwrap();
        let out = convert(Keys::AsIs, batch).await;
        assert_eq!(out.bodies(), [r#"{"n":2}"#, r#"{"n":3}"#]);
        assert!(matches!(out.records[1], Record { body: Body::Tombstone, .. }));
    }
}
