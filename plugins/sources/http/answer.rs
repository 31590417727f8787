//! An answer is cut into items: records, and what cannot be one.

use std::collections::VecDeque;
use std::ops::Range;

use anyhow::anyhow;
use bytes::Bytes;
use runner_core::{Body, Error, Name, Record, Reject};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::shared::csv::Answers;

use super::pointer::{Found, Pointer, kind};

/// One unit of an answer.
#[derive(Debug)]
pub(super) struct Item {
    /// The bytes it came in.
    pub(super) raw: Bytes,
    /// What they say, or why they cannot be a record.
    pub(super) body: Result<Body, Error>,
}

/// Why an answer cannot be read.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// It breaks off; the next try may bring all of it.
    BrokenOff(String),
    /// It is something else than what was asked for.
    Unexpected(String),
}

/// The items of one answer that have not been read yet. The answer lies in
/// memory once: items share its bytes.
#[derive(Debug)]
pub(super) enum Items {
    /// Elements of a JSON array.
    Elements { bytes: Bytes, ranges: std::vec::IntoIter<Range<usize>> },
    /// Lines of JSON.
    Lines { rest: Bytes, number: u64, url: String },
    /// Rows of CSV; the rejected ones know how many records were in front of them.
    Rows { records: std::vec::IntoIter<Record>, rejects: VecDeque<Reject>, n_given: usize },
    /// `null` where records have been before.
    Null,
}

impl Items {
    /// The records at `pointer`; `null` counts as none where `null_is_empty`.
    pub(super) fn of_json(bytes: &Bytes, pointer: &Pointer, null_is_empty: bool) -> Result<Self, Unreadable> {
        let text = text(bytes)?;
        let not_there = |why: String| {
            Unreadable::Unexpected(format!(
                "there is no `{pointer}` in the answer: {why}; set `records` to where they are"
            ))
        };
        let at = match pointer.find(text).map_err(|error| misread(text, &error))? {
            Found::At(value) => value,
            Found::Nothing(why) => return Err(not_there(why)),
        };
        let values: Vec<&RawValue> = match at.get().as_bytes().first() {
            Some(b'[') => serde_json::from_str(at.get()).map_err(|error| misread(text, &error))?,
            Some(b'{') => vec![at],
            Some(b'n') if null_is_empty => return Ok(Items::Null),
            Some(b'n') if !pointer.is_whole() => {
                let parent = pointer.parent();
                let why = match parent.find(text) {
                    Ok(Found::At(value)) => super::pointer::describe(value),
                    _ => String::new(),
                };
                let place = if parent.is_whole() { "its top level".into() } else { format!("`{parent}`") };
                return Err(Unreadable::Unexpected(format!(
                    "`{pointer}` is null in the answer, where {place} {why}; set `records` to the array of records"
                )));
            }
            _ => {
                let place = if pointer.is_whole() { "it".into() } else { format!("`{pointer}`") };
                return Err(Unreadable::Unexpected(format!(
                    "{place} is {}, neither an array of records nor an object; check `records`",
                    kind(at)
                )));
            }
        };
        // Where an element stands in the answer follows from where its text lies.
        let base = bytes.as_ptr() as usize;
        let range = |value: &RawValue| {
            let start = value.get().as_ptr() as usize - base;
            start..start + value.get().len()
        };
        let ranges: Vec<Range<usize>> = values.into_iter().map(range).collect();
        Ok(Items::Elements { bytes: bytes.clone(), ranges: ranges.into_iter() })
    }

