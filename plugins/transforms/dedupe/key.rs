//! The key of a record: a hash of what is compared.

use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use runner_core::{Body, Result, Row, TableHeader};
use xxhash_rust::xxh3::xxh3_128;

use crate::shared::json_paths::{Path, Paths, columns_of, fields_of};
use crate::shared::json_text::{checked, compact};

/// A hash of 128 bits: two records that differ have the same one never in practice.
pub(super) type Key = u128;

/// Makes keys.
pub(super) struct KeyMaker {
    /// Empty for the whole body.
    paths: Vec<Path>,
    tree: Paths,
    /// The number of each path in the tree.
    slots: Vec<usize>,
    /// The columns of the last header.
    columns: Option<(Arc<TableHeader>, Vec<usize>)>,
    /// What is hashed.
    text: Vec<u8>,
}

impl KeyMaker {
    pub(super) fn new(paths: Vec<Path>) -> Self {
        let mut tree = Paths::default();
        let slots = paths.iter().map(|path| tree.add(&path.names)).collect();
        KeyMaker { paths, tree, slots, columns: None, text: Vec::new() }
    }

    /// The key of a body; an error if it does not have one of the fields.
    pub(super) fn key_of(&mut self, body: &Body) -> Result<Key> {
        self.text.clear();
        let text: String;
        let bytes = match body {
            Body::Row(row) => return self.key_of_row(row),
            Body::Tombstone => &[][..],
            Body::Bytes(bytes) | Body::ParsedBytes(bytes, _) => bytes,
            Body::Value(value) => {
                text = value.to_string();
                text.as_bytes()
            }
        };
        if self.paths.is_empty() {
            match checked(bytes) {
                Ok(json) => compact(json, &mut self.text),
                // The line of a file, or anything else.
                Err(_) => self.text.extend_from_slice(bytes),
            }
            return Ok(xxh3_128(&self.text));
        }
        let json = std::str::from_utf8(bytes).context("the body is not JSON")?;
        let found = self.tree.find(json, false).context("the body is not JSON")?;
        for (path, &slot) in self.paths.iter().zip(&self.slots) {
            let value = found.values[slot].ok_or_else(|| missing(path, &fields_of(json)))?;
            // Without the length of each value, `ab`, `c` would equal `a`, `bc`.
            self.text.extend_from_slice(&[0; 4]);
            let start = self.text.len();
            compact(value.as_bytes(), &mut self.text);
            let length = (self.text.len() - start) as u32;
            self.text[start - 4..start].copy_from_slice(&length.to_le_bytes());
        }
        Ok(xxh3_128(&self.text))
    }

    fn key_of_row(&mut self, row: &Row) -> Result<Key> {
        let header = row.header();
        if !self.columns.as_ref().is_some_and(|(known, _)| Arc::ptr_eq(known, header)) {
            let column =
                |path: &Path| path.column_of(header).ok_or_else(|| missing(path, &columns_of(header)));
            let columns = if self.paths.is_empty() {
                (0..header.columns().len()).collect()
            } else {
                self.paths.iter().map(column).collect::<Result<_>>()?
            };
            self.columns = Some((Arc::clone(header), columns));
        }
        let Some((header, columns)) = &self.columns else { return Ok(0) };
        for &column in columns {
            let cell = row.cell(column);
            let length = if header.is_null_in(column, cell) { u32::MAX } else { cell.len() as u32 };
            self.text.extend_from_slice(&length.to_le_bytes());
            if length != u32::MAX {
                self.text.extend_from_slice(cell);
            }
        }
        Ok(xxh3_128(&self.text))
    }
}

fn missing(path: &Path, there_is: &str) -> runner_core::Error {
    anyhow!("the record has no field `{path}` to compare; {there_is}")
}
