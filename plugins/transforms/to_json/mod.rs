//! `to_json`: converts every body to compact JSON on one line.

mod keys;
mod known_names;
mod same_keys;
mod sql_name;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use anyhow::bail;

use bytes::Bytes;
use runner_core::{
    Batch, Body, BuildContext, Error, Flow, JsonKeys, Output, Plugin, Result, Row, TableHeader, Transform,
    TransformConfig, async_trait,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::json_text::{checked, compact, kind_of};
use known_names::{KnownNames, SameName};
use same_keys::SameKeys;

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
/// keys are kept, and a byte order mark before it is left out. Any other body is rejected, and so
/// is JSON that is not an object, because a table needs objects. A record without a body (a
/// tombstone in Kafka) passes unchanged.
///
/// Athena ignores the case of names, so keys such as `Close` and `close` in one object cause a
/// warning.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ToJsonConfig {
    /// The names of keys: `"as_is"`, or `"snake_case"`, which makes names that Athena takes without quotes:
    /// `Adj Close` becomes `adj_close`, `CloseUSD` becomes `close_usd`, and the reserved word `Date` `date_`.
    /// Two names in one object that become the same are an error.
    #[serde(default)]
    keys: Keys,
    /// Whether JSON that is not an object is rejected. With false any JSON passes: arrays, text,
    /// numbers.
    #[serde(default = "crate::shared::default_true")]
    objects: bool,
    /// Whether a JSON string that contains JSON is replaced by this JSON. Programs that encode twice
    /// write such strings.
    #[serde(default)]
    unwrap: bool,
}

/// Some programs begin a text in UTF-8 with it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The names of keys.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Keys {
    /// Unchanged.
    #[default]
    AsIs,
    /// Names that Athena takes without quotes, at every depth: `Adj Close` becomes `adj_close`,
    /// `CloseUSD` becomes `close_usd`, `52W H` becomes `n_52_w_h`, the reserved word `Date` becomes
    /// `date_`, and letters become ASCII (`Δ` becomes `delta`). A name without letters and digits
    /// becomes the codes of its characters (`%` becomes `u25`), an empty one `field`. Two names in one
    /// object that would become the same are an error; of two names in different records the
    /// transform warns.
    SnakeCase,
}

impl TransformConfig for ToJsonConfig {
    fn build(self, context: &BuildContext) -> Result<Box<dyn Transform>> {
        Ok(Box::new(ToJson::new(self, &context.component)))
    }
}

struct ToJson {
    config: ToJsonConfig,
    component: String,
    /// The last header, and its columns if they are renamed.
    header: Option<(Arc<TableHeader>, Option<JsonKeys>)>,
    same_keys: SameKeys,
    known_names: KnownNames,
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
    fn new(config: ToJsonConfig, component: &str) -> Self {
        ToJson {
            config,
            component: component.to_owned(),
            header: None,
            same_keys: SameKeys::default(),
            known_names: KnownNames::default(),
            capacity: 0,
            ends: Vec::new(),
        }
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
        let header = row.header();
        if !self.header.as_ref().is_some_and(|(known, _)| Arc::ptr_eq(known, header)) {
            let renamed = match self.config.keys {
                Keys::SnakeCase => {
                    let (keys, same) = keys::of_columns(header, &mut self.known_names)?;
                    self.warn_of_one_name(same);
                    Some(keys)
                }
                Keys::AsIs => {
                    let same = self.same_keys.of_columns(header);
                    self.warn_of(same, "columns");
                    None
                }
            };
            self.header = Some((Arc::clone(header), renamed));
        }
        match &self.header {
            Some((_, Some(keys))) => row.write_json_as(keys, buffer),
            _ => row.write_json(buffer),
        }
        Ok(())
    }

    /// Appends the body, or nothing if it is unchanged or rejected.
    fn write_json(&mut self, body: &Body, buffer: &mut Vec<u8>) -> Result<()> {
        let start = buffer.len();
        let mut is_changed = matches!(body, Body::Value(_));
        let mut json: Cow<'_, [u8]> = match body {
            Body::Bytes(bytes) => match bytes.strip_prefix(BYTE_ORDER_MARK) {
                Some(rest) => {
                    is_changed = true;
                    checked(rest)?.into()
                }
                None => checked(bytes)?.into(),
            },
            Body::ParsedBytes(bytes, _) => (&bytes[..]).into(),
            Body::Value(value) => value.to_string().into_bytes().into(),
            Body::Tombstone | Body::Row(_) => return Ok(()),
        };
        if self.config.unwrap {
            while let Some(inner) = unwrapped(&json) {
                (json, is_changed) = (inner.into(), true);
            }
        }
        let kind = kind_of(&json);
        if self.config.objects && kind != "an object" {
            bail!(
                "the body is JSON, but {kind}, and a table needs objects: {}",
                match kind {
                    "a string" if !self.config.unwrap =>
                        "set `unwrap = true` if the string holds JSON, or \
                        `objects = false` to let any JSON pass",
                    "an array" =>
                        "split it before this transform, or set `objects = false` to let any JSON pass",
                    _ => "set `objects = false` to let any JSON pass",
                }
            );
        }
        let written = match self.config.keys {
            Keys::AsIs => {
                compact(&json, buffer);
                let same = self.same_keys.of_object(&json);
                self.warn_of(same, "keys");
                Ok(())
            }
            Keys::SnakeCase => {
                keys::rename(&json, buffer, &mut self.known_names).map(|same| self.warn_of_one_name(same))
            }
        };
        let is_unchanged = !is_changed && buffer[start..] == *json;
        if written.is_err() || is_unchanged {
            buffer.truncate(start);
        }
        written
    }

    fn warn_of_one_name(&self, same: Vec<SameName>) {
        for SameName { one, other, name } in same {
            tracing::warn!(
                component = self.component,
                "the names `{one}` and `{other}` of different records both become `{name}`, and so one column: if they are \
                 not the same field, rename one of them before, as the transform `select` does"
            );
        }
    }

    fn warn_of(&self, same: Option<(String, String)>, what: &str) {
        let Some((one, other)) = same else { return };
        tracing::warn!(
            component = self.component,
            "the {what} `{one}` and `{other}` are the same name for Athena, which cannot read such records: rename \
             one of them, as the transform `select` does"
        );
    }
}

/// The JSON that a JSON string holds; `None` if it is not a string or holds anything else.
fn unwrapped(json: &[u8]) -> Option<Vec<u8>> {
    if kind_of(json) != "a string" {
        return None;
    }
    let inner: String = serde_json::from_slice(json).ok()?;
    checked(inner.as_bytes()).is_ok().then(|| inner.trim_ascii().as_bytes().to_vec())
}
