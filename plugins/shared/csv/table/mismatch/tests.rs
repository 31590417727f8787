//! Which option a rejected row names.

use std::sync::Arc;

use super::*;
use crate::shared::csv::DialectOptions;
use crate::shared::csv::header::{Header, column_names};
use crate::shared::csv::table::TableBuilder;

/// A table under a header whose first column is inferred as `first` and the others as text, with these options.
fn table(header: &str, first: ColumnType, options: &str) -> TableBuilder {
    let options: DialectOptions = serde_json::from_str(options).unwrap();
    let dialect = Arc::new(options.dialect("").unwrap());
    let names = column_names(header.as_bytes(), true, &dialect).unwrap().into_iter();
    let columns = names.zip(std::iter::once(first).chain(std::iter::repeat(ColumnType::String)));
    let header = Header { raw: header.into(), ..Header::default() };
    TableBuilder::new(Arc::new(RowLayout::new(columns, None, &header, &dialect)), 1, 100)
}

/// Why a row is rejected under a header of text columns, with these options.
fn reason(header: &str, row: &str, options: &str) -> String {
    let error = table(header, ColumnType::String, options).push(row.as_bytes(), true).unwrap_err();
    assert!(error.non_row.is_none(), "{row} is not a row");
    error.message
}

#[test]
fn row_of_another_width_names_the_option_for_it() {
    for (row, part) in [
        ("# restarted", "comment = \"#\""),
        ("# restarted, at night, by hand, again", "comment = \"#\""),
        ("// note", "comment = \"//\""),
        ("(1,234 lines)", "comment = \"(\""),
        ("1;2;3", "set delimiter = \";\""),
        ("1\t2\t3", "set delimiter = \"\\t\""),
        ("1,5;2;3", "set delimiter = \";\""),
        ("1,'a, b',3", "quote = \"'\""),
        ("1,2,'a, b'", "quote = \"'\""),
        ("1, \"a, b\",2", "set trim = true"),
        ("1,\u{a0}\"a", "set trim = true"),
        ("1,a\\, b,2", "set escape = \"\\\\\""),
        ("1,a\\", "set escape = \"\\\\\""),
        ("\0\0", "it has NUL bytes"),
        ("\u{1}\u{2}", "comment = \"\\u0001\""),
        ("1,2", "set missing_cells = \"null\""),
        ("1,2,3,", "set extra_cells = \"drop\""),
        ("1,2,3,4", "quote a cell that contains `,`"),
    ] {
        let reason = reason("a,b,c", row, "{}");
        assert!(reason.contains(part), "{row}: {reason}");
    }
    for row in ["-1,2", "-.5,2", "1,2", "a;b,c", "\\N,2", "\"x\",2", "'x',2"] {
        let reason = reason("a,b,c", row, "{}");
        assert!(reason.contains("; add the missing cells"), "{row}: {reason}");
    }
    let reason = reason("a;b;c", "1,2,3", r#"{ "delimiter": ";" }"#);
    assert!(reason.contains("set delimiter = \",\""), "{reason}");
}

#[test]
fn cell_that_is_not_a_number_names_the_cause() {
    let integer = r#"{ "types": { "n": "integer" } }"#;
    let float = r#"{ "types": { "n": "float" } }"#;
    for (cell, options, part) in [
        ("007", integer, "has a zero in front"),
        ("007.0", integer, "has a zero in front"),
        ("007.5", float, "has a zero in front"),
        ("9223372036854775808", integer, "is an integer of more than 64 bits"),
        ("+9223372036854775808", integer, "is an integer of more than 64 bits"),
        ("1e999", float, "is larger than a number can be"),
        ("1.5", integer, "is a float; correct the row"),
        ("five", integer, "is text; correct the row"),
        ("1-2", integer, "is text; correct the row"),
        ("N/A", float, "is text; if it stands for null, add it to `null_values`"),
        ("NaN", float, "if it stands for null"),
        (" -- ", float, "if it stands for null"),
        ("1.234,56", float, "it is a number with decimal = \",\" and thousands = \".\""),
        ("12,5", float, "it is a number with decimal = \",\""),
        ("1,234", integer, "decimal = \",\", or thousands = \",\""),
        ("1'234", integer, "thousands = \"'\""),
    ] {
        let reason = reason("s;n", &format!("x;{cell}"), &options.replacen('{', r#"{ "delimiter": ";","#, 1));
        assert!(reason.contains(part) && !reason.contains(cell), "{cell}: {reason}");
    }
}

#[test]
fn declared_integer_takes_a_sign_and_a_fraction_of_zeros() {
    let mut table = table("s,n", ColumnType::String, r#"{ "types": { "n": "integer" } }"#);
    for row in ["x,+5", "x, 5 ", "x,-0", "x,5.0", "x,5.", "x,+0000800.00", "x,-007"] {
        assert!(table.push(row.as_bytes(), false).is_ok(), "{row}");
    }
}

#[test]
fn date_in_another_form_names_the_pattern() {
    for (cell, options, part) in [
        (
            "31.01.2024",
            r#"{ "types": { "d": "date" } }"#,
            r#"types = { d = { type = "date", parse = "%d.%m.%Y" } }"#,
        ),
        (
            "1704153600",
            r#"{ "types": { "d": "timestamp" } }"#,
            r#"d = { type = "timestamp", parse = "epoch" }"#,
        ),
        ("soon", r#"{ "types": { "d": "date" } }"#, r#"types = { d = "string" }"#),
        (
            "2024-01-02 10:00:00",
            r#"{ "types": { "d": "date" } }"#,
            r#"has a time of day, which a date would lose; correct the row, or add to the source: types = { d = "timestamp" }; types = { d = { type = "date", parse = "%Y-%m-%d %H:%M:%S" } } drops the time of day"#,
        ),
        ("2024-01-02T10:00:00.5Z", r#"{ "types": { "d": "date" } }"#, r#"parse = "%Y-%m-%dT%H:%M:%S%.fZ""#),
        (
            "31.01.2024 10:00",
            r#"{ "types": { "d": "date" } }"#,
            r#"d = { type = "timestamp", parse = "%d.%m.%Y %H:%M" }"#,
        ),
    ] {
        let reason = reason("s,d", &format!("x,{cell}"), options);
        assert!(reason.contains(part) && !reason.contains(cell), "{cell}: {reason}");
    }
}

#[test]
fn late_cell_names_the_narrowest_type_that_takes_it() {
    for (kind, cell, name) in [
        (ColumnType::Integer, "# restarted", "string"),
        (ColumnType::Integer, "1.5", "float"),
        (ColumnType::Integer, "5.0", "float"),
        (ColumnType::Integer, "+5", "integer"),
        (ColumnType::Integer, ".5", "float"),
        (ColumnType::Integer, "5.", "integer"),
        (ColumnType::Integer, "9223372036854775808", "string"),
        (ColumnType::Integer, "007", "string"),
        (ColumnType::Integer, "true", "string"),
        (ColumnType::Float, "x", "string"),
        (ColumnType::Boolean, "yes", "boolean"),
        (ColumnType::Boolean, "1", "boolean"),
        (ColumnType::Boolean, "2", "string"),
    ] {
        let message =
            table("a,b", kind, "{}").push(format!("{cell},x").as_bytes(), false).unwrap_err().message;
        assert!(message.ends_with(&format!("types = {{ a = \"{name}\" }}")), "{cell}: {message}");
        assert_eq!(message.contains("set comment = \"#\""), cell.starts_with('#'), "{message}");
    }
}

#[test]
fn date_at_midnight_loses_nothing() {
    let mut table = table("d,b", ColumnType::String, r#"{ "types": { "d": "date" } }"#);
    for cell in ["2024-01-02", "2024-01-02 00:00:00", "2024-01-02T00:00:00-05:00", "20240102", ""] {
        assert!(table.push(format!("{cell},x").as_bytes(), false).is_ok(), "{cell}");
    }
    assert!(table.push(b"2024-01-02 00:00:01,x", false).is_err());
}
