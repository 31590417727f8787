//! The position of the source: how far each file has been read.
//!
//! A position lists all files in reading order with a cursor for each. A cursor also holds
//! fingerprints of bytes that were read, at the head of the file and before the current batch,
//! which tell a file that has grown from one that was replaced.

mod batch;

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

use anyhow::{Context as _, Result};
use runner_core::ColumnType;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(super) use self::batch::{BatchPosition, BatchPositions, Pass};
use super::files::{FileSnapshot, Fingerprint, created, modified};

/// The position as the checkpoint stores it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct CsvPosition {
    /// The options that determine the rows of a file.
    pub(crate) delimiter: char,
    pub(crate) header: bool,
    /// The other options that do; empty for the plain format.
    #[serde(default, skip_serializing_if = "is_default", rename = "format")]
    pub(crate) row_options: String,
    /// The options that decide what a cell means, apart from those with their defaults; `None` if an earlier release
    /// wrote the position, so that they are unknown.
    #[serde(default, skip_serializing_if = "is_default", rename = "reading")]
    pub(crate) cell_options: Option<Map<String, Value>>,
    /// The columns and their types.
    pub(crate) columns: Map<String, Value>,
    /// Index of the file that is being read.
    pub(crate) file: usize,
    pub(crate) files: Vec<Cursor>,
    /// Bytes on disk before the position, and in total. For progress only.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) bytes: (u64, u64),
}

impl CsvPosition {
    pub(crate) fn read(position: Value) -> Result<Self> {
        let saved: CsvPosition = serde_json::from_value(position)
            .context("the checkpoint does not fit the csv source; start over with `--from-start`")?;
        anyhow::ensure!(
            saved.file < saved.files.len(),
            "the checkpoint is damaged; start over with `--from-start`"
        );
        Ok(saved)
    }

    /// Whether any row comes before it. If none does, columns, types and files may still change.
    pub(crate) fn is_started(&self) -> bool {
        self.files.iter().any(|cursor| cursor.offset > 0)
    }

    /// The columns and their types.
    pub(crate) fn columns(&self) -> Result<Vec<(String, ColumnType)>> {
        let column = |(name, kind): (&String, &Value)| Ok((name.clone(), ColumnType::deserialize(kind)?));
        self.columns.iter().map(column).collect()
    }
}

/// How far one file has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// The absolute path.
    pub(crate) path: String,
    /// Bytes on disk when the file was opened, and its modification time in nanoseconds since 1970.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) modified: u64,
    /// The inode, by which a renamed file is known.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) inode: u64,
    /// When it was made, which tells it from a later file with the same inode.
    #[serde(default, skip_serializing_if = "is_default", rename = "born")]
    pub(crate) created: u64,
    /// Whether it was renamed since: programs append to a renamed file only for a short time.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) is_moved: bool,
    /// Whether it was removed, or another file is at its path.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) is_gone: bool,
    /// How many of the columns its rows have; 0 for all. Later files may have added others.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) n_columns: usize,
    /// Where the next row begins, in bytes of the decompressed text; 0 if no row has been read.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) offset: u64,
    /// Lines and rows before the offset.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) lines: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) rows: u64,
    #[serde(default, skip_serializing_if = "is_default", rename = "front")]
    pub(crate) head: Option<Fingerprint>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) tail: Option<Fingerprint>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) end: End,
    /// Where the last row begins if it has no line end: its offset, and the lines before it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) open_row: Option<(u64, u64)>,
    /// The file as it was when it was queued; `None` once it has been read to its end.
    #[serde(default, skip_serializing_if = "is_default", rename = "ahead")]
    pub(crate) snapshot: Option<FileSnapshot>,
}

impl Cursor {
    /// The beginning of a file.
    pub(crate) fn at_start(path: &str, file: &Metadata) -> Self {
        let (size, modified) = (file.len(), modified(file));
        let (inode, created) = (file.ino(), created(file));
        Cursor { path: path.to_owned(), size, modified, inode, created, ..Cursor::default() }
    }

    /// Whether a file is the one of the cursor, as far as the file system knows.
    pub(crate) fn is_of(&self, file: &Metadata) -> bool {
        let created = created(file);
        self.inode == file.ino() && (self.created == created || self.created == 0 || created == 0)
    }

    /// The cursor before the last row, if that had no line end. Nothing before it is compared again.
    pub(crate) fn before_open_row(&self) -> Option<Cursor> {
        let (offset, lines) = self.open_row?;
        let (head, tail, end, open_row) = (None, None, End::NotReached, None);
        Some(Cursor { offset, lines, head, tail, end, open_row, ..self.clone() })
    }
}

/// Whether the cursor is at the end of the file, and what the file ended with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum End {
    /// There is more to read.
    #[default]
    NotReached,
    /// A line end.
    Closed,
    /// A row without a line end.
    OpenRow,
    /// An unclosed quote.
    OpenQuote,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Whether a run that resumes at `now` reads all rows that were unread at `before` again, first and in the same order.
pub(crate) fn is_unread_input_unchanged(before: &CsvPosition, now: &CsvPosition) -> bool {
    // Columns that later files add change no row of the files before them.
    let has_same_columns = before.columns.iter().eq(now.columns.iter().take(before.columns.len()));
    if (before.delimiter, before.header) != (now.delimiter, now.header)
        || before.row_options != now.row_options
        || before.columns.is_empty()
        || !has_same_columns
    {
        return false;
    }
    let current = &before.files[before.file];
    // An earlier release wrote this position, without snapshots.
    if current.end == End::NotReached && current.snapshot.is_none() {
        return false;
    }
    let mut files = unread_files(before).peekable();
    let mut now = unread_files(now);
    while let Some((path, snapshot)) = files.next() {
        let is_last = files.peek().is_none();
        let is_unchanged = now.next().is_some_and(|(path_now, snapshot_now)| {
            path_now == path && snapshot.is_prefix_of(snapshot_now, path, is_last)
        });
        if !is_unchanged {
            return false;
        }
    }
    true
}

/// The files with unread rows, in reading order.
fn unread_files(position: &CsvPosition) -> impl Iterator<Item = (&str, &FileSnapshot)> {
    let (before, rest) = position.files.split_at(position.file);
    rest.iter().chain(before).filter_map(|cursor| Some((&*cursor.path, cursor.snapshot.as_ref()?)))
}
