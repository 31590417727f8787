//! Which headers and rows give a warning, and which do not.

use super::*;
use std::sync::Arc;

use crate::shared::csv::DialectOptions;
use crate::shared::csv::header::column_names;
use crate::shared::csv::rows::Rows;

/// The warnings about a text, with these options.
fn warnings(text: &str, options: &str) -> Vec<String> {
    let options: DialectOptions = serde_json::from_str(options).unwrap();
    let dialect = Arc::new(options.dialect("").unwrap());
    let mut rows = Rows::of_part(text.as_bytes(), &dialect.grammar, 1, true);
    let mut header = Header { names: dialect.columns.clone(), line: 1, ..Header::default() };
    if dialect.has_header {
        header.raw = rows.next().unwrap().bytes.to_vec();
        header.names = column_names(&header.raw, true, &dialect).unwrap();
    }
    let mut inference = Inference::new(&dialect);
    inference.begin(&header);
    for row in rows {
        inference.observe(row.bytes, true, row.line);
    }
    let mut warnings = header.warnings(&dialect);
    let about_rows = header.warnings_about_rows(&inference);
    warnings.extend(about_rows.into_iter().map(|(line, text)| format!("{}: {text}", line.unwrap_or(0))));
    let about_columns = inference.warnings_about_columns().into_iter();
    warnings.extend(
        about_columns.map(|(place, text)| format!("{}: {text}", place.map_or(0, |place| place.line))),
    );
    warnings
}

const SEMICOLON: &str = r#"{ "delimiter": ";" }"#;
const GERMAN: &str = r#"{ "delimiter": ";", "decimal": "," }"#;

