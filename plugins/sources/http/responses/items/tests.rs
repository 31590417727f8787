//! Tests of decoding.

use super::super::super::json::Pointer;
use super::*;
use super::{Items, Unreadable};

fn raws(mut items: Items) -> Vec<String> {
    let mut raws = Vec::new();
    while let Some(item) = items.next().unwrap() {
        let prefix = if item.body.is_ok() { "" } else { "bad: " };
        raws.push(format!("{prefix}{}", String::from_utf8_lossy(&item.raw)));
    }
    assert!(items.is_empty());
    raws
}

fn json(text: &'static str, pointer: &str) -> Result<Vec<String>, String> {
    let pointer = Pointer::try_from(pointer.to_owned()).unwrap();
    match Items::of_json(&Bytes::from_static(text.as_bytes()), &pointer, false, "http://a".into()) {
        Ok(items) => Ok(raws(items)),
        Err(Unreadable::Truncated(why)) => Err(format!("truncated: {why}")),
        Err(
            Unreadable::Unexpected(why) | Unreadable::OtherColumns(why) | Unreadable::Missing { why, .. },
        ) => Err(why),
    }
}

#[test]
fn blanks_around_an_object_are_not_part_of_it() {
    assert_eq!(json(r#" {"a": 1} "#, "").unwrap(), [r#"{"a": 1}"#]);
}

#[test]
fn error_names_the_existing_keys_or_the_place() {
    for (text, pointer, parts) in [
        (r#"{"results": [], "next": 1}"#, "/data", ["no `/data`", "`next`, `results`"]),
        (r#"{"data": null, "results": []}"#, "/data", ["`/data` is null", "`data`, `results`"]),
        (r#"{"data": 7}"#, "/data", ["`/data` is a number", ""]),
        ("null", "", ["the response is null", ""]),
        (r#"[{"a": 1}, {"a""#, "", ["truncated: incomplete JSON: the response ends at byte 15", ""]),
        ("", "", ["truncated: expected JSON, got an empty", ""]),
        ("[1,\n2,\n x y]", "", ["it is not JSON at byte 10 (unexpected character at line 3 column 4)", ""]),
        (
            "{\"a\": [1], 'b': 2}",
            "/a",
            ["it is not JSON at byte 11 (key must be a string at line 1 column 12)", ""],
        ),
    ] {
        let error = json(text, pointer).unwrap_err();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
}

#[test]
fn invalid_element_is_a_separate_item() {
    let text = r#"{"mean": NaN, "data": [{"a":1}, {"a": NaN},{"a": -Infinity}, {'a': 1}, 01, {"a":2}]}"#;
    let pointer = Pointer::try_from("/data".to_owned()).unwrap();
    let bytes = Bytes::from_static(text.as_bytes());
    let mut items = Items::of_json(&bytes, &pointer, false, "http://a".into()).unwrap();
    let (mut good, mut reasons) = (Vec::new(), Vec::new());
    assert_eq!((items.len(), items.hashes(9).len()), (6, 6));
    while let Some(item) = items.next().unwrap() {
        match item.body {
            Ok(_) => good.push(item.raw),
            Err(reason) => reasons.push(reason.to_string()),
        }
    }
    assert_eq!(good, [r#"{"a":1}"#, r#"{"a":2}"#]);
    assert_eq!(
        reasons,
        [
            "http://a: element 2 of the response is not JSON at byte 38: JSON has no NaN; \
             the API must write null instead, or nothing",
            "http://a: element 3 of the response is not JSON at byte 49: JSON has no -Infinity; \
             the API must write null instead, or nothing",
            "http://a: element 4 of the response is not JSON at byte 62: a string begins with a \
             single quote, and JSON needs a double quote",
            "http://a: element 5 of the response is not JSON at byte 72: invalid number",
        ]
    );
    assert_eq!(json("{\"a\": NaN}", "").unwrap(), ["bad: {\"a\": NaN}"]);
}

#[test]
fn character_cut_in_two_is_a_truncated_response() {
    let pointer = Pointer::default();
    let cut = Items::of_json(&Bytes::from_static(b"[\"\xC3"), &pointer, false, String::new()).unwrap_err();
    assert!(matches!(cut, Unreadable::Truncated(why) if why.contains("byte 2")));
    let latin =
        Items::of_json(&Bytes::from_static(b"{\"a\":\"\xE4\"}"), &pointer, false, String::new()).unwrap_err();
    assert!(matches!(latin, Unreadable::Unexpected(why) if why.contains("not UTF-8 at byte 6")));
}

#[test]
fn element_that_is_not_utf_8_is_rejected_alone() {
    let pointer = Pointer::try_from("/data".to_owned()).unwrap();
    let bytes = Bytes::from_static(b"{\"data\": [{\"a\": \"Caf\xE9\"}, {\"a\": \"\xC3\xA9\"}], \"next\": 2}");
    let mut items = Items::of_json(&bytes, &pointer, false, "http://a".into()).unwrap();
    assert_eq!(items.len(), 2);
    let reason = items.next().unwrap().unwrap().body.unwrap_err().to_string();
    assert!(reason.starts_with("http://a: element 1 of the response is not UTF-8 at byte 20"), "{reason}");
    assert!(reason.contains("`encoding = "), "{reason}");
    assert_eq!(items.next().unwrap().unwrap().raw, "{\"a\": \"é\"}");
    let outside = Bytes::from_static(b"{\"data\": [{\"a\": 1}], \"by\": \"Caf\xE9\"}");
    let error = Items::of_json(&outside, &pointer, false, "http://a".into()).unwrap_err();
    assert!(matches!(error, Unreadable::Unexpected(why) if why.contains("not UTF-8 at byte 31")));
}

#[test]
fn csv_without_a_known_length_that_ends_in_a_row_is_truncated() {
    let read = |is_delimited| {
        let text = Bytes::from_static(b"a,b\n1,2\n3");
        Items::of_csv(text.into(), &mut DocumentReader::default(), Name::new("http://a"), is_delimited)
    };
    assert!(matches!(read(false), Err(Unreadable::Truncated(why)) if why.contains("byte 9")));
    let mut items = read(true).unwrap();
    assert_eq!((items.len(), items.hashes(9).len()), (2, 2));
    assert_eq!(items.next().unwrap().unwrap().raw, r#"{"a":1,"b":2}"#);
    assert!(
        items.next().unwrap().unwrap().body.is_err() && items.next().unwrap().is_none() && items.is_empty()
    );
}

#[test]
fn incomplete_last_line_is_a_truncated_response() {
    let half = Items::of_ndjson(&Bytes::from_static(b"{\"a\": 1}\n{\"a\":"), String::new()).unwrap_err();
    assert!(matches!(half, Unreadable::Truncated(why) if why.contains("byte 14")));
}
