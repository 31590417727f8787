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
    warnings
}

#[track_caller]
fn assert_warning(text: &str, options: &str, part: &str) {
    let warnings = warnings(text, options);
    assert!(matches!(&*warnings, [warning] if warning.contains(part)), "{text:?}: {warnings:?}");
}

#[track_caller]
fn assert_quiet(text: &str, options: &str) {
    assert_eq!(warnings(text, options), [""; 0], "{text:?}");
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
        "NYA,1,x\nN225,2,y\n",
        "NYA,1.5,x\nN225,2,y\n",
        "NYA,2024-01-31,x\nN225,2024-02-01,y\n",
        "NYA,100,7\nN225,200,8\n",
    ] {
        assert_warning(text, "{}", "header = false and name the 3 columns with `columns`");
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
    for text in [
        "Country,2019,2020\nChina,1.5,2\n",
        "id,0,1,2\n1,2,3,4\n",
        "name,1/22/20,1/23/20,1/24/20\nx,1,2,3\n",
        "id,2020\n1,5\n",
        "a,price 2\nx,1\n",
    ] {
        assert_quiet(text, "{}");
    }
    assert_quiet("NYA,1,x\nN225,2,y\n", r#"{ "header": false, "columns": ["s", "n", "t"] }"#);
}

#[test]
fn comment_that_is_taken_for_the_header_names_the_options() {
    assert_warning("# station 7, Basel\ntime,temp\n", "{}", "comment = \"#\"");
    assert_warning("# station 7, Basel\ntime,temp\n", "{}", "skip_lines = 1");
    assert_warning("// a,b\ntime,temp\n", "{}", "comment = \"//\"");
    assert_warning("#x,b\ntime,temp\n", r#"{ "columns": ["a", "b"] }"#, "comment = \"#\"");
    assert_quiet("#,name\n1,x\n", "{}");
    assert_quiet("# made today\na,b\n1,x\n", r##"{ "comment": "#" }"##);
}

#[test]
fn first_row_of_texts_over_numbers_asks_for_the_header() {
    assert_warning("Prices,2024 (EUR)\nday,price\n1,2.5\n2,3.5\n", "{}", "2: this row has a text in columns");
    assert_warning("day,price\nd,EUR\n1,2.5\n2,3.5\n", "{}", "set skip_lines = 1");
    assert_warning(
        "day,price\n1,2.5\n2,3.5\n",
        r#"{ "header": false, "columns": ["d", "p"] }"#,
        "set header = true",
    );
    let no_header = r#"{ "header": false, "columns": ["day", "price"] }"#;
    assert_warning("Day,Price\nMon,x\n", no_header, "1: this row has the names of the columns");
    assert_quiet("Mon,x\nTue,y\n", no_header);
    assert_quiet("day,price\nMon,EUR\nTue,USD\nWed,3\n", "{}");
    assert_quiet("day,price\nMon,n/a\n1,2.5\n", "{}");
}

#[test]
fn header_with_another_delimiter_suggests_it() {
    for (text, option) in [
        ("a;b\n", "delimiter = \";\""),
        ("a\tb\n", "delimiter = \"\\t\""),
        ("a|b\n", "delimiter = \"|\""),
        ("a;b,c;d\n", "delimiter = \";\""),
        ("id\tname, first\tprice\n", "delimiter = \"\\t\""),
    ] {
        assert_warning(text, "{}", option);
    }
    assert_warning("a,b\n", r#"{ "delimiter": ";" }"#, "`a,b`");
    assert_warning("a,b;c,d\n", r#"{ "delimiter": ";" }"#, "delimiter = \",\"");
    for (text, options) in
        [("a\n", "{}"), ("a;b,c,d\n", "{}"), ("\"a;b;c\",d\n", "{}"), ("a;b\n", r#"{ "delimiter": ";" }"#)]
    {
        assert_quiet(text, options);
    }
}

#[test]
fn column_of_text_names_the_option_that_reads_it() {
    for (text, part) in [
        (
            "a\n\"2,649.00\"\n990.00\n",
            "column `a`: the cells are text, and would be numbers with thousands = \",\"",
        ),
        ("a,b\n1, 2\n3, 4\n", "set trim = true"),
        ("a,b\n1,'x'\n2,'it''s'\n", "quote = \"'\""),
        ("a,b\nx,.5\ny,-.25\nz,1\n", "declared as \"float\""),
    ] {
        assert_warning(text, "{}", part);
    }
    assert_warning(
        "a;b\n1.234,5;0,5\n2,5;0,25\n",
        r#"{ "delimiter": ";" }"#,
        "numbers with decimal = \",\" and thousands = \".\"",
    );
    assert_warning(
        "\"a \",b\nx,y\n",
        "{}",
        "the name of column `a ` begins or ends with a blank; trim = true",
    );
    for (text, options) in [
        ("a\n\"2,649.00\"\n", r#"{ "thousands": "," }"#),
        ("a\n\"2,649.00\"\n", r#"{ "types": { "a": "string" } }"#),
        ("a\n\"2,649.00\"\n", r#"{ "types": "string" }"#),
        ("a\n\"1,2,3\"\n", "{}"),
        ("id\n99999999999999999999\n11898508762506083287\n", "{}"),
        ("a,b\n1,'x'\n2,y\n", "{}"),
        ("a,b\n1,\n2,\n", "{}"),
    ] {
        assert_quiet(text, options);
    }
}

#[test]
fn numbers_with_three_digits_behind_the_dot_are_doubted_only_beside_a_decimal_comma() {
    let semicolon = r#"{ "delimiter": ";" }"#;
    for text in ["a;b\n1.234;0,5\n12.500;1,25\n", "a;b\n1.234;1.234.567\n999;2.500\n", "a;b\n1.234;1.234,5\n"]
    {
        let all = warnings(text, semicolon);
        let doubt = all.iter().find(|it| it.contains("column `a`: the cells have the form 1.234"));
        assert!(
            doubt.is_some_and(|it| it.contains("decimal = \",\" and thousands = \".\"")),
            "{text}: {all:?}"
        );
    }
    for text in [
        "a;b\n1.234;5\n12.500;6\n",
        "a;b\n1.234;0.5\n",
        "a;b\n1.234;x\n",
        "a;b\n1.234;192.168.100.200\n",
        "a;b\n1.234;02.01.2024\n",
    ] {
        assert_quiet(text, semicolon);
    }
    for text in ["a;b\n0.234;0,5\n", "a;b\n1.5;0,5\n1.234;0,5\n", "a;b\n1.234;1,234\n"] {
        let all = warnings(text, semicolon);
        assert!(!all.iter().any(|it| it.contains("have the form")), "{text}: {all:?}");
    }
    assert_warning(
        "a;b\n1.234;x\n1.234.567;y\n",
        semicolon,
        "`a`: the cells are text, and would be numbers with decimal",
    );
}

#[test]
fn thousands_are_named_though_the_decimal_comma_is_set() {
    let options = r#"{ "delimiter": ";", "decimal": "," }"#;
    for text in ["a;b\nx;1.234,56\ny;7,50\nz;12,00\n", "a;b\nx;1.234.567\ny;8,5\nz;12\n"] {
        assert_warning(
            text,
            options,
            "column `b`: the cells are text, and would be numbers with thousands = \".\"",
        );
    }
    assert_warning("a;b\nx;2,649.00\ny;12\n", options, "numbers with decimal = \".\" and thousands = \",\"");
    assert_quiet("a;b\nx;7,50\ny;x\n", options);
    let options = r#"{ "delimiter": ";", "decimal": ",", "thousands": "." }"#;
    assert_quiet("a;b\nx;1.234,56\ny;7,50\n", options);
}

#[test]
fn text_for_a_missing_value_in_a_column_of_numbers_names_null_values() {
    assert_warning(
        "a,b\nx,1.5\ny,n/a\nz,2\n",
        "{}",
        "column `b`: the cells are text, and would be numbers without a text",
    );
    assert_warning("a,b\nx,.5\ny,n/a\nz,2\n", "{}", "declared as \"float\"");
    assert_warning(
        "a,b\nx,\"2,649.00\"\ny,-\nz,\"1,000\"\n",
        "{}",
        "thousands = \",\", and the text for a missing value",
    );
    for text in ["a,b\nx,-\ny,-\nz,-\n", "a,b\nx,NA\ny,SA\nz,1\n", "a,b\nx,true\ny,n/a\nz,false\n"] {
        assert_quiet(text, "{}");
    }
    assert_quiet("a,b\nx,1.5\ny,n/a\nz,2\n", r#"{ "null_values": ["n/a"] }"#);
}

#[test]
fn rows_with_nul_bytes_are_named() {
    assert_warning("a,b\nx,y\n\0\0z,w\nu,\0v\n", "{}", "3: this row and 1 more have NUL bytes");
}

#[test]
fn text_for_a_missing_value_in_the_first_row_is_not_a_header() {
    let all = warnings("a,b\nx,NaN\ny,1.5\nz,2\n", "{}");
    assert!(matches!(&*all, [one] if one.contains("add it to `null_values`")), "{all:?}");
}

#[test]
fn texts_of_mysql_name_their_options() {
    assert_warning("a,b\nx,\\N\ny,z\n", "{}", "`null_values`");
    assert_warning("a,b\nx,\"one\\\ntwo\"\n", "{}", "escape = \"\\\\\"");
    assert_quiet("a,b\nx,C:\\data\ny,\\\\server\\data\\\n", "{}");
    assert_quiet("a,b\nx,\\N\ny,\"one\\\ntwo\"\n", r#"{ "escape": "\\", "null_values": ["\\N"] }"#);
}

#[test]
fn rows_that_begin_as_comments_are_named_once() {
    let text = "id,s\n1,x\n# a,b\n2,y\n# c,d\n3,z\n";
    assert_warning(text, "{}", "3: this row and 1 more begin with `#` and is read as a row");
    assert_warning("id,s\na,x\n// off,on\nb,z\nc,z\n", "{}", "comment = \"//\"");
    for text in
        ["tag,n\n#a,1\n#b,2\n", "tag,n\n--,1\nx,2\ny,3\n", "tag,n\nx#,1\ny,2\n", "n,m\n--1,2\n3,4\n5,6\n"]
    {
        assert_quiet(text, "{}");
    }
    assert_quiet("id,s\n1,x\n# a,b\n2,y\n", r##"{ "comment": "#" }"##);
}

#[test]
fn single_quotes_around_some_cells_are_noticed() {
    assert_warning("a,b\nx,'y z'\nw,v\n'u','it''s'\n", "{}", "some cells are in single quotes");
    for text in ["a,b\nx,'y'\nw,v\n", "a,b\n'x','y'\ndon't,z\nw,v\n", "a,b\n'x','y'\n\"q\",z\nw,v\n"] {
        assert_quiet(text, "{}");
    }
}

#[test]
fn rare_delimiter_of_header_and_rows_is_named() {
    for (text, option) in [
        ("a\u{1}b\n1\u{1}2\n", "delimiter = \"\\u0001\""),
        ("a~b\n1~2\n3~4\n", "delimiter = \"~\""),
        ("a^b\n1^2\n", "delimiter = \"^\""),
        ("a:b\n1:2\n", "delimiter = \":\""),
    ] {
        assert_warning(text, "{}", option);
    }
    for text in ["a:b\n1\n", "a:b\n09:30:00\n", "a,b\nx:y,1\n", "a~b\n"] {
        assert_quiet(text, "{}");
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
