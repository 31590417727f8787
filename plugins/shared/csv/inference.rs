//! Infers the types of columns from a sample of the rows.

use runner_core::ColumnType;

use super::cells::CellTexts;
use super::dialect::Dialect;
use super::types::narrowest;

/// How many rows the types are inferred from.
pub(crate) const SAMPLE: usize = 10_000;

/// The types of columns, as far as the rows tell them.
#[derive(Debug)]
pub(crate) struct Inference {
    guesses: Vec<Option<ColumnType>>,
    n_rows: usize,
    /// How many rows have text behind the last column, and how many cells the last of them has.
    n_wide: usize,
    width: usize,
    cells: CellTexts,
    scratch: Vec<u8>,
}

impl Inference {
    pub(crate) fn new(n_columns: usize) -> Self {
        Inference {
            guesses: vec![None; n_columns],
            n_rows: 0,
            n_wide: 0,
            width: 0,
            cells: CellTexts::default(),
            scratch: Vec::new(),
        }
    }

    /// Number of columns.
    pub(crate) fn n_columns(&self) -> usize {
        self.guesses.len()
    }

    /// Number of rows observed.
    pub(crate) fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Whether the sample is complete.
    pub(crate) fn is_complete(&self) -> bool {
        self.n_rows >= SAMPLE
    }

    /// Adds columns that later files have.
    pub(crate) fn add_columns(&mut self, n_columns: usize) {
        self.guesses.resize(self.guesses.len() + n_columns, None);
    }

    /// Adds a row to the sample. `columns` says to which column each cell belongs; rows that will be
    /// rejected do not count.
    pub(crate) fn observe(&mut self, row: &[u8], quoted: bool, columns: &[usize], dialect: &Dialect) {
        self.cells.read(row, quoted, dialect);
        self.n_rows += 1;
        let (n_cells, n_columns) = (self.cells.len(), columns.len());
        if n_cells > n_columns && self.cells.has_text_from(n_columns) {
            self.n_wide += 1;
            self.width = n_cells;
        }
        let is_rejected = n_cells > n_columns && !dialect.drops_extra_cells
            || n_cells < n_columns && !dialect.fills_missing_cells;
        if is_rejected || std::str::from_utf8(row).is_err() {
            return;
        }
        for (index, &column) in columns.iter().enumerate() {
            let Some(text) = self.cells.get(index) else { break };
            if !dialect.is_null(text) {
                let kind = narrowest(text, dialect.numbers, &mut self.scratch);
                let guess = &mut self.guesses[column];
                *guess = Some(guess.map_or(kind, |guess| widened(guess, kind)));
            }
        }
    }

    /// The number of cells of most rows, if it is larger than that of the header, which then is most likely
    /// another line.
    pub(crate) fn width_above_header(&self) -> Option<usize> {
        (self.n_wide > 1 && self.n_wide > self.n_rows / 2).then_some(self.width)
    }

    /// The inferred types; a column without any value is text.
    pub(crate) fn finish(self) -> Vec<ColumnType> {
        self.guesses.into_iter().map(|guess| guess.unwrap_or(ColumnType::String)).collect()
    }
}

/// The narrowest type that accepts the values of both.
fn widened(one: ColumnType, other: ColumnType) -> ColumnType {
    use ColumnType::{Float, Integer, String};
    match (one, other) {
        _ if one == other => one,
        (Integer | Float, Integer | Float) => Float,
        _ => String,
    }
}

#[cfg(test)]
mod tests {
    use super::super::types::fits;
    use super::*;

    fn inferred(cells: &[&str]) -> ColumnType {
        let mut inference = Inference::new(1);
        for cell in cells {
            inference.observe(cell.as_bytes(), false, &[0], &Dialect::default());
        }
        inference.finish()[0]
    }

    #[test]
    fn inference_picks_the_narrowest_type_for_all_cells() {
        assert_eq!(inferred(&["1", "-2", "0"]), ColumnType::Integer);
        assert_eq!(inferred(&["1", "2.50", "3"]), ColumnType::Float);
        assert_eq!(inferred(&["1e5", "-0.1E-3"]), ColumnType::Float);
        assert_eq!(inferred(&["true", "False", "TRUE"]), ColumnType::Boolean);
        assert_eq!(inferred(&["true", "1"]), ColumnType::String);
        assert_eq!(inferred(&["1", "x", "2"]), ColumnType::String);
        assert_eq!(inferred(&["", "1", ""]), ColumnType::Integer);
        assert_eq!(inferred(&["", ""]), ColumnType::String);
    }

    #[test]
    fn cell_that_is_not_a_json_number_makes_a_text_column() {
        for cell in
            ["007", "+5", " 5", "5 ", "NaN", "inf", ".5", "5.", "1e", "-", "--1", "0x1F", "1_000", "1e999"]
        {
            assert_eq!(inferred(&["1", cell]), ColumnType::String, "{cell}");
        }
    }

    #[test]
    fn integer_larger_than_64_bits_makes_a_text_column() {
        assert_eq!(inferred(&["9223372036854775807", "-9223372036854775808"]), ColumnType::Integer);
        assert_eq!(inferred(&["9223372036854775808"]), ColumnType::String);
        assert_eq!(inferred(&["1.5", "9223372036854775808"]), ColumnType::String);
        assert!(fits(b"9223372036854775808", ColumnType::Float), "a declared float column accepts it");
    }

    #[test]
    fn rows_that_are_wider_than_the_header_are_noticed_if_they_are_most() {
        let width = |rows: &[&str]| {
            let mut inference = Inference::new(1);
            for row in rows {
                inference.observe(row.as_bytes(), false, &[0], &Dialect::default());
            }
            inference.width_above_header()
        };
        assert_eq!(width(&["a,b,c", "1,2,3", "4"]), Some(3));
        assert_eq!(width(&["a,b,c", "1", "4"]), None);
        assert_eq!(width(&["a,b"]), None, "one row proves nothing");
        assert_eq!(width(&["1,", "2,", "3, "]), None, "a delimiter at the end of each row");
    }
}
