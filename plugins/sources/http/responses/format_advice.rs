//! Recognizes a response that has another format than the one that `codec` names.

use serde::de::IgnoredAny;

use crate::shared::formats::binary::{FileKind, Group};
use crate::shared::formats::text::TextKind;

/// Whether the first line of an invalid JSON text is valid JSON.
pub(super) fn is_ndjson(body: &[u8]) -> bool {
    let line = body.split(|&byte| byte == b'\n').next().unwrap_or_default();
    line.len() < body.len() && serde_json::from_slice::<IgnoredAny>(line).is_ok()
}

/// How much of a response is looked at: an Excel workbook is told from other archives by the names in it.
const START: usize = 4096;

/// The format of a text that is not CSV. A row of CSV may begin in the same way, a header does not.
pub(super) fn text_kind(body: &[u8], is_header: bool) -> Option<TextKind> {
    TextKind::of(&body[..body.len().min(START)], is_header)
}

/// What a response is that is neither text nor compressed text, and what to do about it.
pub(super) fn other_format(body: &[u8]) -> Option<String> {
    let kind = FileKind::of(&body[..body.len().min(START)])?;
    let advice = match kind.group {
        Group::Compressed => "ask the API for gzip",
        Group::Archive => {
            "ask the API for CSV or JSON, alone or as gzip, or unpack the archive and read its files with the `csv` source"
        }
        Group::Picture => "check `endpoint`",
        Group::Document => "ask the API for CSV or JSON",
    };
    Some(format!("{}, which is not supported; {advice}", kind.name))
}
