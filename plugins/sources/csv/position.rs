//! The position of the source: how far each file has been read.
//!
//! A position lists all files in reading order with a cursor for each. A cursor also holds
//! fingerprints of bytes that were read, at the head of the file and before the current batch,
//! which tell a file that has grown from one that was replaced.

use std::fs::Metadata;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result};
use runner_core::{ColumnType, Position, Positions};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_64;

use super::snapshot::{FileSnapshot, born};

/// How many bytes at the head of a file a fingerprint covers at most.
pub(super) const HEAD: usize = 256 << 10;
/// How many bytes before a batch a fingerprint covers at most.
pub(super) const TAIL: usize = 4 << 10;

/// The position as the checkpoint stores it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct CsvPosition {
    /// The options that determine the rows of a file.
    pub(super) delimiter: char,
    pub(super) header: bool,
    /// The other options that do; empty for the plain format.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) format: String,
    /// The options that decide what a cell means, apart from those with their defaults; `None` if an earlier release
    /// wrote the position, so that they are unknown.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) reading: Option<Map<String, Value>>,
    /// The columns and their types.
    pub(super) columns: Map<String, Value>,
    /// Index of the file that is being read.
    pub(super) file: usize,
    pub(super) files: Vec<Cursor>,
    /// Bytes on disk before the position, and in total. For progress only.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) bytes: (u64, u64),
}

impl CsvPosition {
    pub(super) fn read(position: Value) -> Result<Self> {
        let saved: CsvPosition = serde_json::from_value(position)
            .context("the checkpoint does not fit the csv source; start over with `--from-start`")?;
        anyhow::ensure!(
            saved.file < saved.files.len(),
            "the checkpoint is damaged; start over with `--from-start`"
        );
        Ok(saved)
    }

    /// Whether any row comes before it. If none does, columns, types and files may still change.
    pub(super) fn is_started(&self) -> bool {
        self.files.iter().any(|cursor| cursor.offset > 0)
    }

    /// The columns and their types.
    pub(super) fn columns(&self) -> Result<Vec<(String, ColumnType)>> {
        let column = |(name, kind): (&String, &Value)| Ok((name.clone(), ColumnType::deserialize(kind)?));
        self.columns.iter().map(column).collect()
    }
}

/// How far one file has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// The absolute path.
    pub(super) path: String,
    /// Bytes on disk when the file was opened, and its modification time in nanoseconds since 1970.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) modified: u64,
    /// The inode, by which a renamed file is known.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) inode: u64,
    /// When it was made, which tells it from a later file with the same inode.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) born: u64,
    /// Whether it was renamed since, so that nobody will go on writing it for long.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) is_moved: bool,
    /// Whether it was removed, or another file is at its path.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) is_gone: bool,
    /// How many of the columns its rows have; 0 for all. Later files may have added others.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) n_columns: usize,
    /// Where the next row begins, in bytes of the decompressed text; 0 if no row has been read.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) offset: u64,
    /// Lines and rows before the offset.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) lines: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) rows: u64,
    #[serde(default, skip_serializing_if = "is_default", rename = "front")]
    pub(super) head: Option<Fingerprint>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) tail: Option<Fingerprint>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) end: End,
    /// Where the last row begins if it has no line end: its offset, and the lines before it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) open_row: Option<(u64, u64)>,
    /// The file as it was when it was queued; `None` once it has been read to its end.
    #[serde(default, skip_serializing_if = "is_default", rename = "ahead")]
    pub(super) snapshot: Option<FileSnapshot>,
}

impl Cursor {
    /// Whether a file is the one of the cursor, as far as the file system knows.
    pub(super) fn is_of(&self, file: &Metadata) -> bool {
        let born = born(file);
        self.inode == file.ino() && (self.born == born || self.born == 0 || born == 0)
    }

    /// The cursor before the last row, if that had no line end. Nothing before it is compared again.
    pub(super) fn before_open_row(&self) -> Option<Cursor> {
        let (offset, lines) = self.open_row?;
        let (head, tail, end, open_row) = (None, None, End::NotReached, None);
        Some(Cursor { offset, lines, head, tail, end, open_row, ..self.clone() })
    }
}

/// Whether the cursor is at the end of the file, and what the file ended with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
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

/// A hash of a range of bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fingerprint {
    /// Offset of the end of the range.
    pub(super) end: u64,
    /// Length of the range.
    pub(super) bytes: u64,
    xxh3: String,
}

impl Fingerprint {
    /// The fingerprint of `bytes`, which end at the offset `end`.
    pub(super) fn of(bytes: &[u8], end: u64) -> Self {
        Fingerprint { end, bytes: bytes.len() as u64, xxh3: format!("{:016x}", xxh3_64(bytes)) }
    }

    pub(super) fn matches(&self, bytes: &[u8]) -> bool {
        *self == Fingerprint::of(bytes, self.end)
    }
}

/// The first bytes of a file, shared by all its batches.
#[derive(Debug, Default)]
pub(super) struct Head {
    bytes: Box<[u8]>,
    whole: OnceLock<Fingerprint>,
}