    /// The lines of an answer from `url`, as it is shown.
    pub(super) fn of_lines(bytes: &Bytes, url: String) -> Result<Self, Unreadable> {
        if matches!(bytes.trim_ascii_start(), [b'[' | b'{', b'\r' | b'\n', ..]) {
            return Err(Unreadable::Unexpected("it is one JSON text over many lines, not one a line".into()));
        }
        // A last line without its end may be half a line.
        let last = bytes.rsplit(|&byte| byte == b'\n').next().unwrap_or_default().trim_ascii();
        if let Ok(line) = std::str::from_utf8(last)
            && !line.is_empty()
            && serde_json::from_str::<IgnoredAny>(line).is_err_and(|error| error.is_eof())
        {
            let message = format!("it breaks off at byte {}, in the middle of a line", bytes.len());
            return Err(Unreadable::BrokenOff(message));
        }
        Ok(Items::Lines { rest: bytes.clone(), number: 0, url })
    }

    /// The rows of a CSV answer; the first one with rows settles their types.
    pub(super) fn of_rows(bytes: &Bytes, tables: &mut Answers, stream: Name) -> Result<Self, Unreadable> {
        let read = tables.read(bytes, stream, 0, 0);
        let (records, rejects) = read.map_err(|error| Unreadable::Unexpected(format!("{error:#}")))?;
        Ok(Items::Rows { records: records.into_iter(), rejects: rejects.into(), n_given: 0 })
    }

    /// No items.
    pub(super) fn none() -> Self {
        Items::Lines { rest: Bytes::new(), number: 0, url: String::new() }
    }

    /// The bytes of the answer in which its items stand, to tell it from others.
    pub(super) fn as_written<'a>(&self, answer: &'a [u8]) -> &'a [u8] {
        match self {
            // Beside its records an answer often names its own number or the time.
            Items::Elements { ranges, .. } => match ranges.as_slice() {
                [first, .., last] => &answer[first.start..last.end],
                [only] => &answer[only.clone()],
                [] => &[],
            },
            _ => answer,
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
                    Err(why) => Err(anyhow!("{url}: line {number} of the answer is not JSON {why}")),
                };
                Some(Item { raw, body })
            }
            Items::Rows { records, rejects, n_given } => {
                let is_reject = |reject: &mut Reject| reject.n_before <= *n_given;
                if let Some(Reject { record, reason, .. }) = rejects.pop_front_if(is_reject) {
                    return Some(Item { raw: record.to_bytes().unwrap_or_default(), body: Err(reason) });
                }
                *n_given += 1;
                let record = records.next()?;
                Some(Item { raw: record.to_bytes().unwrap_or_default(), body: Ok(record.body) })
            }
            Items::Null => None,
        }
    }

    /// Whether there is nothing more.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Items::Elements { ranges, .. } => ranges.len() == 0,
            Items::Lines { rest, .. } => rest.trim_ascii().is_empty(),
            Items::Rows { records, rejects, .. } => records.len() == 0 && rejects.is_empty(),
            Items::Null => true,
        }
    }
}

/// Takes the next line that is not blank, without its end.
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

/// Where a line is no JSON, and why.
fn check_line(line: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(line)
        .map_err(|error| format!("at column {}: it is not UTF-8", error.valid_up_to() + 1))?;
    serde_json::from_str::<IgnoredAny>(text).map(drop).map_err(|error| {
        // To the library every line is the first one.
        let (column, told) = (error.column(), error.to_string());
        let why = told.strip_suffix(&format!(" at line {} column {column}", error.line())).unwrap_or(&told);
        format!("at column {column}: {why}")
    })
}

/// The answer as text, without a byte order mark.
pub(super) fn text(bytes: &Bytes) -> Result<&str, Unreadable> {
    let body = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    std::str::from_utf8(body).map_err(|error| {
        let at = bytes.len() - body.len() + error.valid_up_to();
        match error.error_len() {
            None => {
                Unreadable::BrokenOff(format!("it breaks off at byte {at}, in the middle of a character"))
            }
            Some(_) => Unreadable::Unexpected(format!("it is not UTF-8 at byte {at}, which JSON must be")),
        }
    })
}

