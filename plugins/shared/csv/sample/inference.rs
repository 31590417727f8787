//! Infers the types of columns from a sample of the rows.

use runner_core::ColumnType;

use super::option_hints::Readings;
use super::row_hints::RowSigns;
use super::row_width::{WideRows, WidthCounts};
use crate::shared::csv::dialect::{CellTexts, Dialect};
use crate::shared::csv::header::{HeaderRow, is_count};
use crate::shared::csv::types::{converted, is_address, narrowest, without_blanks};
use crate::shared::values::{TypeName, ValueType};

/// How many rows the types are inferred from.
pub(crate) const SAMPLE: usize = 10_000;

/// The types of columns, as far as the rows tell them.
#[derive(Debug)]
pub(crate) struct Inference {
    /// What the first row says.
    pub(crate) first: Vec<Option<ColumnType>>,
    /// What the other rows say.
    pub(crate) others: Vec<Option<ColumnType>>,
    /// What the texts of each column would be with other options.
    pub(crate) readings: Vec<Readings>,
    /// The types that the pipeline file declares for columns. A row that does not match them is rejected.
    declared: Vec<(usize, ValueType)>,
    /// What else the rows suggest.
    pub(crate) signs: RowSigns,
    n_rows: usize,
    /// The line of the next row, and of the first valid one, if they are known.
    line: Option<u64>,
    pub(crate) first_line: Option<u64>,
    /// How many rows are valid.
    pub(crate) n_valid: usize,
    /// Whether the first row has the names of the columns, in a file that is said to have no header.
    pub(crate) has_names_in_the_first_row: bool,
    /// The rows that have text behind the last column.
    wide: WidthCounts,
    header: HeaderRow,
    cells: CellTexts,
    scratch: Vec<u8>,
}

impl Inference {
    pub(crate) fn new(n_columns: usize) -> Self {
        Inference {
            first: vec![None; n_columns],
            others: vec![None; n_columns],
            readings: vec![Readings::ALL; n_columns],
            declared: Vec::new(),
            signs: RowSigns::default(),
            n_rows: 0,
            line: None,
            first_line: None,
            n_valid: 0,
            has_names_in_the_first_row: false,
            wide: WidthCounts::default(),
            header: HeaderRow::default(),
            cells: CellTexts::default(),
            scratch: Vec::new(),
        }
    }

    /// Number of columns.
    pub(crate) fn n_columns(&self) -> usize {
        self.others.len()
    }

    /// Number of rows observed.
    pub(crate) fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Whether the sample is complete.
    pub(crate) fn is_complete(&self) -> bool {
        self.n_rows >= SAMPLE
    }

    /// Adds columns, such as those that later files have.
    pub(crate) fn add_columns(&mut self, names: &[String], dialect: &Dialect) {
        for (name, index) in names.iter().zip(self.n_columns()..) {
            let declared = dialect.types.declaration_of(name).map(|declared| declared.value_type.clone());
            let declared = declared.filter(|declared| declared.name() != TypeName::String);
            self.declared.extend(declared.map(|declared| (index, declared)));
        }
        let n_columns = self.n_columns() + names.len();
        self.first.resize(n_columns, None);
        self.others.resize(n_columns, None);
        self.readings.resize(n_columns, Readings::ALL);
    }

    /// The next rows are those of a file with this header, as it is written.
    pub(crate) fn set_header(&mut self, written: &[u8], dialect: &Dialect) {
        self.header = HeaderRow::new(written, dialect);
        self.signs.set_header(written);
    }

    /// The next rows may be under a rule of dashes, as in a report.
    pub(crate) fn set_rule(&mut self, has_rule: bool) {
        self.header.has_rule = has_rule;
    }

    /// The next row is on this line.
    pub(crate) fn set_line(&mut self, line: u64) {
        self.line = Some(line);
    }

    /// Adds a row to the sample. `columns` says to which column each cell belongs; rows that will be
    /// rejected or skipped do not count.
    pub(crate) fn observe(&mut self, row: &[u8], quoted: bool, columns: &[usize], dialect: &Dialect) {
        self.cells.read(row, quoted, dialect);
        let (n_cells, n_columns) = (self.cells.len(), columns.len());
        if self.header.is_repeated_in(row, &self.cells, dialect)
            || self.header.may_have_counts(n_columns) && is_count(row)
        {
            return;
        }
        self.n_rows += 1;
        if n_cells > n_columns && self.cells.has_text_from(n_columns) {
            self.wide.add(n_cells, self.line);
        }
        let is_rejected = n_cells > n_columns && !dialect.drops_extra_cells
            || n_cells < n_columns && !dialect.fills_missing_cells;
        if is_rejected || std::str::from_utf8(row).is_err() || !self.has_declared_types(columns, dialect) {
            return;
        }
        self.signs.observe(row, self.line, &self.cells, dialect);
        if self.n_valid == 0 && !dialect.has_header {
            let is_name = |(index, name): (usize, &String)| {
                self.cells.get(index).is_some_and(|text| text.eq_ignore_ascii_case(name.as_bytes()))
            };
            self.has_names_in_the_first_row = dialect.columns.iter().enumerate().all(is_name);
        }
        if self.n_valid == 0 {
            self.first_line = self.line;
        }
        let guesses = if self.n_valid == 0 { &mut self.first } else { &mut self.others };
        self.n_valid += 1;
        for (index, &column) in columns.iter().enumerate() {
            let Some(text) = self.cells.get(index) else { break };
            // An address says nothing about the type: it may as well be a number of four groups.
            if dialect.is_null(text) || dialect.numbers.thousands == Some('.') && is_address(text) {
                continue;
            }
            let kind = narrowest(text, dialect.numbers, &mut self.scratch);
            let guess = &mut guesses[column];
            *guess = Some(guess.map_or(kind, |guess| widened(guess, kind)));
            let readings = &mut self.readings[column];
            if !readings.is_none() {
                *readings = readings.and(Readings::of(text, kind, dialect, &mut self.scratch));
            }
        }
    }

