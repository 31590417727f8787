//! Converts cells, which Athena returns as text, to JSON by the type of their column.

use serde_json::value::RawValue;

use super::Column;
use crate::shared::json_text::write_string;

/// Appends a row as a compact JSON object. Numbers keep their digits; values without a JSON type
/// (dates, decimals, infinities, nested values) become strings.
pub fn write_object(columns: &[Column], row: &[Option<String>], out: &mut Vec<u8>) {
    out.push(b'{');
    for (index, column) in columns.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_string(&column.name, out);
        out.push(b':');
        match row.get(index).and_then(Option::as_deref) {
            None => out.extend_from_slice(b"null"),
            Some(cell) if is_bare(column, cell) => out.extend_from_slice(cell.as_bytes()),
            Some(cell) => write_string(cell, out),
        }
    }
    out.push(b'}');
}

/// Whether a cell is written without quotes.
fn is_bare(column: &Column, cell: &str) -> bool {
    if column.kind == "boolean" {
        return matches!(cell, "true" | "false");
    }
    let starts_like_a_number = cell.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    column.is_number()
        && !column.is_decimal()
        && starts_like_a_number
        && serde_json::from_str::<&RawValue>(cell).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(cells: &[(&str, &str, Option<&str>)]) -> String {
        let columns: Vec<_> = cells
            .iter()
            .map(|(name, kind, _)| Column { name: (*name).into(), kind: (*kind).into() })
            .collect();
        let row: Vec<_> = cells.iter().map(|(_, _, cell)| cell.map(Into::into)).collect();
        let mut out = Vec::new();
        write_object(&columns, &row, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn cells_become_json_by_their_type() {
        let row = [
            ("index", "varchar", Some("NYA \"x\"")),
            ("n", "bigint", Some("12345678901234567")),
            ("average", "double", Some("528.690002")),
            ("tiny", "double", Some("1.0E-5")),
            ("open", "boolean", Some("true")),
            ("day", "date", Some("2020-01-31")),
            ("gone", "bigint", None),
        ];
        assert_eq!(
            object(&row),
            r#"{"index":"NYA \"x\"","n":12345678901234567,"average":528.690002,"tiny":1.0E-5,"open":true,"day":"2020-01-31","gone":null}"#
        );
    }

    #[test]
    fn values_without_json_type_become_strings() {
        let row = [
            ("a", "double", Some("NaN")),
            ("b", "double", Some("Infinity")),
            ("c", "decimal(10,2)", Some("1.20")),
            ("d", "integer", Some("")),
        ];
        assert_eq!(object(&row), r#"{"a":"NaN","b":"Infinity","c":"1.20","d":""}"#);
    }
}
