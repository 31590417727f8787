//! Dates: their arithmetic and their texts.

use chrono::{DateTime, Datelike as _, Months, NaiveDateTime, NaiveTime, TimeDelta};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;

use super::patterns::{read, translate};
use super::{Cell, Function, TIMESTAMP, invalid};

pub(super) const ALL: &[Function] = &[
    Function {
        name: "date_trunc",
        arguments: &[DataType::Utf8, TIMESTAMP],
        result: |given| given[1].clone(),
        compute: |it| Ok(Some(Cell::When(truncate(it[0].text(), it[1].when())?))),
    },
    Function {
        name: "date_add",
        arguments: &[DataType::Utf8, DataType::Int64, TIMESTAMP],
        result: |given| given[2].clone(),
        compute: |it| Ok(Some(Cell::When(add(it[0].text(), it[1].number(), it[2].when())?))),
    },
    Function {
        name: "date_diff",
        arguments: &[DataType::Utf8, TIMESTAMP, TIMESTAMP],
        result: |_| DataType::Int64,
        compute: |it| Ok(Some(Cell::Number(diff(it[0].text(), it[1].when(), it[2].when())?))),
    },
    Function {
        name: "date_parse",
        arguments: &[DataType::Utf8, DataType::Utf8],
        result: |_| TIMESTAMP,
        compute: |it| Ok(Some(Cell::When(read(it[0].text(), &translate(it[1].text())?)?))),
    },
    Function {
        name: "date_format",
        arguments: &[TIMESTAMP, DataType::Utf8],
        result: |_| DataType::Utf8,
        compute: |it| Ok(Some(Cell::Text(it[0].when().format(&translate(it[1].text())?).to_string()))),
    },
];

const DAY: i64 = 86_400_000;
const WEEK: i64 = 7 * DAY;

/// The length of a unit: fixed, or in months.
enum Length {
    Millis(i64),
    Months(i64),
}

fn length(unit: &str) -> Result<Length> {
    Ok(match unit.to_lowercase().as_str() {
        "millisecond" => Length::Millis(1),
        "second" => Length::Millis(1000),
        "minute" => Length::Millis(60_000),
        "hour" => Length::Millis(3_600_000),
        "day" => Length::Millis(DAY),
        "week" => Length::Millis(WEEK),
        "month" => Length::Months(1),
        "quarter" => Length::Months(3),
        "year" => Length::Months(12),
        _ => return Err(invalid(format!("'{unit}' is not a valid DATE field"))),
    })
}

/// The begin of the unit that a time is in.
fn truncate(unit: &str, time: NaiveDateTime) -> Result<NaiveDateTime> {
    let begin = match length(unit)? {
        Length::Millis(length) => {
            // Weeks begin on a Monday: the first of them is January 5, 1970.
            let first = if length == WEEK { 4 * DAY } else { 0 };
            let millis = time.and_utc().timestamp_millis();
            let begin = millis - (millis - first).rem_euclid(length);
            DateTime::from_timestamp_millis(begin).map(|it| it.naive_utc())
        }
        Length::Months(length) => {
            let midnight = time.date().and_time(NaiveTime::MIN);
            let n = months_of(time).rem_euclid(length);
            midnight.with_day(1).and_then(|first| months_later(first, -n))
        }
    };
    begin.ok_or_else(|| invalid(format!("{time} is out of range")))
}

fn add(unit: &str, n: i64, time: NaiveDateTime) -> Result<NaiveDateTime> {
    let moved = match length(unit)? {
        Length::Millis(length) => n
            .checked_mul(length)
            .and_then(TimeDelta::try_milliseconds)
            .and_then(|it| time.checked_add_signed(it)),
        Length::Months(length) => months_later(time, n.saturating_mul(length)),
    };
    moved.ok_or_else(|| invalid(format!("{time} plus {n} {unit} is out of range")))
}

/// The months since the year 0.
fn months_of(time: NaiveDateTime) -> i64 {
    i64::from(time.year()) * 12 + i64::from(time.month0())
}

fn months_later(time: NaiveDateTime, n: i64) -> Option<NaiveDateTime> {
    let months = Months::new(u32::try_from(n.unsigned_abs()).ok()?);
    if n < 0 { time.checked_sub_months(months) } else { time.checked_add_months(months) }
}

/// Complete units from one time to the other.
fn diff(unit: &str, from: NaiveDateTime, to: NaiveDateTime) -> Result<i64> {
    Ok(match length(unit)? {
        Length::Millis(length) => (to - from).num_milliseconds() / length,
        Length::Months(length) => {
            let n = months_of(to) - months_of(from);
            let reached = months_later(from, n).unwrap_or(to);
            let n = if n > 0 && reached > to {
                n - 1
            } else if n < 0 && reached < to {
                n + 1
            } else {
                n
            };
            n / length
        }
    })
}
