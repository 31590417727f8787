//! Values in the spellings of people, and as they are written.

use chrono::{NaiveDate, NaiveDateTime};
use proptest::prelude::*;

use super::{Misfit, ReadTime, TypeName, ValueType, WriteTime};

fn cell(kind: &ValueType, text: &str) -> Result<String, Misfit> {
    let mut out = b"before".to_vec();
    let written = kind.write_cell(text.as_bytes(), &mut out);
    let text = String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned();
    if written.is_err() {
        assert_eq!(text, "", "nothing is written after an error");
    }
    written.map(|()| text)
}

fn plain(name: TypeName) -> ValueType {
    ValueType::new(name, None, None)
}

fn read_as(name: TypeName, parse: &str) -> ValueType {
    ValueType::new(name, Some(parse.to_owned().try_into().unwrap()), None)
}

#[test]
fn integer_keeps_its_digits_and_drops_a_plus_sign() {
    let integer = plain(TypeName::Integer);
    for (text, expected) in [
        ("0", "0"),
        ("-0", "0"),
        ("+5", "5"),
        ("007", "7"),
        ("-12", "-12"),
        ("5.0", "5"),
        ("5.", "5"),
        ("9223372036854775807", "9223372036854775807"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("0009223372036854775807", "9223372036854775807"),
    ] {
        assert_eq!(cell(&integer, text).unwrap(), expected, "{text}");
    }
    for text in ["", "-", "+", "5.5", "1e3", "0x1F", "1_000", " 5", "5 ", "five", ".", "--5"] {
        assert_eq!(cell(&integer, text), Err(Misfit::Integer), "{text}");
    }
    for text in ["9223372036854775808", "-9223372036854775809", "11898508762506083287000"] {
        assert_eq!(cell(&integer, text), Err(Misfit::LongInteger), "{text}");
    }
}

#[test]
fn float_is_written_as_json_with_all_digits() {
    let float = plain(TypeName::Float);
    for (text, expected) in [
        (".5", "0.5"),
        ("-.25", "-0.25"),
        ("5.", "5.0"),
        ("+5", "5"),
        ("007.50", "7.50"),
        ("-0", "-0"),
        ("0.1234567890123456789", "0.1234567890123456789"),
        ("1E5", "1E5"),
        ("2.5e-3", "2.5e-3"),
        ("5.e+2", "5.0e+2"),
        ("11898508762506083287", "11898508762506083287"),
    ] {
        assert_eq!(cell(&float, text).unwrap(), expected, "{text}");
    }
    for text in
        ["", ".", "-", "+.", "e5", "1e", "1e+", "NaN", "inf", "-Infinity", "0x1F", "1,5", "1_000", " 5"]
    {
        assert_eq!(cell(&float, text), Err(Misfit::Float), "{text}");
    }
    for text in ["1e400", "-1e999"] {
        assert_eq!(cell(&float, text), Err(Misfit::HugeFloat), "{text}");
    }
}

#[test]
fn boolean_takes_the_usual_spellings_in_any_case() {
    let boolean = plain(TypeName::Boolean);
    for text in ["true", "True", "TRUE", "yes", "YES", "t", "T", "y", "Y", "1"] {
        assert_eq!(cell(&boolean, text).unwrap(), "true", "{text}");
    }
    for text in ["false", "False", "no", "No", "f", "F", "n", "N", "0"] {
        assert_eq!(cell(&boolean, text).unwrap(), "false", "{text}");
    }
    for text in ["", "2", "maybe", "on", "01", "tru"] {
        assert_eq!(cell(&boolean, text), Err(Misfit::Boolean), "{text}");
    }
}

#[test]
fn iso_forms_are_read_without_a_pattern() {
    let (date, timestamp) = (plain(TypeName::Date), plain(TypeName::Timestamp));
    for (text, day, time) in [
        ("2024-01-31", "2024-01-31", "2024-01-31 00:00:00.000"),
        ("2024-01-31T09:30:15", "2024-01-31", "2024-01-31 09:30:15.000"),
        ("2024-01-31 09:30", "2024-01-31", "2024-01-31 09:30:00.000"),
        ("2024-01-31T09:30:15.1234567Z", "2024-01-31", "2024-01-31 09:30:15.123"),
        ("2024-01-31t23:30:15,5-05:00", "2024-01-31", "2024-02-01 04:30:15.500"),
        ("2024-01-31 09:30:15+0530", "2024-01-31", "2024-01-31 04:00:15.000"),
        ("2024-01-31 09:30:15+02", "2024-01-31", "2024-01-31 07:30:15.000"),
        ("2016-12-31T23:59:60Z", "2017-01-01", "2017-01-01 00:00:00.000"),
        ("0000-01-01", "0000-01-01", "0000-01-01 00:00:00.000"),
        ("20240131", "2024-01-31", "2024-01-31 00:00:00.000"),
        ("20240131T0930", "2024-01-31", "2024-01-31 09:30:00.000"),
        ("20240131T093015Z", "2024-01-31", "2024-01-31 09:30:15.000"),
        ("20240131T233015.25-0500", "2024-01-31", "2024-02-01 04:30:15.250"),
        ("20240131 09:30:15", "2024-01-31", "2024-01-31 09:30:15.000"),
    ] {
        assert_eq!(cell(&date, text).unwrap(), day, "{text}");
        assert_eq!(cell(&timestamp, text).unwrap(), time, "{text}");
    }
    for text in [
        "",
        "2024-02-30",
        "2024-1-31",
        "2024013",
        "202401310",
        "20240230",
        "20240131T09",
        "20240131T09301",
        "202401-31",
        "2024-01-31T0930",
        "31/01/2024",
        "2024-01-31T",
        "2024-01-31T25:00",
        "2024-01-31T09:30:15.",
        "2024-01-31T09:30:15 Z",
        "2024-01-31T09:30:15+25:00",
        "2024-01-31x",
        "-2024-01-31",
        "0000-01-01T00:00:00+01:00",
    ] {
        assert!(cell(&timestamp, text).is_err(), "{text}");
    }
}

#[test]
fn patterns_read_dates_as_people_write_them() {
    for (parse, text, expected) in [
        ("%d/%m/%Y", "02/01/2024", "2024-01-02"),
        ("%d-%b-%y", "2-Jan-24", "2024-01-02"),
        ("%d-%b-%y", "2-Jan-69", "2069-01-02"),
        ("%d-%b-%y", "2-Jan-70", "1970-01-02"),
        ("%-d.%-m.%Y", "2.1.2024", "2024-01-02"),
        ("%B %d, %Y", "January 2, 2024", "2024-01-02"),
        ("%Y%m%d", "20240102", "2024-01-02"),
        ("%m/%d/%Y %I:%M %p", "01/02/2024 09:30 PM", "2024-01-02"),
        ("%A, %d. %B %Y", "Tuesday, 02. January 2024", "2024-01-02"),
        ("%Y-%m-%dT%H:%M:%S%z", "2024-01-02T23:30:00-0500", "2024-01-02"),
        ("rfc3339", "2024-01-02T09:30:00Z", "2024-01-02"),
        ("epoch", "1704153600", "2024-01-02"),
        ("epoch_ms", "1704153600000", "2024-01-02"),
    ] {
        assert_eq!(cell(&read_as(TypeName::Date, parse), text).unwrap(), expected, "{parse}");
    }
    for (parse, text) in [
        ("%d/%m/%Y", "2024-01-02"),
        ("%d/%m/%Y", "31/02/2024"),
        ("%d/%m/%Y", "02/01/2024 "),
        ("%d/%m/%Y", "02/01/12024"),
        ("%d/%m/%Y", "02/01/24"),
        ("rfc3339", "2024-01-02"),
        ("rfc3339", "20240102T093000Z"),
        ("rfc3339", "2024-01-02T09:30:00"),
        ("epoch", "2024-01-02"),
        ("epoch", "99999999999999"),
        ("epoch", "1e9"),
        ("epoch", ""),
    ] {
        let misfit = cell(&read_as(TypeName::Date, parse), text).unwrap_err().to_string();
        assert!(misfit.contains(&format!("\"{parse}\"")), "{misfit}");
        assert!(text.is_empty() || !misfit.contains(text), "the value is not shown: {misfit}");
    }
}

#[test]
fn timestamps_are_written_in_utc() {
    for (parse, text, expected) in [
        ("%d/%m/%Y", "02/01/2024", "2024-01-02 00:00:00.000"),
        ("%d/%m/%Y %H:%M", "02/01/2024 9:30", "2024-01-02 09:30:00.000"),
        ("%Y-%m-%dT%H:%M:%S%.f%:z", "2024-01-02T23:30:00.25-05:00", "2024-01-03 04:30:00.250"),
        ("%s", "1704153600", "2024-01-02 00:00:00.000"),
        ("%Y%m%d %H", "20240102 09", "2024-01-02 09:00:00.000"),
        ("%Y-%m-%d %H:%M:%S%.f UTC", "2024-01-02 09:30:15.5 UTC", "2024-01-02 09:30:15.500"),
        ("%Y-%m-%dT%H:%M:%S%#z", "2024-01-02T09:30:15Z", "2024-01-02 09:30:15.000"),
        ("%d.%m.%Y %I:%M:%S.%3f %p", "02.01.2024 09:30:15.250 pm", "2024-01-02 21:30:15.250"),
        ("epoch", "1704153600.5", "2024-01-02 00:00:00.500"),
        ("epoch", "-1.25", "1969-12-31 23:59:58.750"),
        ("epoch_ms", "1704153600123", "2024-01-02 00:00:00.123"),
        ("epoch_ms", "-1", "1969-12-31 23:59:59.999"),
    ] {
        assert_eq!(cell(&read_as(TypeName::Timestamp, parse), text).unwrap(), expected, "{parse}");
    }
}

#[test]
fn format_says_how_times_are_written() {
    let write = |name, format: &str| {
        let format = WriteTime::try_from(format.to_owned()).unwrap();
        cell(&ValueType::new(name, None, Some(format)), "2024-01-31T09:30:15.250Z").unwrap()
    };
    assert_eq!(write(TypeName::Timestamp, "rfc3339"), "2024-01-31T09:30:15.250Z");
    assert_eq!(write(TypeName::Timestamp, "epoch"), "1706693415");
    assert_eq!(write(TypeName::Timestamp, "epoch_ms"), "1706693415250");
    assert_eq!(write(TypeName::Timestamp, "%H:%M"), "09:30");
    assert_eq!(write(TypeName::Date, "%d.%m.%Y"), "31.01.2024");
    assert_eq!(write(TypeName::Date, "epoch"), "1706659200");
}

#[test]
fn pattern_that_cannot_give_a_date_is_refused() {
    for (parse, reason) in [
        ("%d/%m", "needs a year"),
        ("%H:%M:%S", "needs a year"),
        ("%Q", "not a valid strftime pattern"),
        ("%", "not a valid strftime pattern"),
        ("iso8601", "\"rfc3339\", \"epoch\" or \"epoch_ms\""),
        ("", "no strftime specifier"),
    ] {
        let error = ReadTime::try_from(parse.to_owned()).unwrap_err();
        assert!(error.contains(reason), "{parse}: {error}");
    }
    assert!(WriteTime::try_from("%Q".to_owned()).is_err());
    assert!(WriteTime::try_from("%H:%M".to_owned()).is_ok());
}

#[test]
fn pattern_that_reads_a_part_without_using_it_is_refused() {
    for (parse, reason) in [
        ("%Y-%m-%d %H:%M:%S %Z", "use `%z`"),
        ("%a %b %e %T %Z %Y", "use `%z`"),
        ("%Y-%m-%d %H:%M:%S.%f", "Use `%.f`"),
        ("%d/%m/%Y %I:%M", "add `%p`"),
        ("%d/%m/%Y %l", "add `%p`"),
        ("%d/%m/%Y %M:%S", "needs the hour"),
        ("%d/%m/%Y %S", "needs the hour"),
        ("%d/%m/%Y %H %S", "needs the minute"),
        ("%d/%m/%Y %H:%M %3f", "needs the second"),
        ("%d/%m/%Y %p", "needs the hour"),
    ] {
        let error = ReadTime::try_from(parse.to_owned()).unwrap_err();
        assert!(error.contains(reason) && error.starts_with(&format!("`{parse}`")), "{parse}: {error}");
    }
    for parse in
        ["%c", "%D %R", "%F %X", "%+", "%s%.f", "%G-W%V-%u", "%Y-%j", "%v %r", "%Y-%m-%d %H:%M:%S %:z"]
    {
        assert!(ReadTime::try_from(parse.to_owned()).is_ok(), "{parse}");
    }
}

proptest! {
    #[test]
    fn any_text_is_written_as_valid_json_or_not_at_all(text in "[-+.0-9eE]{0,12}|\\PC{0,8}") {
        let is_number = |text: &str| serde_json::from_str::<serde_json::Number>(text).is_ok();
        if let Ok(number) = cell(&plain(TypeName::Float), &text) {
            prop_assert!(is_number(&number), "{} became {}", text, number);
            let value: f64 = text.parse().unwrap();
            prop_assert_eq!(number.parse::<f64>().unwrap().to_bits(), value.to_bits());
        } else {
            prop_assert!(!is_number(&text) || text.trim() != text, "{} is a number", text);
        }
        if let Ok(integer) = cell(&plain(TypeName::Integer), &text) {
            prop_assert!(is_number(&integer), "{} became {}", text, integer);
            prop_assert!(integer.parse::<i64>().is_ok());
        } else {
            prop_assert!(text.parse::<i64>().is_err(), "{} is an integer", text);
        }
    }

    #[test]
    fn what_chrono_writes_is_read_again(seconds in -62_167_219_200_i64..253_402_300_800, millis in 0_u32..1000) {
        let utc = chrono::DateTime::from_timestamp(seconds, millis * 1_000_000).unwrap().naive_utc();
        let written = |form: &str| utc.and_utc().format(form).to_string();
        let expected = written("%Y-%m-%d %H:%M:%S%.3f");
        let timestamp = plain(TypeName::Timestamp);
        prop_assert_eq!(&cell(&timestamp, &written("%Y-%m-%dT%H:%M:%S%.fZ")).unwrap(), &expected);
        prop_assert_eq!(&cell(&timestamp, &expected).unwrap(), &expected);
        let pattern = "%d.%m.%Y %H:%M:%S%.3f";
        let read = cell(&read_as(TypeName::Timestamp, pattern), &written(pattern)).ok();
        prop_assert_eq!(read, (&*expected >= "1000").then(|| expected.clone()));
        let epoch = read_as(TypeName::Timestamp, "epoch_ms");
        prop_assert_eq!(&cell(&epoch, &utc.and_utc().timestamp_millis().to_string()).unwrap(), &expected);
        let date: NaiveDate = NaiveDateTime::date(&utc);
        prop_assert_eq!(cell(&plain(TypeName::Date), &expected).unwrap(), date.format("%Y-%m-%d").to_string());
    }

    #[test]
    fn iso_times_agree_with_chrono(text in "20[0-9]{2}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-][0-1][0-9]:[0-6][0-9])") {
        let ours = cell(&read_as(TypeName::Timestamp, "rfc3339"), &text).ok();
        let theirs = chrono::DateTime::parse_from_rfc3339(&text).ok();
        let theirs = theirs.map(|it| it.naive_utc().format("%Y-%m-%d %H:%M:%S%.3f").to_string());
        prop_assert_eq!(ours, theirs);
    }
}
