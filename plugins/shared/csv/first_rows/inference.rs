//! Infers the types of columns from a sample of the rows.

use std::collections::HashMap;
use std::sync::Arc;

use runner_core::ColumnType;

use super::cell_counts::{CellCounts, Place};
use super::option_hints::OptionHints;
use super::row_hints::RowHints;
use super::row_width::{WideRows, WidthCounts};
use crate::shared::csv::dialect::{CellTexts, Dialect};
use crate::shared::csv::header::{Header, HeaderRow, is_row_count, without_marks};
use crate::shared::csv::types::{converted, is_address, narrowest, without_blanks};
use crate::shared::values::{TypeName, ValueType};

/// How many rows the types are inferred from.
pub(crate) const SAMPLE: usize = 10_000;

/// What the first rows of one or more texts tell about their columns.
#[derive(Debug)]
pub(crate) struct Inference {
    pub(super) dialect: Arc<Dialect>,
    pub(super) columns: Vec<SampledColumn>,
    /// The index of each column by its name.
    index: HashMap<String, usize>,
    /// The header of the next rows, and the index of the column of each of their cells.
    header: HeaderRow,
    cell_columns: Vec<usize>,
    /// How many rows were observed, and how many of them are valid.
    pub(crate) n_rows: usize,
    pub(crate) n_valid: usize,
    /// How many texts have begun.
    n_texts: usize,
    /// The first valid row.
    pub(super) first_row: Option<Place>,
    /// The first row that has the names of the columns, in files that are said to have no header.
    pub(super) names: Option<Place>,
    /// The numbers among the texts for null.
    null_numbers: Vec<f64>,
    /// The rows that have text behind the last column.
    wide: WidthCounts,
    /// What else the rows suggest.
    pub(super) row_hints: RowHints,
    cells: CellTexts,
    scratch: Vec<u8>,
}

/// What the rows tell about a column.
#[derive(Debug)]
pub(super) struct SampledColumn {
    pub(super) name: String,
    /// The type that the pipeline file declares. A row that does not match it is rejected.
    declared: Option<ValueType>,
    /// The type of the cell in the first row.
    pub(super) first: Option<ColumnType>,
    /// The type of the cells in the other rows.
    pub(super) others: Option<ColumnType>,
    /// What its texts would be with other options.
    pub(super) hints: OptionHints,
    pub(super) counts: CellCounts,
    /// The first number that stands for null in another form, as `-999.0` beside `-999`.
    pub(super) null_number: Option<Place>,
}

impl SampledColumn {
    /// The inferred type; `None` if it has no value.
    pub(super) fn inferred(&self) -> Option<ColumnType> {
        match (self.first, self.others) {
            (Some(first), Some(other)) => Some(widened(first, other)),
            (inferred, None) | (None, inferred) => inferred,
        }
    }

    /// Whether a cell matches the declared type.
    fn takes(&self, text: &[u8], dialect: &Dialect, scratch: &mut Vec<u8>) -> bool {
        let Some(declared) = self.declared.as_ref().filter(|_| !dialect.is_null(text)) else { return true };
        let (text, kind) = (without_blanks(text), declared.column_type());
        dialect.is_null(text) || converted(text, kind, Some(declared), dialect.numbers, scratch).is_some()
    }
}

impl Inference {
    pub(crate) fn new(dialect: &Arc<Dialect>) -> Self {
        let mut scratch = Vec::new();
        let nulls = dialect.null_values.iter();
        let null_numbers =
            nulls.filter_map(|null| value_of(null.as_bytes(), dialect, &mut scratch)).collect();
        Inference {
            dialect: Arc::clone(dialect),
            columns: Vec::new(),
            index: HashMap::new(),
            header: HeaderRow::default(),
            cell_columns: Vec::new(),
            n_rows: 0,
            n_valid: 0,
            n_texts: 0,
            first_row: None,
            names: None,
            null_numbers,
            wide: WidthCounts::default(),
            row_hints: RowHints::default(),
            cells: CellTexts::default(),
            scratch,
        }
    }

    /// Whether the sample is complete.
    pub(crate) fn is_complete(&self) -> bool {
        self.n_rows >= SAMPLE
    }

