//! A record is one unit of data and where it came from.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use serde_json::Value;

use crate::table::Row;

/// One unit of data, and where it came from.
#[derive(Clone, Debug)]
pub struct Record {
    /// What the record says.
    pub body: Body,
    /// The key it has in Kafka, or is to have there.
    pub key: Option<Bytes>,
    /// Named values that travel beside the body.
    pub headers: Headers,
    /// When it was made, in milliseconds since 1970 UTC.
    pub timestamp: Option<i64>,
    /// Where it was read.
    pub origin: Origin,
    /// Its number in the source that read it first.
    pub entry: Option<EntryNumber>,
    pub(crate) ack_id: AckId,
}

/// Where a record was read: enough to name it again after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// A topic, a file, a URL.
    pub source: Name,
    /// A partition; 0 where the stream has none.
    pub partition: i32,
    /// An offset, a row number, a sequence number. Of a source that numbers anew the engine
    /// puts the entry number here: its own count would name other records after a restart.
    pub offset: u64,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.source, self.partition, self.offset)
    }
}

/// The number a record has in its first source, carried along through Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryNumber {
    /// Counted from 0.
    pub number: u64,
    /// Who counted: `pipeline/component`.
    pub source: Name,
}

/// Which item of which tracker line a record stands for; set by the engine.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AckId {
    pub(crate) line: u64,
    pub(crate) item: u32,
    /// The dead letter that is being replayed; 0 where none is.
    letter: u32,
}

impl AckId {
    pub(crate) fn move_to(&mut self, line: u64, item: u32) {
        (self.line, self.item) = (line, item);
    }
}

/// A name that many records share: a topic, a file, a component.
///
/// Names are kept for as long as the process runs, so that a record costs no
/// count of references; use them for what is few.
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
    /// There is none: a tombstone in Kafka.
    Tombstone,
    /// As received; nobody has looked inside.
    Bytes(Bytes),
    /// Looked at but not changed: both forms are good.
    ParsedBytes(Bytes, Arc<Value>),
    /// Changed: only the value is good.
    Value(Box<Value>),
    /// One row of a table that shares its header.
    Row(Row),
}

/// Named values beside a body, shared between copies of a record.
#[derive(Clone, Debug, Default)]
pub struct Headers(Option<Arc<[Header]>>);

/// One named value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Names may repeat.
    pub name: Box<str>,
    /// Kafka knows headers without a value.
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
            ack_id: AckId::default(),
        }
    }

    /// Says which dead letter is being replayed, counted from 1, wherever the record comes to.
    pub fn set_dead_letter(&mut self, number: u32) {
        self.ack_id.letter = number;
    }

    /// Which dead letter is being replayed, if one is.
    pub fn letter(&self) -> Option<u32> {
        Some(self.ack_id.letter).filter(|number| *number > 0)
    }

    /// The body as JSON; reading it changes nothing that is written later.
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
            Body::Tombstone | Body::Bytes(_) | Body::Row(_) => unreachable!("turned into a value above"),
        }
    }

    /// The body as JSON, to change it; the bytes it came in are forgotten.
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
            _ => unreachable!("turned into a value above"),
        }
    }

    /// The body as it is written: free of cost for one that nobody changed, a
    /// CSV line for a row, compact JSON for a value; `None` where there is none.
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
    fn reading_a_body_does_not_rewrite_it() {
        let mut record = raw(r#"{ "b": 1.50, "a": 12345678901234567890 }"#);
        assert_eq!(record.value().unwrap()["b"], 1.5);
        assert_eq!(record.to_bytes().unwrap(), r#"{ "b": 1.50, "a": 12345678901234567890 }"#);
    }

    #[test]
    fn changing_a_body_keeps_the_order_of_its_fields() {
        let mut record = raw(r#"{ "b": 1, "a": 2 }"#);
        record.value_mut().unwrap()["b"] = 3.into();
        assert_eq!(record.to_bytes().unwrap(), r#"{"b":3,"a":2}"#);
    }

    #[test]
    fn a_body_that_is_not_json_survives_the_attempt_to_change_it() {
        let mut record = raw("Hello");
        assert!(record.value_mut().is_err());
        assert_eq!(record.to_bytes().unwrap(), "Hello");
    }

    #[test]
    fn the_same_text_is_the_same_name() {
        assert_eq!(Name::new("stocks").as_str().as_ptr(), Name::new("stocks").as_str().as_ptr());
    }
}
