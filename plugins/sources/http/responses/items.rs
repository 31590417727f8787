//! Decodes a response into items: records, and rejects.

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use runner_core::{Body, Error, Name, Result};
use serde::de::IgnoredAny;
use xxhash_rust::xxh3::xxh3_64;

use super::super::json::{Located, Pointer, ScanError, describe, json_text};
use super::json_check::{NOT_UTF8, check_line, check_outside, check_value, not_json, text};
use super::large_body::{LargeBody, LargeContent};
use super::record_reader::{ElementSummary, JsonElements, ReadError, TextLines};
use crate::shared::csv::{Document, DocumentReader, OtherColumns};
use crate::shared::file_part::FilePart;
use crate::shared::json_text::kind_of;

const READ_BACK: &str = "reading a large response back from its temporary file";

/// One element, line or row of a response.
#[derive(Debug)]
pub(crate) struct Item {
    /// The original bytes.
    pub(crate) raw: Bytes,
    /// The body of the record, or why the item is rejected.
    pub(crate) body: Result<Body, Error>,
}

/// Why a response cannot be decoded.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// It is incomplete; a retry may return all of it.
    Truncated(String),
    /// It has another format or content than expected.
    Unexpected(String),
    /// A page has other columns than the one before.
    OtherColumns(String),
    /// There is nothing at `records`.
    Missing { why: String, advice: &'static str, if_left_out: String },
}

/// The remaining items of one response. Items share the bytes of the response.
#[derive(Debug)]
pub(crate) enum Items {
    /// Elements of a JSON array.
    Elements { elements: JsonElements, counted: ElementSummary, n_taken: usize, url: String },
    /// One JSON value that is a record.
    One { value: Option<Bytes>, url: String },
    /// Lines of JSON.
    Lines { lines: TextLines, n_left: usize, url: String },
    /// Rows of CSV.
    Rows(Box<Document>),
    /// `null` instead of records.
    Null,
}

impl Items {
    /// The records at `pointer` in a response from `url`, which is redacted; `null` is no records if `null_is_empty`.
    ///
    /// An element that is not valid JSON is a separate item.
    pub(crate) fn of_json(
        bytes: &Bytes,
        pointer: &Pointer,
        null_is_empty: bool,
        url: String,
    ) -> Result<Self, Unreadable> {
        let is_utf8 = match text(bytes) {
            Err(truncated @ Unreadable::Truncated(_)) => return Err(truncated),
            checked => checked.is_ok(),
        };
        let scanned = |found: ScanError| match text(bytes) {
            Ok(text) => not_json(text, found),
            Err(not_utf8) => not_utf8,
        };
        let range = match pointer.locate(bytes).map_err(scanned)? {
            Located::At(range) => range,
            Located::Nowhere(why) => {
                let why = format!("the response has no `{pointer}`: {why}");
                return Err(missing(why, "; set `records` to the location of the records", pointer));
            }
        };
        if !pointer.is_root() {
            check_outside(bytes, &range)?;
        }
        let value = &bytes[range.clone()];
        match value.first() {
            Some(b'[') => {
                let elements = JsonElements::new(FilePart::from(bytes.clone()).behind(range.start as u64));
                match elements.clone().count() {
                    Ok(counted) => Ok(Items::Elements { elements, counted, n_taken: 0, url }),
                    Err(ReadError::Scan(found)) => Err(scanned(found)),
                    Err(ReadError::Read(error)) => Err(Unreadable::Unexpected(error.to_string())),
                }
            }
            _ if !is_utf8 => Err(scanned(ScanError::End)),
            Some(b'{') => Ok(Items::One { value: Some(bytes.slice(range)), url }),
            _ if value == b"null" && null_is_empty => Ok(Items::Null),
            _ if value == b"null" && !pointer.is_root() => {
                let parent = pointer.parent();
                let why = match parent.locate(bytes) {
                    Ok(Located::At(range)) => describe(&bytes[range]),
                    _ => String::new(),
                };
                let place = if parent.is_root() { "its top level".into() } else { format!("`{parent}`") };
                let why = format!("`{pointer}` is null in the response, and {place} {why}");
                Err(missing(why, "; set `records` to the array of records", pointer))
            }
            _ => {
                check_value(value).map_err(|_| scanned(ScanError::Unexpected(range.start)))?;
                let place = if pointer.is_root() { "the response".into() } else { format!("`{pointer}`") };
                Err(Unreadable::Unexpected(format!(
                    "{place} is {}, neither an array of records nor an object; check `records`",
                    kind_of(value)
                )))
            }
        }
    }

