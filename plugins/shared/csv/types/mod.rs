//! Column types: those that a pipeline file declares, and which cells they accept.
//!
//! `option` reads the option `types`. `number` knows which texts are numbers, and `text_forms` those that look like
//! something else than a name.

mod number;
mod option;
mod text_forms;

use std::borrow::Cow;

use runner_core::ColumnType;

use self::number::number;
pub(crate) use self::number::{Number, NumberFormat, is_address};
pub(crate) use self::option::types_schema;
pub(crate) use self::text_forms::{is_like_a_date, is_like_a_value, stands_for_null};
use crate::shared::csv::rows::is_blank;
use crate::shared::values::{TypeName, ValueType};

/// How the columns get their types.
#[derive(Clone, Debug, Default)]
pub(crate) enum Types {
    /// All types are inferred from a sample.
    #[default]
    Infer,
    /// Every column is text.
    String,
    /// These columns are declared, the others are inferred.
    Declared(Vec<DeclaredColumn>),
}

/// A column whose type the pipeline file declares.
#[derive(Clone, Debug)]
pub(crate) struct DeclaredColumn {
    /// The name of the column.
    pub(crate) name: String,
    /// The type, and how its dates are read.
    pub(crate) value_type: ValueType,
    /// How dates are read, as the pipeline file says it.
    pub(crate) parse: Option<String>,
}

impl Types {
    /// The type that the options declare for a column.
    pub(crate) fn of(&self, column: &str) -> Option<TypeName> {
        match self {
            Types::Infer => None,
            Types::String => Some(TypeName::String),
            Types::Declared(_) => self.declaration_of(column).map(|declared| declared.value_type.name()),
        }
    }

    /// Whether all types are inferred.
    pub(crate) fn is_inferred(&self) -> bool {
        match self {
            Types::Infer => true,
            Types::String => false,
            Types::Declared(columns) => columns.is_empty(),
        }
    }

    /// The declaration of a column.
    pub(crate) fn declaration_of(&self, column: &str) -> Option<&DeclaredColumn> {
        self.declared().iter().find(|declared| declared.name == column)
    }

    /// The declared columns.
    pub(crate) fn declared(&self) -> &[DeclaredColumn] {
        match self {
            Types::Infer | Types::String => &[],
            Types::Declared(columns) => columns,
        }
    }

    /// The line of a pipeline file that declares `column` in addition to the declared ones, with the form of its
    /// dates if it has any.
    pub(crate) fn toml_line(&self, column: &str, kind: TypeName, parse: Option<String>) -> String {
        let others = self.declared().iter().filter(|declared| declared.name != column);
        let mut entries: Vec<String> = others.map(DeclaredColumn::as_toml).collect();
        let value_type = ValueType::new(kind, None, None);
        entries.push(DeclaredColumn { name: column.into(), value_type, parse }.as_toml());
        format!("types = {{ {} }}", entries.join(", "))
    }
}

impl DeclaredColumn {
    fn as_toml(&self) -> String {
        let (name, kind) = (toml_key(&self.name), self.value_type.name().as_str());
        match &self.parse {
            Some(parse) => {
                format!("{name} = {{ type = \"{kind}\", parse = {} }}", serde_json::Value::from(&**parse))
            }
            None => format!("{name} = \"{kind}\""),
        }
    }
}

/// A text as a string of TOML, in quotes.
pub(crate) fn toml_string(text: &str) -> String {
    // A JSON string is a basic string of TOML, except for one character.
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

fn toml_key(name: &str) -> Cow<'_, str> {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !name.is_empty() && name.bytes().all(is_bare) {
        return name.into();
    }
    toml_string(name).into()
}

/// The name of a type, as pipeline files and checkpoints write it.
pub(crate) fn type_name(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Integer => "integer",
        ColumnType::Float => "float",
        ColumnType::Boolean => "boolean",
        ColumnType::String => "string",
    }
}

/// The narrowest type that accepts `cell`. `scratch` is overwritten.
pub(crate) fn narrowest(cell: &[u8], numbers: NumberFormat, scratch: &mut Vec<u8>) -> ColumnType {
    let number = if numbers.is_plain() { number(cell) } else { numbers.normalize(cell, scratch) };
    match number {
        Some(Number::Integer) => ColumnType::Integer,
        Some(Number::Float) => ColumnType::Float,
        None if is_boolean(cell) => ColumnType::Boolean,
        Some(Number::Huge) | None => ColumnType::String,
    }
}

