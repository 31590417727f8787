//! The header as a row: where files are joined, it comes again between their rows.

use runner_core::ColumnType;

use super::Header;
use super::names::BYTE_ORDER_MARK;
use super::non_row_lines::END_OF_TEXT;
use crate::shared::csv::dialect::{CellTexts, Dialect};
use crate::shared::csv::types::{is_like_a_date, narrowest};

/// The texts of the cells of the header; none if rows cannot be distinguished from it.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeaderRow {
    cells: CellTexts,
    is_underlined: bool,
}

impl HeaderRow {
    /// A header of one cell cannot be distinguished from a row, nor one of values.
    pub(crate) fn new(header: &Header, dialect: &Dialect) -> Self {
        let mut cells = CellTexts::default();
        if dialect.has_header && !header.raw.is_empty() {
            cells.read(&header.raw, true, dialect);
        }
        let is_distinct = cells.len() > 1 && has_names(&cells, dialect);
        let cells = if is_distinct { cells } else { CellTexts::default() };
        HeaderRow { cells, is_underlined: header.is_underlined }
    }

    /// The text of a cell.
    pub(crate) fn cell(&self, index: usize) -> Option<&[u8]> {
        self.cells.get(index)
    }

    /// Whether a count of rows, such as `(2 rows affected)`, is not a row among rows of `n_cells` cells.
    pub(crate) fn may_have_row_counts(&self, n_cells: usize) -> bool {
        n_cells > 1 || self.is_underlined
    }

    /// Whether a row, whose cells have these texts, has the cells of the header.
    pub(crate) fn is_repeated_in(&self, texts: &CellTexts) -> bool {
        self.cells.len() > 0 && self.cells == *texts
    }

    /// Whether a row has the cells of the header in another order: it is the header of a file that was joined to this one.
    pub(crate) fn is_reordered_in(&self, texts: &CellTexts) -> bool {
        self.may_be_in(texts.n_bytes())
            && self.cells.len() == texts.len()
            && self.cells != *texts
            && self.cells.iter().all(|name| texts.iter().any(|text| text == name))
    }

    /// Whether a row with `n_bytes` of text may have the cells of the header.
    pub(crate) fn may_be_in(&self, n_bytes: usize) -> bool {
        n_bytes == self.n_bytes()
    }

    /// How many bytes its cells have; more than any row if there is no header.
    pub(crate) fn n_bytes(&self) -> usize {
        if self.cells.len() > 0 { self.cells.n_bytes() } else { usize::MAX }
    }
}

/// A row without what stands before it where files were joined that begin with a byte order mark, or end with the mark of
/// DOS.
pub(crate) fn without_marks(row: &[u8]) -> &[u8] {
    match row.first() {
        // Other rows rarely begin with these bytes.
        Some(&(END_OF_TEXT | 0xEF)) => {
            let row = &row[row.iter().take_while(|&&byte| byte == END_OF_TEXT).count()..];
            row.strip_prefix(BYTE_ORDER_MARK).unwrap_or(row)
        }
        _ => row,
    }
}

/// Whether the cells are names: not all of them numbers, and none a measured value or a date.
fn has_names(cells: &CellTexts, dialect: &Dialect) -> bool {
    let mut n_texts = 0;
    for text in cells.iter() {
        match narrowest(text, dialect.numbers, &mut Vec::new()) {
            ColumnType::Integer => {}
            ColumnType::Float | ColumnType::Boolean => return false,
            ColumnType::String if std::str::from_utf8(text).is_ok_and(is_like_a_date) => return false,
            ColumnType::String => n_texts += usize::from(!text.is_empty()),
        }
    }
    n_texts > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_repeats_the_header_cell_by_cell() {
        let dialect = Dialect::default();
        let compared = |header: &str, row: &str| {
            let mut cells = CellTexts::default();
            cells.read(without_marks(row.as_bytes()), true, &dialect);
            let header = HeaderRow::new(&Header { raw: header.into(), ..Header::default() }, &dialect);
            (header.is_repeated_in(&cells), header.is_reordered_in(&cells))
        };
        let repeats = |header, row| compared(header, row).0;
        assert!(repeats("a,b", "\u{1a}a,b") && repeats("a,b", "\u{1a}\u{feff}\"a\",b"));
        assert!(repeats("a,b", "a,b") && repeats("a,\"b\"", "\"a\",b") && repeats("id,2020", "id,2020"));
        for (header, row) in
            [("a,b", "ab,"), ("a,b", "a,B"), ("a,b", "a,b,"), ("a", "a"), ("1,2", "1,2"), ("x,1.5", "x,1.5")]
        {
            assert_eq!(compared(header, row), (false, false), "{header} {row}");
        }
        assert_eq!(compared("id,v,w", "w,id,\"v\""), (false, true));
        assert_eq!(compared("id,v,w", "v,id,vw"), (false, false));
    }
}
