//! The positions after the rows of a batch, computed when the checkpoint is written.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use runner_core::{Position, Positions};
use serde::{Serialize, Serializer};

use super::super::files::Head;
use super::{CsvPosition, Cursor, End};

/// The files as they were when reading them began, and those that were read to their ends since.
///
/// It is shared by all positions: a copy of all cursors for each file would take time in proportion to the square of
/// their number.
pub(crate) struct Pass {
    /// The position before the pass.
    pub(crate) start: CsvPosition,
    /// The indices of the files to read, in order.
    pub(crate) queue: Vec<usize>,
    /// The cursors of files that were read, in the order of the queue.
    finished: Vec<OnceLock<Cursor>>,
}

impl Pass {
    pub(crate) fn new(start: CsvPosition, queue: Vec<usize>) -> Self {
        let finished = queue.iter().map(|_| OnceLock::new()).collect();
        Pass { start, queue, finished }
    }

    /// Records how far the file at this index of the queue was read.
    pub(crate) fn finish(&self, queue_index: usize, cursor: Cursor) {
        // It is read once in a pass.
        drop(self.finished[queue_index].set(cursor));
    }

    /// The position within the file at this index of the queue; those before it were read.
    fn position(&self, queue_index: usize, cursor: Cursor, bytes: (u64, u64)) -> CsvPosition {
        let mut position = CsvPosition { file: self.queue[queue_index], bytes, ..self.start.clone() };
        for (file, finished) in self.queue.iter().zip(&self.finished).take(queue_index) {
            if let Some(finished) = finished.get() {
                position.files[*file].clone_from(finished);
            }
        }
        position.files[self.queue[queue_index]] = cursor;
        position
    }
}

/// The positions after each item of a batch, computed on demand.
pub(crate) struct BatchPositions {
    pub(crate) pass: Arc<Pass>,
    /// The index of the batch's file in the queue of the pass.
    pub(crate) queue_index: usize,
    /// Where the batch begins.
    pub(crate) start: Cursor,
    pub(crate) head: Arc<Head>,
    /// Offset and number of lines after each item.
    pub(crate) items: Vec<(u64, u64)>,
    /// What the file ends with, if it ends after the last item, and where a row without a line end begins.
    pub(crate) end: End,
    pub(crate) open_row: Option<(u64, u64)>,
    /// Bytes on disk before and including the batch, and in total.
    pub(crate) bytes: Range<u64>,
    pub(crate) n_bytes: u64,
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
}

/// The position after some items of a batch. The cursors of all files are copied only when it is written to the
/// checkpoint.
#[derive(Clone)]
pub(crate) struct BatchPosition {
    positions: Arc<BatchPositions>,
    n_items: usize,
}

impl BatchPosition {
    /// The position at the beginning of a batch.
    pub(crate) fn at_start(positions: BatchPositions) -> Self {
        BatchPosition { positions: Arc::new(positions), n_items: 0 }
    }

    /// The position after the first `n_items` items of its batch.
    pub(crate) fn after_items(&self, n_items: usize) -> Self {
        BatchPosition { n_items, ..self.clone() }
    }

    /// Bytes on disk before the position, and in total.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        let positions = &self.positions;
        let last = self.n_items.checked_sub(1).map(|last| positions.items[last].0);
        (positions.bytes_before(last.unwrap_or(positions.start.offset)), positions.n_bytes)
    }
}

impl Positions for BatchPosition {
    fn after(&self, n_items: usize) -> Position {
        Position::new(self.after_items(n_items))
    }
}

impl Serialize for BatchPosition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { positions, n_items } = self;
        let cursor = positions.cursor_after(*n_items);
        positions.pass.position(positions.queue_index, cursor, self.bytes()).serialize(serializer)
    }
}