/// Whether a column of this type accepts `cell` as it is.
pub(crate) fn fits(cell: &[u8], kind: ColumnType) -> bool {
    match kind {
        ColumnType::Integer => number(cell) == Some(Number::Integer),
        ColumnType::Float => number(cell).is_some(),
        ColumnType::Boolean => is_boolean(cell),
        ColumnType::String => true,
    }
}

/// A cell as a table stores it in a column of this type, which the pipeline file may declare; `None` if it does not
/// match. Columns of text take every cell as it is.
pub(crate) fn converted<'a>(
    text: &'a [u8],
    kind: ColumnType,
    declared: Option<&ValueType>,
    numbers: NumberFormat,
    scratch: &'a mut Vec<u8>,
) -> Option<&'a [u8]> {
    match (kind, declared) {
        (ColumnType::Integer, declared) => {
            let number = match declared {
                Some(_) => numbers.normalize_integer(text, scratch),
                None => numbers.normalize(text, scratch),
            };
            (number == Some(Number::Integer)).then_some(&**scratch)
        }
        (ColumnType::Float, _) => numbers.normalize_loosely(text, scratch).map(|_| &**scratch),
        (_, Some(declared)) => {
            scratch.clear();
            let is_written = !declared.loses_time_of(text) && declared.write_cell(text, scratch).is_ok();
            is_written.then_some(&**scratch)
        }
        (ColumnType::Boolean, None) => is_boolean(text).then_some(text),
        (ColumnType::String, None) => Some(text),
    }
}

/// A cell without blanks at its ends.
pub(crate) fn without_blanks(text: &[u8]) -> &[u8] {
    std::str::from_utf8(text).map_or(text, |text| text.trim_matches(is_blank).as_bytes())
}

/// Whether `cell` is a boolean without being declared as one.
pub(crate) fn is_boolean(cell: &[u8]) -> bool {
    matches!(cell, b"true" | b"True" | b"TRUE" | b"false" | b"False" | b"FALSE")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn declared(name: &str, kind: TypeName, parse: Option<&str>) -> DeclaredColumn {
        let value_type = ValueType::new(kind, None, None);
        DeclaredColumn { name: name.into(), value_type, parse: parse.map(str::to_owned) }
    }

    #[test]
    fn suggested_types_line_keeps_the_declared_columns() {
        let types = Types::Declared(vec![
            declared("Date", TypeName::Date, Some("%d/%m/%Y")),
            declared("n", TypeName::Integer, None),
        ]);
        assert_eq!(
            types.toml_line("Adj Close", TypeName::Float, None),
            r#"types = { Date = { type = "date", parse = "%d/%m/%Y" }, n = "integer", "Adj Close" = "float" }"#
        );
        assert_eq!(
            types.toml_line("n", TypeName::String, None),
            r#"types = { Date = { type = "date", parse = "%d/%m/%Y" }, n = "string" }"#
        );
    }

    proptest! {
        /// A number is written unquoted, so it must be valid JSON.
        #[test]
        fn every_accepted_number_is_a_json_number(cell in "-?[0-9]{0,3}(\\.[0-9]{0,3})?([eE][+-]?[0-9]{0,3})?| ?[0-9+-]{0,22}") {
            let is_json = serde_json::from_str::<serde_json::Value>(&cell).is_ok();
            let is_bare = cell.trim() == cell && !cell.is_empty();
            prop_assert_eq!(fits(cell.as_bytes(), ColumnType::Float), is_json && is_bare);
        }

        #[test]
        fn every_normalized_number_is_a_json_number(
            cell in "[+-]?[0-9.,' ]{0,9}([eE][+-]?[0-9]{0,3})?",
            decimal in prop_oneof![Just('.'), Just(',')],
        ) {
            let mut out = Vec::new();
            for thousands in [None, Some('.'), Some(','), Some(' '), Some('\'')] {
                let numbers = NumberFormat { decimal, thousands: thousands.filter(|&mark| mark != decimal) };
                for is_loose in [false, true] {
                    let number = if is_loose {
                        numbers.normalize_loosely(cell.as_bytes(), &mut out)
                    } else {
                        numbers.normalize(cell.as_bytes(), &mut out)
                    };
                    if number.is_some() {
                        prop_assert!(serde_json::from_slice::<serde_json::Number>(&out).is_ok(), "{:?}", out);
                        let digits = |text: &[u8]| text.iter().filter(|byte| byte.is_ascii_digit() && **byte != b'0').count();
                        prop_assert_eq!(digits(cell.as_bytes()), digits(&out));
                    }
                }
            }
        }
    }
}
