//! A CSV text is read as a whole and in parts.

use super::*;
use runner_core::{Body, Origin, Record};
use std::io::Write as _;

fn open(text: &'static str) -> Document {
    let text = Bytes::from_static(text.as_bytes());
    DocumentReader::default().open(text.into(), Name::new("http://api")).unwrap()
}

fn all(mut rows: Document) -> Vec<Result<Row, BadRow>> {
    std::iter::from_fn(|| rows.next().unwrap()).collect()
}

fn read(reader: &mut DocumentReader, text: &str) -> Result<Vec<Row>> {
    let text = Bytes::copy_from_slice(text.as_bytes());
    let rows = reader.open(text.into(), Name::new("http://api/prices"))?;
    Ok(all(rows).into_iter().filter_map(Result::ok).collect())
}

fn json_of(rows: &[Row]) -> Vec<String> {
    let origin = Origin { source: Name::new("http://api"), partition: 0, offset: 0 };
    let record = |row: &Row| Record::new(Body::Row(row.clone()), origin);
    rows.iter().map(|row| record(row).value().unwrap().to_string()).collect()
}

#[test]
fn document_rows_become_typed_records() {
    let text = "\u{feff}Index,Close,ok\r\nNYA,528.690002,true\r\n\r\n\"N,225\",1,\r\n";
    let records = read(&mut DocumentReader::default(), text).unwrap();
    assert_eq!(
        json_of(&records),
        [r#"{"Index":"NYA","Close":528.690002,"ok":true}"#, r#"{"Index":"N,225","Close":1.0,"ok":null}"#]
    );
}

#[test]
fn first_document_with_rows_determines_the_types() {
    let mut reader = DocumentReader::default();
    drop(read(&mut reader, "n\n").unwrap());
    drop(read(&mut reader, "n\n1.5\n").unwrap());
    assert_eq!(json_of(&read(&mut reader, "n\n2\n").unwrap()), [r#"{"n":2.0}"#]);
}

#[test]
fn open_quote_rejects_its_line_only() {
    let mut rows = open("a,b\n1,\"x\n1,\"q\"\n2,\"q\"\n");
    assert_eq!(rows.len(), 3);
    let bad = rows.next().unwrap().unwrap().unwrap_err();
    let reason = bad.reason.to_string();
    assert!(reason.starts_with("http://api:2:3: the quote that opens here is never closed"), "{reason}");
    assert_eq!(bad.bytes, "1,\"x");
    let rest: Vec<Row> = all(rows).into_iter().map(Result::unwrap).collect();
    assert_eq!(json_of(&rest), [r#"{"a":1,"b":"q"}"#, r#"{"a":2,"b":"q"}"#]);
}

#[test]
fn rows_of_many_chunks_keep_their_order_and_their_lines() {
    let mut text = "n,t\n".to_owned();
    for n in 0..5_000 {
        text += &format!("{}\n", if n % 1_000 == 7 { "x".into() } else { format!("{n},\"a\nb\"") });
    }
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let in_file = FilePart::of_file(file.into(), 0, text.len() as u64, 1_000);
    for (text, is_whole) in [(Bytes::from(text).into(), true), (in_file, false)] {
        let mut rows = DocumentReader::default().open(text, Name::new("http://api")).unwrap();
        assert_eq!(rows.len(), 5_000);
        assert!(!is_whole || rows.raw_rows().count() == 5_000);
        for n in 0..5_000 {
            assert_eq!(rows.len(), 5_000 - n);
            match rows.next().unwrap().unwrap() {
                Ok(row) => assert_eq!(json_of(&[row]), [format!(r#"{{"n":{n},"t":"a\nb"}}"#)]),
                Err(bad) => {
                    // The rows before have two lines each, apart from the bad ones.
                    let line = 2 + 2 * n - n / 1_000;
                    let reason = bad.reason.to_string();
                    assert!(n % 1_000 == 7 && reason.starts_with(&format!("http://api:{line}:")), "{reason}");
                }
            }
        }
        assert!(rows.next().unwrap().is_none());
    }
}

#[test]
fn text_in_parts_gives_what_it_gives_as_a_whole() {
    let quoted = "a,b\r\np,\"x\r\n,y\"\r\n\r\nq,\"open\r\nr,z\r\ns,\"a\"b\r\n(4 rows)\r\n\u{1a}";
    for text in
        [quoted, "\n\na longer header,b\np,q\n", "a,b\rp,x\rq,y\r", "a\np", "a,b\np,q\nr", "a\n", "a\n\n\n"]
    {
        let seen = |file_part: FilePart, is_small: bool| {
            let mut reader =
                DocumentReader { front: if is_small { 8 } else { FRONT }, ..DocumentReader::default() };
            let document = reader.open(file_part, Name::new("a")).unwrap();
            let counted = (document.len(), document.is_truncated());
            let rows: Vec<String> = all(document)
                .into_iter()
                .map(|row| match row {
                    Ok(row) => json_of(&[row])[0].clone(),
                    Err(bad) => format!("{} {:?}", bad.reason, bad.bytes),
                })
                .collect();
            assert_eq!(rows.len(), counted.0);
            (counted, rows)
        };
        let whole = seen(Bytes::copy_from_slice(text.as_bytes()).into(), false);
        for chunk in 1..20 {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let file_part = FilePart::of_file(file.into(), 0, text.len() as u64, chunk);
            // The types are inferred from fewer rows, or none; all are texts.
            assert_eq!(seen(file_part, true), whole, "{chunk} {text:?}");
        }
    }
}

#[test]
fn line_that_is_not_a_row_is_not_counted() {
    let rows = open("a,b\n1,2\n\"a\",b\n3,4\n(2 rows)\n");
    assert_eq!((rows.len(), rows.raw_rows().count()), (2, 2));
    let rows: Vec<Row> = all(rows).into_iter().map(Result::unwrap).collect();
    assert_eq!(json_of(&rows), [r#"{"a":1,"b":2}"#, r#"{"a":3,"b":4}"#]);
}

#[test]
fn text_that_ends_inside_a_row_is_detected() {
    for (text, is_truncated) in [
        ("a,b\n1,2\n3", true),
        ("a,b\n1,2\n3,\"x\ny,z\n", true),
        ("a,b\n1,2\n3,4", false),
        ("a,b\n1,2\n3\n", false),
        ("a,b\n1,2\n(1 row)", false),
        ("a,b\n", false),
    ] {
        assert_eq!(open(text).is_truncated(), is_truncated, "{text}");
    }
}

#[test]
fn document_is_read_in_its_dialect() {
    let options = r##"{ "delimiter": ";", "decimal": ",", "comment": "#", "skip_lines": 1, "trim": true }"##;
    let options: crate::shared::csv::DialectOptions = serde_json::from_str(options).unwrap();
    let mut reader = DocumentReader::new(options.dialect("csv.").unwrap());
    let text = "Title; of the report\r\n# made today\r\na ; b\r\n--;---\r\n1,5 ; x\r\n# a pause\r\n2;y\r\n(2 rows)\r\n\u{1a}";
    assert_eq!(json_of(&read(&mut reader, text).unwrap()), [r#"{"a":1.5,"b":"x"}"#, r#"{"a":2.0,"b":"y"}"#]);
}

#[test]
fn line_that_names_the_delimiter_is_skipped() {
    let text = "sep=,\r\nn,s\r\n1,x\r\n";
    assert_eq!(json_of(&read(&mut DocumentReader::default(), text).unwrap()), [r#"{"n":1,"s":"x"}"#]);
}

#[test]
fn document_whose_header_cannot_be_read_is_an_error() {
    for (text, start, part) in [
        ("", "http://api/prices: the response is empty, and a header row was expected", ""),
        ("\n\"a\n", "http://api/prices:2:1: the quote that opens here is never closed", ""),
        ("a,b,a\n", "http://api/prices:1:5: columns 1 and 3 are both called `a`", ""),
        ("sep=;\nn;s\n1;x\n", "http://api/prices:1:1: this line says", "delimiter = \";\""),
        (
            "Prices\na,b\n1,2\n",
            "http://api/prices:1: the header row has 1 cells",
            "is this line the header? If not, set skip_lines = 1",
        ),
    ] {
        let error = read(&mut DocumentReader::default(), text).unwrap_err().to_string();
        assert!(error.starts_with(start) && error.contains(part), "{error}");
    }
}
