//! The key of a record: a hash of what is compared, as JSON in one form. A row and a JSON object with the same names and
//! values have the same key.

use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use runner_core::{Body, Column, ColumnType, Result, Row, TableHeader};
use xxhash_rust::xxh3::xxh3_128;

use crate::shared::json_paths::{Path, Paths, columns_of, fields_of};
use crate::shared::json_text::{checked, compact, end_of_string};

/// A hash of 128 bits: two records that differ have the same one never in practice.
pub(super) type Key = u128;

/// Makes keys.
pub(super) struct KeyMaker {
    /// Empty for the whole body.
    paths: Vec<Path>,
    tree: Paths,
    /// The number of each path in the tree.
    slots: Vec<usize>,
    /// The last header, with the columns that are compared.
    columns: Option<(Arc<TableHeader>, Vec<Compared>)>,
    /// What is hashed.
    text: Vec<u8>,
}

/// A column that is compared.
struct Compared {
    column: usize,
    /// What is before its value in the object of a whole row: `{"Index":`, `,"Date":`.
    key: Vec<u8>,
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
                Ok(json) => write_json(json, &mut self.text),
                // The line of a file, or anything else.
                Err(_) => self.text.extend_from_slice(bytes),
            }
            return Ok(xxh3_128(&self.text));
        }
        let json = std::str::from_utf8(bytes).context("the body is not JSON")?;
        let found = self.tree.find(json, false).context("the body is not JSON")?;
        for (path, &slot) in self.paths.iter().zip(&self.slots) {
            let value = found.values[slot].ok_or_else(|| missing(path, &fields_of(json, path)))?;
            with_length(&mut self.text, |text| write_json(value.as_bytes(), text));
        }
        Ok(xxh3_128(&self.text))
    }

    fn key_of_row(&mut self, row: &Row) -> Result<Key> {
        let header = row.header();
        if !self.columns.as_ref().is_some_and(|(known, _)| Arc::ptr_eq(known, header)) {
            self.columns = Some((Arc::clone(header), compared(&self.paths, header)?));
        }
        let Some((header, columns)) = &self.columns else { return Ok(0) };
        if self.paths.is_empty() {
            for Compared { column, key } in columns {
                self.text.extend_from_slice(key);
                write_cell(header, *column, row.cell(*column), &mut self.text);
            }
            self.text.push(b'}');
        } else {
            for &Compared { column, .. } in columns {
                with_length(&mut self.text, |text| write_cell(header, column, row.cell(column), text));
            }
        }
        Ok(xxh3_128(&self.text))
    }
}

/// The columns of a table at these paths, or all of them.
fn compared(paths: &[Path], header: &TableHeader) -> Result<Vec<Compared>> {
    if !paths.is_empty() {
        let column =
            |path: &Path| path.column_of(header).ok_or_else(|| missing(path, &columns_of(header, path)));
        let compared = |path| Ok(Compared { column: column(path)?, key: Vec::new() });
        return paths.iter().map(compared).collect();
    }
    let compared = |(column, it): (usize, &Column)| {
        let mut key = vec![if column == 0 { b'{' } else { b',' }];
        write_text(it.name.as_bytes(), &mut key);
        key.push(b':');
        Compared { column, key }
    };
    Ok(header.columns().iter().enumerate().map(compared).collect())
}

/// Appends a value with its length before it. Without the length `ab`, `c` would equal `a`, `bc`.
fn with_length(text: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    text.extend_from_slice(&[0; 4]);
    let start = text.len();
    write(text);
    let length = (text.len() - start) as u32;
    text[start - 4..start].copy_from_slice(&length.to_le_bytes());
}

/// Appends a cell as a JSON value, with the digits that it has.
fn write_cell(header: &TableHeader, column: usize, cell: &[u8], out: &mut Vec<u8>) {
    if header.is_null_in(column, cell) {
        return out.extend_from_slice(b"null");
    }
    match header.columns()[column].kind {
        ColumnType::Integer | ColumnType::Float => out.extend_from_slice(cell),
        ColumnType::Boolean => out.extend(cell.iter().map(u8::to_ascii_lowercase)),
        ColumnType::String => write_text(cell, out),
    }
}

/// Appends valid JSON without the white space between its tokens, and each text with the same escapes.
fn write_json(json: &[u8], out: &mut Vec<u8>) {
    let mut rest = json;
    while let Some(quote) = memchr::memchr(b'"', rest) {
        let end = end_of_string(rest, quote);
        let text = &rest[quote..end];
        compact(&rest[..quote], out);
        match decoded(text) {
            Some(text) => write_text(text.as_bytes(), out),
            None => out.extend_from_slice(text),
        }
        rest = &rest[end..];
    }
    compact(rest, out);
}

/// The text of a JSON string with escapes; `None` if it has none, or half of a character that needs two.
fn decoded(string: &[u8]) -> Option<String> {
    memchr::memchr(b'\\', string)?;
    serde_json::from_slice(string).ok()
}

/// Appends a text in UTF-8 as a JSON string, with the escapes that it needs.
fn write_text(text: &[u8], out: &mut Vec<u8>) {
    let needs_escapes = text.iter().any(|&byte| byte < 0x20 || matches!(byte, b'"' | b'\\'));
    if needs_escapes && let Ok(string) = serde_json::to_vec(&String::from_utf8_lossy(text)) {
        return out.extend_from_slice(&string);
    }
    out.push(b'"');
    out.extend_from_slice(text);
    out.push(b'"');
}

fn missing(path: &Path, there_is: &str) -> runner_core::Error {
    anyhow!("the record has no field `{path}` to compare; {there_is}")
}
