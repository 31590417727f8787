//! Decodes a response into items: records, and rejects.

use std::collections::VecDeque;

use anyhow::anyhow;
use bytes::Bytes;
use runner_core::{Body, Error, Name, Record, Reject};
use serde::de::IgnoredAny;
use xxhash_rust::xxh3::xxh3_64;

use crate::shared::csv::DocumentReader;

use super::json_text::{check_line, check_outside, check_value, not_json, text};
use super::pointer::{Located, Pointer, describe, type_name};
use super::scan::{Children, ScanError};

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
    Elements {
        bytes: Bytes,
        rest: Children,
        n_left: usize,
        /// How many elements were taken.
        number: u64,
        /// The type of an element that is not an object, if there is one.
        other_type: Option<&'static str>,
        url: String,
    },
    /// One JSON value that is a record.
    One { value: Option<Bytes>, url: String },
    /// Lines of JSON.
    Lines { rest: Bytes, number: u64, url: String },
    /// Rows of CSV; each reject stores how many records come before it.
    Rows { records: std::vec::IntoIter<Record>, rejects: VecDeque<Reject>, n_emitted: usize },
    /// `null` instead of records.
    Null,
}

impl Items {
    /// The records at `pointer` in a response from `url`, which is redacted; `null` is no records if `null_is_empty`.
    ///
    /// An element that is not valid JSON is a separate item.
    pub(super) fn of_json(
        bytes: &Bytes,
        pointer: &Pointer,
        null_is_empty: bool,
        url: String,
    ) -> Result<Self, Unreadable> {
        let text = text(bytes)?;
        let scanned = |found: ScanError| not_json(text, found);
        let range = match pointer.locate(bytes).map_err(scanned)? {
            Located::At(range) => range,
            Located::Nowhere(why) => {
                return Err(Unreadable::Unexpected(format!(
                    "the response has no `{pointer}`: {why}; set `records` to the location of the records"
                )));
            }
        };
        if !pointer.is_root() {
            check_outside(text, &range)?;
        }
        let value = &bytes[range.clone()];
        match value.first() {
            Some(b'[') => {
                let rest = Children::of(range.start);
                let mut elements = rest;
                let (mut n_left, mut other_type) = (0, None);
                while let Some(element) = elements.next_element(bytes).map_err(scanned)? {
                    n_left += 1;
                    if other_type.is_none() && bytes[element.start] != b'{' {
                        other_type = Some(type_name(&bytes[element]));
                    }
                }
                Ok(Items::Elements { bytes: bytes.clone(), rest, n_left, number: 0, other_type, url })
            }
            Some(b'{') => Ok(Items::One { value: Some(bytes.slice(range)), url }),
            _ if value == b"null" && null_is_empty => Ok(Items::Null),
            _ if value == b"null" && !pointer.is_root() => {
                let parent = pointer.parent();
                let why = match parent.locate(bytes) {
                    Ok(Located::At(range)) => describe(&bytes[range]),
                    _ => String::new(),
                };
                let place = if parent.is_root() { "its top level".into() } else { format!("`{parent}`") };
                Err(Unreadable::Unexpected(format!(
                    "`{pointer}` is null in the response, and {place} {why}; set `records` to the array of records"
                )))
            }
            _ => {
                check_value(value).map_err(|_| scanned(ScanError::Unexpected(range.start)))?;
                let place = if pointer.is_root() { "the response".into() } else { format!("`{pointer}`") };
                Err(Unreadable::Unexpected(format!(
                    "{place} is {}, neither an array of records nor an object; check `records`",
                    type_name(value)
                )))
            }
        }
    }

