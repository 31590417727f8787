//! Decodes a response into items: records, and rejects.

use std::collections::VecDeque;
use std::ops::Range;

use anyhow::anyhow;
use bytes::Bytes;
use runner_core::{Body, Error, Name, Record, Reject};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::shared::csv::DocumentReader;

use super::pointer::{Lookup, Pointer, type_name};

/// One element, line or row of a response.
#[derive(Debug)]
pub(super) struct Item {
    /// The original bytes.
    pub(super) raw: Bytes,
    /// The body of the record, or why the item is rejected.
    pub(super) body: Result<Body, Error>,
}

/// Why a response cannot be decoded.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// It is incomplete; a retry may return all of it.
    Truncated(String),
    /// It has another format or content than expected.
    Unexpected(String),
}

/// The remaining items of one response. Items share the bytes of the response.
#[derive(Debug)]
pub(super) enum Items {
    /// Elements of a JSON array.
    Elements { bytes: Bytes, ranges: std::vec::IntoIter<Range<usize>> },
    /// Lines of JSON.
    Lines { rest: Bytes, number: u64, url: String },
    /// Rows of CSV; each reject stores how many records come before it.
    Rows { records: std::vec::IntoIter<Record>, rejects: VecDeque<Reject>, n_emitted: usize },
    /// `null` instead of records.
    Null,
}

impl Items {
    /// The records at `pointer`; `null` is no records if `null_is_empty`.
    pub(super) fn of_json(bytes: &Bytes, pointer: &Pointer, null_is_empty: bool) -> Result<Self, Unreadable> {
        let text = text(bytes)?;
        let not_found = |why: String| {
            Unreadable::Unexpected(format!(
                "the response has no `{pointer}`: {why}; set `records` to the location of the records"
            ))
        };
        let at = match pointer.find(text).map_err(|error| invalid_json(text, &error))? {
            Lookup::Value(value) => value,
            Lookup::NotFound(why) => return Err(not_found(why)),
        };
        let values: Vec<&RawValue> = match at.get().as_bytes().first() {
            Some(b'[') => serde_json::from_str(at.get()).map_err(|error| invalid_json(text, &error))?,
            Some(b'{') => vec![at],
            Some(b'n') if null_is_empty => return Ok(Items::Null),
            Some(b'n') if !pointer.is_root() => {
                let parent = pointer.parent();
                let why = match parent.find(text) {
                    Ok(Lookup::Value(value)) => super::pointer::describe(value),
                    _ => String::new(),
                };
                let place = if parent.is_root() { "its top level".into() } else { format!("`{parent}`") };
                return Err(Unreadable::Unexpected(format!(
                    "`{pointer}` is null in the response, and {place} {why}; set `records` to the array of records"
                )));
            }
            _ => {
                let place = if pointer.is_root() { "the response".into() } else { format!("`{pointer}`") };
                return Err(Unreadable::Unexpected(format!(
                    "{place} is {}, neither an array of records nor an object; check `records`",
                    type_name(at)
                )));
            }
        };
        // The offset of an element follows from the address of its text.
        let base = bytes.as_ptr() as usize;
        let range = |value: &RawValue| {
            let start = value.get().as_ptr() as usize - base;
            start..start + value.get().len()
        };
        let ranges: Vec<Range<usize>> = values.into_iter().map(range).collect();
        Ok(Items::Elements { bytes: bytes.clone(), ranges: ranges.into_iter() })
    }

    /// The lines of a response from `url`, which is redacted.
    pub(super) fn of_ndjson(bytes: &Bytes, url: String) -> Result<Self, Unreadable> {
        if matches!(bytes.trim_ascii_start(), [b'[' | b'{', b'\r' | b'\n', ..]) {
            return Err(Unreadable::Unexpected(
                "it is one JSON value over many lines, not one per line".into(),
            ));
        }
        // A last line without a line end may be incomplete.
        let last = bytes.rsplit(|&byte| byte == b'\n').next().unwrap_or_default().trim_ascii();
        if let Ok(line) = std::str::from_utf8(last)
            && !line.is_empty()
            && serde_json::from_str::<IgnoredAny>(line).is_err_and(|error| error.is_eof())
        {
            let message = format!("the response ends at byte {}, in the middle of a line", bytes.len());
            return Err(Unreadable::Truncated(message));
        }
        Ok(Items::Lines { rest: bytes.clone(), number: 0, url })
    }

