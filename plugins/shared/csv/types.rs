//! Column types, inferred from a sample of the rows.

use std::borrow::Cow;

use runner_core::ColumnType;

use super::layout::Dialect;
use super::scan::split;

/// How many rows the types are inferred from.
pub(crate) const SAMPLE: usize = 10_000;

/// How the columns get their types.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Types {
    /// All types are inferred from a sample.
    #[default]
    Infer,
    /// Every column is text.
    String,
    /// These columns are declared, the others are inferred.
    Declared(Vec<(String, ColumnType)>),
}

impl Types {
    /// The type that the options declare for a column.
    pub(crate) fn of(&self, column: &str) -> Option<ColumnType> {
        match self {
            Types::Infer => None,
            Types::String => Some(ColumnType::String),
            Types::Declared(columns) => {
                columns.iter().find(|(name, _)| name == column).map(|&(_, kind)| kind)
            }
        }
    }

    /// The declared columns.
    pub(crate) fn declared(&self) -> &[(String, ColumnType)] {
        match self {
            Types::Infer | Types::String => &[],
            Types::Declared(columns) => columns,
        }
    }

    /// The line of a pipeline file that declares `column` in addition to the declared ones.
    pub(crate) fn line_with(&self, column: &str, kind: ColumnType) -> String {
        let others = self.declared().iter().filter(|(name, _)| name != column);
        let all = others.map(|(name, kind)| (&**name, *kind)).chain([(column, kind)]);
        let entries: Vec<String> =
            all.map(|(name, kind)| format!("{} = \"{}\"", toml_key(name), name_of(kind))).collect();
        format!("types = {{ {} }}", entries.join(", "))
    }
}

fn toml_key(name: &str) -> Cow<'_, str> {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !name.is_empty() && name.bytes().all(is_bare) {
        return name.into();
    }
    // A JSON string is a basic string of TOML, except for one character.
    serde_json::Value::from(name).to_string().replace('\u{7f}', "\\u007f").into()
}

/// The name of a type, as pipeline files and checkpoints write it.
pub(crate) fn name_of(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Integer => "integer",
        ColumnType::Float => "float",
        ColumnType::Boolean => "boolean",
        ColumnType::String => "string",
    }
}

/// The narrowest type that accepts `cell`.
pub(crate) fn narrowest(cell: &[u8]) -> ColumnType {
    match number(cell) {
        Some(Number::Integer) => ColumnType::Integer,
        Some(Number::Float) => ColumnType::Float,
        None if is_boolean(cell) => ColumnType::Boolean,
        Some(Number::Huge) | None => ColumnType::String,
    }
}

/// Whether a column of this type accepts `cell`.
pub(crate) fn fits(cell: &[u8], kind: ColumnType) -> bool {
    match kind {
        ColumnType::Integer => number(cell) == Some(Number::Integer),
        ColumnType::Float => number(cell).is_some(),
        ColumnType::Boolean => is_boolean(cell),
        ColumnType::String => true,
    }
}

