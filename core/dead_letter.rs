//! A dead letter is a record that a component has rejected, in an envelope that says why.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context as _, Error, Result, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::entry_number::{EntryNumber, Incarnation};
use crate::record::{Body, Header, Headers, Name, Origin, Record};
use crate::report::rfc3339;
use crate::table::{Column, ColumnType, Row, TableHeader};

/// The format this version writes and reads.
const VERSION: u32 = 1;

/// A record that a component has rejected, as the component received it, and the reason.
///
/// Written as one line of JSON, whose fields `docs/dead-letters.md` explains.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// What is wrong, where, and what to do.
    pub reason: String,
    /// The name of the pipeline.
    pub pipeline: String,
    /// The component that has rejected the record.
    pub component: String,
    /// When it was rejected, RFC 3339 in UTC.
    pub time: String,
    /// The record as the component received it: body, key, headers, timestamp, origin and entry.
    pub record: Record,
}

impl DeadLetter {
    /// A dead letter for a record that is rejected now.
    pub(crate) fn new(record: &Record, reason: &Error, pipeline: &str, component: &str) -> Self {
        DeadLetter {
            reason: format!("{reason:#}"),
            pipeline: pipeline.to_owned(),
            component: component.to_owned(),
            time: rfc3339(SystemTime::now()),
            record: record.clone(),
        }
    }

    /// Reads what [`to_json`](Self::to_json) has written.
    pub fn read(line: &[u8]) -> Result<DeadLetter> {
        #[derive(Deserialize)]
        #[serde(expecting = "a JSON object")]
        struct Versioned {
            version: u32,
        }
        let what = "not a dead letter";
        let Versioned { version } = serde_json::from_slice(line).context(what)?;
        ensure!(version == VERSION, "the letter has version {version}, this runner knows version {VERSION}");
        serde_json::from_slice::<Envelope>(line).map_err(Error::new).and_then(Envelope::open).context(what)
    }

    /// The letter as one line of JSON, without the end of the line.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(&Envelope::around(self)).expect("an envelope is JSON")
    }
}

/// A letter as it is written.
#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    version: u32,
    reason: Cow<'a, str>,
    pipeline: Cow<'a, str>,
    component: Cow<'a, str>,
    time: Cow<'a, str>,
    origin: LetterOrigin<'a>,
    entry: Option<EntryText>,
    /// The source that has counted the entry, and its state.
    source: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    incarnation: Option<Incarnation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timestamp: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<NamedValue>,
    /// What a row needs in addition to its CSV line to become the same row again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    table: Option<Columns>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct LetterOrigin<'a> {
    stream: Cow<'a, str>,
    lane: i32,
    offset: u64,
    /// Which part of the record at this offset, if it was split.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    part: Vec<u32>,
}

/// An entry number: a JSON number, or text such as `12-0` for a part of a split record.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum EntryText {
    Number(u64),
    Text(String),
}

impl EntryText {
    fn of(entry: &EntryNumber) -> Self {
        match entry.parts() {
            [] => EntryText::Number(entry.number),
            _ => EntryText::Text(entry.text().to_string()),
        }
    }