    /// The rows of a CSV response; the first one with rows determines the column types.
    pub(super) fn of_csv(
        bytes: &Bytes,
        csv_reader: &mut DocumentReader,
        source_name: Name,
    ) -> Result<Self, Unreadable> {
        let read = csv_reader.read(bytes, source_name, 0, 0);
        let (records, rejects) = read.map_err(|error| Unreadable::Unexpected(format!("{error:#}")))?;
        Ok(Items::Rows { records: records.into_iter(), rejects: rejects.into(), n_emitted: 0 })
    }

    /// No items.
    pub(super) fn none() -> Self {
        Items::Lines { rest: Bytes::new(), number: 0, url: String::new() }
    }

    /// The bytes that contain the items, to compare pages.
    pub(super) fn as_written<'a>(&self, response: &'a [u8]) -> &'a [u8] {
        match self {
            // Other parts of a response often contain the page number or the time.
            Items::Elements { ranges, .. } => match ranges.as_slice() {
                [first, .., last] => &response[first.start..last.end],
                [only] => &response[only.clone()],
                [] => &[],
            },
            _ => response,
        }
    }

    /// The next item.
    pub(super) fn next(&mut self) -> Option<Item> {
        match self {
            Items::Elements { bytes, ranges } => {
                let raw = bytes.slice(ranges.next()?);
                Some(Item { body: Ok(Body::Bytes(raw.clone())), raw })
            }
            Items::Lines { rest, number, url } => {
                let raw = take_line(rest, number)?;
                let body = match check_line(&raw) {
                    Ok(()) => Ok(Body::Bytes(raw.clone())),
                    Err(why) => Err(anyhow!("{url}: line {number} of the response is not JSON {why}")),
                };
                Some(Item { raw, body })
            }
            Items::Rows { records, rejects, n_emitted } => {
                let is_reject = |reject: &mut Reject| reject.n_before <= *n_emitted;
                if let Some(Reject { record, reason, .. }) = rejects.pop_front_if(is_reject) {
                    return Some(Item { raw: record.to_bytes().unwrap_or_default(), body: Err(reason) });
                }
                *n_emitted += 1;
                let record = records.next()?;
                Some(Item { raw: record.to_bytes().unwrap_or_default(), body: Ok(record.body) })
            }
            Items::Null => None,
        }
    }

    /// How many items remain.
    pub(super) fn len(&self) -> usize {
        match self {
            Items::Elements { ranges, .. } => ranges.len(),
            Items::Lines { rest, .. } => {
                rest.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count()
            }
            Items::Rows { records, rejects, .. } => records.len() + rejects.len(),
            Items::Null => 0,
        }
    }

    /// Whether no item remains.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Items::Elements { ranges, .. } => ranges.len() == 0,
            Items::Lines { rest, .. } => rest.trim_ascii().is_empty(),
            Items::Rows { records, rejects, .. } => records.len() == 0 && rejects.is_empty(),
            Items::Null => true,
        }
    }
}

/// Takes the next line that is not blank, without its line end.
fn take_line(rest: &mut Bytes, number: &mut u64) -> Option<Bytes> {
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = rest.split_to(end);
        if !rest.is_empty() {
            drop(rest.split_to(1));
        }
        *number += 1;
        let trimmed = line.trim_ascii();
        if !trimmed.is_empty() {
            return Some(line.slice_ref(trimmed));
        }
    }
    None
}

/// Checks that a line is JSON. The error contains the column.
fn check_line(line: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(line)
        .map_err(|error| format!("at column {}: it is not UTF-8", error.valid_up_to() + 1))?;
    serde_json::from_str::<IgnoredAny>(text).map(drop).map_err(|error| {
        // Remove the line number of `serde_json`, which is always 1.
        let (column, message) = (error.column(), error.to_string());
        let why =
            message.strip_suffix(&format!(" at line {} column {column}", error.line())).unwrap_or(&message);
        format!("at column {column}: {why}")
    })
}

/// The response as text, without a byte order mark.
pub(super) fn text(bytes: &Bytes) -> Result<&str, Unreadable> {
    let body = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    std::str::from_utf8(body).map_err(|error| {
        let at = bytes.len() - body.len() + error.valid_up_to();
        match error.error_len() {
            None => {
                Unreadable::Truncated(format!("the response ends at byte {at}, in the middle of a character"))
            }
            Some(_) => Unreadable::Unexpected(format!("it is not UTF-8 at byte {at}")),
        }
    })
}

