//! Dates: their arithmetic.

use chrono::{DateTime, Datelike as _, Months, NaiveDateTime, NaiveTime, TimeDelta};
use datafusion::common::{Result, ScalarValue};

use super::{invalid, number, of_time, text, time};

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
pub(super) fn truncate(it: &[ScalarValue]) -> Result<ScalarValue> {
    let (unit, time) = (text(&it[0]), time(&it[1]));
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
    begin.map(of_time).ok_or_else(|| invalid(format!("{time} is out of range")))
}

pub(super) fn add(it: &[ScalarValue]) -> Result<ScalarValue> {
    let (unit, n, time) = (text(&it[0]), number(&it[1]), time(&it[2]));
    let moved = match length(unit)? {
        Length::Millis(length) => n
            .checked_mul(length)
            .and_then(TimeDelta::try_milliseconds)
            .and_then(|it| time.checked_add_signed(it)),
        Length::Months(length) => months_later(time, n.saturating_mul(length)),
    };
    moved.map(of_time).ok_or_else(|| invalid(format!("{time} plus {n} {unit} is out of range")))
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
pub(super) fn diff(it: &[ScalarValue]) -> Result<ScalarValue> {
    let (from, to) = (time(&it[1]), time(&it[2]));
    let n = match length(text(&it[0]))? {
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
    };
    Ok(n.into())
}
