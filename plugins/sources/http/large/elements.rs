//! The elements of a JSON array, and the lines of a text, in a file.

use std::io;

use bytes::Bytes;

use super::super::scan::{Children, ScanError};
use crate::shared::window::Window;

/// Why there is no next element.
#[derive(Debug)]
pub(super) enum Failed {
    Read(io::Error),
    /// The text is not an array, or it ends inside of it.
    Scan,
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Failed::Read(error)
    }
}

/// The elements of an array that were not taken.
#[derive(Clone, Debug)]
pub(super) struct Elements {
    window: Window,
    rest: Children,
}

impl Elements {
    /// Of the array at the start of the window.
    pub(super) fn new(window: Window) -> Self {
        Elements { window, rest: Children::of(0) }
    }

    /// The place in the file of the next element, and its bytes.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Bytes)>, Failed> {
        loop {
            let mut rest = self.rest;
            let text = &self.window.bytes;
            match rest.next_element(text) {
                // A number at the end of the part may have more digits.
                Ok(Some(range)) if range.end < text.len() || self.window.is_last() => {
                    self.rest = rest;
                    return Ok(Some((self.window.place(range.start), text.slice(range))));
                }
                Ok(None) => {
                    self.rest = rest;
                    return Ok(None);
                }
                Ok(Some(_)) | Err(ScanError::End) if !self.window.is_last() => {
                    let n_used = self.rest.at().min(text.len());
                    self.window.grow(n_used)?;
                    self.rest.move_back(n_used);
                }
                Ok(Some(_)) | Err(_) => return Err(Failed::Scan),
            }
        }
    }

    /// The place behind the array, all of whose elements were taken.
    pub(super) fn end(&self) -> u64 {
        self.window.place(self.rest.at())
    }
}

/// The lines that were not taken, without blank ones.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    window: Window,
    /// Where the next line begins.
    at: usize,
    /// How many lines were taken, blank ones included.
    pub(super) number: u64,
}

impl Lines {
    pub(super) fn new(window: Window) -> Self {
        Lines { window, at: 0, number: 0 }
    }

    /// The next line without its line end, and whether it has one.
    pub(super) fn next(&mut self) -> io::Result<Option<(Bytes, bool)>> {
        loop {
            let rest = &self.window.bytes[self.at..];
            let end = memchr::memchr(b'\n', rest);
            if end.is_none() && !self.window.is_last() {
                self.window.grow(self.at)?;
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
                return Ok(Some((self.window.bytes.slice_ref(trimmed), end.is_some())));
            }
        }
    }
}