    /// The string, number or boolean at `pointer`, which a program makes a record of.
    pub(super) fn of_scalar(bytes: &Bytes, pointer: &Pointer, url: String) -> Option<Self> {
        text(bytes).ok()?;
        let Ok(Located::At(range)) = pointer.locate(bytes) else { return None };
        let is_whole = pointer.is_root() || check_outside(bytes, &range).is_ok();
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
        let lines = TextLines::new(bytes.clone().into());
        let (mut rest, mut n_left) = (lines.clone(), 0);
        while let Ok(Some(_)) = rest.next() {
            n_left += 1;
        }
        Ok(Items::Lines { lines, n_left, url })
    }

    /// The rows of a CSV response; the first one with rows determines the column types. If the response is not
    /// `is_delimited`, it ends where the connection does, so that a row that is not whole may be cut.
    pub(super) fn of_csv(
        text: FilePart,
        csv_reader: &mut DocumentReader,
        source_name: Name,
        is_delimited: bool,
    ) -> Result<Self, Unreadable> {
        let size = text.n_left();
        let document = csv_reader.open(text, source_name);
        let document = document.map_err(|error| match error.downcast::<OtherColumns>() {
            Ok(other) => Unreadable::OtherColumns(other.to_string()),
            Err(error) => Unreadable::Unexpected(format!("{error:#}")),
        })?;
        if !is_delimited && document.is_truncated() {
            return Err(Unreadable::Truncated(format!(
                "the response ends at byte {size}, in the middle of a row"
            )));
        }
        Ok(Items::Rows(document.into()))
    }

    /// The elements or lines of a large response from `url`, which is redacted; `None` for rows of CSV.
    pub(super) fn of_large(large: &LargeBody, url: String) -> Option<Self> {
        let file_part = large.file_part.clone();
        match large.content {
            LargeContent::Elements(counted) => {
                Some(Items::Elements { elements: JsonElements::new(file_part), counted, n_taken: 0, url })
            }
            LargeContent::Lines { n_lines } => {
                Some(Items::Lines { lines: TextLines::new(file_part), n_left: n_lines, url })
            }
            LargeContent::Rows => None,
        }
    }