    /// The next rows are those of a text with this header, which may add columns.
    pub(crate) fn begin(&mut self, header: &Header) {
        self.n_texts += 1;
        self.header = HeaderRow::new(header, &self.dialect);
        self.row_hints.set_header(&header.raw);
        self.cell_columns.clear();
        for name in &header.names {
            let column = *self.index.entry(name.clone()).or_insert(self.columns.len());
            self.cell_columns.push(column);
            if column == self.columns.len() {
                let declared = self.dialect.types.declaration_of(name).map(|it| it.value_type.clone());
                self.columns.push(SampledColumn {
                    name: name.clone(),
                    declared: declared.filter(|declared| declared.name() != TypeName::String),
                    first: None,
                    others: None,
                    hints: OptionHints::ALL,
                    counts: CellCounts::default(),
                    null_number: None,
                });
            }
        }
    }

    /// Adds a row to the sample. Rows that will be rejected or skipped do not count.
    pub(crate) fn observe(&mut self, row: &[u8], quoted: bool, line: u64) {
        let dialect = &*self.dialect;
        let (row, n_bytes) = (without_marks(row), row.len());
        self.cells.read(row, quoted || row.len() < n_bytes, dialect);
        let (n_cells, n_columns) = (self.cells.len(), self.cell_columns.len());
        if self.header.is_repeated_in(&self.cells)
            || self.header.may_have_row_counts(n_columns) && is_row_count(row)
        {
            return;
        }
        self.n_rows += 1;
        if n_cells > n_columns && self.cells.has_text_from(n_columns) {
            self.wide.add(n_cells, line);
        }
        let cells = self.cell_columns.iter().zip(self.cells.iter());
        let is_valid = dialect.accepts_width(n_cells, n_columns)
            && std::str::from_utf8(row).is_ok()
            && !self.header.is_reordered_in(&self.cells)
            && cells
                .clone()
                .all(|(&column, text)| self.columns[column].takes(text, dialect, &mut self.scratch));
        if !is_valid {
            return;
        }
        self.row_hints.observe(row, line, &self.cells, dialect);
        let is_first = self.n_valid == 0;
        let place = Place { text: self.n_texts - 1, line };
        self.first_row.get_or_insert(place);
        if !dialect.has_header && self.names.is_none() {
            let has_name = |(index, name): (usize, &String)| {
                self.cells.get(index).is_some_and(|text| text.eq_ignore_ascii_case(name.as_bytes()))
            };
            self.names = dialect.columns.iter().enumerate().all(has_name).then_some(place);
        }
        self.n_valid += 1;
        for (&column, text) in cells {
            // An address says nothing about the type: it may as well be a number of four groups.
            if dialect.is_null(text) || dialect.numbers.thousands == Some('.') && is_address(text) {
                continue;
            }
            let kind = narrowest(text, dialect.numbers, &mut self.scratch);
            let is_null_number = !self.null_numbers.is_empty()
                && value_of(text, dialect, &mut self.scratch)
                    .is_some_and(|value| self.null_numbers.contains(&value));
            let SampledColumn { first, others, hints, counts, null_number, .. } = &mut self.columns[column];
            if is_null_number {
                null_number.get_or_insert(place);
            }
            counts.add(text, kind, place);
            let inferred = if is_first { first } else { others };
            *inferred = Some(inferred.map_or(kind, |inferred| widened(inferred, kind)));
            if !hints.is_none() {
                *hints = hints.and(OptionHints::of(text, kind, dialect, &mut self.scratch));
            }
        }
    }

    /// The number of cells of most rows, if it is larger than that of the header, which then is most likely
    /// another line.
    pub(crate) fn wider_than_header(&self) -> Option<WideRows> {
        self.wide.of_most(self.n_rows)
    }

    /// The columns with their inferred types; `None` for a column without any value.
    pub(crate) fn inferred(self) -> impl Iterator<Item = (String, Option<ColumnType>)> {
        self.columns.into_iter().map(|column| {
            let kind = column.inferred();
            (column.name, kind)
        })
    }

    /// The columns with their inferred types; a column without any value is text.
    pub(crate) fn finish(self) -> Vec<(String, ColumnType)> {
        self.inferred().map(|(name, kind)| (name, kind.unwrap_or(ColumnType::String))).collect()
    }
}

