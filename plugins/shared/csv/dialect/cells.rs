//! The texts of the cells of one row.

use super::Dialect;
use crate::shared::csv::rows::split;

/// The texts of the cells of one row, in a buffer that the next row reuses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CellTexts {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl CellTexts {
    /// Reads the cells of `row`. A cell that is written like a null value keeps its escapes: `\N` may mean null.
    pub(crate) fn read(&mut self, row: &[u8], quoted: bool, dialect: &Dialect) {
        self.bytes.clear();
        self.ends.clear();
        let grammar = &dialect.grammar;
        if grammar.is_plain() {
            return split(row, grammar.delimiter, quoted, &mut self.bytes, &mut self.ends);
        }
        for cell in grammar.cells(row) {
            let written = grammar.trimmed(&row[cell.clone()]);
            if dialect.is_null(written) {
                self.bytes.extend_from_slice(written);
            } else {
                grammar.decode(&row[cell], &mut self.bytes);
            }
            self.ends.push(self.bytes.len() as u32);
        }
    }

    /// How many cells the row has.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// How many bytes the texts of all cells have.
    pub(crate) fn n_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The text of a cell.
    pub(crate) fn get(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)? as usize;
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        Some(&self.bytes[start..end])
    }

    /// The texts of all cells.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> + Clone {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// Whether any cell from `index` on has more than blanks.
    pub(crate) fn has_text_from(&self, index: usize) -> bool {
        self.iter().skip(index).any(|text| !text.trim_ascii().is_empty())
    }
}
