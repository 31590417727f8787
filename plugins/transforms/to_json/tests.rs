//! Rows and JSON become compact JSON on one line.

use runner_core::testing::{Collected, apply, records};
use runner_core::{ColumnType, Record};

use super::*;
use crate::shared::test_rows;

fn rows(names: &[&str], kind: ColumnType, rows: &[&[&str]]) -> Batch {
    let columns: Vec<(&str, ColumnType)> = names.iter().map(|&name| (name, kind)).collect();
    test_rows::rows(&columns, "", rows)
}

fn to_json(keys: Keys) -> ToJson {
    ToJson::new(ToJsonConfig { keys, objects: true, unwrap: false }, "json")
}

async fn convert(keys: Keys, batch: Batch) -> Collected {
    apply(&mut to_json(keys), batch).await.unwrap()
}

#[tokio::test]
async fn rows_become_objects_in_one_buffer() {
    let batch = rows(&["Open", "Adj Close"], ColumnType::Float, &[&["1", "2.50"], &["", "1e3"]]);
    let bodies = convert(Keys::AsIs, batch).await.bodies();
    assert_eq!(bodies, [r#"{"Open":1.0,"Adj Close":2.50}"#, r#"{"Open":null,"Adj Close":1e3}"#]);
    let first_end = bodies[0].as_ptr_range().end;
    assert_eq!(first_end, bodies[1].as_ptr(), "the second body must follow the first");
}

#[tokio::test]
async fn snake_case_renames_the_columns_of_every_header() {
    let mut batch = rows(&["Adj Close", "CloseUSD"], ColumnType::Integer, &[&["1", "2"], &["3", "4"]]);
    batch.absorb(rows(&["Open Int"], ColumnType::Integer, &[&["5"]]));
    let bodies = convert(Keys::SnakeCase, batch).await.bodies();
    assert_eq!(
        bodies,
        [r#"{"adj_close":1,"close_usd":2}"#, r#"{"adj_close":3,"close_usd":4}"#, r#"{"open_int":5}"#]
    );
}

#[tokio::test]
async fn snake_case_of_two_columns_with_one_name_is_an_error() {
    let batch = rows(&["Adj Close", "Open", "adj_close"], ColumnType::Integer, &[&["1", "2", "3"]]);
    let error = format!("{:#}", apply(&mut to_json(Keys::SnakeCase), batch).await.err().unwrap());
    assert!(error.contains("`Adj Close` and `adj_close`"), "{error}");
    let batch = rows(&["Adj\nClose", "adj_close"], ColumnType::Integer, &[&["1", "2"]]);
    let error = format!("{:#}", apply(&mut to_json(Keys::SnakeCase), batch).await.err().unwrap());
    assert!(error.contains(r"`Adj\nClose` and `adj_close`"), "{error}");
}

#[tokio::test]
async fn json_keeps_its_digits_and_the_order_of_its_keys() {
    let pretty =
        "{\n  \"z\": 12345678901234567890.10,\n  \"a b\": [1, 2.0, 1e400, -0],\t\"s\": \" x \\\" , \" }\n";
    let out = convert(Keys::AsIs, records([pretty])).await;
    let compact = r#"{"z":12345678901234567890.10,"a b":[1,2.0,1e400,-0],"s":" x \" , "}"#;
    assert_eq!(out.bodies(), [compact]);
}

#[tokio::test]
async fn compact_json_is_not_copied() {
    for keys in [Keys::AsIs, Keys::SnakeCase] {
        let batch = records([r#"{"a":1}"#]);
        let before = batch.records()[0].to_bytes().unwrap().as_ptr();
        assert_eq!(convert(keys, batch).await.bodies()[0].as_ptr(), before);
    }
}

#[tokio::test]
async fn snake_case_renames_keys_at_every_depth_and_nothing_else() {
    let body = r#"{ "Adj Close": [ { "CloseUSD": "CloseUSD" }, "A,B" ], "caf\u00e9 Bar": { } }"#;
    let out = convert(Keys::SnakeCase, records([body])).await;
    assert_eq!(out.bodies(), [r#"{"adj_close":[{"close_usd":"CloseUSD"},"A,B"],"cafe_bar":{}}"#]);
}

#[tokio::test]
async fn invalid_json_is_rejected_with_its_first_characters() {
    let batch = records([r#"{"a": 1}"#, "<html>Bad gateway</html>", r#"{"a": 1"#, "1 2", "", "[01]"]);
    let out = convert(Keys::AsIs, batch).await;
    assert_eq!(out.bodies(), [r#"{"a":1}"#]);
    let offsets: Vec<u64> = out.rejected.iter().map(|(record, _)| record.origin.offset).collect();
    assert_eq!(offsets, [1, 2, 3, 4, 5]);
    let reason = format!("{:#}", out.rejected[0].1);
    assert!(reason.contains("not JSON") && reason.contains("<html>Bad gateway"), "{reason}");
    assert_eq!(out.rejected[0].0.to_bytes().unwrap(), "<html>Bad gateway</html>");
}

#[tokio::test]
async fn snake_case_of_two_keys_with_one_name_rejects_the_record() {
    let out = convert(Keys::SnakeCase, records([r#"{"aB":1,"a_b":2}"#, r#"{"a":{"b":1},"b":1}"#])).await;
    assert_eq!(out.bodies(), [r#"{"a":{"b":1},"b":1}"#]);
    let reason = out.rejected[0].1.to_string();
    assert!(reason.contains("`aB` and `a_b`"), "{reason}");
}

#[tokio::test]
async fn values_are_written_and_tombstones_pass() {
    let mut batch = records([r#"{ "n": 1 }"#, "", r#"{ "n": 3 }"#]);
    let [first, second, third] = batch.records_mut() else { unreachable!() };
    first.value_mut().unwrap()["n"] = 2.into();
    second.body = Body::Tombstone;
    third.value().unwrap();
    let out = convert(Keys::AsIs, batch).await;
    assert_eq!(out.bodies(), [r#"{"n":2}"#, r#"{"n":3}"#]);
    assert!(matches!(out.records[1], Record { body: Body::Tombstone, .. }));
}

/// The bodies with other options, and why the others are rejected.
async fn with(objects: bool, unwrap: bool, bodies: &[&str]) -> (Vec<Bytes>, Vec<String>) {
    let mut to_json = ToJson::new(ToJsonConfig { keys: Keys::AsIs, objects, unwrap }, "json");
    let out = apply(&mut to_json, records(bodies.to_vec())).await.unwrap();
    let reasons = out.rejected.iter().map(|(_, reason)| reason.to_string()).collect();
    (out.bodies(), reasons)
}

#[tokio::test]
async fn json_that_is_not_an_object_is_rejected_unless_any_json_may_pass() {
    let bodies = [r#"[{"a": 1}]"#, "42", r#" "text""#, "null", "true", r#" {"a": 1}"#];
    let (passed, reasons) = with(true, false, &bodies).await;
    assert_eq!(passed, [r#"{"a":1}"#]);
    for (reason, kind) in reasons.iter().zip(["an array", "a number", "a string", "null", "a boolean"]) {
        assert!(reason.contains(kind) && reason.contains("`objects = false`"), "{reason}");
    }
    assert!(reasons[2].contains("`unwrap = true`"), "{}", reasons[2]);
    let (passed, reasons) = with(false, false, &bodies).await;
    assert_eq!(passed, [r#"[{"a":1}]"#, "42", r#""text""#, "null", "true", r#"{"a":1}"#]);
    assert!(reasons.is_empty());
}

#[tokio::test]
async fn unwrap_replaces_a_string_by_the_json_that_it_holds() {
    let once = serde_json::to_string(r#"{"a": "\u00e9\"", "n": 1.50}"#).unwrap();
    let twice = serde_json::to_string(&once).unwrap();
    let (passed, reasons) = with(true, true, &[&once, &twice, r#""text""#, r#"{"a":"{}"}"#]).await;
    let expected = r#"{"a":"\u00e9\"","n":1.50}"#;
    assert_eq!(passed, [expected, expected, r#"{"a":"{}"}"#]);
    assert!(reasons[0].contains("a string"), "{}", reasons[0]);
    assert_eq!(with(false, true, &[r#""[1, 2]""#, r#""text""#]).await.0, ["[1,2]", r#""text""#]);
}

#[tokio::test]
async fn byte_order_mark_is_left_out() {
    for keys in [Keys::AsIs, Keys::SnakeCase] {
        let out = convert(keys, records(["\u{feff}{\"a\":1}", "\u{feff}", "\u{feff}\u{feff}{}"])).await;
        assert_eq!(out.bodies(), [r#"{"a":1}"#]);
        assert_eq!(out.rejected.len(), 2);
    }
}

#[tokio::test]
async fn columns_of_two_headers_with_one_name_keep_their_values() {
    let mut batch = rows(&["Change"], ColumnType::Integer, &[&["1"]]);
    batch.absorb(rows(&["Change %"], ColumnType::Integer, &[&["2"]]));
    batch.absorb(rows(&["%", "#"], ColumnType::Integer, &[&["3", "4"]]));
    let bodies = convert(Keys::SnakeCase, batch).await.bodies();
    assert_eq!(bodies, [r#"{"change":1}"#, r#"{"change":2}"#, r#"{"u25":3,"u23":4}"#]);
}
