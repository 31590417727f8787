//! A record is one unit of data and where it came from.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use serde_json::Value;

use crate::entry_number::EntryNumber;
use crate::table::Row;

/// One unit of data, and where it came from.
#[derive(Clone, Debug)]
pub struct Record {
    /// The payload.
    pub body: Body,
    /// The key in Kafka.
    pub key: Option<Bytes>,
    /// Named values that travel with the body.
    pub headers: Headers,
    /// When it was made, in milliseconds since 1970 UTC.
    pub timestamp: Option<i64>,
    /// Where it was read.
    pub origin: Origin,
    /// Its number in the source that has read it first.
    pub entry: Option<EntryNumber>,
    /// Which part of the record that was read at the origin, from the first split to the last.
    parts: Option<Arc<[u32]>>,
    /// The number of the dead letter that is being replayed; 0 if there is none.
    dead_letter: u32,
}

/// Where a record was read: enough to name it again after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// A topic, a file, a URL.
    pub source: Name,
    /// A partition; 0 where the source has none.
    pub partition: i32,
    /// An offset, a row number, a sequence number. For a source that is
    /// [`NonDeterministic`](crate::Replay::NonDeterministic) the engine puts the entry number here,
    /// since a count by the source would name other records after a restart.
    pub offset: u64,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.source, self.partition, self.offset)
    }
}

/// A name that many records share: a topic, a file, a component.
///
/// Names are kept until the process ends, so that a record needs no reference count for them. Use
/// them only for things that are few.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(&'static str);

static NAMES: LazyLock<Mutex<HashSet<&'static str>>> = LazyLock::new(Mutex::default);

impl Name {
    /// The name with this text; the same text gives the same name.
    pub fn new(text: &str) -> Self {
        let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = names.get(text) {
            return Name(known);
        }
        let text: &'static str = Box::leak(text.into());
        names.insert(text);
        Name(text)
    }

    /// The text of the name.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0, f)
    }
}

/// The payload, in the one form it is in now.
#[derive(Clone, Debug)]
pub enum Body {
    /// No body: a tombstone in Kafka.
    Tombstone,
    /// As received, not parsed.
    Bytes(Bytes),
    /// Parsed but not changed: both forms are valid.
    ParsedBytes(Bytes, Arc<Value>),
    /// Changed: only the value is valid.
    Value(Box<Value>),
    /// One row of a table that shares its header.
    Row(Row),
}

/// Named values that travel with a body, shared between copies of a record.
#[derive(Clone, Debug, Default)]
pub struct Headers(Option<Arc<[Header]>>);

/// One named value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Names may repeat.
    pub name: Box<str>,
    /// Kafka has headers without a value.
    pub value: Option<Bytes>,
}

impl Headers {
    /// Headers in the order given.
    pub fn new(headers: Vec<Header>) -> Self {
        Headers(if headers.is_empty() { None } else { Some(headers.into()) })
    }

