//! Fields, types and rejections, for rows and for JSON.

use runner_core::testing::{Collected, apply, batch, context, records};
use runner_core::{Batch, Body, ColumnType};
use serde_json::{Value, json};

use super::*;
use crate::shared::test_rows;

pub(super) fn select(options: Value) -> Box<dyn Transform> {
    let config: SelectConfig = serde_json::from_value(options).unwrap();
    config.build(&context()).unwrap()
}

/// Rows in which `NA` is null.
pub(super) fn rows(columns: &[(&str, ColumnType)], rows: &[&[&str]]) -> Batch {
    test_rows::rows(columns, "NA", rows)
}

/// The bodies as JSON; a row is still a row.
pub(super) fn json_of(out: &Collected) -> Vec<String> {
    let json = |body: &Body| {
        let mut json = Vec::new();
        match body {
            Body::Row(row) => row.write_json(&mut json),
            Body::Bytes(bytes) => json.extend_from_slice(bytes),
            other => panic!("{other:?}"),
        }
        String::from_utf8(json).unwrap()
    };
    out.records.iter().map(|record| json(&record.body)).collect()
}

fn reasons(out: &Collected) -> Vec<String> {
    out.rejected.iter().map(|(_, reason)| format!("{reason:#}")).collect()
}

async fn of_json<const N: usize>(options: Value, bodies: [&str; N]) -> Collected {
    apply(&mut *select(options), records(bodies)).await.unwrap()
}

#[tokio::test]
async fn json_keeps_its_digits_and_gets_the_order_of_the_fields() {
    let options = json!({ "fields": { "z": "a", "b": "/n/o", "first": "/list/0", "n": "n" } });
    let body =
        r#"{"n": {"o": 12345678901234567890.10, "x": [1,  2]}, "a": "\u00e9", "list": [7, 8], "drop": 1}"#;
    let out = of_json(options, [body]).await;
    assert_eq!(
        json_of(&out),
        [
            r#"{"z":"\u00e9","b":12345678901234567890.10,"first":7,"n":{"o":12345678901234567890.10,"x":[1,2]}}"#
        ]
    );
}

#[tokio::test]
async fn rows_stay_rows_with_the_columns_of_the_fields() {
    let columns = [("day", ColumnType::String), ("o", ColumnType::Float), ("n", ColumnType::Integer)];
    let options = json!({ "fields": {
        "Volume": { "from": "n", "type": "float" },
        "Open": "o",
        "Date": { "from": "/day", "type": "date", "parse": "%d/%m/%Y" },
        "Text": { "from": "n", "type": "string" },
        "Source": { "value": "a \"b\"" },
        "Rank": { "value": 7 },
        "Rate": { "value": 1.50 },
        "Ok": { "value": true },
    } });
    let batch = rows(&columns, &[&["31/01/2024", "1500", "12"], &["NA", "NA", "NA"]]);
    let out = apply(&mut *select(options), batch).await.unwrap();
    assert_eq!(
        json_of(&out),
        [
            r#"{"Volume":12.0,"Open":1500.0,"Date":"2024-01-31","Text":"12","Source":"a \"b\"","Rank":7,"Rate":1.5,"Ok":true}"#,
            r#"{"Volume":null,"Open":null,"Date":null,"Text":null,"Source":"a \"b\"","Rank":7,"Rate":1.5,"Ok":true}"#,
        ]
    );
    assert_eq!(out.records[0].to_bytes().unwrap(), "12,1500,2024-01-31,12,\"a \"\"b\"\"\",7,1.5,true");
}

#[tokio::test]
async fn typed_values_are_the_same_from_rows_and_from_json() {
    let fields = json!({ "fields": {
        "i": { "type": "integer" },
        "f": { "type": "float" },
        "b": { "type": "boolean" },
        "s": { "type": "string" },
        "d": { "type": "date" },
        "t": { "type": "timestamp", "parse": "epoch" },
        "e": { "from": "d", "type": "timestamp", "format": "epoch" },
    } });
    let expected =
        r#"{"i":5,"f":0.5,"b":true,"s":"x","d":"2024-01-31","t":"2024-01-31 09:30:15.000","e":1706659200}"#;
    let columns = ["i", "f", "b", "s", "d", "t"].map(|name| (name, ColumnType::String));
    let batch = rows(&columns, &[&["+5", ".5", "Yes", "x", "2024-01-31", "1706693415"]]);
    assert_eq!(json_of(&apply(&mut *select(fields.clone()), batch).await.unwrap()), [expected]);
    let texts = r#"{"i":"+5","f":".5","b":"Yes","s":"x","d":"2024-01-31","t":"1706693415"}"#;
    let values = r#"{"i":5.0,"f":0.5,"b":1,"s":"x","d":"2024-01-31","t":1706693415}"#;
    assert_eq!(json_of(&of_json(fields, [texts, values]).await), [expected, expected]);
}

