//! Selects from JSON: the text of each value is taken, and only what has a type is read.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use runner_core::{Body, ColumnType, Error, Record, Result};

use super::field::{Absent, Constant, Field, Source, Taken};
use crate::shared::json_paths::{Paths, fields_of};
use crate::shared::json_text::{compact, write_string};
use crate::shared::values::{TypeName, ValueType, has_point};

/// Selects from JSON.
pub(super) struct JsonSelection {
    fields: Vec<JsonField>,
    paths: Paths,
    keeps_rest: bool,
    /// The size of the last buffer, to allocate the next one.
    capacity: usize,
    /// A value before it becomes a JSON string.
    cell: Vec<u8>,
}

struct JsonField {
    field: Field,
    /// The key as JSON, with the punctuation around it.
    key: Vec<u8>,
    value: Value,
}

/// Where the value of a field comes from.
enum Value {
    Constant(Vec<u8>),
    /// The value at a path; and what is written where there is none.
    Path {
        slot: usize,
        absent: Option<Vec<u8>>,
    },
}

impl JsonSelection {
    pub(super) fn new(fields: Vec<Field>, keeps_rest: bool) -> Self {
        let mut paths = Paths::default();
        let field = |(index, field): (usize, Field)| {
            let mut key = vec![if index == 0 { b'{' } else { b',' }];
            write_string(&field.name, &mut key);
            key.push(b':');
            let value = match &field.source {
                Source::Constant(constant) => Value::Constant(json_of(constant)),
                Source::Record(taken) => Value::Path {
                    slot: paths.add(&taken.path.names),
                    absent: match &taken.absent {
                        Absent::Rejected => None,
                        Absent::Null => Some(b"null".to_vec()),
                        Absent::Default(constant) => Some(json_of(constant)),
                    },
                },
            };
            JsonField { field, key, value }
        };
        let fields = fields.into_iter().enumerate().map(field).collect();
        JsonSelection { fields, paths, keeps_rest, capacity: 0, cell: Vec::new() }
    }

    /// Replaces the records that are JSON, and adds those that do not fit to `rejects`. All new
    /// bodies lie in one buffer.
    pub(super) fn apply(&mut self, records: &mut [Record], rejects: &mut Vec<(usize, Error)>) {
        let mut buffer = Vec::with_capacity(self.capacity);
        let mut selected: Vec<(usize, usize)> = Vec::new();
        for (index, record) in records.iter().enumerate() {
            let text: Bytes;
            let json = match &record.body {
                Body::Tombstone | Body::Row(_) => continue,
                Body::Bytes(bytes) | Body::ParsedBytes(bytes, _) => bytes,
                Body::Value(value) => {
                    text = value.to_string().into();
                    &text
                }
            };
            let start = buffer.len();
            match self.select(json, &mut buffer) {
                Ok(()) => selected.push((index, buffer.len())),
                Err(reason) => {
                    buffer.truncate(start);
                    rejects.push((index, reason));
                }
            }
        }
        self.capacity = buffer.len() + buffer.len() / 8;
        let buffer = Bytes::from(buffer);
        let mut start = 0;
        for (index, end) in selected {
            records[index].body = Body::Bytes(buffer.slice(start..end));
            start = end;
        }
    }

    /// Appends the new body.
    fn select(&mut self, json: &[u8], out: &mut Vec<u8>) -> Result<()> {
        // The message of the parser names a place, and no value.
        let text = std::str::from_utf8(json).context("the body is not JSON")?;
        let found = self.paths.find(text, self.keeps_rest).context("the body is not JSON")?;
        for JsonField { field, key, value } in &self.fields {
            out.extend_from_slice(key);
            match (value, &field.source) {
                (Value::Constant(json), _) => out.extend_from_slice(json),
                (Value::Path { slot, absent }, Source::Record(taken)) => {
                    match (found.values[*slot], absent) {
                        (Some(value), _) => write_value(field, taken, value, &mut self.cell, out)?,
                        (None, Some(absent)) => out.extend_from_slice(absent),
                        (None, None) => return Err(field.missing(&taken.path, &fields_of(text, &taken.path))),
                    }
                }
                (Value::Path { .. }, Source::Constant(_)) => {}
            }
        }
        let first = text.trim_ascii_start().as_bytes().first();
        let is_read = match first {
            Some(b'{') => true,
            Some(b'[') => !self.keeps_rest && found.values.iter().any(Option::is_some),
            _ => false,
        };
        ensure!(
            is_read,
            "the body is not a JSON object, so it has no fields to select; `remap` can make an object of it"
        );
        if let Some(rest) = found.rest {
            self.write_rest(rest, out);
        }
        out.push(b'}');
        Ok(())
    }