#[test]
fn unusual_text_gives_one_warning_that_names_the_option() {
    let no_header = r#"{ "header": false, "columns": ["day", "price"] }"#;
    let name_columns = "header = false and name the 3 columns with `columns`";
    for (text, options, part) in [
        // A row in place of the header.
        ("NYA,1,x\nN225,2,y\n", "{}", name_columns),
        ("NYA,1.5,x\nN225,2,y\n", "{}", name_columns),
        ("NYA,2024-01-31,x\nN225,2024-02-01,y\n", "{}", name_columns),
        ("NYA,100,7\nN225,200,8\n", "{}", name_columns),
        // A comment in place of the header.
        ("# station 7, Basel\ntime,temp\n", "{}", "comment = \"#\""),
        ("# station 7, Basel\ntime,temp\n", "{}", "skip_lines = 1"),
        ("// a,b\ntime,temp\n", "{}", "comment = \"//\""),
        ("#x,b\ntime,temp\n", r#"{ "columns": ["a", "b"] }"#, "comment = \"#\""),
        // The header in place of the first row.
        ("Prices,2024 (EUR)\nday,price\n1,2.5\n2,3.5\n", "{}", "2: this row has a text in columns"),
        ("day,price\nd,EUR\n1,2.5\n2,3.5\n", "{}", "set skip_lines = 1"),
        ("day,price\n1,2.5\n2,3.5\n", r#"{ "header": false, "columns": ["d", "p"] }"#, "set header = true"),
        ("Day,Price\nMon,x\n", no_header, "1: this row has the names of the columns"),
        // Another delimiter.
        ("a;b\n", "{}", "delimiter = \";\""),
        ("a\tb\n", "{}", "delimiter = \"\\t\""),
        ("a|b\n", "{}", "delimiter = \"|\""),
        ("a;b,c;d\n", "{}", "delimiter = \";\""),
        ("id\tname, first\tprice\n", "{}", "delimiter = \"\\t\""),
        ("a;b,c,d\n1;2,x,y\n3;4,z,w\n", "{}", "column `a;b` and all its cells contain `;`"),
        ("a,b\n", SEMICOLON, "`a,b`"),
        ("a,b;c,d\n", SEMICOLON, "delimiter = \",\""),
        ("a\u{1}b\n1\u{1}2\n", "{}", "delimiter = \"\\u0001\""),
        ("a~b\n1~2\n3~4\n", "{}", "delimiter = \"~\""),
        ("a^b\n1^2\n", "{}", "delimiter = \"^\""),
        ("a:b\n1:2\n", "{}", "delimiter = \":\""),
        // Columns of text that other options would read.
        (
            "a\n\"2,649.00\"\n990.00\n",
            "{}",
            "`a`: the cells are text, and would be numbers with thousands = \",\"",
        ),
        ("a,b\n1, 2\n3, 4\n", "{}", "set trim = true"),
        (
            "a,b\nx,29.85\ny, \nz,\u{a0}\n",
            "{}",
            "`b`: the cells are text, and would be numbers, booleans or null",
        ),
        ("a,b\nx, true\ny,   \n", "{}", "set trim = true"),
        ("a,b\n1, \"x\"\n2, \"y\"\n", "{}", "cells have blanks before their quotes"),
        ("a;b\n1;\u{a0}\"x\ny\"\n", SEMICOLON, "trim = true"),
        ("\"a \",b\nx,y\n", "{}", "the name of column `a ` begins or ends with a blank; trim = true"),
        (
            "s,2020 ,2021 \nx,1.5,2\n",
            "{}",
            "the name of column `2020 ` (and 1 more) begins or ends with a blank",
        ),
        ("a,b\n1,'x'\n2,'it''s'\n", "{}", "quote = \"'\""),
        ("a,b\nx,'y z'\nw,v\n'u','it''s'\n", "{}", "some cells are in single quotes"),
        ("a,b\nx,.5\ny,-.25\nz,1\n", "{}", "declared as \"float\""),
        ("a,b\nx,.5\ny,n/a\nz,2\n", "{}", "declared as \"float\""),
        ("a;b\n1.234,5;0,5\n2,5;0,25\n", SEMICOLON, "numbers with decimal = \",\" and thousands = \".\""),
        (
            "a;b\n1.234;x\n1.234.567;y\n",
            SEMICOLON,
            "`a`: the cells are text, and would be numbers with decimal",
        ),
        (
            "a;b\nx;1.234,56\ny;7,50\nz;12,00\n",
            GERMAN,
            "`b`: the cells are text, and would be numbers with thousands = \".\"",
        ),
        (
            "a;b\nx;1.234.567\ny;8,5\nz;12\n",
            GERMAN,
            "`b`: the cells are text, and would be numbers with thousands = \".\"",
        ),
        ("a;b\nx;2,649.00\ny;12\n", GERMAN, "numbers with decimal = \".\" and thousands = \",\""),
        // Few texts among numbers, and codes like numbers.
        (
            "id,n\na,1\nb,2\nTotal,3\n1,4\n2,5\n3,x\n",
            "{}",
            "7: this row has the only text among numbers in column `n`, so",
        ),
        (
            "id,n\n1,1\n2,1.5\n3,5\nTotal,\n",
            "{}",
            "5: this row has the only text among numbers in column `id`, so",
        ),
        ("s,n\na,1\nb,1.5\nc,ERR\nd,n/a\ne,5\n", "{}", "set types = { n = \"float\" }"),
        (
            "sku,n\n1234,1\n12E4,1.5\n99,2\n",
            "{}",
            "3: column `sku`: this cell is read as a number with an exponent",
        ),
        ("sku,n\n1E10,a\n2E5,b\n", "{}", "set types = { sku = \"string\" }"),
        (
            "1,1\n2,2\nid,n\n3,3\n",
            r#"{ "header": false, "columns": ["id", "n"] }"#,
            "3: this row has the names of the columns",
        ),
        // Texts for a missing value.
        ("a,b\nx,1.5\ny,n/a\nz,2\n", "{}", "`b`: the cells are text, and would be numbers without a text"),
        ("a,b\nx,NaN\ny,1.5\nz,2\n", "{}", "add it to `null_values`"),
        ("a,b\nx,1.5\ny,Infinity\nz,#DIV/0!\n", "{}", "such as `n/a`, `inf`"),
        ("a,b\nx,1.5\ny,\nz,2\n", r#"{ "null_values": ["n/a"] }"#, "an empty cell (\"\")"),
        (
            "a,b\nx,\"2,649.00\"\ny,-\nz,\"1,000\"\n",
            "{}",
            "thousands = \",\", and the text for a missing value",
        ),
        ("a,b\nx,\\N\ny,z\n", "{}", "`null_values`"),
        // Rows.
        ("a,b\nx,\"one\\\ntwo\"\n", "{}", "escape = \"\\\\\""),
        ("a,b\nx,y\n\0\0z,w\nu,\0v\n", "{}", "3: this row and 1 more have NUL bytes"),
        (
            "id,s\n1,x\n# a,b\n2,y\n# c,d\n3,z\n",
            "{}",
            "3: this row and 1 more begin with `#` and is read as a row",
        ),
        ("id,s\na,x\n// off,on\nb,z\nc,z\n", "{}", "comment = \"//\""),
        (
            "id,v\n1,2.5\n2,3.5\n3,1.0\nTotal,7.0\n",
            "{}",
            "5: this row has the only text among numbers in column `id`",
        ),
        ("s,v\nx,1\ny,2\nw,3\nz,\nend,of data\n", "{}", "numbers in column `v`"),
    ] {
        let warnings = warnings(text, options);
        assert!(matches!(&*warnings, [warning] if warning.contains(part)), "{text:?}: {warnings:?}");
    }
}

#[test]
fn usual_text_gives_no_warning() {
    for (text, options) in [
        ("Country,2019,2020\nChina,1.5,2\n", "{}"),
        ("id,0,1,2\n1,2,3,4\n", "{}"),
        ("name,1/22/20,1/23/20,1/24/20\nx,1,2,3\n", "{}"),
        ("id,2020\n1,5\n", "{}"),
        ("a,price 2\nx,1\n", "{}"),
        ("NYA,1,x\nN225,2,y\n", r#"{ "header": false, "columns": ["s", "n", "t"] }"#),
        ("#,name\n1,x\n", "{}"),
        ("# made today\na,b\n1,x\n", r##"{ "comment": "#" }"##),
        ("Mon,x\nTue,y\n", r#"{ "header": false, "columns": ["day", "price"] }"#),
        ("day,price\nMon,EUR\nTue,USD\nWed,3\n", "{}"),
        ("day,price\nMon,n/a\n1,2.5\n", "{}"),
        ("a\n", "{}"),
        ("a;b,c,d\n", "{}"),
        ("\"a;b;c\",d\n", "{}"),
        ("a;b\n", SEMICOLON),
        ("a:b\n1\n", "{}"),
        ("a:b\n09:30:00\n", "{}"),
        ("a,b\nx:y,1\n", "{}"),
        ("a~b\n", "{}"),
        ("a\n\"2,649.00\"\n", r#"{ "thousands": "," }"#),
        ("a\n\"2,649.00\"\n", r#"{ "types": { "a": "string" } }"#),
        ("a\n\"2,649.00\"\n", r#"{ "types": "string" }"#),
        ("a\n\"1,2,3\"\n", "{}"),
        ("id\n99999999999999999999\n11898508762506083287\n", "{}"),
        ("a,b\n1,'x'\n2,y\n", "{}"),
        ("a,b\nx,'y'\nw,v\n", "{}"),
        ("a,b\n'x','y'\ndon't,z\nw,v\n", "{}"),
        ("a,b\n'x','y'\n\"q\",z\nw,v\n", "{}"),
        ("a,b\n1,\n2,\n", "{}"),
        ("a;b\n1.234;5\n12.500;6\n", SEMICOLON),
        ("a;b\n1.234;0.5\n", SEMICOLON),
        ("a;b\n1.234;x\n", SEMICOLON),
        ("a;b\n1.234;192.168.100.200\n", SEMICOLON),
        ("a;b\n1.234;02.01.2024\n", SEMICOLON),
        ("a;b\nx;7,50\ny;x\n", GERMAN),
        ("a;b\nx;1.234,56\ny;7,50\n", r#"{ "delimiter": ";", "decimal": ",", "thousands": "." }"#),
        ("a,b\nx,-\ny,-\nz,-\n", "{}"),
        ("a,b\nx,1\ny,A2\n", "{}"),
        ("a,b\nx,1\ny,A2\nz,3\n", "{}"),
        ("a,b\nx,1\ny,2\nz,A3\n", r#"{ "types": { "b": "string" } }"#),
        ("a,b\nx,NA\ny,SA\nz,1\n", "{}"),
        ("a,b\nx,true\ny,n/a\nz,false\n", "{}"),
        ("a,b\nx,true\ny,false\nz,1\n", "{}"),
        ("a,b\nx,y\nz, \n", "{}"),
        ("a,b\nx, \"quoted\" word\ny,z\nv,w\n", "{}"),
        ("a,b\n1, \"x\"\n2, \"y\"\n", r#"{ "trim": true }"#),
        ("a,b\nx,1.5\ny,n/a\nz,2\n", r#"{ "null_values": ["n/a"] }"#),
        ("a,b\nx,C:\\data\ny,\\\\server\\data\\\n", "{}"),
        ("a,b\nx,\\N\ny,\"one\\\ntwo\"\n", r#"{ "escape": "\\", "null_values": ["\\N"] }"#),
        ("tag,n\n#a,1\n#b,2\n", "{}"),
        ("tag,n\n--,1\nx,2\ny,3\n", "{}"),
        ("tag,n\nx#,1\ny,2\n", "{}"),
        ("n,m\n--1,2\n3,4\n5,6\n", "{}"),
        ("n,m\n1,1\n2,2\n3,3\nx,4\ny,5\n", "{}"),
        ("n,m\n1,1\n2,2\n3,3\n007,4\nx,5\n", "{}"),
        ("n,m\n1,1e+5\n2,1.5e5\n3,1E5\n", "{}"),
        ("id,s\n1,x\n# a,b\n2,y\n", r##"{ "comment": "#" }"##),
    ] {
        assert_eq!(warnings(text, options), [""; 0], "{text:?}");
    }
}

#[test]
fn header_that_looks_like_a_row_asks_whether_there_is_one() {
    let columns = r#"{ "columns": ["s", "n", "t"] }"#;
    for text in [
        "NYA,1,x\nN225,2,y\n",
        "NYA,1.5,x\n",
        "NYA,2024-01-31,x\nN225,2024-02-01,y\n",
        "NYA,true,x\nN225,false,y\n",
        "NYA,,x\nN225,z,y\n",
        "NYA,\"2,649.00\",x\nN225,\"1,000.50\",y\n",
        "NYA,007,x\nN225,008,y\n",
        "NYA,$1.50,x\nN225,$2.50,y\n",
        "NYA,02.01.2024,x\nN225,03.01.2024,y\n",
    ] {
        let all = warnings(text, columns);
        let warning = all.iter().find(|warning| warning.contains("look like those of a row"));
        assert!(
            warning.is_some_and(|it| it.starts_with("1: ") && it.contains("header = false")),
            "{text}: {all:?}"
        );
    }
    for text in [
        "s,n,t\nNYA,1,x\n",
        "Name,Address,Address\nx,y,z\n",
        ",Name,Address\n0,x,y\n",
        "s,1,x\nNYA,y,z\n7,n,n",
    ] {
        let all = warnings(text, columns);
        let is_about_it = |it: &String| it.contains("look like those of a row");
        assert_eq!(all.iter().any(is_about_it), text.starts_with("s,1"), "{text}: {all:?}");
    }
}

#[test]
fn numbers_with_three_decimals_give_a_warning_only_beside_a_decimal_comma() {
    for text in ["a;b\n1.234;0,5\n12.500;1,25\n", "a;b\n1.234;1.234.567\n999;2.500\n", "a;b\n1.234;1.234,5\n"]
    {
        let all = warnings(text, SEMICOLON);
        let doubt = all.iter().find(|it| it.contains("column `a`: the cells have the form 1.234"));
        assert!(
            doubt.is_some_and(|it| it.contains("decimal = \",\" and thousands = \".\"")),
            "{text}: {all:?}"
        );
    }
    for text in ["a;b\n0.234;0,5\n", "a;b\n1.5;0,5\n1.234;0,5\n", "a;b\n1.234;1,234\n"] {
        let all = warnings(text, SEMICOLON);
        assert!(!all.iter().any(|it| it.contains("have the form")), "{text}: {all:?}");
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn unnamed_column_warning_names_its_index() {
    assert_eq!(unnamed_column(&names(&["a", "b"])), None);
    for (columns, place) in [(["", "a", "b"], "column 1 of 3"), (["a", "b", ""], "column 3 of 3")] {
        let warning = unnamed_column(&names(&columns)).unwrap();
        assert!(warning.starts_with(place), "{warning}");
    }
}