/// What is wrong with a text that should be JSON.
pub(super) fn misread(text: &str, error: &serde_json::Error) -> Unreadable {
    if text.trim_ascii().is_empty() {
        return Unreadable::BrokenOff("it is empty, where JSON was expected".into());
    }
    if error.is_eof() {
        return Unreadable::BrokenOff(format!("it is half a JSON: it breaks off at byte {}", text.len()));
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
            let mark = if item.body.is_ok() { "" } else { "bad: " };
            raws.push(format!("{mark}{}", String::from_utf8_lossy(&item.raw)));
        }
        assert!(items.is_empty());
        raws
    }

    fn json(text: &'static str, pointer: &str) -> Result<Vec<String>, String> {
        let pointer = Pointer::try_from(pointer.to_owned()).unwrap();
        match Items::of_json(&Bytes::from_static(text.as_bytes()), &pointer, false) {
            Ok(items) => Ok(raws(items)),
            Err(Unreadable::BrokenOff(why)) => Err(format!("broken off: {why}")),
            Err(Unreadable::Unexpected(why)) => Err(why),
        }
    }

    #[test]
    fn elements_keep_their_digits_and_their_spacing() {
        let text = "\u{feff}{\"data\": [ { \"p\" : 1.50 },12345678901234567890 , \"ä\"]}";
        assert_eq!(json(text, "/data").unwrap(), [r#"{ "p" : 1.50 }"#, "12345678901234567890", "\"ä\""]);
        assert_eq!(json(r#" {"a": 1} "#, "").unwrap(), [r#"{"a": 1}"#]);
        assert_eq!(json("[]", "").unwrap(), [""; 0]);
    }

    #[test]
    fn records_that_are_not_there_are_looked_for_by_name() {
        let error = json(r#"{"results": [], "next": 1}"#, "/data").unwrap_err();
        assert!(error.contains("no `/data`") && error.contains("`results`, `next`"), "{error}");
        let error = json(r#"{"data": null, "results": []}"#, "/data").unwrap_err();
        assert!(error.contains("`/data` is null") && error.contains("`data`, `results`"), "{error}");
        let error = json(r#"{"data": 7}"#, "/data").unwrap_err();
        assert!(error.contains("`/data` is a number"), "{error}");
        assert!(json("null", "").unwrap_err().contains("it is null"));
    }

    #[test]
    fn half_a_json_says_where_it_breaks_off() {
        assert_eq!(
            json(r#"[{"a": 1}, {"a""#, "").unwrap_err(),
            "broken off: it is half a JSON: it breaks off at byte 15"
        );
        assert!(json("", "").unwrap_err().starts_with("broken off: it is empty"));
        assert_eq!(
            json("[1,\n2,\n x]", "").unwrap_err(),
            "it is not JSON at byte 8 (expected value at line 3 column 2)"
        );
    }

    #[test]
    fn a_character_cut_in_two_is_a_broken_answer() {
        let pointer = Pointer::default();
        let cut = Items::of_json(&Bytes::from_static(b"[\"\xC3"), &pointer, false).unwrap_err();
        assert!(matches!(cut, Unreadable::BrokenOff(why) if why.contains("byte 2")));
        let latin = Items::of_json(&Bytes::from_static(b"[\"\xE4\"]"), &pointer, false).unwrap_err();
        assert!(matches!(latin, Unreadable::Unexpected(why) if why.contains("not UTF-8 at byte 2")));
    }

    #[test]
    fn a_line_that_is_not_json_is_an_item_of_its_own() {
        let text = "{\"a\": 1}\r\n\n  \nnot json\n[2]";
        let items = Items::of_lines(&Bytes::from_static(text.as_bytes()), "http://a".into()).unwrap();
        assert_eq!(raws(items), ["{\"a\": 1}", "bad: not json", "[2]"]);
    }

    #[test]
    fn a_last_line_that_is_half_a_json_breaks_the_answer_off() {
        let half = Items::of_lines(&Bytes::from_static(b"{\"a\": 1}\n{\"a\":"), String::new()).unwrap_err();
        assert!(matches!(half, Unreadable::BrokenOff(why) if why.contains("byte 14")));
    }
}