    /// Appends the other fields, each once: the last of equal keys counts.
    fn write_rest(&self, rest: Vec<(Cow<'_, str>, &str)>, out: &mut Vec<u8>) {
        let last: HashMap<&str, &str> = rest.iter().map(|(key, value)| (&**key, *value)).collect();
        let mut written: HashSet<&str> = HashSet::with_capacity(last.len());
        for (key, _) in &rest {
            let is_declared = self.fields.iter().any(|it| it.field.name == **key);
            if is_declared || !written.insert(key) {
                continue;
            }
            out.push(b',');
            write_string(key, out);
            out.push(b':');
            compact(last[&**key].as_bytes(), out);
        }
    }
}

/// Appends a value that was found.
fn write_value(
    field: &Field,
    taken: &Taken,
    value: &str,
    cell: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<()> {
    let first = value.as_bytes().first().copied().unwrap_or_default();
    let text: Cow<'_, str> = match first {
        b'{' | b'[' => {
            return match &taken.kind {
                None => {
                    compact(value.as_bytes(), out);
                    Ok(())
                }
                Some(kind) => {
                    let found = if first == b'{' { "an object" } else { "an array" };
                    Err(field.not_a_scalar(&taken.path, found, kind.name()))
                }
            };
        }
        b'n' => {
            out.extend_from_slice(b"null");
            return Ok(());
        }
        b'"' => text_of(value).with_context(|| format!("field `{}`", field.name))?,
        _ => value.into(),
    };
    if taken.null_values.iter().any(|null| **null == *text) {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    match &taken.kind {
        None => out.extend_from_slice(value.as_bytes()),
        Some(kind) if kind.name() == TypeName::String => {
            if first == b'"' {
                out.extend_from_slice(value.as_bytes());
            } else {
                write_string(&text, out);
            }
        }
        Some(kind) => {
            write_typed(kind, text.as_bytes(), cell, out)
                .map_err(|misfit| field.misfit(&taken.path, &misfit))?;
        }
    }
    Ok(())
}

/// Appends a text as a JSON value of a type.
fn write_typed(
    kind: &ValueType,
    text: &[u8],
    cell: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<(), crate::shared::values::Misfit> {
    cell.clear();
    kind.write_cell(text, cell)?;
    push_cell(kind.column_type(), cell, out);
    Ok(())
}

/// Appends a cell of a table as JSON.
fn push_cell(kind: ColumnType, cell: &[u8], out: &mut Vec<u8>) {
    match kind {
        ColumnType::String => write_string(&String::from_utf8_lossy(cell), out),
        ColumnType::Integer | ColumnType::Boolean => out.extend_from_slice(cell),
        ColumnType::Float => {
            out.extend_from_slice(cell);
            if !has_point(cell) {
                out.extend_from_slice(b".0");
            }
        }
    }
}

fn json_of(constant: &Constant) -> Vec<u8> {
    let mut json = Vec::new();
    push_cell(constant.kind, constant.cell.as_bytes(), &mut json);
    json
}

/// The text that a JSON string holds.
fn text_of(string: &str) -> Result<Cow<'_, str>> {
    let inner = &string[1..string.len() - 1];
    if !inner.as_bytes().contains(&b'\\') {
        return Ok(inner.into());
    }
    // The message of the parser could name a part of the value.
    let text = serde_json::from_str(string);
    text.map(Cow::Owned).map_err(|_| Error::msg("the text has an incomplete surrogate pair"))
}