#[tokio::test]
async fn float_is_written_with_a_point_whatever_the_record_has() {
    let options = json!({ "fields": { "p": { "type": "float" } } });
    let out = of_json(options, [r#"{"p":100}"#, r#"{"p":"100"}"#, r#"{"p":1e2}"#, r#"{"p":null}"#]).await;
    assert_eq!(json_of(&out), [r#"{"p":100.0}"#, r#"{"p":100.0}"#, r#"{"p":1e2}"#, r#"{"p":null}"#]);
}

#[tokio::test]
async fn misfit_is_rejected_with_the_name_of_the_field_and_without_its_value() {
    let options = json!({ "fields": { "Close": { "from": "c", "type": "float" }, "ok": "ok" } });
    let bodies = [r#"{"c":"secret","ok":1}"#, r#"{"c":{"x":"secret"},"ok":1}"#, r#"{"c":1,"ok":2}"#];
    let out = of_json(options.clone(), bodies).await;
    assert_eq!(json_of(&out), [r#"{"Close":1.0,"ok":2}"#]);
    for (reason, part) in reasons(&out).iter().zip(["not a number", "an object, not of type float"]) {
        assert!(reason.contains("`Close`") && reason.contains("`c`") && reason.contains(part), "{reason}");
        assert!(!reason.contains("secret"), "{reason}");
    }
    assert_eq!(out.rejected[0].0.to_bytes().unwrap(), bodies[0], "the dead letter holds the record");

    let columns = [("c", ColumnType::String), ("ok", ColumnType::Integer)];
    let batch = rows(&columns, &[&["1", "1"], &["secret", "2"], &["3", "3"]]);
    let out = apply(&mut *select(options), batch).await.unwrap();
    assert_eq!(json_of(&out), [r#"{"Close":1.0,"ok":1}"#, r#"{"Close":3.0,"ok":3}"#]);
    let reason = &reasons(&out)[0];
    assert!(reason.contains("`Close`") && !reason.contains("secret"), "{reason}");
    assert_eq!(out.rejected[0].0.to_bytes().unwrap(), "secret,2");
}

#[tokio::test]
async fn missing_field_is_rejected_null_or_its_default() {
    let options = |field: Value| json!({ "fields": { "x": field } });
    let body = r#"{"a":1}"#;
    let columns = [("a", ColumnType::Integer)];
    for (field, expected) in [
        (json!({ "required": false }), r#"{"x":null}"#),
        (json!({ "default": 0, "type": "float" }), r#"{"x":0.0}"#),
        (json!({ "default": "31/01/2024", "type": "date", "parse": "%d/%m/%Y" }), r#"{"x":"2024-01-31"}"#),
        (json!({ "default": "none" }), r#"{"x":"none"}"#),
        (json!({ "from": "/a/b", "default": false }), r#"{"x":false}"#),
    ] {
        assert_eq!(json_of(&of_json(options(field.clone()), [body]).await), [expected]);
        let out = apply(&mut *select(options(field)), rows(&columns, &[&["1"]])).await.unwrap();
        assert_eq!(json_of(&out), [expected]);
    }
    let of_row = apply(&mut *select(options(json!("y"))), rows(&columns, &[&["1"], &["2"]])).await.unwrap();
    let of_json = of_json(options(json!("y")), [body, "{}", "[1]", "7"]).await;
    for reason in reasons(&of_row).iter().chain(&reasons(&of_json)[..1]) {
        assert!(reason.starts_with("field `x`: the record has no `y`; it has `a`."), "{reason}");
        assert!(reason.contains("`default`") && reason.contains("`required = false`"), "{reason}");
    }
    assert_eq!((of_row.rejected.len(), of_json.rejected.len()), (2, 4));
    assert!(reasons(&of_json)[1].contains("it has no fields"));
    assert!(reasons(&of_json)[2].contains("it is not an object"));
}

#[tokio::test]
async fn missing_pointer_names_how_to_write_a_field_that_is_spelled_like_it() {
    let options = |from: &str| json!({ "fields": { "x": { "from": from } } });
    let columns = [("/Date", ColumnType::Integer)];
    let of_rows = apply(&mut *select(options("/Date")), rows(&columns, &[&["1"]])).await.unwrap();
    let of_json_too = of_json(options("/Date"), [r#"{"/Date":1}"#]).await;
    for reason in [&reasons(&of_rows)[0], &reasons(&of_json_too)[0]] {
        assert!(reason.contains("it has `/Date`; the field `/Date` itself is written `/~1Date`"), "{reason}");
    }
    let cell =
        apply(&mut *select(options("/j/a")), rows(&[("j", ColumnType::String)], &[&["{}"]])).await.unwrap();
    assert!(
        reasons(&cell)[0].contains("`parse_json` in a `remap` reads JSON in `j`"),
        "{:?}",
        reasons(&cell)
    );
    let out = apply(&mut *select(options("/~1Date")), rows(&columns, &[&["1"]])).await.unwrap();
    assert_eq!(json_of(&out), [r#"{"x":1}"#]);
    assert_eq!(json_of(&of_json(options("/~1Date"), [r#"{"/Date":1}"#]).await), [r#"{"x":1}"#]);
}

#[tokio::test]
async fn null_stays_null_where_there_is_a_default() {
    let options = json!({ "fields": { "x": { "type": "integer", "default": 0 } } });
    assert_eq!(json_of(&of_json(options.clone(), [r#"{"x":null}"#]).await), [r#"{"x":null}"#]);
    for kind in [ColumnType::Integer, ColumnType::String] {
        let out = apply(&mut *select(options.clone()), rows(&[("x", kind)], &[&["NA"]])).await.unwrap();
        assert_eq!(json_of(&out), [r#"{"x":null}"#]);
    }
}

#[tokio::test]
async fn null_values_of_a_field_are_null_in_that_field_alone() {
    let options = json!({ "fields": {
        "a": { "null_values": ["-", "n/a", "-1"] },
        "b": { "from": "a" },
        "c": { "from": "a", "type": "float", "null_values": ["-", "n/a"], "required": false },
    } });
    let expected =
        [r#"{"a":null,"b":"-","c":null}"#, r#"{"a":null,"b":"-1","c":-1.0}"#, r#"{"a":"2","b":"2","c":2.0}"#];
    let out = of_json(options.clone(), [r#"{"a":"-"}"#, r#"{"a":"-1"}"#, r#"{"a":"2"}"#]).await;
    assert_eq!(json_of(&out), expected);
    let batch = rows(&[("a", ColumnType::String)], &[&["-"], &["-1"], &["2"], &["NA"]]);
    let out = apply(&mut *select(options.clone()), batch).await.unwrap();
    assert_eq!(json_of(&out)[..3], expected);
    assert_eq!(json_of(&out)[3], r#"{"a":null,"b":null,"c":null}"#);
    // A second selection keeps what is null.
    let again =
        apply(&mut *select(json!({ "fields": { "x": "a", "y": "b" } })), batch_of(out)).await.unwrap();
    assert_eq!(json_of(&again)[0], r#"{"x":null,"y":"-"}"#);
}

fn batch_of(out: Collected) -> Batch {
    batch(out.records)
}

#[tokio::test]
async fn rest_follows_the_fields_and_never_repeats_a_name() {
    let options = json!({ "fields": { "a": "b", "o": "/n/o" }, "rest": "keep" });
    let body = r#"{"x": [1, 2], "b": 1, "a": 2, "n": {"o": 3}, "x": 4, "y\"": null}"#;
    let out = of_json(options.clone(), [body]).await;
    assert_eq!(json_of(&out), [r#"{"a":1,"o":3,"x":4,"n":{"o":3},"y\"":null}"#]);
    let columns = ["x", "b", "a", "y"].map(|name| (name, ColumnType::Integer));
    let options = json!({ "fields": { "a": "b" }, "rest": "keep" });
    let out = apply(&mut *select(options), rows(&columns, &[&["1", "2", "3", "NA"]])).await.unwrap();
    assert_eq!(json_of(&out), [r#"{"a":2,"x":1,"y":null}"#]);
}

#[tokio::test]
async fn last_of_equal_keys_counts() {
    let options = json!({ "fields": { "a": { "from": "a", "required": false }, "b": { "from": "/n/b", "required": false } } });
    let out = of_json(options, [r#"{"a":1,"n":{"b":1},"a":2,"n":{}}"#]).await;
    assert_eq!(json_of(&out), [r#"{"a":2,"b":null}"#]);
}

#[tokio::test]
async fn body_that_is_not_json_is_rejected_without_its_content() {
    let options = json!({ "fields": { "a": "a" } });
    let out = of_json(options, [r#"{"a":1} secret"#, "secret", "", r#"{"a":"secret}"#]).await;
    assert_eq!(out.rejected.len(), 4);
    for reason in reasons(&out) {
        assert!(reason.contains("not JSON") && !reason.contains("secret"), "{reason}");
    }
}

#[tokio::test]
async fn body_that_is_not_an_object_is_rejected_whole() {
    let constant = json!({ "fields": { "src": { "value": "kafka" } }, "rest": "keep" });
    let out = of_json(constant.clone(), ["5", "[1]", "\"text\"", "null", r#"{"a":1}"#]).await;
    assert_eq!(json_of(&out), [r#"{"src":"kafka","a":1}"#]);
    let reasons = reasons(&out);
    assert!(reasons.iter().all(|it| it.contains("not a JSON object")), "{reasons:?}");
    assert_eq!(out.rejected.len(), 4);
    // Elements of an array can be taken.
    let first = json!({ "fields": { "open": "/0", "close": { "from": "/3", "required": false } } });
    let out = of_json(first, ["[7,8]", "[]"]).await;
    assert_eq!(json_of(&out), [r#"{"open":7,"close":null}"#]);
}

#[tokio::test]
async fn records_of_several_forms_keep_their_places() {
    let mut mixed = rows(&[("a", ColumnType::Integer)], &[&["0"], &["1"]]);
    mixed.absorb(records([r#"{"a":2}"#, "x", ""]));
    mixed.absorb(rows(&[("b", ColumnType::Integer), ("a", ColumnType::Integer)], &[&["9", "5"]]));
    mixed.records_mut()[4].body = Body::Tombstone;
    mixed.records_mut()[2].value_mut().unwrap()["a"] = 3.into();
    let out = apply(&mut *select(json!({ "fields": { "n": "a" } })), mixed).await.unwrap();
    assert!(matches!(out.records[3].body, Body::Tombstone));
    let bodies: Vec<_> = out
        .records
        .into_iter()
        .filter(|record| !matches!(record.body, Body::Tombstone))
        .map(|mut record| record.value().unwrap()["n"].clone())
        .collect();
    assert_eq!(bodies, [0, 1, 3, 5]);
    assert_eq!(out.rejected.len(), 1);
}

#[test]
fn options_that_contradict_each_other_are_refused_at_their_place() {
    for (field, option, reason) in [
        (json!({ "value": 1, "from": "a" }), "from", "cannot be combined with `value`"),
        (json!({ "parse": "%Y-%m-%d" }), "parse", "needs `type"),
        (json!({ "type": "float", "format": "epoch" }), "format", "needs `type"),
        (json!({ "default": 1, "required": true }), "required", "cannot be combined"),
        (json!({ "default": "x", "type": "integer" }), "default", "not an integer"),
    ] {
        let config: SelectConfig = serde_json::from_value(json!({ "fields": { "F": field } })).unwrap();
        let error = config.build(&context()).err().unwrap();
        let error = error.downcast_ref::<runner_core::OptionError>().unwrap();
        assert_eq!(error.option, format!("fields.F.{option}"));
        assert!(error.message.contains(reason), "{}", error.message);
    }
    for field in
        [json!({ "type": "date", "parse": "%Q" }), json!({ "value": [1] }), json!({ "typo": 1 }), json!(5)]
    {
        assert!(
            serde_json::from_value::<SelectConfig>(json!({ "fields": { "F": field } })).is_err(),
            "{field}"
        );
    }
}