    /// The string, number or boolean at `pointer`, which a program makes a record of.
    pub(super) fn of_scalar(bytes: &Bytes, pointer: &Pointer, url: String) -> Option<Self> {
        let text = text(bytes).ok()?;
        let Ok(Located::At(range)) = pointer.locate(bytes) else { return None };
        let is_whole = pointer.is_root() || check_outside(text, &range).is_ok();
        let value = &bytes[range.clone()];
        let is_scalar = matches!(value.first(), Some(b'"' | b'-' | b'0'..=b'9' | b't' | b'f'));
        (is_whole && is_scalar && check_value(value).is_ok())
            .then(|| Items::One { value: Some(bytes.slice(range)), url })
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

    /// The hashes of the items, at most `at_most`, to compare pages.
    pub(super) fn hashes(&self, at_most: usize) -> Vec<u64> {
        match self {
            Items::Elements { bytes, rest, .. } => {
                let mut rest = *rest;
                let mut hash = || Some(xxh3_64(&bytes[rest.next_element(bytes).ok()??]));
                std::iter::from_fn(&mut hash).take(at_most).collect()
            }
            Items::One { value, .. } => value.iter().map(|value| xxh3_64(value)).collect(),
            Items::Lines { rest, .. } => {
                let (mut rest, mut number) = (rest.clone(), 0);
                let mut hash = || take_line(&mut rest, &mut number).map(|line| xxh3_64(&line));
                std::iter::from_fn(&mut hash).take(at_most).collect()
            }
            Items::Rows { records, rejects, .. } => {
                let rejected = rejects.iter().map(|reject| &reject.record);
                let rows = records.as_slice().iter().chain(rejected).take(at_most);
                rows.map(|row| xxh3_64(&row.to_bytes().unwrap_or_default())).collect()
            }
            Items::Null => Vec::new(),
        }
    }

    /// The next item.
    pub(super) fn next(&mut self) -> Option<Item> {
        match self {
            Items::Elements { bytes, rest, n_left, number, url, .. } => {
                // The response was scanned to its end before.
                let range = rest.next_element(bytes).ok()??;
                *n_left = n_left.saturating_sub(1);
                *number += 1;
                let raw = bytes.slice(range.clone());
                let body = match check_value(&raw) {
                    Ok(()) => Ok(Body::Bytes(raw.clone())),
                    Err((at, why)) => Err(anyhow!(
                        "{url}: element {number} of the response is not JSON at byte {}: {why}",
                        range.start + at
                    )),
                };
                Some(Item { raw, body })
            }
            Items::One { value, url } => {
                let raw = value.take()?;
                let body = match check_value(&raw) {
                    Ok(()) => Ok(Body::Bytes(raw.clone())),
                    Err((at, why)) => Err(anyhow!("{url}: the record is not JSON at its byte {at}: {why}")),
                };
                Some(Item { raw, body })
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
            Items::Elements { n_left, .. } => *n_left,
            Items::One { value, .. } => usize::from(value.is_some()),
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
            Items::Elements { n_left, .. } => *n_left == 0,
            Items::One { value, .. } => value.is_none(),
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
        match Items::of_json(&Bytes::from_static(text.as_bytes()), &pointer, false, "http://a".into()) {
            Ok(items) => Ok(raws(items)),
            Err(Unreadable::Truncated(why)) => Err(format!("truncated: {why}")),
            Err(Unreadable::Unexpected(why)) => Err(why),
        }
    }

    #[test]
    fn json_elements_keep_their_bytes() {
        let text = "{\"data\": [ { \"p\" : 1.50 },12345678901234567890 , \"ä\"]}";
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
            json("[1,\n2,\n x y]", "").unwrap_err(),
            "it is not JSON at byte 10 (unexpected character at line 3 column 4)"
        );
        assert_eq!(
            json("{\"a\": [1], 'b': 2}", "/a").unwrap_err(),
            "it is not JSON at byte 11 (key must be a string at line 1 column 12)"
        );
    }

    #[test]
    fn invalid_element_is_a_separate_item() {
        let text = r#"{"mean": NaN, "data": [{"a":1}, {"a": NaN},{"a": -Infinity}, {'a': 1}, 01, {"a":2}]}"#;
        let pointer = Pointer::try_from("/data".to_owned()).unwrap();
        let bytes = Bytes::from_static(text.as_bytes());
        let mut items = Items::of_json(&bytes, &pointer, false, "http://a".into()).unwrap();
        let (mut good, mut reasons) = (Vec::new(), Vec::new());
        assert_eq!((items.len(), items.hashes(9).len()), (6, 6));
        while let Some(item) = items.next() {
            match item.body {
                Ok(_) => good.push(item.raw),
                Err(reason) => reasons.push(reason.to_string()),
            }
        }
        assert_eq!(good, [r#"{"a":1}"#, r#"{"a":2}"#]);
        assert_eq!(
            reasons,
            [
                "http://a: element 2 of the response is not JSON at byte 38: JSON has no NaN; \
                 the API must write null instead, or nothing",
                "http://a: element 3 of the response is not JSON at byte 49: JSON has no -Infinity; \
                 the API must write null instead, or nothing",
                "http://a: element 4 of the response is not JSON at byte 62: a string begins with a \
                 single quote, and JSON needs a double quote",
                "http://a: element 5 of the response is not JSON at byte 72: invalid number",
            ]
        );
        assert_eq!(json("{\"a\": NaN}", "").unwrap(), ["bad: {\"a\": NaN}"]);
    }

    #[test]
    fn character_cut_in_two_is_a_truncated_response() {
        let pointer = Pointer::default();
        let cut =
            Items::of_json(&Bytes::from_static(b"[\"\xC3"), &pointer, false, String::new()).unwrap_err();
        assert!(matches!(cut, Unreadable::Truncated(why) if why.contains("byte 2")));
        let latin =
            Items::of_json(&Bytes::from_static(b"[\"\xE4\"]"), &pointer, false, String::new()).unwrap_err();
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