fn is_boolean(cell: &[u8]) -> bool {
    matches!(cell, b"true" | b"True" | b"TRUE" | b"false" | b"False" | b"FALSE")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Number {
    /// A whole number of 64 bits.
    Integer,
    /// With a fraction or an exponent.
    Float,
    /// Whole, but larger than 64 bits: probably an identifier.
    Huge,
}

/// Parses `cell` as a JSON number, so that it can be written to JSON digit by digit.
/// `007`, `+5`, ` 5`, `.5` and `NaN` are not numbers.
fn number(cell: &[u8]) -> Option<Number> {
    let digits = cell.strip_prefix(b"-").unwrap_or(cell);
    let n_whole = n_digits(digits);
    if n_whole == 0 || (n_whole > 1 && digits[0] == b'0') {
        return None;
    }
    let mut rest = &digits[n_whole..];
    if rest.is_empty() {
        return Some(if n_whole <= 18 || as_i64(cell).is_some() { Number::Integer } else { huge(cell)? });
    }
    if rest[0] == b'.' {
        let n_fraction = n_digits(&rest[1..]);
        if n_fraction == 0 {
            return None;
        }
        rest = &rest[1 + n_fraction..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = exponent.strip_prefix(b"+").or(exponent.strip_prefix(b"-")).unwrap_or(exponent);
        let is_whole = !exponent.is_empty() && n_digits(exponent) == exponent.len();
        // `1e999` matches the grammar, but JSON parsers reject it.
        return (is_whole && is_finite(cell)).then_some(Number::Float);
    }
    (rest.is_empty() && (n_whole < 300 || is_finite(cell))).then_some(Number::Float)
}

fn n_digits(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn as_i64(cell: &[u8]) -> Option<i64> {
    std::str::from_utf8(cell).ok()?.parse().ok()
}

fn huge(cell: &[u8]) -> Option<Number> {
    is_finite(cell).then_some(Number::Huge)
}

fn is_finite(cell: &[u8]) -> bool {
    std::str::from_utf8(cell).is_ok_and(|text| text.parse::<f64>().is_ok_and(f64::is_finite))
}

/// Infers the types of columns from sample rows.
#[derive(Debug)]
pub(crate) struct Inference {
    guesses: Vec<Option<ColumnType>>,
    n_rows: usize,
    cells: Vec<u8>,
    ends: Vec<u32>,
}

impl Inference {
    pub(crate) fn new(n_columns: usize) -> Self {
        Inference { guesses: vec![None; n_columns], n_rows: 0, cells: Vec::new(), ends: Vec::new() }
    }

    /// Number of rows observed.
    pub(crate) fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Whether the sample is complete.
    pub(crate) fn is_complete(&self) -> bool {
        self.n_rows >= SAMPLE
    }

    /// Adds a row to the sample; rows that will be rejected do not count.
    pub(crate) fn observe(&mut self, row: &[u8], quoted: bool, dialect: &Dialect) {
        self.cells.clear();
        self.ends.clear();
        split(row, dialect.delimiter, quoted, &mut self.cells, &mut self.ends);
        self.n_rows += 1;
        if self.ends.len() != self.guesses.len() || std::str::from_utf8(row).is_err() {
            return;
        }
        let mut start = 0;
        for (guess, &end) in self.guesses.iter_mut().zip(&self.ends) {
            let cell = &self.cells[start..end as usize];
            start = end as usize;
            if !dialect.null_values.iter().any(|null| null.as_bytes() == cell) {
                *guess = Some(guess.map_or_else(|| narrowest(cell), |guess| widened(guess, narrowest(cell))));
            }
        }
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
    use super::*;
    use proptest::prelude::*;

    fn inferred(cells: &[&str]) -> ColumnType {
        let mut inference = Inference::new(1);
        for cell in cells {
            inference.observe(cell.as_bytes(), false, &Dialect::default());
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
    fn suggested_types_line_keeps_the_declared_columns() {
        let types =
            Types::Declared(vec![("Date".into(), ColumnType::String), ("n".into(), ColumnType::Integer)]);
        assert_eq!(
            types.line_with("Adj Close", ColumnType::Float),
            r#"types = { Date = "string", n = "integer", "Adj Close" = "float" }"#
        );
        assert_eq!(types.line_with("n", ColumnType::String), r#"types = { Date = "string", n = "string" }"#);
    }

    proptest! {
        /// A number is written unquoted, so it must be valid JSON.
        #[test]
        fn every_accepted_number_is_a_json_number(cell in "-?[0-9]{0,3}(\\.[0-9]{0,3})?([eE][+-]?[0-9]{0,3})?| ?[0-9+-]{0,22}") {
            let is_json = serde_json::from_str::<serde_json::Value>(&cell).is_ok();
            let is_bare = cell.trim() == cell && !cell.is_empty();
            prop_assert_eq!(fits(cell.as_bytes(), ColumnType::Float), is_json && is_bare);
        }
    }
}