/// The value of a text that is a number.
fn value_of(text: &[u8], dialect: &Dialect, scratch: &mut Vec<u8>) -> Option<f64> {
    dialect.numbers.normalize_loosely(text, scratch)?;
    std::str::from_utf8(scratch).ok()?.parse().ok()
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
    use super::*;
    use crate::shared::csv::DialectOptions;
    use crate::shared::csv::types::fits;

    /// What these rows tell, under a header with these names.
    fn observed(header: &str, rows: &[&str], options: &str) -> Inference {
        let options: DialectOptions = serde_json::from_str(options).unwrap();
        let mut inference = Inference::new(&Arc::new(options.dialect("").unwrap()));
        let names = header.split(',').map(|name| name.trim_matches('"').to_owned()).collect();
        inference.begin(&Header { names, raw: header.into(), ..Header::default() });
        for row in rows {
            inference.observe(row.as_bytes(), true, 1);
        }
        inference
    }

    fn inferred(cells: &[&str]) -> ColumnType {
        observed("n", cells, "{}").finish()[0].1
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
    fn addresses_are_text_where_points_separate_thousands() {
        let options = r#"{ "delimiter": ";", "decimal": ",", "thousands": "." }"#;
        let inferred = |cells: &[&str]| observed("n", cells, options).finish()[0].1;
        assert_eq!(inferred(&["192.168.100.200", "10.100.200.255"]), ColumnType::String);
        assert_eq!(inferred(&["192.168.100.200", "10.0.0.1"]), ColumnType::String);
        assert_eq!(inferred(&["1.234.567.890", "100.200.150.250", "999"]), ColumnType::Integer);
        for version in ["1.2.3", "1.10.100", "12.34", "1.1000", "2024.01.31", "01.234", "1.234.5678"] {
            assert_eq!(inferred(&["1.234", version]), ColumnType::String, "{version}");
        }
    }

    #[test]
    fn number_that_is_null_in_another_form_is_reported() {
        let warning = |options: &str| {
            let rows = ["1,a", "-999,b", "-999.0,-999.0"];
            let warnings = observed("n,s", &rows, options).warnings_about_columns();
            warnings.into_iter().find(|(_, warning)| warning.contains("`null_values`"))
        };
        let (place, told) = warning(r#"{ "null_values": ["", "-999"] }"#).expect("a warning");
        assert!(place.is_some() && told.starts_with("column `n`: this cell"), "{told}");
        for nulls in [r#""-999", "-999.0""#, r#""999""#, r#""n/a""#] {
            assert_eq!(warning(&format!(r#"{{ "null_values": [{nulls}] }}"#)), None, "{nulls}");
        }
        let text = r#"{ "null_values": ["-999"], "types": { "n": "string" } }"#;
        assert_eq!(warning(text), None, "a column of text has no nulls");
    }

    #[test]
    fn repeated_header_and_count_are_not_rows_of_the_sample() {
        let rows = ["1,a", "\"id\",name", "2,b", "(1,234 rows affected)"];
        let inference = observed("id,\"name\"", &rows, "{}");
        assert_eq!(inference.n_rows, 2);
        let kinds: Vec<ColumnType> = inference.finish().into_iter().map(|(_, kind)| kind).collect();
        assert_eq!(kinds, [ColumnType::Integer, ColumnType::String]);
    }

    #[test]
    fn row_that_a_declared_type_rejects_says_nothing_about_other_columns() {
        let options = r#"{ "types": { "Date": { "type": "date", "parse": "%d/%m/%Y" }, "n": "integer", "s": "string" } }"#;
        let rows = ["1.5,02/01/2024,+1,x", "sum,Total,,x", "average,03/01/2024,x,x", "2,, 2 ,Total"];
        let inference = observed("Close,Date,n,s", &rows, options);
        assert_eq!((inference.n_rows, inference.n_valid), (4, 2));
        assert_eq!(inference.finish()[0].1, ColumnType::Float);
    }

    #[test]
    fn rows_wider_than_the_header_are_detected_if_they_are_most() {
        let width = |rows: &[&str]| observed("n", rows, "{}").wider_than_header().map(|rows| rows.width);
        assert_eq!(width(&["a,b,c", "1,2,3", "4"]), Some(3));
        assert_eq!(width(&["a,b,c", "1", "4"]), None);
        assert_eq!(width(&["a,b"]), None, "one row proves nothing");
        assert_eq!(width(&["1,", "2,", "3, "]), None, "a delimiter at the end of each row");
    }
}
