//! Large responses: kept in a temporary file, and read from it a part at a time.
//!
//! A response is received whole before its first record is delivered, so that one that breaks off delivers nothing. What
//! surrounds the records stays in memory, since pagination and warnings look at it.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::IgnoredAny;

use super::super::json::{Located, Pointer, ScanError};
use super::json_check::check_outside;
use super::record_reader::{ElementSummary, JsonElements, ReadError, TextLines};
use crate::shared::file_part::{CHUNK, FilePart};

/// Up to this size a response is kept in memory.
pub(crate) const MAX_IN_MEMORY: usize = 8 << 20;

/// Of what surrounds the records, at most so many bytes on each side are kept; a response with more is kept in memory.
const MAX_AROUND: usize = 16 << 20;

/// How many bytes of a text of lines or rows stand for it in messages.
const FRONT: usize = 64 << 10;

/// How a large response is divided into records.
#[derive(Clone, Debug)]
pub(crate) enum RecordLayout {
    /// The elements of the array at this place.
    Array(Pointer),
    /// One record a line.
    Lines,
    /// Rows of CSV.
    Rows,
}

/// The records of a large response, in a file.
#[derive(Debug)]
pub(crate) struct LargeBody {
    /// The file from the first record on.
    pub(crate) file_part: FilePart,
    pub(crate) content: LargeContent,
}

/// What is known of the records.
#[derive(Debug)]
pub(crate) enum LargeContent {
    Elements(ElementSummary),
    Lines { n_lines: usize },
    Rows,
}

impl LargeBody {
    /// Divides a response that is in a file of `end` bytes, and begins at `start` with UTF-8. Returns what surrounds the
    /// records, with `[]` in their place, or of a text of lines the front.
    ///
    /// `None` if it is not what `layout` says, or not valid: the response in memory then tells why.
    pub(crate) fn divide(
        file: File,
        start: u64,
        end: u64,
        layout: &RecordLayout,
    ) -> io::Result<Option<(Bytes, LargeBody)>> {
        Self::divide_by(FilePart::of_file(Arc::new(file), start, end, CHUNK), layout)
    }

    fn divide_by(file_part: FilePart, layout: &RecordLayout) -> io::Result<Option<(Bytes, LargeBody)>> {
        if let RecordLayout::Array(records) = layout {
            return Self::divide_array(file_part, records);
        }
        let mut front = file_part.clone();
        front.fill(FRONT)?;
        let front = front.bytes;
        let content = match layout {
            RecordLayout::Rows if matches!(front.trim_ascii_start(), [b'[' | b'{', ..] | []) => {
                return Ok(None);
            }
            RecordLayout::Rows => LargeContent::Rows,
            _ if matches!(front.trim_ascii_start(), [b'[' | b'{', b'\r' | b'\n', ..] | []) => {
                return Ok(None);
            }
            _ => {
                let mut lines = TextLines::new(file_part.clone());
                let (mut n_lines, mut is_whole) = (0, true);
                while let Some((line, has_end)) = lines.next()? {
                    n_lines += 1;
                    is_whole = has_end || serde_json::from_slice::<IgnoredAny>(&line).is_ok();
                }
                if !is_whole {
                    return Ok(None);
                }
                LargeContent::Lines { n_lines }
            }
        };
        Ok(Some((front, LargeBody { file_part, content })))
    }

    fn divide_array(file_part: FilePart, records: &Pointer) -> io::Result<Option<(Bytes, LargeBody)>> {
        let mut part = file_part.clone();
        let front = loop {
            match records.array_start(&part.bytes) {
                Ok(Some(at)) => break part.bytes.slice(..at),
                Err(ScanError::End) if !part.is_last() && part.bytes.len() <= MAX_AROUND => part.grow(0)?,
                _ => return Ok(None),
            }
        };
        let file_part = file_part.behind(front.len() as u64);
        let mut elements = JsonElements::new(file_part.clone());
        let counted = match elements.count() {
            Ok(counted) => counted,
            Err(ReadError::Read(error)) => return Err(error),
            Err(ReadError::Scan(_)) => return Ok(None),
        };
        let mut behind = elements.behind();
        if behind.n_left() > MAX_AROUND as u64 || counted.n_elements == 0 {
            return Ok(None);
        }
        behind.fill(MAX_AROUND)?;
        let around = Bytes::from([&front, &b"[]"[..], &behind.bytes].concat());
        let range = front.len()..front.len() + 2;
        // A later member of the same name would hold the records.
        let is_whole = records.locate(&around) == Ok(Located::At(range.clone()))
            && check_outside(&around, &range).is_ok();
        let large = LargeBody { file_part, content: LargeContent::Elements(counted) };
        Ok(is_whole.then_some((around, large)))
    }
}

#[cfg(test)]
mod tests;
