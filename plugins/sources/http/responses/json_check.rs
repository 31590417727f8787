//! Checks JSON texts; an error says where it is.

use std::ops::Range;

use serde::de::IgnoredAny;

use super::super::json::{ScanError, scan};
use super::items::Unreadable;
use crate::shared::json_text::{bare_message, hint, offset};

/// Checks that a line is JSON. The error contains the column.
pub(super) fn check_line(line: &[u8]) -> Result<(), String> {
    if let Err(error) = std::str::from_utf8(line) {
        return Err(format!("at column {}: it is not UTF-8; {NOT_UTF8}", error.valid_up_to() + 1));
    }
    check_value(line).map_err(|(at, why)| format!("at column {}: {why}", at + 1))
}

/// Checks that a value is JSON. The error contains the index of the byte, and what is wrong.
pub(super) fn check_value(value: &[u8]) -> Result<(), (usize, String)> {
    let Err(error) = serde_json::from_slice::<IgnoredAny>(value) else { return Ok(()) };
    let at = offset(value, &error);
    Err((at, hint(value, at, "the API").unwrap_or_else(|| bare_message(&error))))
}

/// Checks what surrounds the records, whose bounds are `range`; `NaN` is accepted there.
pub(super) fn check_outside(bytes: &[u8], range: &Range<usize>) -> Result<(), Unreadable> {
    let around = String::from_utf8([&bytes[..range.start], b"[]", &bytes[range.end..]].concat());
    let around = around.map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        not_utf8(if at <= range.start { at } else { at + range.len() - 2 })
    })?;
    if serde_json::from_str::<IgnoredAny>(&around).is_ok() {
        return Ok(());
    }
    let Err(error) = serde_json::from_str::<IgnoredAny>(&scan::without_nan(&around)) else { return Ok(()) };
    let at = offset(around.as_bytes(), &error);
    let at = if at <= range.start { at } else { at + range.len() - 2 };
    let found = ScanError::Unexpected(at.min(bytes.len()));
    // What is said about the place needs the text before it only.
    Err(not_json(&String::from_utf8_lossy(bytes), found))
}

/// What to do about text that is not UTF-8.
pub(super) const NOT_UTF8: &str =
    "if the API writes another encoding than it declares, set it, as in `encoding = \"windows-1252\"`";

fn not_utf8(at: usize) -> Unreadable {
    Unreadable::Unexpected(format!("it is not UTF-8 at byte {at}; {NOT_UTF8}"))
}

/// The response as text, without a byte order mark.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, Unreadable> {
    let body = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    std::str::from_utf8(body).map_err(|error| {
        let at = bytes.len() - body.len() + error.valid_up_to();
        match error.error_len() {
            None => {
                Unreadable::Truncated(format!("the response ends at byte {at}, in the middle of a character"))
            }
            Some(_) => not_utf8(at),
        }
    })
}

/// The error for a text that is not JSON.
pub(crate) fn not_json(text: &str, found: ScanError) -> Unreadable {
    let at = match found {
        _ if text.trim_ascii().is_empty() => {
            return Unreadable::Truncated("expected JSON, got an empty response".into());
        }
        ScanError::End => {
            return Unreadable::Truncated(format!(
                "incomplete JSON: the response ends at byte {}",
                text.len()
            ));
        }
        ScanError::Unexpected(at) => at,
    };
    let before = &text.as_bytes()[..at.min(text.len())];
    let line = before.split(|&byte| byte == b'\n').count();
    let column = before.iter().rev().take_while(|&&byte| byte != b'\n').count() + 1;
    let why = match serde_json::from_str::<IgnoredAny>(text) {
        Err(error) if offset(text.as_bytes(), &error) == at => bare_message(&error),
        _ => "unexpected character".to_owned(),
    };
    Unreadable::Unexpected(format!("it is not JSON at byte {at} ({why} at line {line} column {column})"))
}
