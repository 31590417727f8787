//! Values of a type that an operator, a condition or a cast does not take, with the errors of Athena.

use datafusion::arrow::datatypes::DataType;
use regex::Regex;

use crate::athena::value::type_name;

/// The error of Athena for the text of an error of `DataFusion`.
pub(in crate::athena) fn explain(text: &str) -> Option<String> {
    let arithmetic = r"Cannot coerce arithmetic expression (.+) ([-+*/%]) (.+) to valid types";
    if let Some([left, operator, right]) = groups(arithmetic, text) {
        let (left, right) = (trino_type(left), trino_type(right));
        return Some(format!("TYPE_MISMATCH: Cannot apply operator: {left} {operator} {right}"));
    }
    if let Some([left, right]) = groups(r"for logical boolean operation (.+) (?:AND|OR) (.+)", text) {
        let other = trino_type(if left == "Boolean" { right } else { left });
        return Some(format!(
            "TYPE_MISMATCH: Logical expression term must evaluate to a boolean (actual: {other})"
        ));
    }
    if let Some([kind]) = groups(r"Cannot create filter with non-boolean predicate .* returning (.+)", text) {
        let kind = trino_type(kind);
        return Some(format!("TYPE_MISMATCH: WHERE clause must evaluate to a boolean: actual type {kind}"));
    }
    if let Some([value]) = groups(r"(?s)Parser error: Error parsing timestamp from '(.*?)': ", text) {
        return Some(format!("INVALID_CAST_ARGUMENT: Value cannot be cast to timestamp: {value}"));
    }
    let cast = r"(?s)Cast error: Cannot cast (?:string|value) '(.*?)' to value of (.+?) type";
    let [value, kind] = groups(cast, text)?;
    Some(format!("INVALID_CAST_ARGUMENT: Cannot cast '{value}' to {}", trino_type(kind).to_uppercase()))
}

/// The parts of a text that the groups of a pattern match.
pub(super) fn groups<'a, const N: usize>(pattern: &str, text: &'a str) -> Option<[&'a str; N]> {
    Some(Regex::new(pattern).ok()?.captures(text)?.extract().1)
}

/// The name of a type of `DataFusion` in Trino.
pub(super) fn trino_type(name: &str) -> String {
    let name = name.trim();
    name.parse::<DataType>().map_or_else(|_| name.to_lowercase(), |kind| type_name(&kind))
}
