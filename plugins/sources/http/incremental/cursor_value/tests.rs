//! How values are read and compared.

use super::super::time_format::TimeFormat;
use super::CursorValue;
use super::*;

fn value(json: &str) -> CursorValue {
    CursorValue::parse(json, None).unwrap()
}

fn compare(a: &str, b: &str) -> Option<Ordering> {
    value(a).compare(&value(b))
}

#[test]
fn values_compare_as_what_they_are() {
    use Ordering::{Equal, Greater, Less};
    for (a, b, expected) in [
        ("\"2024-01-02\"", "\"2024-01-10\"", Less),
        ("\"2024-01-02\"", "\"2024-01-02T00:00:00.000Z\"", Equal),
        ("\"2024-01-02T00:00:00+0000\"", "\"2024-01-02T00:00:00Z\"", Equal),
        ("\"2024-01-02T01:00:00+01:00\"", "\"2024-01-02 00:00:00\"", Equal),
        ("\"2024-01-02 10:00\"", "\"2024-01-02T09:59:59.5Z\"", Greater),
        ("\"20240102\"", "\"2024-01-02\"", Equal),
        ("20240102", "\"2024-01-03\"", Less),
        ("20240102.0", "\"2024-01-02\"", Equal),
        ("20240102093000", "\"2024-01-02T09:30:00Z\"", Equal),
        ("\"20240132\"", "\"20240131\"", Greater),
        ("\"2024-1-5\"", "\"2024-01-05\"", Equal),
        ("\"Mon, 01 Jan 2024 01:00:00 +0100\"", "\"2024-01-01\"", Equal),
        ("1704153600", "\"2024-01-02\"", Equal),
        ("1704153600000", "\"2024-01-02\"", Equal),
        ("9", "10", Less),
        ("\"9\"", "\"10\"", Less),
        ("1.5", "1", Greater),
        ("12345678901234567891", "12345678901234567890", Greater),
        ("\"b\"", "\"a\"", Greater),
    ] {
        assert_eq!(compare(a, b), Some(expected), "{a} {b}");
    }
    assert_eq!(compare("\"b\"", "1"), None);
    for number in ["2003", "\"2003\"", "45292", "202401", "20240132", "5000000000", "1.5"] {
        assert_eq!(compare(number, "\"2024-01-02\""), None, "{number}");
        assert_eq!(compare("\"2024-01-02\"", number), None, "{number}");
    }
    for none in ["null", "true", "{}", "[]", "\"\""] {
        assert!(CursorValue::parse(none, None).is_none(), "{none}");
    }
}

#[test]
fn digits_that_may_be_an_id_compare_with_text_as_text() {
    let id = "\"65920081abcdef1234567890\"";
    for (digits, expected) in [
        ("\"000000000000000000000000\"", Ordering::Less),
        ("\"659200811234567890123456\"", Ordering::Less),
        ("\"65920081123456789012e345\"", Ordering::Less),
        ("\"759200811234567890123456\"", Ordering::Greater),
        ("\"00000001\"", Ordering::Less),
    ] {
        assert_eq!(compare(digits, id), Some(expected), "{digits}");
        assert_eq!(compare(id, digits), Some(expected.reverse()), "{digits}");
    }
    for number in ["12345", "\"12345\"", "\"0\"", "\"0.5\"", "659200811234567890123456"] {
        assert_eq!(compare(number, id), None, "{number}");
    }
}

#[test]
fn value_less_a_span_keeps_its_form() {
    let day = Duration::from_hours(24);
    let less = |json: &str| value(json).minus_time(day).unwrap().to_string();
    assert_eq!(less("\"2024-03-01\""), "2024-02-29");
    assert_eq!(less("\"2024-03-01T10:00:00Z\""), "2024-02-29T10:00:00Z");
    assert_eq!(less("\"2024-03-01 10:00\""), "2024-02-29 10:00");
    assert_eq!(less("20240301"), "20240229");
    assert_eq!(less("\"20240301120000\""), "20240229120000");
    assert_eq!(less("1704153600"), "1704067200");
    assert_eq!(less("1704153600000"), "1704067200000");
    assert!(value("\"x\"").minus_time(day).is_none());
    assert_eq!(value("10").minus_number(3.0).unwrap().to_string(), "7");
}

#[test]
fn only_plausible_numbers_are_certain_times() {
    assert!(value("1704153600").certain_time().is_some());
    assert!(value("1704153600000").certain_time().is_some());
    assert!(value("20240102").certain_time().is_some());
    for number in ["7", "20240132", "99999999999999999", "1704153600000000"] {
        assert!(value(number).certain_time().is_none(), "{number}");
    }
}

#[test]
fn format_reads_texts_and_numbers() {
    let read = |json: &str, format: &str| {
        let format = TimeFormat::try_from(format.to_owned()).unwrap();
        CursorValue::parse(json, Some(&format)).unwrap()
    };
    for (json, format, date) in [
        ("\"31/01/2024\"", "%d/%m/%Y", "2024-01-31"),
        ("2024", "%Y", "2024-01-01"),
        ("\"2024\"", "%Y", "2024-01-01"),
        ("2024010510", "%Y%m%d%H", "2024-01-05T10:00:00Z"),
        ("1704153600", "%Y%m%d", "2024-01-02"),
        ("\"2024-01-02\"", "%d/%m/%Y", "2024-01-02"),
        ("86400", "epoch", "1970-01-02"),
    ] {
        let date = CursorValue::of_text(date, None).unwrap();
        assert_eq!(read(json, format).compare(&date), Some(Ordering::Equal), "{json} {format}");
        let saved: CursorValue = serde_json::from_str(json).unwrap();
        let format = TimeFormat::try_from(format.to_owned()).unwrap();
        assert_eq!(saved.read_as(Some(&format)).compare(&date), Some(Ordering::Equal), "{json}");
    }
}

#[test]
fn value_round_trips_through_json() {
    for json in ["\"2024-01-02\"", "17", "1.5", "\"a\\\"b\"", "\"007\""] {
        let saved = serde_json::to_string(&value(json)).unwrap();
        assert_eq!(saved, json);
        assert_eq!(serde_json::from_str::<CursorValue>(&saved).unwrap(), value(json));
    }
}
