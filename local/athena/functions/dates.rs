//! Dates: their arithmetic and their texts.

use chrono::{DateTime, Datelike as _, Days, Months, NaiveDate, NaiveDateTime, TimeDelta};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;

use super::patterns::{read, translate};
use super::{Argument, Cell, Function, TIMESTAMP, invalid};

pub(super) const ALL: &[Function] = &[
    Function {
        name: "date_trunc",
        arguments: &[Argument::Text, Argument::When],
        result: |given| given[1].clone(),
        compute: |it| Ok(Some(Cell::When(truncate(it[0].text(), it[1].when())?))),
    },
    Function {
        name: "date_add",
        arguments: &[Argument::Text, Argument::Number, Argument::When],
        result: |given| given[2].clone(),
        compute: |it| Ok(Some(Cell::When(add(it[0].text(), it[1].number(), it[2].when())?))),
    },
    Function {
        name: "date_diff",
        arguments: &[Argument::Text, Argument::When, Argument::When],
        result: |_| DataType::Int64,
        compute: |it| Ok(Some(Cell::Number(diff(it[0].text(), it[1].when(), it[2].when())?))),
    },
    Function {
        name: "date_parse",
        arguments: &[Argument::Text, Argument::Text],
        result: |_| TIMESTAMP,
        compute: |it| Ok(Some(Cell::When(read(it[0].text(), &translate(it[1].text())?)?))),
    },
    Function {
        name: "date_format",
        arguments: &[Argument::When, Argument::Text],
        result: |_| DataType::Utf8,
        compute: |it| Ok(Some(Cell::Text(it[0].when().format(&translate(it[1].text())?).to_string()))),
    },
];

fn unknown_unit(unit: &str) -> datafusion::common::DataFusionError {
    invalid(format!("'{unit}' is not a valid DATE field"))
}

fn truncate(unit: &str, time: NaiveDateTime) -> Result<NaiveDateTime> {
    let day = time.date();
    let millis = time.and_utc().timestamp_millis();
    let floor = |step: i64| {
        DateTime::from_timestamp_millis(millis - millis.rem_euclid(step)).map(|it| it.naive_utc())
    };
    let first = match unit.to_lowercase().as_str() {
        "millisecond" => return Ok(time),
        "second" => return floor(1000).ok_or_else(|| unknown_unit(unit)),
        "minute" => return floor(60_000).ok_or_else(|| unknown_unit(unit)),
        "hour" => return floor(3_600_000).ok_or_else(|| unknown_unit(unit)),
        "day" => Some(day),
        "week" => day.checked_sub_days(Days::new(u64::from(day.weekday().num_days_from_monday()))),
        "month" => day.with_day(1),
        "quarter" => NaiveDate::from_ymd_opt(day.year(), day.month0() / 3 * 3 + 1, 1),
        "year" => NaiveDate::from_ymd_opt(day.year(), 1, 1),
        _ => None,
    };
    first.and_then(|day| day.and_hms_opt(0, 0, 0)).ok_or_else(|| unknown_unit(unit))
}

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
        "day" => Length::Millis(86_400_000),
        "week" => Length::Millis(604_800_000),
        "month" => Length::Months(1),
        "quarter" => Length::Months(3),
        "year" => Length::Months(12),
        _ => return Err(unknown_unit(unit)),
    })
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

fn months_later(time: NaiveDateTime, n: i64) -> Option<NaiveDateTime> {
    let months = Months::new(u32::try_from(n.unsigned_abs()).ok()?);
    if n < 0 { time.checked_sub_months(months) } else { time.checked_add_months(months) }
}

/// Complete units from one time to the other.
fn diff(unit: &str, from: NaiveDateTime, to: NaiveDateTime) -> Result<i64> {
    Ok(match length(unit)? {
        Length::Millis(length) => (to - from).num_milliseconds() / length,
        Length::Months(length) => {
            let months = |it: NaiveDateTime| i64::from(it.year()) * 12 + i64::from(it.month0());
            let n = months(to) - months(from);
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