    /// The type of an element that is not an object, if there is one.
    pub(crate) fn other_type(&self) -> Option<&'static str> {
        match self {
            Items::Elements { counted, .. } => counted.other_type,
            // Lines are not parsed here; one stands for all.
            Items::Lines { lines, .. } => {
                let (first, _) = lines.clone().next().ok()??;
                let is_other =
                    !first.starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(&first).is_ok();
                is_other.then(|| kind_of(&first))
            }
            _ => None,
        }
    }

    /// No items.
    pub(crate) fn none() -> Self {
        Items::Lines { lines: TextLines::new(Bytes::new().into()), n_left: 0, url: String::new() }
    }

    /// The first elements of an array, at most `at_most`; none of another response.
    pub(crate) fn front(&self, at_most: usize) -> Vec<Bytes> {
        match self {
            Items::Elements { elements, .. } => {
                let mut elements = elements.clone();
                let mut next = || Some(elements.next().ok()??.1);
                std::iter::from_fn(&mut next).take(at_most).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The hashes of the items, at most `at_most`, to compare pages.
    pub(crate) fn hashes(&self, at_most: usize) -> Vec<u64> {
        match self {
            Items::Elements { .. } => self.front(at_most).iter().map(|element| xxh3_64(element)).collect(),
            Items::One { value, .. } => value.iter().map(|value| xxh3_64(value)).collect(),
            Items::Lines { lines, .. } => {
                let mut lines = lines.clone();
                let mut hash = || Some(xxh3_64(&lines.next().ok()??.0));
                std::iter::from_fn(&mut hash).take(at_most).collect()
            }
            Items::Rows(document) => document.raw_rows().take(at_most).map(xxh3_64).collect(),
            Items::Null => Vec::new(),
        }
    }

    /// The next item. Fails if a large response cannot be read back.
    pub(crate) fn next(&mut self) -> Result<Option<Item>> {
        let item = match self {
            Items::Elements { elements, counted, n_taken, url } => match elements.next() {
                Ok(Some((place, raw))) => {
                    *n_taken += 1;
                    element(raw, place, *n_taken, counted.is_utf8, url)
                }
                Ok(None) => return Ok(None),
                Err(ReadError::Read(error)) => return Err(Error::from(error).context(READ_BACK)),
                Err(ReadError::Scan(_)) => bail!("{READ_BACK}: it has changed"),
            },
            Items::One { value, url } => {
                let Some(raw) = value.take() else { return Ok(None) };
                let body = match check_value(&raw) {
                    Ok(()) => Ok(Body::Bytes(raw.clone())),
                    Err((at, why)) => Err(anyhow!("{url}: the record is not JSON at its byte {at}: {why}")),
                };
                Item { raw, body }
            }
            Items::Lines { lines, n_left, url } => match lines.next().context(READ_BACK)? {
                Some((raw, _)) => {
                    *n_left -= 1;
                    line(raw, lines.number, url)
                }
                None => return Ok(None),
            },
            Items::Rows(document) => match document.next().context(READ_BACK)? {
                Some(Ok(row)) => {
                    let body = Body::Row(row);
                    Item { raw: json_text(&body).into_owned().into(), body: Ok(body) }
                }
                Some(Err(bad)) => Item { raw: bad.bytes, body: Err(bad.reason) },
                None => return Ok(None),
            },
            Items::Null => return Ok(None),
        };
        Ok(Some(item))
    }

    /// How many items remain.
    pub(crate) fn len(&self) -> usize {
        match self {
            Items::Elements { counted, n_taken, .. } => counted.n_elements - n_taken,
            Items::One { value, .. } => usize::from(value.is_some()),
            Items::Lines { n_left, .. } => *n_left,
            Items::Rows(document) => document.len(),
            Items::Null => 0,
        }
    }

    /// Whether no item remains.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The error for a response without records at `records`, with the advice for an API that omits an empty array.
fn missing(why: String, advice: &'static str, records: &Pointer) -> Unreadable {
    let if_left_out = format!(
        ". If the API leaves it out of a response without records, set `responses = {{ empty = [{{ missing = \
         \"{records}\" }}] }}`"
    );
    Unreadable::Missing { why, advice, if_left_out }
}

/// The element of an array, at a place of the response.
fn element(raw: Bytes, place: u64, number: usize, is_utf8: bool, url: &str) -> Item {
    let not_utf8 = if is_utf8 { None } else { std::str::from_utf8(&raw).err() };
    let body = match (not_utf8, check_value(&raw)) {
        (Some(error), _) => Err(anyhow!(
            "{url}: element {number} of the response is not UTF-8 at byte {}; {NOT_UTF8}",
            place + error.valid_up_to() as u64
        )),
        (None, Ok(())) => Ok(Body::Bytes(raw.clone())),
        (None, Err((at, why))) => Err(anyhow!(
            "{url}: element {number} of the response is not JSON at byte {}: {why}",
            place + at as u64
        )),
    };
    Item { raw, body }
}

fn line(raw: Bytes, number: u64, url: &str) -> Item {
    let body = match check_line(&raw) {
        Ok(()) => Ok(Body::Bytes(raw.clone())),
        Err(why) => Err(anyhow!("{url}: line {number} of the response is not JSON {why}")),
    };
    Item { raw, body }
}

#[cfg(test)]
mod tests;
