//! The shape of objects: their format and columns, inferred from what they hold.

mod csv;
mod json;

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;

use datafusion::arrow::datatypes::Fields;

use super::walk::File;
use super::{Halt, Watch};
use crate::catalogue::hive;

pub(super) struct Shape {
    pub(super) format: Format,
    /// In the order they were first seen in, with names in lower case.
    pub(super) fields: Fields,
    /// The names of columns as the objects write them.
    pub(super) originals: BTreeMap<String, String>,
    pub(super) n_records: u64,
    pub(super) n_objects: u64,
    pub(super) n_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Csv { delimiter: u8, has_header: bool, is_quoted: bool },
}

impl Shape {
    /// The shape of the objects of one folder, if they have one that is known; reads at most `sample` of them.
    pub(super) fn infer(files: &[File], sample: usize, watch: &Watch) -> Result<Option<Shape>, Halt> {
        let mut contents = Contents { files: files.iter(), left: sample, n_read: 0, watch };
        let mut first = None;
        while let Some(bytes) = contents.next()? {
            if bytes.iter().any(|byte| !byte.is_ascii_whitespace()) {
                first = Some(bytes);
                break;
            }
        }
        let Some(first) = first else { return Ok(None) };
        let shape = if first.trim_ascii_start().starts_with(b"{") {
            json::infer(first, &mut contents)?
        } else {
            csv::infer(&first, &mut contents)?
        };
        let n_objects = files.len() as u64;
        Ok(shape.map(|shape| Shape {
            // What was not read is taken to be like the rest.
            n_records: shape.n_records * n_objects / contents.n_read.max(1),
            n_objects,
            n_bytes: files.iter().map(|file| file.size).sum(),
            ..shape
        }))
    }

    fn new(format: Format, fields: Fields, n_records: u64) -> Shape {
        Shape { format, fields, originals: BTreeMap::new(), n_records, n_objects: 0, n_bytes: 0 }
    }

    pub(super) fn has_format_of(&self, other: &Shape) -> bool {
        matches!(self.format, Format::Json) == matches!(other.format, Format::Json)
    }

    /// How much of their columns two shapes share, from 0 to 1.
    pub(super) fn similarity(&self, other: &Shape) -> f64 {
        let n_shared = self.fields.iter().filter(|field| other.fields.find(field.name()).is_some()).count();
        let n_all = self.fields.len() + other.fields.len() - n_shared;
        if n_all == 0 { 1.0 } else { n_shared as f64 / n_all as f64 }
    }

    pub(super) fn merge(&mut self, other: Shape) {
        self.fields = hive::merge_fields(&self.fields, &other.fields);
        self.originals.extend(other.originals);
        self.n_records += other.n_records;
        self.n_objects += other.n_objects;
        self.n_bytes += other.n_bytes;
    }
}

/// The bytes of one object after the other.
struct Contents<'a> {
    files: std::slice::Iter<'a, File>,
    left: usize,
    n_read: u64,
    watch: &'a Watch<'a>,
}

impl Contents<'_> {
    fn next(&mut self) -> Result<Option<Vec<u8>>, Halt> {
        while self.left > 0 {
            self.watch.go_on()?;
            let Some(file) = self.files.next() else { break };
            self.left -= 1;
            match fs::read(&file.path) {
                Ok(bytes) => {
                    self.n_read += 1;
                    return Ok(Some(bytes));
                }
                // Taken away since the folder was read.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(Halt::Failed(format!("reading {}: {error}", file.path.display()))),
            }
        }
        Ok(None)
    }
}