    fn read(self, source: &str) -> Result<EntryNumber> {
        let source = Name::new(source);
        match self {
            EntryText::Number(number) => Ok(EntryNumber::new(number, source)),
            EntryText::Text(text) => EntryNumber::parse(&text, source),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct NamedValue {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Columns {
    columns: Vec<NamedColumn>,
    delimiter: char,
    null_values: Vec<Box<str>>,
}

#[derive(Serialize, Deserialize)]
struct NamedColumn {
    name: Box<str>,
    #[serde(rename = "type")]
    kind: ColumnType,
    nullable: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    null_values: Option<Vec<Box<str>>>,
}

impl<'a> Envelope<'a> {
    fn around(letter: &'a DeadLetter) -> Self {
        let DeadLetter { reason, pipeline, component, time, record } = letter;
        let (key, key_base64) = written(record.key.as_deref());
        let (body, body_base64) = written(record.to_bytes().as_deref());
        let named = |header: &Header| {
            let (value, value_base64) = written(header.value.as_deref());
            NamedValue { name: header.name.to_string(), value, value_base64 }
        };
        Envelope {
            version: VERSION,
            reason: reason.into(),
            pipeline: pipeline.into(),
            component: component.into(),
            time: time.into(),
            origin: LetterOrigin {
                stream: record.origin.source.as_str().into(),
                lane: record.origin.partition,
                offset: record.origin.offset,
                part: record.parts().to_vec(),
            },
            entry: record.entry.as_ref().map(EntryText::of),
            source: record.entry.as_ref().map(|entry| entry.source.as_str().into()),
            incarnation: record.entry.as_ref().and_then(|entry| entry.incarnation),
            timestamp: record.timestamp,
            key,
            key_base64,
            headers: record.headers.iter().map(named).collect(),
            table: match &record.body {
                Body::Row(row) => Some(Columns::of(row.header())),
                _ => None,
            },
            body,
            body_base64,
        }
    }

    fn open(self) -> Result<DeadLetter> {
        let LetterOrigin { stream, lane, offset, part } = self.origin;
        let body = match (read(self.body, self.body_base64).context("`body_base64`")?, self.table) {
            (None, _) => Body::Tombstone,
            (Some(bytes), None) => Body::Bytes(bytes),
            (Some(line), Some(table)) => Body::Row(
                Row::read_csv(table.header()?, &line)
                    .context("`body` does not match the columns in `table`")?,
            ),
        };
        let mut record = Record::new(body, Origin { source: Name::new(&stream), partition: lane, offset });
        record.set_parts(part);
        record.key = read(self.key, self.key_base64).context("`key_base64`")?;
        let header = |NamedValue { name, value, value_base64 }: NamedValue| -> Result<Header> {
            Ok(Header { name: name.into(), value: read(value, value_base64).context("`value_base64`")? })
        };
        record.headers = Headers::new(self.headers.into_iter().map(header).collect::<Result<_>>()?);
        record.timestamp = self.timestamp;
        record.entry = match (self.entry, self.source) {
            (Some(entry), Some(source)) => Some(entry.read(&source)?.of_incarnation(self.incarnation)),
            (None, None) => None,
            _ => bail!("`entry` needs `source`, and `source` needs `entry`"),
        };
        Ok(DeadLetter {
            reason: self.reason.into(),
            pipeline: self.pipeline.into(),
            component: self.component.into(),
            time: self.time.into(),
            record,
        })
    }
}

impl Columns {
    fn of(header: &TableHeader) -> Self {
        let column = |(index, it): (usize, &Column)| NamedColumn {
            name: it.name.clone(),
            kind: it.kind,
            nullable: it.nullable,
            null_values: header.own_null_values(index).map(<[_]>::to_vec),
        };
        Columns {
            columns: header.columns().iter().enumerate().map(column).collect(),
            delimiter: header.delimiter().into(),
            null_values: header.null_values().to_vec(),
        }
    }

    fn header(mut self) -> Result<Arc<TableHeader>> {
        let own: Vec<_> = self.columns.iter_mut().map(|it| it.null_values.take()).collect();
        let column = |it: NamedColumn| Column { name: it.name, kind: it.kind, nullable: it.nullable };
        let columns: Vec<Column> = self.columns.into_iter().map(column).collect();
        ensure!(!columns.is_empty(), "`table` has no columns");
        let delimiter = u8::try_from(self.delimiter).context("`delimiter` must be one byte")?;
        let mut header = TableHeader::new(columns, delimiter, self.null_values);
        for (column, null_values) in own.into_iter().enumerate() {
            if let Some(null_values) = null_values {
                header = header.with_null_values(column, null_values);
            }
        }
        Ok(Arc::new(header))
    }
}

/// Bytes as they are if they are text, else in base64. Text of control characters is written in base64 too: JSON has
/// six characters for each of them, and the letter might be too large for its sink.
fn written(bytes: Option<&[u8]>) -> (Option<String>, Option<String>) {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => (None, None),
        Some((_, Ok(text))) if !is_mostly_control(text) => (Some(text.to_owned()), None),
        Some((bytes, _)) => (None, Some(BASE64_STANDARD.encode(bytes))),
    }
}

/// Whether JSON writes text at more than twice its length. Quotes and line breaks alone do not do that.
fn is_mostly_control(text: &str) -> bool {
    let length = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 8 | 12 => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(length).sum::<usize>() > 2 * text.len()
}

fn read(text: Option<String>, base64: Option<String>) -> Result<Option<Bytes>> {
    Ok(match (text, base64) {
        (Some(text), _) => Some(text.into()),
        (None, Some(base64)) => Some(BASE64_STANDARD.decode(base64).context("not valid base64")?.into()),
        (None, None) => None,
    })
}

#[cfg(test)]
mod tests;
