//! Large responses: kept in a temporary file, and read from it a part at a time.
//!
//! A response is received whole before its first record is delivered, so that one that breaks off delivers nothing. What
//! surrounds the records stays in memory, since pagination and warnings look at it.

mod buffer;
mod elements;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::IgnoredAny;

pub(super) use self::buffer::{Buffer, Reader};
use self::elements::{Elements, Failed, Lines};
use super::json_text::check_outside;
use super::pointer::{Located, Pointer, type_name};
use super::scan::ScanError;
use crate::shared::window::{CHUNK, Window};

/// Up to this size a response is kept in memory.
pub(super) const MAX_IN_MEMORY: usize = 8 << 20;

/// Of what surrounds the records, at most so many bytes on each side are kept; a response with more is kept in memory.
const MAX_AROUND: u64 = 16 << 20;

/// How many bytes of a text of lines or rows stand for it in messages.
const FRONT: u64 = 64 << 10;

/// How a large response is divided into records.
#[derive(Clone, Debug)]
pub(super) enum Layout {
    /// The elements of the array at this place.
    Array(Pointer),
    /// One record a line.
    Lines,
    /// Rows of CSV.
    Rows,
}

/// The records of a large response, in a file.
#[derive(Debug)]
pub(super) struct Large {
    file: Arc<File>,
    /// Where the array, or the first line, begins.
    start: u64,
    end: u64,
    layout: Layout,
    /// How many elements or lines it has.
    pub(super) n_records: usize,
    /// The type of an element that is not an object, if there is one.
    pub(super) other_type: Option<&'static str>,
    /// Whether all elements are UTF-8.
    pub(super) is_utf8: bool,
    chunk: usize,
}

/// The records that were not taken.
#[derive(Clone, Debug)]
pub(super) struct Rest(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Elements(Elements),
    Lines(Lines),
}

/// A record of a large response.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) bytes: Bytes,
    /// The place of an element in the response.
    pub(super) place: u64,
    /// The number of a line, counted from 1.
    pub(super) line: u64,
}

impl Large {
    /// Divides a response that is in a file of `end` bytes, and begins at `start` with UTF-8. Returns what surrounds the
    /// records, with `[]` in their place, or of a text of lines the front.
    ///
    /// `None` if it is not what `layout` says, or not valid: the response in memory then tells why.
    pub(super) fn divide(
        file: File,
        start: u64,
        end: u64,
        layout: &Layout,
    ) -> io::Result<Option<(Bytes, Large)>> {
        Self::divide_by(Arc::new(file), start, end, layout, CHUNK)
    }

    fn divide_by(
        file: Arc<File>,
        start: u64,
        end: u64,
        layout: &Layout,
        chunk: usize,
    ) -> io::Result<Option<(Bytes, Large)>> {
        let window = Window::of_file(Arc::clone(&file), start, end, chunk);
        let large = Large {
            file,
            start,
            end,
            layout: layout.clone(),
            n_records: 0,
            other_type: None,
            is_utf8: true,
            chunk,
        };
        match layout {
            Layout::Array(records) => large.divide_array(window, records),
            Layout::Lines => large.divide_lines(Lines::new(window)),
            Layout::Rows => {
                let front = large.front()?;
                let is_json = matches!(front.trim_ascii_start(), [b'[' | b'{', ..] | []);
                Ok((!is_json).then_some((front, large)))
            }
        }
    }

    fn divide_array(mut self, mut window: Window, records: &Pointer) -> io::Result<Option<(Bytes, Large)>> {
        let front = loop {
            match records.array_start(&window.bytes) {
                Ok(Some(at)) => break window.bytes.slice(..at),
                Err(ScanError::End) if !window.is_last() && window.bytes.len() as u64 <= MAX_AROUND => {
                    window.grow(0)?;
                }
                _ => return Ok(None),
            }
        };
        self.start = window.place(front.len());
        let mut elements = Elements::new(self.window());
        loop {
            match elements.next() {
                Ok(Some((_, element))) => {
                    self.n_records += 1;
                    if self.other_type.is_none() && !element.starts_with(b"{") {
                        self.other_type = Some(type_name(&element));
                    }
                    self.is_utf8 = self.is_utf8 && std::str::from_utf8(&element).is_ok();
                }
                Ok(None) => break,
                Err(Failed::Read(error)) => return Err(error),
                Err(Failed::Scan) => return Ok(None),
            }
        }
        let n_behind = self.end - elements.end();
        if n_behind > MAX_AROUND || self.n_records == 0 {
            return Ok(None);
        }
        let mut behind = vec![0; n_behind as usize];
        self.file.read_exact_at(&mut behind, elements.end())?;
        let around = Bytes::from([&front, &b"[]"[..], &behind].concat());
        let range = front.len()..front.len() + 2;
        // A later member of the same name would hold the records.
        let is_whole = records.locate(&around) == Ok(Located::At(range.clone()))
            && check_outside(&around, &range).is_ok();
        Ok(is_whole.then_some((around, self)))
    }

    fn divide_lines(mut self, mut lines: Lines) -> io::Result<Option<(Bytes, Large)>> {
        let mut is_whole = true;
        while let Some((line, has_end)) = lines.next()? {
            self.n_records += 1;
            is_whole = has_end || serde_json::from_slice::<IgnoredAny>(&line).is_ok();
        }
        let front = self.front()?;
        let is_one_value = matches!(front.trim_ascii_start(), [b'[' | b'{', b'\r' | b'\n', ..] | []);
        Ok((is_whole && !is_one_value).then_some((front, self)))
    }

    /// What stands for a text of lines.
    fn front(&self) -> io::Result<Bytes> {
        let mut front = vec![0; FRONT.min(self.end - self.start) as usize];
        self.file.read_exact_at(&mut front, self.start)?;
        Ok(front.into())
    }

    /// All of it, from the records on.
    pub(super) fn window(&self) -> Window {
        Window::of_file(Arc::clone(&self.file), self.start, self.end, self.chunk)
    }

    /// Whether it is CSV.
    pub(super) fn is_rows(&self) -> bool {
        matches!(self.layout, Layout::Rows)
    }

    /// All elements or lines.
    pub(super) fn records(&self) -> Rest {
        Rest(match self.layout {
            Layout::Array(_) => Kind::Elements(Elements::new(self.window())),
            Layout::Lines | Layout::Rows => Kind::Lines(Lines::new(self.window())),
        })
    }
}

impl Rest {
    /// The next record.
    pub(super) fn next(&mut self) -> io::Result<Option<Part>> {
        match &mut self.0 {
            Kind::Elements(elements) => match elements.next() {
                Ok(next) => Ok(next.map(|(place, bytes)| Part { bytes, place, line: 0 })),
                Err(Failed::Read(error)) => Err(error),
                Err(Failed::Scan) => Err(io::Error::other("the file has changed")),
            },
            Kind::Lines(lines) => {
                Ok(lines.next()?.map(|(bytes, _)| Part { bytes, place: 0, line: lines.number }))
            }
        }
    }
}

#[cfg(test)]
mod tests;