impl Head {
    pub(super) fn new(bytes: &[u8]) -> Arc<Self> {
        Arc::new(Head { bytes: bytes.into(), whole: OnceLock::new() })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The fingerprint of the part before `offset`.
    pub(super) fn before(&self, offset: u64) -> Fingerprint {
        if offset >= self.bytes.len() as u64 {
            return self.whole.get_or_init(|| Fingerprint::of(&self.bytes, self.bytes.len() as u64)).clone();
        }
        Fingerprint::of(&self.bytes[..offset as usize], offset)
    }
}

/// The files as they were when reading them began, and those that were read to their ends since.
///
/// It is shared by all positions: a copy of all cursors for each file would take time in proportion to the square of
/// their number.
pub(super) struct Round {
    /// The position before the round.
    pub(super) start: CsvPosition,
    /// The indices of the files to read, in order.
    pub(super) queue: Vec<usize>,
    /// The cursors of files that were read, in the order of the queue.
    finished: Vec<OnceLock<Cursor>>,
}

impl Round {
    pub(super) fn new(start: CsvPosition, queue: Vec<usize>) -> Self {
        let finished = queue.iter().map(|_| OnceLock::new()).collect();
        Round { start, queue, finished }
    }

    /// Records how far the file at `place` of the queue was read.
    pub(super) fn finish(&self, place: usize, cursor: Cursor) {
        // It is read once in a round.
        drop(self.finished[place].set(cursor));
    }

    /// The position within the file at `place` of the queue; those before it were read.
    fn position(&self, place: usize, cursor: Cursor, bytes: (u64, u64)) -> CsvPosition {
        let mut position = CsvPosition { file: self.queue[place], bytes, ..self.start.clone() };
        for (file, finished) in self.queue.iter().zip(&self.finished).take(place) {
            if let Some(finished) = finished.get() {
                position.files[*file].clone_from(finished);
            }
        }
        position.files[self.queue[place]] = cursor;
        position
    }
}

/// The positions after each item of a batch, computed on demand.
pub(super) struct BatchPositions {
    pub(super) round: Arc<Round>,
    /// The place of the batch's file in the queue of the round.
    pub(super) place: usize,
    /// Where the batch begins.
    pub(super) start: Cursor,
    pub(super) head: Arc<Head>,
    /// Offset and number of lines after each item.
    pub(super) items: Vec<(u64, u64)>,
    /// What the file ends with, if it ends after the last item, and where a row without a line end begins.
    pub(super) end: End,
    pub(super) open_row: Option<(u64, u64)>,
    /// Bytes on disk before and including the batch, and in total.
    pub(super) bytes: Range<u64>,
    pub(super) n_bytes: u64,
}

impl BatchPositions {
    /// Bytes on disk before `offset`; an estimate where the file is compressed.
    fn bytes_before(&self, offset: u64) -> u64 {
        let last = self.items.last().map_or(0, |&(offset, _)| offset);
        let share =
            (offset - self.start.offset) as f64 / last.saturating_sub(self.start.offset).max(1) as f64;
        self.bytes.start + ((self.bytes.end - self.bytes.start) as f64 * share).round() as u64
    }

    fn cursor_after(&self, n_items: usize) -> Cursor {
        let mut cursor = self.start.clone();
        if let Some(last) = n_items.checked_sub(1) {
            (cursor.offset, cursor.lines) = self.items[last];
            cursor.rows += n_items as u64;
        }
        cursor.head = Some(self.head.before(cursor.offset));
        if n_items == self.items.len() {
            (cursor.end, cursor.open_row) = (self.end, self.open_row);
        }
        if cursor.end != End::NotReached {
            cursor.snapshot = None;
        }
        cursor
    }

    /// The typed position after the first `n_items` items.
    pub(super) fn csv_position_after(&self, n_items: usize) -> CsvPosition {
        let cursor = self.cursor_after(n_items);
        let bytes = (self.bytes_before(cursor.offset), self.n_bytes);
        self.round.position(self.place, cursor, bytes)
    }
}

/// The positions of a batch, shared with those that were taken from it.
pub(super) struct SharedPositions(Arc<BatchPositions>);

impl SharedPositions {
    pub(super) fn new(positions: BatchPositions) -> Self {
        SharedPositions(Arc::new(positions))
    }
}

impl Positions for SharedPositions {
    fn after(&self, n_items: usize) -> Position {
        Position::new(PositionAfter { positions: Arc::clone(&self.0), n_items })
    }
}

/// The position after some items of a batch. The cursors of all files are copied only when it is
/// written to the checkpoint.
pub(super) struct PositionAfter {
    positions: Arc<BatchPositions>,
    n_items: usize,
}

impl PositionAfter {
    /// Bytes on disk before the position, and in total.
    pub(super) fn bytes(&self) -> (u64, u64) {
        let positions = &self.positions;
        let last = self.n_items.checked_sub(1).map(|last| positions.items[last].0);
        (positions.bytes_before(last.unwrap_or(positions.start.offset)), positions.n_bytes)
    }
}

impl Serialize for PositionAfter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.positions.csv_position_after(self.n_items).serialize(serializer)
    }
}
