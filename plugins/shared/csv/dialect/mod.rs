//! The dialect of CSV texts: all options that decide what their rows mean.
//!
//! `options` are the options of a pipeline file, and `characters` those of them that are one character. They become a
//! [`Dialect`]. `cells` reads the cells of a row in it.

mod cells;
mod characters;
mod options;

pub(crate) use cells::CellTexts;
pub(crate) use characters::{Comment, Delimiter, Escape, NumberSeparator, Quote};
pub(crate) use options::{
    DialectOptions, ExtraCells, MissingCells, default_null_values, with_dialect_options,
};

use std::cmp::Ordering;

use crate::shared::csv::rows::Grammar;
use crate::shared::csv::types::{NumberFormat, Types};

/// What a row means, and how its columns get types.
#[derive(Clone, Debug)]
pub(crate) struct Dialect {
    /// How bytes are divided into rows and cells.
    pub(crate) grammar: Grammar,
    /// Lines before the header, or before the first row where there is no header.
    pub(crate) skip_lines: u64,
    /// Whether the first row contains the column names.
    pub(crate) has_header: bool,
    /// The column names, instead of those of the header; empty to take those.
    pub(crate) columns: Vec<String>,
    /// Cells that mean null.
    pub(crate) null_values: Vec<Box<str>>,
    /// How columns get their types.
    pub(crate) types: Types,
    /// How numbers are written.
    pub(crate) numbers: NumberFormat,
    /// Whether cells after the last column are ignored.
    pub(crate) drops_extra_cells: bool,
    /// Whether cells that a short row does not have are null.
    pub(crate) fills_missing_cells: bool,
    /// The encoding that the text had before it became UTF-8, for messages.
    pub(crate) encoding: &'static str,
    /// What messages put before the name of an option, such as `csv.`.
    pub(crate) prefix: &'static str,
}

impl Default for Dialect {
    fn default() -> Self {
        Dialect {
            grammar: Grammar::default(),
            skip_lines: 0,
            has_header: true,
            columns: Vec::new(),
            null_values: vec!["".into()],
            types: Types::Infer,
            numbers: NumberFormat::default(),
            drops_extra_cells: false,
            fills_missing_cells: false,
            encoding: "UTF-8",
            prefix: "",
        }
    }
}

impl Dialect {
    /// What often separates cells and is not its delimiter, the likelier first.
    pub(crate) fn other_delimiters(&self) -> impl Iterator<Item = u8> {
        let own = self.grammar.delimiter;
        b";\t|,".iter().copied().filter(move |&other| other != own)
    }

    /// Whether a row may have so many cells where there are `n_columns` columns.
    pub(crate) fn accepts_width(&self, n_cells: usize, n_columns: usize) -> bool {
        match n_cells.cmp(&n_columns) {
            Ordering::Less => self.fills_missing_cells,
            Ordering::Equal => true,
            Ordering::Greater => self.drops_extra_cells,
        }
    }

    /// Whether a text means null in a column that is not declared as text.
    pub(crate) fn is_null(&self, text: &[u8]) -> bool {
        self.null_values.iter().any(|null| null.as_bytes() == text)
    }
}
