//! A large response gives what it gives in memory.

use std::io::Write as _;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::super::json::{Located, Pointer};
use super::super::items::Items;
use super::*;

/// What surrounds the records, and the records with their reasons if they are not valid.
type Divided = (String, Vec<String>);

fn pointer(text: &str) -> Pointer {
    Pointer::try_from(text.to_owned()).unwrap()
}

fn all(mut items: Items) -> Vec<String> {
    let n_items = items.len();
    let mut all = Vec::new();
    while let Some(item) = items.next().unwrap() {
        let verdict = item.body.err().map(|why| why.to_string()).unwrap_or_default();
        all.push(format!("{}{verdict}", String::from_utf8_lossy(&item.raw)));
    }
    assert_eq!(all.len(), n_items);
    assert!(items.is_empty());
    all
}

/// Through a file, in parts of `chunk` bytes.
fn by_file(text: &[u8], layout: &RecordLayout, chunk: usize) -> Option<Divided> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text).unwrap();
    let divided =
        LargeBody::divide_by(FilePart::of_file(file.into(), 0, text.len() as u64, chunk), layout).unwrap();
    divided.map(|(around, large)| {
        let items = Items::of_large(&large, "http://a".into()).unwrap();
        assert_eq!(items.hashes(2).len(), items.len().min(2));
        (String::from_utf8(around.to_vec()).unwrap(), all(items))
    })
}

/// In memory.
fn in_memory(text: &[u8], records: &str) -> Vec<String> {
    let bytes = Bytes::copy_from_slice(text);
    all(Items::of_json(&bytes, &pointer(records), false, "http://a".into()).unwrap())
}

fn array(text: &str, records: &str) -> Option<Divided> {
    by_file(text.as_bytes(), &RecordLayout::Array(pointer(records)), 3)
}

#[test]
fn records_are_taken_out_of_what_surrounds_them() {
    let text = r#" {"n": 2, "data": {"x": [1], "items": [ {"a": "]"} , {"a": "\"["} ]}, "next": "u"} "#;
    let (around, records) = array(text, "/data/items").unwrap();
    assert_eq!(around, r#" {"n": 2, "data": {"x": [1], "items": []}, "next": "u"} "#);
    assert_eq!(records, [r#"{"a": "]"}"#, r#"{"a": "\"["}"#]);
    assert_eq!(array("[1, 23, 456]\n", "").unwrap().1, ["1", "23", "456"]);
    assert_eq!(array(r#"[[0], [{"v": [7, 8]}]]"#, "/1/0/v").unwrap().1, ["7", "8"]);
}

#[test]
fn response_that_is_not_valid_or_no_array_is_left_to_memory() {
    for (text, records) in [
        ("[1, 2", ""),
        ("[1, 2] 3", ""),
        ("[1 2]", ""),
        ("[]", ""),
        ("{\"a\": 1}", ""),
        ("{\"a\": {}}", "/a"),
        ("{\"a\": [1]}", "/b"),
        ("{\"a\": [1], }", "/a"),
        ("{\"b\": nope, \"a\": [1]}", "/a"),
        // The last of two equal keys counts.
        ("{\"a\": [1], \"a\": [2]}", "/a"),
        ("[[1], [2]]", "/-1"),
        ("", ""),
        ("<html>", ""),
    ] {
        assert_eq!(array(text, records), None, "{text}");
    }
}

#[test]
fn record_that_is_not_valid_is_rejected_with_its_place() {
    let text = br#"{"a": [1, NaN, "x\xff", {"b": 2}]}"#;
    let text: Vec<u8> = text.to_vec();
    for chunk in 1..40 {
        let (_, records) = by_file(&text, &RecordLayout::Array(pointer("/a")), chunk).unwrap();
        assert_eq!(records, in_memory(&text, "/a"), "{chunk}");
    }
    let invalid = b"[\"ok\", \"\xff\", 1]";
    let (_, records) = by_file(invalid, &RecordLayout::Array(pointer("")), 4).unwrap();
    assert!(records[1].contains("element 2 of the response is not UTF-8 at byte 8"), "{records:?}");
    assert_eq!(records, in_memory(invalid, ""));
}

#[test]
fn lines_are_numbered_with_blank_ones() {
    let text = "{\"a\": 1}\r\n\n  {\"a\": 2}\nnope\n{\"a\": 3}";
    let expected = in_lines(text);
    assert!(expected[2].contains("line 4 of the response is not JSON"), "{expected:?}");
    for chunk in 1..30 {
        let (front, records) = by_file(text.as_bytes(), &RecordLayout::Lines, chunk).unwrap();
        assert_eq!((front.as_str(), &records), (text, &expected), "{chunk}");
    }
    for text in ["{\"a\": 1}\n{\"a\"", "[\n1]", "\n \n"] {
        assert_eq!(by_file(text.as_bytes(), &RecordLayout::Lines, 5), None, "{text}");
    }
}

fn in_lines(text: &str) -> Vec<String> {
    all(Items::of_ndjson(&Bytes::copy_from_slice(text.as_bytes()), "http://a".into()).unwrap())
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "[a-z\"\\\\\\[\\]{},: ä🙂]{0,8}".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec(("[a/~\"\\\\]{0,3}", inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn file_gives_what_memory_gives(
        records in prop::collection::vec(value(), 1..6),
        (before, behind) in (value(), value()),
        place in 0_usize..4,
        is_pretty: bool,
        chunk in 1_usize..50,
    ) {
        let (path, document) = match place {
            0 => ("", json!(records)),
            1 => ("/data", json!({"aside": before, "data": records, "zone": behind})),
            2 => ("/a~1b/1/~0", json!({"a": before, "a/b": [behind, {"~": records}]})),
            _ => ("/\"\\", json!({"\"": before, "\"\\": records, "~": behind})),
        };
        let text = if is_pretty { format!("{document:#}") } else { document.to_string() };
        let (around, taken) = by_file(text.as_bytes(), &RecordLayout::Array(pointer(path)), chunk).unwrap();
        prop_assert_eq!(taken, in_memory(text.as_bytes(), path));
        let Ok(Located::At(range)) = pointer(path).locate(text.as_bytes()) else { panic!("{text}") };
        prop_assert_eq!(around, [&text[..range.start], "[]", &text[range.end..]].concat());
    }

    #[test]
    fn any_text_is_divided_as_in_memory_or_left_to_it(
        text in r#"[\[\]{},:"\\ a1-]{0,30}"#,
        chunk in 1_usize..9,
    ) {
        for path in ["", "/a"] {
            if let Some((_, taken)) = by_file(text.as_bytes(), &RecordLayout::Array(pointer(path)), chunk) {
                prop_assert_eq!(taken, in_memory(text.as_bytes(), path));
            }
        }
        if let Some((_, taken)) = by_file(text.as_bytes(), &RecordLayout::Lines, chunk) {
            prop_assert_eq!(taken, in_lines(&text));
        }
    }
}
