//! Rows in the dialects that programs write.

use super::*;

fn with(text: impl AsRef<[u8]>, options: &Value) -> TestFiles {
    TestFiles::of(text).with_all(options.clone())
}

#[track_caller]
fn assert_rows(text: impl AsRef<[u8]>, options: &Value, rows: &[&str]) {
    with(text, options).assert_rows(rows);
}

#[test]
fn numbers_with_a_decimal_comma_are_numbers() {
    assert_rows(
        "Tag;Kurs;Menge;Anteil;Art\n02.01.2025;1.234,56;1.000.000;12,5%;1.234\n03.01.2025;-0,75;999;;12.34\n",
        &json!({ "delimiter": ";", "decimal": ",", "thousands": "." }),
        &[
            r#"{"Tag":"02.01.2025","Kurs":1234.56,"Menge":1000000,"Anteil":"12,5%","Art":"1.234"}"#,
            r#"{"Tag":"03.01.2025","Kurs":-0.75,"Menge":999,"Anteil":null,"Art":"12.34"}"#,
        ],
    );
    assert_rows(
        "p,q\n\"2,649.00\",1\n990.50,\"1,000\"\n",
        &json!({ "thousands": "," }),
        &[r#"{"p":2649.0,"q":1}"#, r#"{"p":990.5,"q":1000}"#],
    );
    let late = with(
        "n\n".to_owned() + &"1,5\n".repeat(3) + "1.5\n",
        &json!({ "delimiter": ";", "decimal": ",", "types": { "n": "float" } }),
    );
    assert_rejected(&late.read()[3], "t.csv:5:1: column `n` is a float (declared", &[]);
}

#[test]
fn declared_float_takes_what_databases_print() {
    let rows = [r#"{"x":0.5}"#, r#"{"x":-0.25}"#, r#"{"x":5.0}"#, r#"{"x":12.5}"#, r#"{"x":null}"#];
    assert_rows("x\n.5\n-.25\n+5.\n 12.50\n \n", &json!({ "types": { "x": "float" } }), &rows);
}

#[test]
fn declared_boolean_takes_the_usual_spellings() {
    let files = with("b\nyes\nN\nT\nfalse\n1\n0\n\nmaybe\n", &json!({ "types": { "b": "boolean" } }));
    let mut items = files.read();
    let last = items.pop().unwrap();
    assert_rejected(&last, "t.csv:9:1: column `b` is a boolean (true/false, yes/no, t/f, y/n or 1/0)", &[]);
    assert!(!last.unwrap_err().contains("maybe"), "a value is in the message");
    let rows = ["true", "false", "true", "false", "true", "false"].map(|value| format!("{{\"b\":{value}}}"));
    assert_eq!(items, ok(&rows.each_ref().map(String::as_str)));
}

#[test]
fn dates_are_written_as_the_lake_compares_them() {
    let types = json!({ "types": {
        "d": { "type": "date", "parse": "%d/%m/%Y" },
        "t": { "type": "timestamp", "parse": "epoch" },
        "iso": "timestamp",
    } });
    let files =
        with("d,t,iso,n\n31/01/2024,1706716800,2024-01-31T17:00:00+01:00,1\n,,,2\n2024-01-31,,,3\n", &types);
    let items = files.read();
    assert_eq!(
        items[..2],
        ok(&[
            r#"{"d":"2024-01-31","t":"2024-01-31 16:00:00.000","iso":"2024-01-31 16:00:00.000","n":1}"#,
            r#"{"d":null,"t":null,"iso":null,"n":2}"#,
        ])
    );
    assert_rejected(&items[2], "t.csv:4:1: column `d` is a date in the form `%d/%m/%Y` (declared", &[]);
}

#[test]
fn lines_before_the_header_are_skipped() {
    let text = "Report of \"today\n\r\nid;name\r\n1;a\r\n";
    assert_rows(text, &json!({ "skip_lines": 2, "delimiter": ";" }), &[r#"{"id":1,"name":"a"}"#]);
    assert_rows("x\ry\rid\r7\r", &json!({ "skip_lines": 2 }), &[r#"{"id":7}"#]);
    let options = json!({ "skip_lines": 1, "header": false, "columns": ["id"] });
    assert_rows("title\n7\n", &options, &[r#"{"id":7}"#]);
}

#[test]
fn comment_lines_are_not_rows() {
    let text = "# station \"7\n# made today\ntime,temp\n00:00,1.5\n# restarted, at night\n00:10,1.7\n#";
    assert_rows(
        text,
        &json!({ "comment": "#" }),
        &[r#"{"time":"00:00","temp":1.5}"#, r#"{"time":"00:10","temp":1.7}"#],
    );
}

#[test]
fn quote_and_escape_may_be_other_characters() {
    let text = "\"id\",\"note\"\n1,\"a \\\"b\\\"\"\n2,\\N\n3,\"one\\\ntwo\"\n";
    let options = json!({ "escape": "\\", "null_values": ["\\N"] });
    assert_rows(
        text,
        &options,
        &[r#"{"id":1,"note":"a \"b\""}"#, r#"{"id":2,"note":null}"#, r#"{"id":3,"note":"one\ntwo"}"#],
    );
    assert_rows(
        "id,t\n1,'a, b'\n2,'it''s'\n",
        &json!({ "quote": "'" }),
        &[r#"{"id":1,"t":"a, b"}"#, r#"{"id":2,"t":"it's"}"#],
    );
    assert_rows("id,t\n1,\"5 inches\n", &json!({ "quote": "" }), &[r#"{"id":1,"t":"\"5 inches"}"#]);
}

#[test]
fn blanks_are_removed_with_trim() {
    let text = "\"month \",  day,  name, delay\n1,  2,  \"A, B\", 5.5\n1,  3,  BB, \n";
    assert_rows(
        text,
        &json!({ "trim": true }),
        &[
            r#"{"month":1,"day":2,"name":"A, B","delay":5.5}"#,
            r#"{"month":1,"day":3,"name":"BB","delay":null}"#,
        ],
    );
}

#[test]
fn rows_of_another_width_are_accepted_if_the_options_say_so() {
    let text = "a,b,c\n1,2,3,\n4,5,6,7\n8\n";
    let options = json!({ "extra_cells": "drop", "missing_cells": "null", "types": { "c": "string" } });
    assert_rows(
        text,
        &options,
        &[r#"{"a":1,"b":2,"c":"3"}"#, r#"{"a":4,"b":5,"c":"6"}"#, r#"{"a":8,"b":null,"c":null}"#],
    );
    assert_rows("a,b,\n1,2,\n", &json!({ "extra_cells": "drop" }), &[r#"{"a":1,"b":2}"#]);
    let reason = "t.csv:2:5: too many cells: the row has 3, the file has 2 columns; the row ends with `,`";
    assert_rejected(&TestFiles::of("a,b\n1,2,\n").read()[0], reason, &["extra_cells = \"drop\""]);
}

#[test]
fn names_of_the_options_replace_the_header() {
    let options = json!({ "columns": ["name", "home", "work"] });
    assert_rows("Name,Address,Address\nx,y,z\n", &options, &[r#"{"name":"x","home":"y","work":"z"}"#]);
}

#[test]
fn lines_that_programs_print_around_rows_are_not_rows() {
    let text =
        "id,name    ,price\r\n---,--------,-----\r\n  1,Miller  ,  1.5\r\n\r\n(1 rows affected)\r\n\u{1a}";
    assert_rows(text, &json!({}), &[r#"{"id":"  1","name    ":"Miller  ","price":"  1.5"}"#]);
    assert_rows(text, &json!({ "trim": true }), &[r#"{"id":1,"name":"Miller","price":1.5}"#]);
    assert_rows("a\n1\n\u{1a}", &json!({}), &[r#"{"a":1}"#]);
}

#[test]
fn files_of_other_encodings_are_read_and_resumed() {
    let text = "name,n\nCafé Noir,1\nÉlan,2\nZoë,3\n";
    let latin: Vec<u8> = text.chars().map(|char| char as u8).collect();
    let utf_16: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let rows = [r#"{"name":"Café Noir","n":1}"#, r#"{"name":"Élan","n":2}"#, r#"{"name":"Zoë","n":3}"#];
    for (bytes, label) in [(latin.clone(), "windows-1252"), (utf_16.clone(), "auto"), (utf_16, "utf-16le")] {
        let files = with(bytes, &json!({ "encoding": label }));
        files.assert_rows(&rows);
        let last = files.last_position();
        files.append("t.csv", if label == "windows-1252" { &b"x,4\n"[..] } else { b"x\0,\x004\0\n\0" });
        assert_eq!(files.read_after(Some(last)), ok(&[r#"{"name":"x","n":4}"#]), "{label}");
    }
    let reason = "t.csv:2:1: column `name` is not UTF-8: byte 0xE9 at 4 of the cell; set `encoding`";
    assert_rejected(&TestFiles::of(&latin).read()[0], reason, &[]);
    let items = with(b"a,b\n1,\x81\n2,x\n", &json!({ "encoding": "shift_jis" })).read();
    assert_rejected(&items[0], "t.csv:2:3: column `b` is not Shift_JIS", &[]);
    assert_eq!(items[1..], ok(&[r#"{"a":2,"b":"x"}"#]));
}

#[test]
fn columns_of_several_files_are_matched_by_name() {
    let files = TestFiles::new(json!({ "path": ["old.csv", "swapped.csv"] }));
    files.write("old.csv", "a,b\n1,x\n");
    files.write("swapped.csv", "b,a\nz,3\n");
    files.write("new.csv", "a,b,extra\n2,y,5\n");
    files.write("short.csv", "extra\n6\n");
    files.assert_rows(&[r#"{"a":1,"b":"x"}"#, r#"{"a":3,"b":"z"}"#]);
    let files = files.with("path", json!(["old.csv", "new.csv", "swapped.csv", "short.csv"]));
    let message = "new.csv has a different header than old.csv: column 3 is `extra` here and missing there";
    files.assert_error(None, message, &["set new_columns = \"add\""]);
    let files = files.with("new_columns", json!("add"));
    files.assert_rows(&[
        r#"{"a":1,"b":"x"}"#,
        r#"{"a":2,"b":"y","extra":5}"#,
        r#"{"a":3,"b":"z","extra":null}"#,
        r#"{"a":null,"b":null,"extra":6}"#,
    ]);
    let position = files.last_position();
    files.write("late.csv", "late,a\n1.5,7\n");
    let files = files.with("path", json!(["old.csv", "new.csv", "swapped.csv", "short.csv", "late.csv"]));
    assert_eq!(files.read_after(Some(position)), ok(&[r#"{"a":7,"b":null,"extra":null,"late":1.5}"#]));
}
