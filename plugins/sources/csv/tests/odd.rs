//! Lines and files that are not what they seem.

use super::*;

#[test]
fn header_between_rows_is_not_a_row() {
    let all = [r#"{"id":1,"s":"x"}"#, r#"{"id":2,"s":"y"}"#];
    let texts = [r#"{"id":"a","s":"x"}"#, r#"{"id":"b","s":"y"}"#];
    for (text, options, rows) in [
        ("id,s\n1,x\nid,s\n2,y\n", json!({}), all),
        ("id,s\na,x\nid,s\nb,y\n", json!({}), texts),
        (
            "id,s\n1,x\n\"id\",s\n2,y\n",
            json!({ "types": "string" }),
            [r#"{"id":"1","s":"x"}"#, r#"{"id":"2","s":"y"}"#],
        ),
        ("s,2020\nx,1\ns,2020\ny,2\n", json!({}), [r#"{"s":"x","2020":1}"#, r#"{"s":"y","2020":2}"#]),
        ("\u{feff}id,s\na,x\n\u{feff}id,s\nb,y\n", json!({}), texts),
        ("id , s\n1,x\n id,s\n2,y\n", json!({ "trim": true }), all),
        (
            "id,s\na,x\nid,s\nc,d\n",
            json!({ "columns": ["c", "d"] }),
            [r#"{"c":"a","d":"x"}"#, r#"{"c":"c","d":"d"}"#],
        ),
    ] {
        TestFiles::of(text).with_all(options).assert_rows(&rows);
    }
    TestFiles::of("\u{feff}id,s\n1,x\n\u{feff}\"2\",y\n").assert_rows(&all);
    let headerless = json!({ "header": false, "columns": ["id", "s"] });
    TestFiles::of("\u{feff}1,x\n\u{1a}\u{feff}2,y\n").with_all(headerless).assert_rows(&all);
    let late: String = (0..11_000).map(|n| format!("{n},x\n")).collect();
    let late = TestFiles::of(format!("id,s\n{late}id,s\n5,y\n"));
    assert!(late.read().iter().all(Result::is_ok) && late.read().len() == 11_001);
}

#[test]
fn header_in_another_order_is_rejected() {
    for (text, options) in [
        ("id,s,t\na,x,1\ns,id,t\ny,b,2\n", json!({})),
        ("id,s,t\na,x,1\n\u{feff}\"s\",id,t\ny,b,2\n", json!({})),
        ("id;s;t\na;x;1\ns;id;t\ny;b;2\n", json!({ "delimiter": ";", "decimal": ",", "types": "string" })),
    ] {
        let rows = TestFiles::of(text).with_all(options).read();
        let reason = rows[1].as_ref().unwrap_err();
        assert!(reason.contains("this line has the names of the columns in another order"), "{reason}");
        assert_eq!((rows.len(), rows[0].is_ok(), rows[2].is_ok()), (3, true, true));
    }
}

#[test]
fn count_of_rows_is_not_a_row() {
    let pair = &[r#"{"id":"x","name":"y"}"#][..];
    for (text, options, rows) in [
        ("id \n---\n1\n2\n\n(2 rows affected)\n", json!({}), &[r#"{"id ":1}"#, r#"{"id ":2}"#][..]),
        ("name\n----\nx\n(1 row)\n", json!({}), &[r#"{"name":"x"}"#]),
        ("name\nx\n(1 row)\n", json!({}), &[r#"{"name":"x"}"#, r#"{"name":"(1 row)"}"#]),
        (
            " id | name \n----+------\n  1 | x \n(1 row)\n\n",
            json!({ "delimiter": "|", "trim": true }),
            &[r#"{"id":1,"name":"x"}"#],
        ),
        (
            "id  name\n--- ------\n  1 x     \n\n(1 row affected)\n",
            json!({}),
            &[r#"{"id  name":"  1 x     "}"#],
        ),
        ("id,name\nx,y\n(1,234 rows affected)\n", json!({}), pair),
        ("id,name\nx,y\n(1,234 rows affected)\n", json!({ "missing_cells": "null" }), pair),
        ("id,name\nx,y\n(2 rows affected)\n", json!({}), pair),
        ("id,name\nx,y\n(2 rows affected)\n", json!({ "missing_cells": "null" }), pair),
        ("id,name\nx,y\n\n12,345 rows selected.\n", json!({}), pair),
        ("id,name\nx,y\n\n12,345 rows selected.\n", json!({ "missing_cells": "null" }), pair),
    ] {
        TestFiles::of(text).with_all(options).assert_rows(rows);
    }
}

#[test]
fn line_before_the_header_is_skipped() {
    let rows = [r#"{"a":1,"b":"x"}"#, r#"{"a":2,"b":"y"}"#];
    let sep_line = TestFiles::of("\u{feff}sep=;\r\na;b\r\n1;x\r\n2;y\r\n");
    sep_line.with("delimiter", json!(";")).assert_rows(&rows);
    TestFiles::of("sep=;\na,b\n1,x\n2,y\n").with("skip_lines", json!(1)).assert_rows(&rows);
    TestFiles::of(format!("{}a,b\n1,x\n2,y\n", "\0".repeat(300_000))).assert_rows(&rows);
}

#[test]
fn row_that_only_resembles_the_header_is_a_row() {
    TestFiles::of("word\nword\nother\n").assert_rows(&[r#"{"word":"word"}"#, r#"{"word":"other"}"#]);
    let other_case = TestFiles::of("id,s\nID,S\nids,\n,ids\n");
    assert_eq!(other_case.read().len(), 3);
    let no_header = json!({ "header": false, "columns": ["a", "b"] });
    let row = r#"{"a":"a","b":"b"}"#;
    TestFiles::of("a,b\na,b\n").with_all(no_header).assert_rows(&[row, row]);
}

#[test]
fn header_of_each_file_is_found_between_its_rows() {
    let files = TestFiles::new(json!({ "path": ["one.csv", "two.csv"] }));
    files.write("one.csv", "a,b\n1,x\na,b\n2,y\n");
    files.write("two.csv", "b,a\nz,3\nb,a\nw,4\n");
    let rows = [r#"{"a":1,"b":"x"}"#, r#"{"a":2,"b":"y"}"#, r#"{"a":3,"b":"z"}"#, r#"{"a":4,"b":"w"}"#];
    files.assert_rows(&rows);
}

#[test]
fn empty_file_among_others_is_left_out_until_it_has_rows() {
    for empty in ["", "\n", "\u{feff}"] {
        let files = TestFiles::new(json!({ "path": ["a.csv", "b.csv", "c.csv"] }));
        files.write("a.csv", "n\n1\n");
        files.write("b.csv", empty);
        files.write("c.csv", "n\n3\n");
        files.assert_rows(&[r#"{"n":1}"#, r#"{"n":3}"#]);
        let last = files.last_position();
        files.write("b.csv", "n\n2\n");
        assert_eq!(files.read_after(Some(last)), ok(&[r#"{"n":2}"#]));
    }
    let files = TestFiles::new(json!({ "path": ["a.csv", "b.csv"] }));
    files.write("a.csv", "");
    files.write("b.csv", "n\n3\n");
    assert_eq!(files.read(), ok(&[r#"{"n":3}"#]), "the first one is empty");
    files.write("b.csv", "");
    files.assert_error(None, "a.csv is empty, and a header row was expected", &[]);
}
