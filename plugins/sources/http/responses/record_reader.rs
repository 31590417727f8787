//! The elements of a JSON array, and the lines of a text, in memory or in a file.

use std::io;

use bytes::Bytes;

use super::super::json::{Children, ScanError};
use crate::shared::file_part::FilePart;
use crate::shared::json_text::kind_of;

/// Why the next element cannot be read.
#[derive(Debug)]
pub(super) enum ReadError {
    Read(io::Error),
    /// The text is not an array, or it ends inside of it. The place is that in the file.
    Scan(ScanError),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        ReadError::Read(error)
    }
}

/// What is known of the elements of an array before they are taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ElementSummary {
    pub(crate) n_elements: usize,
    /// The type of an element that is not an object, if there is one.
    pub(crate) other_type: Option<&'static str>,
    /// Whether all of them are UTF-8.
    pub(super) is_utf8: bool,
}

/// The elements of an array that were not taken.
#[derive(Clone, Debug)]
pub(crate) struct JsonElements {
    file_part: FilePart,
    rest: Children,
}

impl JsonElements {
    /// Of the array at the start of the file part.
    pub(super) fn new(file_part: FilePart) -> Self {
        JsonElements { file_part, rest: Children::of(0) }
    }

    /// The place in the file of the next element, and its bytes.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Bytes)>, ReadError> {
        loop {
            let mut rest = self.rest;
            let text = &self.file_part.bytes;
            match rest.next_element(text) {
                // A number at the end of the part may have more digits.
                Ok(Some(range)) if range.end < text.len() || self.file_part.is_last() => {
                    self.rest = rest;
                    return Ok(Some((self.file_part.place(range.start), text.slice(range))));
                }
                Ok(None) => {
                    self.rest = rest;
                    return Ok(None);
                }
                Ok(Some(_)) | Err(ScanError::End) if !self.file_part.is_last() => {
                    let n_used = self.rest.at().min(text.len());
                    self.file_part.grow(n_used)?;
                    self.rest.move_back(n_used);
                }
                Ok(Some(_)) | Err(ScanError::End) => return Err(ReadError::Scan(ScanError::End)),
                Err(ScanError::Unexpected(at)) => {
                    let place = self.file_part.place(at) as usize;
                    return Err(ReadError::Scan(ScanError::Unexpected(place)));
                }
            }
        }
    }

    /// Takes all elements.
    pub(super) fn count(&mut self) -> Result<ElementSummary, ReadError> {
        let mut counted = ElementSummary { n_elements: 0, other_type: None, is_utf8: true };
        while let Some((_, element)) = self.next()? {
            counted.n_elements += 1;
            if counted.other_type.is_none() && !element.starts_with(b"{") {
                counted.other_type = Some(kind_of(&element));
            }
            counted.is_utf8 = counted.is_utf8 && std::str::from_utf8(&element).is_ok();
        }
        Ok(counted)
    }

    /// What follows the array, all of whose elements were taken.
    pub(super) fn behind(&self) -> FilePart {
        self.file_part.behind(self.rest.at() as u64)
    }
}

/// The lines that were not taken, without blank ones.
#[derive(Clone, Debug)]
pub(crate) struct TextLines {
    file_part: FilePart,
    /// Where the next line begins.
    at: usize,
    /// How many lines were taken, blank ones included.
    pub(crate) number: u64,
}

impl TextLines {
    pub(super) fn new(file_part: FilePart) -> Self {
        TextLines { file_part, at: 0, number: 0 }
    }

    /// The next line without its line end, and whether it has one.
    pub(super) fn next(&mut self) -> io::Result<Option<(Bytes, bool)>> {
        loop {
            let rest = &self.file_part.bytes[self.at..];
            let end = memchr::memchr(b'\n', rest);
            if end.is_none() && !self.file_part.is_last() {
                self.file_part.grow(self.at)?;
                self.at = 0;
                continue;
            }
            if rest.is_empty() {
                return Ok(None);
            }
            let line = &rest[..end.unwrap_or(rest.len())];
            self.number += 1;
            self.at += line.len() + usize::from(end.is_some());
            let trimmed = line.trim_ascii();
            if !trimmed.is_empty() {
                return Ok(Some((self.file_part.bytes.slice_ref(trimmed), end.is_some())));
            }
        }
    }
}