    /// All of them, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Header> {
        self.0.as_deref().unwrap_or_default().iter()
    }

    /// The last one of that name.
    pub fn get(&self, name: &str) -> Option<&Header> {
        self.iter().rev().find(|header| &*header.name == name)
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = &'a Header;
    type IntoIter = std::slice::Iter<'a, Header>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Record {
    /// A record with a body and an origin, and nothing else.
    pub fn new(body: Body, origin: Origin) -> Self {
        Record {
            body,
            key: None,
            headers: Headers::default(),
            timestamp: None,
            origin,
            entry: None,
            parts: None,
            dead_letter: 0,
        }
    }

    /// Marks the record as a replay of a dead letter, by a number from 1. The mark stays with the
    /// record in this process.
    pub fn set_dead_letter(&mut self, number: u32) {
        self.dead_letter = number;
    }

    /// The number of the dead letter that is being replayed, if there is one.
    pub fn dead_letter(&self) -> Option<u32> {
        Some(self.dead_letter).filter(|number| *number > 0)
    }

    /// Makes this record one of the parts that `original` was split into.
    pub(crate) fn make_part_of(&mut self, original: &Record, index: u32) {
        self.entry = original.entry.as_ref().map(|entry| entry.part(index));
        self.parts = Some(original.parts().iter().copied().chain([index]).collect());
        self.dead_letter = original.dead_letter;
    }

    /// Which part this is of the record that was read at the origin, from the first split in this
    /// pipeline to the last; usually none.
    pub fn parts(&self) -> &[u32] {
        self.parts.as_deref().unwrap_or_default()
    }

    /// Makes the record a part of the one at its origin, as [`parts`](Self::parts) has said.
    pub(crate) fn set_parts(&mut self, parts: Vec<u32>) {
        self.parts = (!parts.is_empty()).then(|| parts.into());
    }

    /// Where the record was read, and which part of that record it is: `stocks/0/12-0`.
    pub fn place(&self) -> impl fmt::Display + '_ {
        fmt::from_fn(|f| {
            write!(f, "{}", self.origin)?;
            self.parts().iter().try_for_each(|part| write!(f, "-{part}"))
        })
    }

    /// The body as JSON. Parsing does not change what is written later.
    pub fn value(&mut self) -> Result<&Value> {
        match &self.body {
            Body::Bytes(bytes) => {
                let value = parse(bytes)?;
                self.body = Body::ParsedBytes(bytes.clone(), Arc::new(value));
            }
            Body::Row(row) => self.body = Body::Value(Box::new(row.to_value())),
            Body::Tombstone => anyhow::bail!("the record has no body"),
            Body::ParsedBytes(..) | Body::Value(_) => {}
        }
        match &self.body {
            Body::ParsedBytes(_, value) => Ok(value),
            Body::Value(value) => Ok(value),
            Body::Tombstone | Body::Bytes(_) | Body::Row(_) => unreachable!("converted above"),
        }
    }

    /// The body as JSON, to change it. The original bytes are dropped.
    pub fn value_mut(&mut self) -> Result<&mut Value> {
        if !matches!(self.body, Body::Value(_)) {
            let value = match std::mem::replace(&mut self.body, Body::Tombstone) {
                Body::ParsedBytes(_, value) => Arc::unwrap_or_clone(value),
                other => {
                    self.body = other;
                    self.value()?.clone()
                }
            };
            self.body = Body::Value(Box::new(value));
        }
        match &mut self.body {
            Body::Value(value) => Ok(value),
            _ => unreachable!("converted above"),
        }
    }

    /// The body as it is written: the original bytes if it was not changed, a CSV line for a row,
    /// compact JSON for a value; `None` for a tombstone.
    pub fn to_bytes(&self) -> Option<Bytes> {
        match &self.body {
            Body::Tombstone => None,
            Body::Bytes(bytes) | Body::ParsedBytes(bytes, _) => Some(bytes.clone()),
            Body::Value(value) => Some(value.to_string().into()),
            Body::Row(row) => {
                let mut line = Vec::with_capacity(row.size() + 16);
                row.write_csv(&mut line);
                Some(line.into())
            }
        }
    }

    /// About how many bytes the body takes, for limits and counters.
    pub fn size(&self) -> usize {
        match &self.body {
            Body::Tombstone => 0,
            Body::Bytes(bytes) | Body::ParsedBytes(bytes, _) => bytes.len(),
            Body::Value(value) => rough_size(value),
            Body::Row(row) => row.size(),
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Value> {
    serde_json::from_slice(bytes).context("the body is not JSON")
}

fn rough_size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 4,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| rough_size(item) + 1).sum::<usize>() + 2,
        Value::Object(fields) => {
            fields.iter().map(|(name, item)| name.len() + rough_size(item) + 4).sum::<usize>() + 2
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &'static str) -> Record {
        let origin = Origin { source: Name::new("test"), partition: 0, offset: 7 };
        Record::new(Body::Bytes(Bytes::from_static(text.as_bytes())), origin)
    }

    #[test]
    fn parsed_body_keeps_its_bytes() {
        let mut record = raw(r#"{ "b": 1.50, "a": 12345678901234567890 }"#);
        assert_eq!(record.value().unwrap()["b"], 1.5);
        assert_eq!(record.to_bytes().unwrap(), r#"{ "b": 1.50, "a": 12345678901234567890 }"#);
    }

    #[test]
    fn changed_body_keeps_the_order_of_its_fields() {
        let mut record = raw(r#"{ "b": 1, "a": 2 }"#);
        record.value_mut().unwrap()["b"] = 3.into();
        assert_eq!(record.to_bytes().unwrap(), r#"{"b":3,"a":2}"#);
    }

    #[test]
    fn body_that_is_not_json_stays_after_a_failed_change() {
        let mut record = raw("Hello");
        assert!(record.value_mut().is_err());
        assert_eq!(record.to_bytes().unwrap(), "Hello");
    }

    #[test]
    fn equal_names_share_their_text() {
        assert_eq!(Name::new("stocks").as_str().as_ptr(), Name::new("stocks").as_str().as_ptr());
    }
}
