//! How far the files have been read, so that a later run goes on there.
//!
//! A position lists all files, in the order in which they are read, and keeps a
//! cursor for each. Beside where it stands, a cursor knows prints of what it has
//! read, the front of the file and the bytes before the batch it stands in, so
//! that a file which has grown can be told from one that is another file.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result};
use runner_core::{ColumnType, Position, Positions};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_64;

use super::plan::Seen;

/// How many bytes of the front of a file a print covers at most.
pub(super) const FRONT: usize = 256 << 10;
/// How many bytes before a batch a print covers at most.
pub(super) const TAIL: usize = 4 << 10;

/// What a checkpoint keeps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Saved {
    /// How the files were read: other options would find other rows in them.
    pub(super) delimiter: char,
    pub(super) header: bool,
    /// The columns and the types that were settled for them.
    pub(super) columns: Map<String, Value>,
    /// Which of the files is being read.
    pub(super) file: usize,
    pub(super) files: Vec<Cursor>,
    /// How many bytes on disk come before it, and how many there are: for people to look at.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) bytes: (u64, u64),
}

impl Saved {
    pub(super) fn read(position: Position) -> Result<Self> {
        let saved: Saved = serde_json::from_value(position.0)
            .context("the checkpoint does not fit the csv source; start over with `--from-start`")?;
        anyhow::ensure!(
            saved.file < saved.files.len(),
            "the checkpoint is damaged; start over with `--from-start`"
        );
        Ok(saved)
    }

    pub(super) fn position(&self) -> Position {
        // Nothing in it can fail to become JSON: its keys are strings.
        Position(serde_json::to_value(self).unwrap_or_default())
    }

    /// Whether any row lies before it. Where none does nothing is settled: neither columns nor types nor files.
    pub(super) fn is_begun(&self) -> bool {
        self.files.iter().any(|cursor| cursor.offset > 0)
    }

    /// The bytes of a position: how many come before it, and of how many.
    pub(super) fn bytes_of(position: &Position) -> Option<(u64, u64)> {
        <(u64, u64)>::deserialize(position.0.get("bytes")?).ok()
    }

    /// The columns, typed.
    pub(super) fn columns(&self) -> Result<Vec<(String, ColumnType)>> {
        let column = |(name, kind): (&String, &Value)| Ok((name.clone(), ColumnType::deserialize(kind)?));
        self.columns.iter().map(column).collect()
    }
}

/// How far one file has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// The whole path.
    pub(super) path: String,
    /// Bytes on disk when it was opened, and when it was changed last, in nanoseconds since 1970.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) modified: u64,
    /// Where the next row begins, in bytes of the text; 0 is a file that has not been begun.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) offset: u64,
    /// How many lines come before it, and how many rows.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) lines: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) rows: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) front: Option<Print>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) tail: Option<Print>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) end: End,
    /// The file as it was when it was lined up to be read, or to be read on; none once that is done.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) ahead: Option<Seen>,
}

/// Whether the cursor stands at the end of its file, and how that ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    /// There was more to read.
    #[default]
    NotReached,
    /// With a line end.
    Closed,
    /// With a row that no line end closes.
    OpenRow,
    /// Within quotes.
    OpenQuote,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The print of a stretch of bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Print {
    /// Where the stretch ends.
    pub(super) end: u64,
    pub(super) bytes: u64,
    xxh3: String,
}

impl Print {
    /// The print of `bytes`, which end at `end`.
    pub(super) fn of(bytes: &[u8], end: u64) -> Self {
        Print { end, bytes: bytes.len() as u64, xxh3: format!("{:016x}", xxh3_64(bytes)) }
    }

    /// Whether `bytes` are those that the print was taken of.
    pub(super) fn is_of(&self, bytes: &[u8]) -> bool {
        *self == Print::of(bytes, self.end)
    }
}

/// The first bytes of a file, of which many prints are taken.
#[derive(Debug, Default)]
pub(super) struct Front {
    bytes: Box<[u8]>,
    whole: OnceLock<Print>,
}

impl Front {
    pub(super) fn new(bytes: &[u8]) -> Arc<Self> {
        Arc::new(Front { bytes: bytes.into(), whole: OnceLock::new() })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The print of what of it lies before `offset`.
    pub(super) fn before(&self, offset: u64) -> Print {
        if offset >= self.bytes.len() as u64 {
            return self.whole.get_or_init(|| Print::of(&self.bytes, self.bytes.len() as u64)).clone();
        }
        Print::of(&self.bytes[..offset as usize], offset)
    }
}

/// Where the items of a batch end; a position is made of it only when one is asked for.
pub(super) struct Marks {
    /// What all batches have in common; its cursors are those of the files not being read.
    pub(super) base: Arc<Saved>,
    /// Which file the batch is of.
    pub(super) file: usize,
    /// Where the batch begins.
    pub(super) start: Cursor,
    pub(super) front: Arc<Front>,
    /// Behind each item, the offset and the number of lines so far.
    pub(super) items: Vec<(u64, u64)>,
    /// How the file ends, if it ends behind the last item.
    pub(super) end: End,
    /// How many bytes on disk come before the batch and with it, and how many there are in all.
    pub(super) bytes: Range<u64>,
    pub(super) n_bytes: u64,
}

impl Marks {
    /// About how many bytes on disk come before `offset`; they may be compressed.
    fn bytes_before(&self, offset: u64) -> u64 {
        let last = self.items.last().map_or(0, |&(offset, _)| offset);
        let share =
            (offset - self.start.offset) as f64 / last.saturating_sub(self.start.offset).max(1) as f64;
        self.bytes.start + ((self.bytes.end - self.bytes.start) as f64 * share).round() as u64
    }
}

impl Positions for Marks {
    fn after(&self, n_items: usize) -> Position {
        let mut cursor = self.start.clone();
        if let Some(last) = n_items.checked_sub(1) {
            (cursor.offset, cursor.lines) = self.items[last];
            cursor.rows += n_items as u64;
        }
        cursor.front = Some(self.front.before(cursor.offset));
        if n_items == self.items.len() {
            cursor.end = self.end;
        }
        if cursor.end != End::NotReached {
            cursor.ahead = None;
        }
        let bytes = (self.bytes_before(cursor.offset), self.n_bytes);
        let mut saved = Saved { file: self.file, bytes, ..(*self.base).clone() };
        saved.files[self.file] = cursor;
        saved.position()
    }
}
