//! Envelopes are read back as the records that they hold.

use super::*;
use crate::table::Table;

fn rejected(record: &Record) -> DeadLetter {
    DeadLetter::new(record, &Error::msg("too long").context("row 3"), "producer", "json")
}

fn origin() -> Origin {
    Origin { source: Name::new("stock_market"), partition: 2, offset: 3 }
}

fn and_back(record: &Record) -> Record {
    DeadLetter::read(&rejected(record).to_json()).unwrap().record
}

#[test]
fn envelope_holds_everything_of_a_record() {
    let mut record = Record::new(Body::Bytes("{\"a\":1}".into()), origin());
    record.key = Some("NYA".into());
    record.timestamp = Some(1_700_000_000_000);
    record.entry = Some(EntryNumber::new(7, Name::new("producer/stocks")));
    record.headers = Headers::new(vec![
        Header { name: "trace".into(), value: Some("x".into()) },
        Header { name: "empty".into(), value: None },
    ]);
    let mut json: serde_json::Value = serde_json::from_slice(&rejected(&record).to_json()).unwrap();
    assert!(json["time"].take().as_str().unwrap().ends_with('Z'));
    let expected = serde_json::json!({
        "version": 1,
        "reason": "row 3: too long",
        "pipeline": "producer",
        "component": "json",
        "time": null,
        "origin": { "stream": "stock_market", "lane": 2, "offset": 3 },
        "entry": 7,
        "source": "producer/stocks",
        "timestamp": 1_700_000_000_000_i64,
        "key": "NYA",
        "headers": [{ "name": "trace", "value": "x" }, { "name": "empty" }],
        "body": "{\"a\":1}",
    });
    assert_eq!(json, expected);

    let back = and_back(&record);
    assert_eq!((back.origin, &back.entry, back.timestamp), (record.origin, &record.entry, record.timestamp));
    assert_eq!((&back.key, back.to_bytes()), (&record.key, record.to_bytes()));
    assert!(back.headers.iter().eq(record.headers.iter()));
}

#[test]
fn bytes_that_are_not_text_are_written_as_base64() {
    let mut record = Record::new(Body::Bytes((&b"\xff\x00"[..]).into()), origin());
    record.key = Some((&b"\xfe"[..]).into());
    record.headers = Headers::new(vec![Header { name: "h".into(), value: Some((&b"\xfd"[..]).into()) }]);
    let json: serde_json::Value = serde_json::from_slice(&rejected(&record).to_json()).unwrap();
    assert_eq!((&json["body_base64"], &json["key_base64"]), (&"/wA=".into(), &"/g==".into()));
    assert_eq!(json["headers"][0]["value_base64"], "/Q==");
    assert!(json.get("body").is_none() && json.get("key").is_none());
    let back = and_back(&record);
    assert_eq!((&back.key, back.to_bytes()), (&record.key, record.to_bytes()));
    assert!(back.headers.iter().eq(record.headers.iter()));
}

#[test]
fn text_that_json_escapes_at_length_is_written_as_base64() {
    let letter = |body: &str| {
        let record = Record::new(Body::Bytes(body.to_owned().into()), origin());
        assert_eq!(and_back(&record).to_bytes(), record.to_bytes());
        rejected(&record).to_json()
    };
    let body = "\u{1}".repeat(900);
    assert!(letter(&body).len() < 2 * body.len());
    let json: serde_json::Value = serde_json::from_slice(&letter("\"\n\t\"\u{1}, text")).unwrap();
    assert_eq!(json["body"], "\"\n\t\"\u{1}, text", "a few");
}

#[test]
fn part_of_a_split_record_keeps_its_numbers() {
    let mut record = Record::new(Body::Bytes("{}".into()), origin());
    record.entry = Some(EntryNumber::new(12, Name::new("p/s")));
    let mut part = record.clone();
    part.make_part_of(&record, 1);
    let json: serde_json::Value = serde_json::from_slice(&rejected(&part).to_json()).unwrap();
    assert_eq!((&json["entry"], &json["origin"]["part"]), (&"12-1".into(), &serde_json::json!([1])));
    let back = and_back(&part);
    assert_eq!((&back.entry, back.parts()), (&part.entry, part.parts()));
}

#[test]
fn tombstone_differs_from_an_empty_body() {
    for body in [Body::Tombstone, Body::Bytes(Bytes::new())] {
        let record = Record::new(body, origin());
        assert_eq!(and_back(&record).to_bytes(), record.to_bytes());
    }
}

#[test]
fn row_is_read_back_as_the_same_row() {
    let column = |name: &str, kind, nullable| Column { name: name.into(), kind, nullable };
    let columns = vec![column("Adj Close", ColumnType::Float, true), column("s", ColumnType::String, false)];
    let header = TableHeader::new(columns, b';', vec!["NA".into()]).with_null_values(1, vec!["".into()]);
    let header = Arc::new(header);
    let table = Arc::new(Table::new(header, b"1500a;\"b\"\nNA".to_vec(), vec![4, 10, 12, 12]));
    for index in 0..2 {
        let row = Row::new(Arc::clone(&table), index);
        let record = Record::new(Body::Row(row.clone()), origin());
        let Body::Row(back) = and_back(&record).body else { panic!("a row stays a row") };
        let json = |row: &Row| {
            let mut json = Vec::new();
            row.write_json(&mut json);
            String::from_utf8(json).unwrap()
        };
        assert_eq!(json(&back), json(&row));
        assert!(back.cells().eq(row.cells()));
    }
}

#[test]
fn other_lines_are_refused_with_the_reason() {
    for (line, reason) in [
        ("nonsense", "not a dead letter: expected"),
        ("17,4.5", "not a dead letter: invalid type: integer `17`, expected a JSON object"),
        ("{\"a\":1}", "missing field `version`"),
        ("{\"version\":2}", "version 2, this runner knows version 1"),
        ("{\"version\":1}", "missing field `reason`"),
    ] {
        let error = format!("{:#}", DeadLetter::read(line.as_bytes()).unwrap_err());
        assert!(error.contains(reason), "{error}");
    }
}
