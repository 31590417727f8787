//! Options that change between two runs: what cells mean by then.

use super::columns::open_with_header;
use super::position::CsvPosition;
use super::*;

/// The rows of `more`, appended after a first run over `text` whose options were changed by `change`.
fn after_change(text: &str, more: &str, change: impl FnOnce(&mut Value)) -> Vec<Item> {
    changed_after(TestFiles::of(text), more, change)
}

fn changed_after(mut files: TestFiles, more: &str, change: impl FnOnce(&mut Value)) -> Vec<Item> {
    let position = files.last_position();
    change(&mut files.options);
    files.append("t.csv", more);
    files.read_after(Some(position))
}

#[test]
fn types_are_inferred_again_if_cells_mean_something_else() {
    for (text, more, option, value, row) in [
        ("s,n\nx,\"1,5\"\n", "y,\"2,5\"\n", "decimal", json!(","), r#"{"s":"y","n":2.5}"#),
        ("s,n\nx,\"1,500\"\n", "y,\"2,500\"\n", "thousands", json!(","), r#"{"s":"y","n":2500}"#),
        ("s,n\nx,n/a\ny,5\n", "z,6\n", "null_values", json!(["", "n/a"]), r#"{"s":"z","n":6}"#),
        ("s,n\nx,5,\ny,6,\n", "z,7,\n", "extra_cells", json!("drop"), r#"{"s":"z","n":7}"#),
        ("s,n,t\nx,5\ny,6\n", "z,7\n", "missing_cells", json!("null"), r#"{"s":"z","n":7,"t":null}"#),
    ] {
        assert_eq!(after_change(text, more, |options| options[option] = value), ok(&[row]), "{option}");
    }
}

#[test]
fn types_are_inferred_if_they_are_not_declared_any_more() {
    for types in [json!("string"), json!({ "n": "string" })] {
        let files = TestFiles::of("s,n\nx,5\n").with("types", types);
        let rows = changed_after(files, "y,6\n", |options| options["types"] = json!("infer"));
        assert_eq!(rows, ok(&[r#"{"s":"y","n":6}"#]));
    }
}

#[test]
fn types_are_inferred_if_a_declaration_had_rejected_all_rows() {
    let files = TestFiles::of("d,n\n02/01/2024,5\n").with("types", json!({ "d": "date" }));
    let date = json!({ "d": { "type": "date", "parse": "%d/%m/%Y" } });
    let rows = changed_after(files, "03/01/2024,6\n", |options| options["types"] = date);
    assert_eq!(rows, ok(&[r#"{"d":"2024-01-03","n":6}"#]));
}

#[test]
fn types_stay_if_no_option_says_otherwise() {
    // The file may be corrected, and options that say nothing about cells may change.
    let rows = after_change("s,n\nx,5\n", "y,1.5\nz,2\n", |options| options["follow"] = json!(true));
    assert!(rows[0].as_ref().unwrap_err().contains("types = { n = \"float\" }"), "{rows:?}");
    let rows = after_change("s,n\nx,5\n", "y,1.5\n", |options| options["types"] = json!({ "n": "float" }));
    assert_eq!(rows, ok(&[r#"{"s":"y","n":1.5}"#]));
}

#[test]
fn types_stay_if_the_first_rows_are_gone() {
    let mut files = TestFiles::new(json!({ "path": "*.csv" }));
    files.write("a.csv", "s,n\nx,5\n");
    let position = files.last_position();
    std::fs::remove_file(files.path("a.csv")).unwrap();
    files.options["null_values"] = json!(["", "n/a"]);
    files.write("b.csv", "s,n\nn/a,n/a\ny,6\n");
    assert_eq!(files.read_after(Some(position)), ok(&[r#"{"s":null,"n":null}"#, r#"{"s":"y","n":6}"#]));
}

#[test]
fn types_stay_if_an_option_changes_nothing_about_the_rows_that_are_left() {
    let first = |text: &str| {
        let mut files = TestFiles::new(json!({ "path": "*.csv" }));
        files.write("1.csv", text);
        let position = files.last_position();
        std::fs::remove_file(files.path("1.csv")).unwrap();
        files.options["null_values"] = json!(["-"]);
        (files, position)
    };
    // The rows that are left say the same with both options.
    let (files, position) = first("code,v\n0071,1\n0452,-\n");
    files.write("2.csv", "code,v\n98,3\n");
    assert_eq!(files.read_after(Some(position)), ok(&[r#"{"code":"98","v":"3"}"#]));
    // They say less than those that are gone.
    let (files, position) = first("v\n1.5\n");
    files.write("2.csv", "v\n1\n-\n");
    assert_eq!(files.read_after(Some(position)), ok(&[r#"{"v":1.0}"#, r#"{"v":null}"#]));
}

#[test]
fn type_becomes_wider_if_an_option_says_so_of_rows_of_a_later_file() {
    let mut files = TestFiles::new(json!({ "path": "*.csv" }));
    files.write("1.csv", "s,n\nx,5\n");
    let position = files.last_position();
    files.write("2.csv", "s,n\ny,\"1,5\"\n");
    files.options["decimal"] = json!(",");
    assert_eq!(files.read_after(Some(position)), ok(&[r#"{"s":"y","n":1.5}"#]));
}

#[test]
fn types_stay_if_the_options_of_the_last_run_are_unknown() {
    let mut files = TestFiles::of("s,n\nx,\"1,5\"\n");
    let mut position = files.last_position().to_json().unwrap();
    assert_eq!(position["reading"], json!({}), "all options had their defaults");
    position.as_object_mut().unwrap().remove("reading");
    files.options["decimal"] = json!(",");
    files.append("t.csv", "y,\"2,5\"\n");
    let read = items(&mut Reader::open(files.settings(), Some(position)).unwrap()).unwrap();
    assert_eq!(read[0].0, Ok(r#"{"s":"y","n":"2,5"}"#.into()));
    assert_eq!(read[0].1.position().to_json().unwrap()["reading"], json!({ "decimal": "," }));
}

#[test]
fn stored_options_are_read_as_they_were() {
    let types = json!({ "a": "string", "d": { "type": "date", "parse": "%d/%m/%Y" } });
    for options in [
        json!({}),
        json!({ "decimal": ",", "thousands": ".", "null_values": ["-"] }),
        json!({ "extra_cells": "drop", "missing_cells": "null", "types": types }),
        json!({ "types": "string" }),
    ] {
        let mut files = TestFiles::new(options);
        files.options["path"] = json!("t.csv");
        let reading = files.settings().cell_options();
        let plain = TestFiles::of("").settings();
        assert_eq!(plain.with_cell_options(&reading).unwrap().cell_options(), reading);
    }
    let plain = TestFiles::of("").settings();
    let unknown = json!({ "types": { "a": ["money", null] } });
    assert!(plain.with_cell_options(unknown.as_object().unwrap()).is_none());
}

#[test]
fn row_that_is_read_again_has_its_own_line() {
    for (text, line) in [
        ("#x\na,b\n1,2\n3,4", 4),
        ("#x\na,b\n1,2\n\n\n# c\n3,4", 7),
        ("a,b\n1,2\n\na,b\n3,4", 5),
        ("a,b\n3,4", 2),
    ] {
        let files = TestFiles::of(text).with("comment", json!("#"));
        let saved = CsvPosition::read(files.last_position().to_json().unwrap()).unwrap();
        files.append("t.csv", "5\n6,7\n");
        let files = files.with("follow", json!(true));
        let (settings, cursor) = (files.settings(), &saved.files[0]);
        let mut opened = open_with_header(&cursor.path, &settings).unwrap().unwrap();
        assert!(opened.input.seek_to(&cursor.before_open_row().unwrap()).unwrap().is_none());
        let mut columns = columns::from_position(&saved, &settings).unwrap();
        let layout = columns.layout(&opened, columns.len(), &settings);
        assert_eq!(opened.line_of_row(&layout, &settings).unwrap(), line, "{text:?}");
    }
}

#[test]
fn half_a_row_that_was_read_is_read_again_when_it_is_whole_and_followed() {
    for (half, rest, rows) in [
        ("2,b,2", "0\n3,c,30\n", [r#"{"id":2,"s":"b","n":20}"#, r#"{"id":3,"s":"c","n":30}"#]),
        ("2,b", ",20\n3,c,30\n", [r#"{"id":2,"s":"b","n":20}"#, r#"{"id":3,"s":"c","n":30}"#]),
        ("2,\"b", "\",20\n3,c,30\n", [r#"{"id":2,"s":"b","n":20}"#, r#"{"id":3,"s":"c","n":30}"#]),
    ] {
        let mut files = TestFiles::of(format!("id,s,n\n1,a,10\n\n{half}"));
        let position = files.last_position();
        files.append("t.csv", rest);
        files.assert_error(Some(position.clone()), "", &["has been continued", "set follow = true"]);
        files.options["follow"] = json!(true);
        files.assert_rows_after(Some(position), &rows);
    }
}

#[test]
fn half_a_row_that_goes_on_is_not_read_before_it_is_whole() {
    let mut files = TestFiles::of("id,n\n1,10\n2,2");
    let position = files.last_position();
    files.options["follow"] = json!(true);
    files.append("t.csv", "0");
    assert_eq!(files.read_after(Some(position.clone())), ok(&[]));
    files.append("t.csv", "5\n");
    assert_eq!(files.read_after(Some(position)), ok(&[r#"{"id":2,"n":205}"#]));
}

#[test]
fn option_of_rows_may_change_if_the_rows_that_were_read_stay_the_same() {
    let rows = |two: &str, three: &str| {
        [format!(r#"{{"id":2,"s":"{two}"}}"#), format!(r#"{{"id":3,"s":"{three}"}}"#)]
    };
    for (text, more, option, value, expected) in [
        ("1,a\n", &b"2,\"b\n3,c\n"[..], "quote", json!(""), rows("\\\"b", "c")),
        ("1,a\n", b"# pause\n2,b\n3,c\n", "comment", json!("#"), rows("b", "c")),
        ("1,a\n", b"2,\"b\" \n3,c\n", "trim", json!(true), rows("b", "c")),
        ("1,\"a\"\n", b"2,\"b\\\",\"\n3,c\n", "escape", json!("\\"), rows("b\\\",", "c")),
        ("1,a\n", b"2,caf\xE9\n3,c\n", "encoding", json!("latin1"), rows("café", "c")),
        // A row that was rejected is not read again.
        ("1,a\n0,\"b\"x\n", b"2,b\n3,\"c\n", "quote", json!(""), rows("b", "\\\"c")),
        ("1,a\n# pause\n", b"2,b\n# pause\n3,c\n", "comment", json!("#"), rows("b", "c")),
    ] {
        for is_compressed in [false, true] {
            let pack =
                |text: &[u8]| if is_compressed { super::compressed::gzip(text) } else { text.to_vec() };
            let mut files = TestFiles::of(pack(format!("id,s\n{text}").as_bytes()));
            let position = files.last_position();
            files.options[option] = value.clone();
            files.append("t.csv", pack(more));
            let read = files.read_after(Some(position));
            assert_eq!(read, expected.clone().map(Ok), "{option} {text}");
        }
    }
}

#[test]
fn option_of_rows_may_not_change_if_rows_that_were_read_would_be_others() {
    for (text, option, value) in [
        ("id,s\n1,\"a\"\n", "quote", json!("")),
        ("id,s\n1,a\n#2,b\n", "comment", json!("#")),
        ("id,s\n1, a\n", "trim", json!(true)),
        ("id, s\n1,a\n", "trim", json!(true)),
        ("id,s\n1,é\n", "encoding", json!("latin1")),
        ("id,s\n1,a\n", "delimiter", json!(";")),
        ("id,s\n1,a\n", "skip_lines", json!(1)),
    ] {
        let mut files = TestFiles::of(text);
        let position = files.last_position();
        files.append("t.csv", "2,b\n");
        files.options[option] = value;
        let error = files.open_error(Some(position));
        assert!(error.contains("rows that were read would be other ones"), "{option} {text}: {error}");
    }
}

#[test]
fn options_of_rows_are_read_as_they_were() {
    for options in [
        json!({ "delimiter": ";", "skip_lines": 2, "encoding": "windows-1252" }),
        json!({ "quote": "", "comment": "a trim b", "trim": true }),
        json!({ "quote": "'", "escape": "\\", "comment": "#", "skip_lines": 1 }),
        json!({ "header": false, "columns": ["a"] }),
    ] {
        let mut files = TestFiles::new(options);
        files.options["path"] = json!("t.csv");
        let (given, plain) = (files.settings(), TestFiles::of("").settings());
        let (dialect, stored) = (&given.dialect, given.row_options());
        let (delimiter, columns) = (dialect.grammar.delimiter.into(), dialect.columns.clone());
        let read = plain.with_row_options(delimiter, dialect.has_header, &stored, columns).unwrap();
        assert_eq!(read.dialect.grammar, dialect.grammar);
        assert_eq!((read.row_options(), read.dialect.has_header), (stored, dialect.has_header));
    }
    let plain = TestFiles::of("").settings();
    assert!(plain.with_row_options(',', true, "ruler 5", Vec::new()).is_none());
}
