//! What the texts so far have told about their columns, which later texts share.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

use anyhow::Result;
use runner_core::{ColumnType, Name};
use serde::{Deserialize, Serialize};
use serde_json::json;
use xxhash_rust::xxh3::xxh3_64;

use crate::shared::csv::dialect::Dialect;
use crate::shared::csv::header::Header;
use crate::shared::text::listed;

/// The columns of the texts so far, as a checkpoint stores them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedColumns {
    /// The hash of the options with which the types were inferred.
    options: String,
    /// The names in the header of the last text, or the whole header where the options replace the names.
    #[serde(default)]
    header: Vec<String>,
    /// The inferred types of the columns that had values.
    #[serde(default)]
    pub(super) types: BTreeMap<String, ColumnType>,
}

/// The columns of a reader, and what is known about the order of its texts.
#[derive(Debug)]
pub(super) struct ColumnHistory {
    pub(super) known: SavedColumns,
    /// Whether the columns have changed since they were taken.
    is_changed: bool,
    /// Whether the next text must have the header of the one before.
    is_within_walk: bool,
    has_warned: bool,
}

/// The error of a text that has other columns than the one before, in the same walk.
#[derive(Debug)]
pub(crate) struct OtherColumns(String);

impl fmt::Display for OtherColumns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for OtherColumns {}

impl ColumnHistory {
    pub(super) fn new(dialect: &Dialect) -> Self {
        let known = SavedColumns { options: options_hash(dialect), ..SavedColumns::default() };
        ColumnHistory { known, is_changed: false, is_within_walk: false, has_warned: false }
    }

    /// Goes on with the columns of an earlier run, unless the options of rows have changed since.
    pub(super) fn resume(&mut self, saved: &SavedColumns) {
        if saved.options == self.known.options {
            self.known = saved.clone();
        }
    }

    pub(super) fn begin_walk(&mut self, is_continued: bool) {
        self.is_within_walk = is_continued;
    }

    /// The columns, if they have changed since the last call.
    pub(super) fn take_changed(&mut self) -> Option<SavedColumns> {
        std::mem::take(&mut self.is_changed).then(|| self.known.clone())
    }

    /// Remembers the types of columns that had no values so far. Declared types are not among them.
    pub(super) fn add_types(
        &mut self,
        inferred: impl Iterator<Item = (String, Option<ColumnType>)>,
        dialect: &Dialect,
    ) {
        for (name, kind) in inferred {
            let Some(kind) = kind.filter(|_| dialect.types.of(&name).is_none()) else { continue };
            self.known.types.entry(name).or_insert_with(|| {
                self.is_changed = true;
                kind
            });
        }
    }

    /// Whether the types of all columns are known.
    pub(super) fn has_types_of(&self, names: &[String], dialect: &Dialect) -> bool {
        names.iter().all(|name| self.known.types.contains_key(name) || dialect.types.of(name).is_some())
    }

    /// The columns with their types; one that had no values so far is text.
    pub(super) fn typed(&self, names: &[String]) -> Vec<(String, ColumnType)> {
        let kind = |name| self.known.types.get(name).copied().unwrap_or(ColumnType::String);
        names.iter().map(|name| (name.clone(), kind(name))).collect()
    }

    /// Compares the header of a text with the one before. Within a walk another one is an error, else a warning. A text of
    /// one line and one cell, such as a message, is not compared. The messages have no name of the text: without a header
    /// it is a value of a record.
    pub(super) fn check(
        &mut self,
        header: &Header,
        has_rows: bool,
        dialect: &Dialect,
        source: Name,
    ) -> Result<()> {
        if !dialect.has_header || !has_rows && header.names.len() < 2 {
            return Ok(());
        }
        let names = if dialect.columns.is_empty() {
            header.names.clone()
        } else {
            vec![String::from_utf8_lossy(&header.raw).into_owned()]
        };
        let before = &self.known.header;
        let is_same = names.len() == before.len() && names.iter().all(|name| before.contains(name));
        // A text of one line with another number of cells may be a message.
        if !is_same && !has_rows && !before.is_empty() && names.len() != before.len() {
            return Ok(());
        }
        let (line, prefix) = (header.line, dialect.prefix);
        if is_same || before.is_empty() {
            // Their order does not count.
        } else if self.is_within_walk {
            return Err(OtherColumns(format!(
                "{source}:{line}: the first line is not the header of the page before, which names {}; all pages of a walk \
                 must have the same columns. If the line is a row, since the pages have no header or the first one alone \
                 has it, set {prefix}header = false, and name the columns with {prefix}columns",
                listed(before, usize::MAX)
            ))
            .into());
        } else if !std::mem::replace(&mut self.has_warned, true) {
            let missing: Vec<String> = before.iter().filter(|name| !names.contains(name)).cloned().collect();
            let n_new = names.iter().filter(|name| !before.contains(name)).count();
            let missing = if missing.is_empty() { "none".to_owned() } else { listed(missing, usize::MAX) };
            tracing::warn!(
                "{source}:{line}: the columns have changed since the response before: {n_new} are new, and missing are: {missing}"
            );
        }
        self.is_changed |= names != *before;
        self.known.header = names;
        self.is_within_walk = true;
        Ok(())
    }
}

/// A hash of the options that decide what a cell means, apart from declared types.
fn options_hash(dialect: &Dialect) -> String {
    let options = json!({
        "delimiter": char::from(dialect.grammar.delimiter),
        "rows": dialect.grammar.describe(),
        "decimal": dialect.numbers.decimal,
        "thousands": dialect.numbers.thousands,
        "null_values": dialect.null_values,
        "extra_cells": dialect.drops_extra_cells,
        "missing_cells": dialect.fills_missing_cells,
    });
    format!("{:016x}", xxh3_64(options.to_string().as_bytes()))
}
