//! Values of VRL: read from the body of a record, written as JSON.

use anyhow::{Context as _, anyhow, bail, ensure};
use bytes::Bytes;
use runner_core::{Body, Result};
use serde::Deserialize;
use vrl::value::Value;

use super::Input;

/// How deep a value may be nested; JSON that is deeper is not read by this or other programs.
const MAX_DEPTH: usize = 100;
/// How many records a program may make of one.
const MAX_RECORDS: usize = 250_000;
/// How many bytes they may have together.
const MAX_BYTES: usize = 64 << 20;

/// The value that `.` is at the start of a program.
pub(super) fn of(input: &Input<'_>) -> Result<Value> {
    match input {
        Input::Body(body) => of_body(body),
        Input::Json(json) => of_json(json),
        Input::Text(text) => of_text(text.clone()),
    }
}

fn of_body(body: &Body) -> Result<Value> {
    match body {
        Body::Tombstone => Ok(Value::Null),
        Body::Bytes(bytes) | Body::ParsedBytes(bytes, _) => of_json(bytes),
        Body::Value(value) => Value::deserialize(&**value).map_err(|_| unreadable()),
        Body::Row(row) => {
            let mut json = Vec::with_capacity(row.size() * 2 + 64);
            row.write_json(&mut json);
            of_json(&json)
        }
    }
}

fn of_text(text: Bytes) -> Result<Value> {
    ensure!(std::str::from_utf8(&text).is_ok(), "the body is not UTF-8 text");
    Ok(Value::Bytes(text))
}

fn of_json(json: &[u8]) -> Result<Value> {
    serde_json::from_slice(json).map_err(|error| {
        // The message of the library may quote the text.
        let message = error.to_string();
        let what = if error.is_eof() {
            "ends too early"
        } else if message.starts_with("recursion limit") {
            "is nested more than 128 deep"
        } else if message.starts_with("number out of range") {
            "holds a number that does not fit into a 64-bit float; `select` keeps its digits"
        } else if message.contains("surrogate") || message.contains("hex escape") {
            "holds half of a surrogate pair, which is not a character"
        } else {
            "is not valid JSON"
        };
        anyhow!("the body {what} (line {}, column {})", error.line(), error.column())
    })
}

fn unreadable() -> anyhow::Error {
    anyhow!("the body holds a number that VRL does not have")
}

/// A value as compact JSON.
pub(super) fn to_json(value: &Value) -> Result<Bytes> {
    let mut json = Vec::with_capacity(256);
    write(value, &mut json)?;
    Ok(json.into())
}

/// Each of these values as compact JSON.
pub(super) fn all_to_json(values: &[Value]) -> Result<Vec<Bytes>> {
    ensure!(
        values.len() <= MAX_RECORDS,
        "the program makes {} records of one; at most {MAX_RECORDS} are allowed",
        values.len()
    );
    let mut json = Vec::with_capacity(values.len() * 128);
    let mut ends = Vec::with_capacity(values.len());
    for value in values {
        write(value, &mut json)?;
        ends.push(json.len());
    }
    let json = Bytes::from(json);
    let starts = std::iter::once(0).chain(ends.iter().copied());
    Ok(starts.zip(&ends).map(|(start, &end)| json.slice(start..end)).collect())
}

fn write(value: &Value, json: &mut Vec<u8>) -> Result<()> {
    check(value, MAX_DEPTH, &mut MAX_BYTES.saturating_sub(json.len()))?;
    serde_json::to_writer(json, value).context("the result is not valid JSON")
}

/// Refuses what JSON does not have, and what is too large.
fn check(value: &Value, depth: usize, room: &mut usize) -> Result<()> {
    ensure!(depth > 0, "the result is nested more than {MAX_DEPTH} deep");
    let n_bytes = match value {
        Value::Array(items) => {
            items.iter().try_for_each(|item| check(item, depth - 1, room))?;
            2
        }
        Value::Object(fields) => {
            for (name, item) in fields {
                take(room, name.len() + 4)?;
                check(item, depth - 1, room)?;
            }
            2
        }
        Value::Float(number) if number.is_infinite() => {
            bail!("the result holds an infinite number, which JSON does not have")
        }
        Value::Bytes(text) => text.len() + 2,
        Value::String(text) => text.len() + 2,
        _ => 8,
    };
    take(room, n_bytes)
}

fn take(room: &mut usize, n_bytes: usize) -> Result<()> {
    *room = room
        .checked_sub(n_bytes)
        .with_context(|| format!("the result is larger than {} MiB", MAX_BYTES >> 20))?;
    Ok(())
}