/// The error for invalid JSON.
pub(super) fn invalid_json(text: &str, error: &serde_json::Error) -> Unreadable {
    if text.trim_ascii().is_empty() {
        return Unreadable::Truncated("expected JSON, got an empty response".into());
    }
    if error.is_eof() {
        return Unreadable::Truncated(format!("incomplete JSON: the response ends at byte {}", text.len()));
    }
    let lines = text.split_inclusive('\n').take(error.line().saturating_sub(1));
    let at = (lines.map(str::len).sum::<usize>() + error.column()).saturating_sub(1);
    Unreadable::Unexpected(format!("it is not JSON at byte {at} ({error})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raws(mut items: Items) -> Vec<String> {
        let mut raws = Vec::new();
        while let Some(item) = items.next() {
            let prefix = if item.body.is_ok() { "" } else { "bad: " };
            raws.push(format!("{prefix}{}", String::from_utf8_lossy(&item.raw)));
        }
        assert!(items.is_empty());
        raws
    }

    fn json(text: &'static str, pointer: &str) -> Result<Vec<String>, String> {
        let pointer = Pointer::try_from(pointer.to_owned()).unwrap();
        match Items::of_json(&Bytes::from_static(text.as_bytes()), &pointer, false) {
            Ok(items) => Ok(raws(items)),
            Err(Unreadable::Truncated(why)) => Err(format!("truncated: {why}")),
            Err(Unreadable::Unexpected(why)) => Err(why),
        }
    }

    #[test]
    fn json_elements_keep_their_bytes() {
        let text = "\u{feff}{\"data\": [ { \"p\" : 1.50 },12345678901234567890 , \"ä\"]}";
        assert_eq!(json(text, "/data").unwrap(), [r#"{ "p" : 1.50 }"#, "12345678901234567890", "\"ä\""]);
        assert_eq!(json(r#" {"a": 1} "#, "").unwrap(), [r#"{"a": 1}"#]);
        assert_eq!(json("[]", "").unwrap(), [""; 0]);
    }

    #[test]
    fn missing_records_error_names_the_existing_keys() {
        let error = json(r#"{"results": [], "next": 1}"#, "/data").unwrap_err();
        assert!(error.contains("no `/data`") && error.contains("`next`, `results`"), "{error}");
        let error = json(r#"{"data": null, "results": []}"#, "/data").unwrap_err();
        assert!(error.contains("`/data` is null") && error.contains("`data`, `results`"), "{error}");
        let error = json(r#"{"data": 7}"#, "/data").unwrap_err();
        assert!(error.contains("`/data` is a number"), "{error}");
        assert!(json("null", "").unwrap_err().contains("the response is null"));
    }

    #[test]
    fn incomplete_json_error_names_the_last_byte() {
        assert_eq!(
            json(r#"[{"a": 1}, {"a""#, "").unwrap_err(),
            "truncated: incomplete JSON: the response ends at byte 15"
        );
        assert!(json("", "").unwrap_err().starts_with("truncated: expected JSON, got an empty"));
        assert_eq!(
            json("[1,\n2,\n x]", "").unwrap_err(),
            "it is not JSON at byte 8 (expected value at line 3 column 2)"
        );
    }

    #[test]
    fn character_cut_in_two_is_a_truncated_response() {
        let pointer = Pointer::default();
        let cut = Items::of_json(&Bytes::from_static(b"[\"\xC3"), &pointer, false).unwrap_err();
        assert!(matches!(cut, Unreadable::Truncated(why) if why.contains("byte 2")));
        let latin = Items::of_json(&Bytes::from_static(b"[\"\xE4\"]"), &pointer, false).unwrap_err();
        assert!(matches!(latin, Unreadable::Unexpected(why) if why.contains("not UTF-8 at byte 2")));
    }

    #[test]
    fn invalid_ndjson_line_is_a_separate_item() {
        let text = "{\"a\": 1}\r\n\n  \nnot json\n[2]";
        let items = Items::of_ndjson(&Bytes::from_static(text.as_bytes()), "http://a".into()).unwrap();
        assert_eq!(raws(items), ["{\"a\": 1}", "bad: not json", "[2]"]);
    }

    #[test]
    fn incomplete_last_line_is_a_truncated_response() {
        let half = Items::of_ndjson(&Bytes::from_static(b"{\"a\": 1}\n{\"a\":"), String::new()).unwrap_err();
        assert!(matches!(half, Unreadable::Truncated(why) if why.contains("byte 14")));
    }
}