    /// Whether the cells of the row match the declared types of their columns.
    fn has_declared_types(&mut self, columns: &[usize], dialect: &Dialect) -> bool {
        let (cells, scratch) = (&self.cells, &mut self.scratch);
        self.declared.iter().all(|(column, declared)| {
            let cell = columns.iter().position(|of| of == column).and_then(|cell| cells.get(cell));
            let Some(text) = cell.filter(|text| !dialect.is_null(text)) else { return true };
            let text = without_blanks(text);
            let kind = declared.column_type();
            dialect.is_null(text) || converted(text, kind, Some(declared), dialect.numbers, scratch).is_some()
        })
    }

    /// The number of cells of most rows, if it is larger than that of the header, which then is most likely
    /// another line.
    pub(crate) fn wider_than_header(&self) -> Option<WideRows> {
        self.wide.of_most(self.n_rows)
    }

    /// Number of rows that types were inferred from.
    pub(crate) fn n_valid(&self) -> usize {
        self.n_valid
    }

    /// The inferred type of a column; `None` if it has no value.
    pub(crate) fn guess(&self, column: usize) -> Option<ColumnType> {
        match (self.first[column], self.others[column]) {
            (Some(first), Some(other)) => Some(widened(first, other)),
            (guess, None) | (None, guess) => guess,
        }
    }

    /// The inferred types; `None` for a column without any value.
    pub(crate) fn guesses(&self) -> impl Iterator<Item = Option<ColumnType>> {
        (0..self.n_columns()).map(|column| self.guess(column))
    }

    /// The inferred types; a column without any value is text.
    pub(crate) fn finish(self) -> Vec<ColumnType> {
        (0..self.n_columns()).map(|column| self.guess(column).unwrap_or(ColumnType::String)).collect()
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
    use super::*;
    use crate::shared::csv::types::fits;

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
    fn addresses_are_text_where_points_separate_thousands() {
        let options = r#"{ "decimal": ",", "thousands": "." }"#;
        let options: crate::shared::csv::DialectOptions = serde_json::from_str(options).unwrap();
        let dialect = options.dialect("").unwrap();
        let inferred = |cells: &[&str]| {
            let mut inference = Inference::new(1);
            for cell in cells {
                inference.observe(cell.as_bytes(), false, &[0], &dialect);
            }
            inference.finish()[0]
        };
        assert_eq!(inferred(&["192.168.100.200", "10.100.200.255"]), ColumnType::String);
        assert_eq!(inferred(&["192.168.100.200", "10.0.0.1"]), ColumnType::String);
        assert_eq!(inferred(&["1.234.567.890", "100.200.150.250", "999"]), ColumnType::Integer);
        for version in ["1.2.3", "1.10.100", "12.34", "1.1000", "2024.01.31", "01.234", "1.234.5678"] {
            assert_eq!(inferred(&["1.234", version]), ColumnType::String, "{version}");
        }
    }

    #[test]
    fn repeated_header_and_count_are_not_rows_of_the_sample() {
        let dialect = Dialect::default();
        let mut inference = Inference::new(2);
        inference.set_header(b"id,\"name\"", &dialect);
        for row in ["1,a", "\"id\",name", "2,b", "(1,234 rows affected)"] {
            inference.observe(row.as_bytes(), true, &[0, 1], &dialect);
        }
        assert_eq!(inference.n_rows(), 2);
        assert_eq!(inference.finish(), [ColumnType::Integer, ColumnType::String]);
    }

    #[test]
    fn row_that_a_declared_type_rejects_says_nothing_about_other_columns() {
        let options = r#"{ "types": { "Date": { "type": "date", "parse": "%d/%m/%Y" }, "n": "integer", "s": "string" } }"#;
        let options: crate::shared::csv::DialectOptions = serde_json::from_str(options).unwrap();
        let dialect = options.dialect("").unwrap();
        let mut inference = Inference::new(0);
        inference.add_columns(&["Close", "Date", "n", "s"].map(str::to_owned), &dialect);
        for row in ["1.5,02/01/2024,+1,x", "sum,Total,,x", "average,03/01/2024,x,x", "2,, 2 ,Total"] {
            inference.observe(row.as_bytes(), false, &[0, 1, 2, 3], &dialect);
        }
        assert_eq!((inference.n_rows(), inference.n_valid), (4, 2));
        assert_eq!(inference.finish()[0], ColumnType::Float);
    }

    #[test]
    fn rows_that_are_wider_than_the_header_are_noticed_if_they_are_most() {
        let width = |rows: &[&str]| {
            let mut inference = Inference::new(1);
            for row in rows {
                inference.observe(row.as_bytes(), false, &[0], &Dialect::default());
            }
            inference.wider_than_header().map(|rows| rows.width)
        };
        assert_eq!(width(&["a,b,c", "1,2,3", "4"]), Some(3));
        assert_eq!(width(&["a,b,c", "1", "4"]), None);
        assert_eq!(width(&["a,b"]), None, "one row proves nothing");
        assert_eq!(width(&["1,", "2,", "3, "]), None, "a delimiter at the end of each row");
    }
}
