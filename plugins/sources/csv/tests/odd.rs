//! Lines and files that are not what they seem.

use super::*;

#[test]
fn header_between_rows_is_not_a_row() {
    for (text, options, rows) in [
        ("id,s\n1,x\nid,s\n2,y\n", json!({}), [r#"{"id":1,"s":"x"}"#, r#"{"id":2,"s":"y"}"#]),
        ("id,s\na,x\nid,s\nb,y\n", json!({}), [r#"{"id":"a","s":"x"}"#, r#"{"id":"b","s":"y"}"#]),
        ("id,s\n1,x\n\"id\",s\n2,y\n", json!("string"), [r#"{"id":"1","s":"x"}"#, r#"{"id":"2","s":"y"}"#]),
        ("s,2020\nx,1\ns,2020\ny,2\n", json!({}), [r#"{"s":"x","2020":1}"#, r#"{"s":"y","2020":2}"#]),
    ] {
        let files =
            TestFiles::of(text).with("types", if options == json!({}) { json!("infer") } else { options });
        let all = items(&mut files.open(None).unwrap()).unwrap();
        assert!(all.iter().map(|(item, _)| item).eq(&ok(&rows)), "{text}");
        assert_eq!(files.read_after(Some(all[0].1.position())), ok(&rows[1..]), "{text}");
    }
    let joined = TestFiles::of("\u{feff}id,s\na,x\n\u{feff}id,s\nb,y\n");
    assert_eq!(joined.read(), ok(&[r#"{"id":"a","s":"x"}"#, r#"{"id":"b","s":"y"}"#]));
    let trimmed = TestFiles::of("id , s\n1,x\n id,s\n2,y\n").with("trim", json!(true));
    assert_eq!(trimmed.read(), ok(&[r#"{"id":1,"s":"x"}"#, r#"{"id":2,"s":"y"}"#]));
    let renamed = TestFiles::of("id,s\na,x\nid,s\nc,d\n").with("columns", json!(["c", "d"]));
    assert_eq!(renamed.read(), ok(&[r#"{"c":"a","d":"x"}"#, r#"{"c":"c","d":"d"}"#]));
    let late: String = (0..11_000).map(|n| format!("{n},x\n")).collect();
    let late = TestFiles::of(format!("id,s\n{late}id,s\n5,y\n"));
    assert!(late.read().iter().all(Result::is_ok) && late.read().len() == 11_001);
}

#[test]
fn count_in_a_report_of_one_column_is_not_a_row() {
    let report = TestFiles::of("id \n---\n1\n2\n\n(2 rows affected)\n");
    assert_eq!(report.read(), ok(&[r#"{"id ":1}"#, r#"{"id ":2}"#]));
    let text = TestFiles::of("name\n----\nx\n(1 row)\n");
    assert_eq!(text.read(), ok(&[r#"{"name":"x"}"#]));
    let no_report = TestFiles::of("name\nx\n(1 row)\n");
    assert_eq!(no_report.read().len(), 2, "every line is a row");
    let psql = TestFiles::of(" id | name \n----+------\n  1 | x\n(1 row)\n\n");
    let psql = psql.with("delimiter", json!("|")).with("trim", json!(true));
    assert_eq!(psql.read(), ok(&[r#"{"id":1,"name":"x"}"#]));
}

#[test]
fn line_that_names_the_delimiter_is_skipped_if_it_names_the_right_one() {
    let files = TestFiles::of("\u{feff}sep=;\r\na;b\r\n1;x\r\n2;y\r\n").with("delimiter", json!(";"));
    let all = items(&mut files.open(None).unwrap()).unwrap();
    assert!(all.iter().map(|(item, _)| item).eq(&ok(&[r#"{"a":1,"b":"x"}"#, r#"{"a":2,"b":"y"}"#])));
    assert_eq!(files.read_after(Some(all[0].1.position())), ok(&[r#"{"a":2,"b":"y"}"#]));
    let skipped = TestFiles::of("sep=;\na,b\n1,x\n").with("skip_lines", json!(1));
    assert_eq!(skipped.read(), ok(&[r#"{"a":1,"b":"x"}"#]));
    let error = TestFiles::of("sep=;\na;b\n1;x\n").open_error(None);
    assert!(
        error.starts_with("t.csv:1:1: this line says that \";\"") && error.contains("delimiter = \";\""),
        "{error}"
    );
}

#[test]
fn nul_bytes_before_the_text_are_skipped() {
    let nuls = "\0".repeat(300_000);
    let files = TestFiles::of(format!("{nuls}a,b\n1,x\n2,y\n"));
    let all = items(&mut files.open(None).unwrap()).unwrap();
    assert!(all.iter().map(|(item, _)| item).eq(&ok(&[r#"{"a":1,"b":"x"}"#, r#"{"a":2,"b":"y"}"#])));
    assert_eq!(files.read_after(Some(all[0].1.position())), ok(&[r#"{"a":2,"b":"y"}"#]));
    let error = TestFiles::of(nuls).open_error(None);
    assert_eq!(
        error,
        "t.csv has 300000 NUL bytes and no text, as a file has after a power failure; restore it, or write it again"
    );
}

#[test]
fn report_of_fixed_width_has_no_rows_of_dashes() {
    let report = TestFiles::of("id  name\n--- ------\n  1 x     \n\n(1 row affected)\n");
    assert_eq!(report.read(), ok(&[r#"{"id  name":"  1 x     "}"#]));
}

#[test]
fn drawn_table_is_an_error_that_names_the_way_out() {
    let error =
        TestFiles::of("+----+---+\n| id | s |\n+----+---+\n|  1 | x |\n+----+---+\n").open_error(None);
    assert!(
        error.starts_with("t.csv:1:1: this line is the border") && error.contains("`mysql --batch`"),
        "{error}"
    );
}

#[test]
fn row_that_only_resembles_the_header_is_a_row() {
    let one_column = TestFiles::of("word\nword\nother\n");
    assert_eq!(one_column.read(), ok(&[r#"{"word":"word"}"#, r#"{"word":"other"}"#]));
    let other_case = TestFiles::of("id,s\nID,S\nids,\n,ids\n");
    assert_eq!(other_case.read().len(), 3);
    let no_header =
        TestFiles::of("a,b\na,b\n").with("header", json!(false)).with("columns", json!(["a", "b"]));
    assert_eq!(no_header.read(), ok(&[r#"{"a":"a","b":"b"}"#, r#"{"a":"a","b":"b"}"#]));
}

#[test]
fn header_of_each_file_is_found_between_its_rows() {
    let files = TestFiles::new(json!({ "path": ["one.csv", "two.csv"] }));
    files.write("one.csv", "a,b\n1,x\na,b\n2,y\n");
    files.write("two.csv", "b,a\nz,3\nb,a\nw,4\n");
    let rows = [r#"{"a":1,"b":"x"}"#, r#"{"a":2,"b":"y"}"#, r#"{"a":3,"b":"z"}"#, r#"{"a":4,"b":"w"}"#];
    assert_eq!(files.read(), ok(&rows));
}

#[test]
fn count_with_groups_of_digits_is_not_a_row() {
    for text in [
        "id,name\nx,y\n(1,234 rows affected)\n",
        "id,name\nx,y\n(2 rows affected)\n",
        "id,name\nx,y\n\n12,345 rows selected.\n",
    ] {
        assert_eq!(TestFiles::of(text).read(), ok(&[r#"{"id":"x","name":"y"}"#]), "{text}");
        let fills = TestFiles::of(text).with("missing_cells", json!("null"));
        assert_eq!(fills.read(), ok(&[r#"{"id":"x","name":"y"}"#]), "{text}");
    }
}

#[test]
fn empty_file_among_others_is_left_out_until_it_has_rows() {
    for empty in ["", "\n", "\u{feff}"] {
        let files = TestFiles::new(json!({ "path": ["a.csv", "b.csv", "c.csv"] }));
        files.write("a.csv", "n\n1\n");
        files.write("b.csv", empty);
        files.write("c.csv", "n\n3\n");
        let all = items(&mut files.open(None).unwrap()).unwrap();
        assert!(all.iter().map(|(item, _)| item).eq(&ok(&[r#"{"n":1}"#, r#"{"n":3}"#])), "{empty:?}");
        let last = all[1].1.position();
        assert_eq!(files.read_after(Some(last.clone())), ok(&[]));
        files.write("b.csv", "n\n2\n");
        assert_eq!(files.read_after(Some(last)), ok(&[r#"{"n":2}"#]));
    }
    let files = TestFiles::new(json!({ "path": ["a.csv", "b.csv"] }));
    files.write("a.csv", "");
    files.write("b.csv", "n\n3\n");
    assert_eq!(files.read(), ok(&[r#"{"n":3}"#]), "the first one is empty");
    files.write("b.csv", "");
    let error = files.open_error(None);
    assert!(error.starts_with("a.csv is empty, and a header row was expected"), "{error}");
}

#[test]
fn wrong_encoding_is_an_error_before_the_first_row() {
    let long = format!("{}\n1\n", "a".repeat(40_000));
    let utf_16_be: Vec<u8> = "a,b\n1,2\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
    for label in ["utf-16le", "utf-16be"] {
        for text in ["a,b\n1,2\n", "a,b\n1,2\n\n", "a\n1\n", &long, "Größe,b\n1,2\n"] {
            let error = TestFiles::of(text).with("encoding", json!(label)).open_error(None);
            assert!(error.starts_with("t.csv is not written in UTF-16"), "{error}");
        }
    }
    let error = TestFiles::of(utf_16_be).with("encoding", json!("utf-16le")).open_error(None);
    assert_eq!(error, "t.csv is written in UTF-16; set encoding = \"utf-16be\"");
    let late = format!("\u{feff}{}", "x".repeat(10));
    let marked = TestFiles::of(format!("{late},b\n1,2\n")).with("encoding", json!("utf-16le"));
    assert_eq!(marked.read().len(), 1, "the byte order mark takes precedence");
}

#[test]
fn file_that_is_not_csv_is_an_error_that_names_it() {
    let twice = Compression::Gzip.compress(&Compression::Gzip.compress(b"a\n1\n").unwrap()).unwrap();
    let zip = Compression::Gzip.compress(b"PK\x03\x04\x14\0\0\0\x08\0").unwrap();
    for (bytes, compression, message) in [
        (b"PK\x03\x04\x14\0\0\0\x08\0".to_vec(), "auto", "t.csv is a zip archive, not CSV; unpack it"),
        (b"PAR1\x15\x04".to_vec(), "none", "t.csv is a Parquet file, not CSV"),
        (b"BZh91AY&SY".to_vec(), "gzip", "t.csv is compressed with bzip2, not CSV"),
        (
            Compression::Gzip.compress(b"a\n1\n").unwrap(),
            "none",
            "t.csv is compressed with gzip; set compression",
        ),
        (twice, "auto", "t.csv is compressed twice"),
        (zip, "auto", "t.csv is a zip archive"),
    ] {
        let error = TestFiles::of(bytes).with("compression", json!(compression)).open_error(None);
        assert!(error.starts_with(message), "{error}");
    }
}

#[test]
fn changed_file_names_follow() {
    let files = TestFiles::of("id,v\n1,10\n2,2");
    let position = files.last_position();
    files.append("t.csv", "0\n");
    let error = files.open_error(Some(position));
    assert!(error.contains("has been continued") && error.contains("set follow = true"), "{error}");
}
