//! Dates: parts of days and times, their arithmetic, and texts that stand for them.

use std::sync::Arc;

use chrono::{DateTime, Datelike as _, Days, Months, NaiveDate, NaiveDateTime, TimeDelta};
use datafusion::arrow::array::{
    Array as _, ArrayRef, AsArray as _, Date32Array, Float64Array, Int64Array, StringArray,
    TimestampMillisecondArray,
};
use datafusion::arrow::compute::{DatePart, cast, date_part};
use datafusion::arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, TimestampMillisecondType};
use datafusion::common::Result;

use super::mysql::{joda, mysql, read};
use super::scalar::{Function, Kind, TIMESTAMP, invalid};

/// A part of a date or a time, as a bigint.
macro_rules! part {
    ($name:literal, $part:expr) => {
        Function {
            name: $name,
            takes: &[&[Kind::When]],
            gives: |_| DataType::Int64,
            does: |arrays| Ok(cast(&date_part(&arrays[0], $part)?, &DataType::Int64)?),
        }
    };
}

pub(super) const ALL: &[Function] = &[
    part!("year", DatePart::Year),
    part!("quarter", DatePart::Quarter),
    part!("month", DatePart::Month),
    part!("week", DatePart::WeekISO),
    part!("week_of_year", DatePart::WeekISO),
    part!("year_of_week", DatePart::YearISO),
    part!("yow", DatePart::YearISO),
    part!("day", DatePart::Day),
    part!("day_of_month", DatePart::Day),
    part!("day_of_week", DatePart::DayOfWeekMonday1),
    part!("dow", DatePart::DayOfWeekMonday1),
    part!("day_of_year", DatePart::DayOfYear),
    part!("doy", DatePart::DayOfYear),
    part!("hour", DatePart::Hour),
    part!("minute", DatePart::Minute),
    part!("second", DatePart::Second),
    Function {
        name: "millisecond",
        takes: &[&[Kind::When]],
        gives: |_| DataType::Int64,
        does: |arrays| {
            let millis =
                times(&arrays[0]).map(|it| it.map(|it| it.and_utc().timestamp_millis().rem_euclid(1000)));
            Ok(Arc::new(millis.collect::<Int64Array>()))
        },
    },
    Function {
        name: "date_trunc",
        takes: &[&[Kind::Text, Kind::When]],
        gives: |given| given[1].clone(),
        does: |arrays| by_unit(&arrays[0], &arrays[1], truncate),
    },
    Function {
        name: "date_add",
        takes: &[&[Kind::Text, Kind::Bigint, Kind::When]],
        gives: |given| given[2].clone(),
        does: |arrays| {
            let ns = arrays[1].as_primitive::<Int64Type>();
            let units = arrays[0].as_string::<i32>().iter();
            let moved = units.zip(ns).zip(times(&arrays[2])).map(|((unit, n), time)| match (unit, n, time) {
                (Some(unit), Some(n), Some(time)) => add(unit, n, time).map(Some),
                _ => Ok(None),
            });
            let moved = moved.collect::<Result<Vec<_>>>()?;
            Ok(back(moved, arrays[2].data_type()))
        },
    },
    Function {
        name: "date_diff",
        takes: &[&[Kind::Text, Kind::When, Kind::When]],
        gives: |_| DataType::Int64,
        does: |arrays| {
            let units = arrays[0].as_string::<i32>().iter();
            let spans =
                units.zip(times(&arrays[1])).zip(times(&arrays[2])).map(|((unit, from), to)| {
                    match (unit, from, to) {
                        (Some(unit), Some(from), Some(to)) => diff(unit, from, to).map(Some),
                        _ => Ok(None),
                    }
                });
            Ok(Arc::new(spans.collect::<Result<Int64Array>>()?))
        },
    },
    Function {
        name: "date_parse",
        takes: &[&[Kind::Text, Kind::Text]],
        gives: |_| TIMESTAMP,
        does: |arrays| parse_by(arrays, mysql),
    },
    Function {
        name: "parse_datetime",
        takes: &[&[Kind::Text, Kind::Text]],
        gives: |_| TIMESTAMP,
        does: |arrays| parse_by(arrays, joda),
    },
    Function {
        name: "date_format",
        takes: &[&[Kind::Timestamp, Kind::Text]],
        gives: |_| DataType::Utf8,
        does: |arrays| format_by(arrays, mysql),
    },
    Function {
        name: "format_datetime",
        takes: &[&[Kind::Timestamp, Kind::Text]],
        gives: |_| DataType::Utf8,
        does: |arrays| format_by(arrays, joda),
    },
    Function {
        name: "from_iso8601_timestamp",
        takes: &[&[Kind::Text]],
        gives: |_| TIMESTAMP,
        does: |arrays| from_texts(&arrays[0], iso_time, &TIMESTAMP),
    },
    Function {
        name: "from_iso8601_date",
        takes: &[&[Kind::Text]],
        gives: |_| DataType::Date32,
        does: |arrays| from_texts(&arrays[0], iso_time, &DataType::Date32),
    },
    Function {
        name: "date",
        takes: &[&[Kind::TextOrWhen]],
        gives: |_| DataType::Date32,
        does: |arrays| match arrays[0].data_type() {
            DataType::Utf8 => from_texts(&arrays[0], iso_time, &DataType::Date32),
            _ => Ok(back(times(&arrays[0]).collect(), &DataType::Date32)),
        },
    },
    Function {
        name: "to_iso8601",
        takes: &[&[Kind::When]],
        gives: |_| DataType::Utf8,
        does: |arrays| {
            let pattern =
                if *arrays[0].data_type() == DataType::Date32 { "%Y-%m-%d" } else { "%Y-%m-%dT%H:%M:%S%.3f" };
            let texts = times(&arrays[0]).map(|it| it.map(|it| it.format(pattern).to_string()));
            Ok(Arc::new(texts.collect::<StringArray>()))
        },
    },
    Function {
        name: "last_day_of_month",
        takes: &[&[Kind::When]],
        gives: |_| DataType::Date32,
        does: |arrays| {
            let last = |it: NaiveDateTime| {
                let first = it.date().with_day(1)?.checked_add_months(Months::new(1))?;
                first.pred_opt()?.and_hms_opt(0, 0, 0)
            };
            Ok(back(times(&arrays[0]).map(|it| it.and_then(last)).collect(), &DataType::Date32))
        },
    },
    Function {
        name: "from_unixtime",
        takes: &[&[Kind::Double]],
        gives: |_| TIMESTAMP,
        does: |arrays| {
            let seconds = arrays[0].as_primitive::<Float64Type>().iter();
            let millis = seconds.map(|it| it.map(|it| (it * 1000.0).round() as i64));
            Ok(Arc::new(millis.collect::<TimestampMillisecondArray>()))
        },
    },
    Function {
        name: "to_unixtime",
        takes: &[&[Kind::Timestamp]],
        gives: |_| DataType::Float64,
        does: |arrays| {
            let seconds =
                times(&arrays[0]).map(|it| it.map(|it| it.and_utc().timestamp_millis() as f64 / 1000.0));
            Ok(Arc::new(seconds.collect::<Float64Array>()))
        },
    },
];

/// The values of a date or timestamp array.
fn times(array: &ArrayRef) -> Box<dyn Iterator<Item = Option<NaiveDateTime>> + '_> {
    if *array.data_type() == DataType::Date32 {
        let days = array.as_primitive::<Date32Type>().iter();
        Box::new(days.map(|it| Date32Type::to_naive_date_opt(it?)?.and_hms_opt(0, 0, 0)))
    } else {
        let millis = array.as_primitive::<TimestampMillisecondType>().iter();
        Box::new(millis.map(|it| DateTime::from_timestamp_millis(it?).map(|it| it.naive_utc())))
    }
}

fn back(values: Vec<Option<NaiveDateTime>>, kind: &DataType) -> ArrayRef {
    let values = values.into_iter();
    if *kind == DataType::Date32 {
        return Arc::new(
            values.map(|it| it.map(|it| Date32Type::from_naive_date(it.date()))).collect::<Date32Array>(),
        );
    }
    Arc::new(
        values.map(|it| it.map(|it| it.and_utc().timestamp_millis())).collect::<TimestampMillisecondArray>(),
    )
}

fn by_unit(
    units: &ArrayRef,
    array: &ArrayRef,
    does: impl Fn(&str, NaiveDateTime) -> Result<NaiveDateTime>,
) -> Result<ArrayRef> {
    let values = units.as_string::<i32>().iter().zip(times(array)).map(|(unit, time)| match (unit, time) {
        (Some(unit), Some(time)) => does(unit, time).map(Some),
        _ => Ok(None),
    });
    Ok(back(values.collect::<Result<_>>()?, array.data_type()))
}

fn no_unit(unit: &str) -> datafusion::common::DataFusionError {
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
        "second" => return floor(1000).ok_or_else(|| no_unit(unit)),
        "minute" => return floor(60_000).ok_or_else(|| no_unit(unit)),
        "hour" => return floor(3_600_000).ok_or_else(|| no_unit(unit)),
        "day" => Some(day),
        "week" => day.checked_sub_days(Days::new(u64::from(day.weekday().num_days_from_monday()))),
        "month" => day.with_day(1),
        "quarter" => NaiveDate::from_ymd_opt(day.year(), day.month0() / 3 * 3 + 1, 1),
        "year" => NaiveDate::from_ymd_opt(day.year(), 1, 1),
        _ => None,
    };
    first.and_then(|day| day.and_hms_opt(0, 0, 0)).ok_or_else(|| no_unit(unit))
}

/// Seconds of a unit that is always as long, or how many months it has.
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
        _ => return Err(no_unit(unit)),
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
    moved.ok_or_else(|| invalid(format!("{n} {unit}s from {time} is no time")))
}

fn months_later(time: NaiveDateTime, n: i64) -> Option<NaiveDateTime> {
    let months = Months::new(u32::try_from(n.unsigned_abs()).ok()?);
    if n < 0 { time.checked_sub_months(months) } else { time.checked_add_months(months) }
}

/// Whole units from one to the other; one that has only begun does not count.
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

fn parse_by(arrays: &[ArrayRef], translate: fn(&str) -> Result<String>) -> Result<ArrayRef> {
    let pairs = arrays[0].as_string::<i32>().iter().zip(arrays[1].as_string::<i32>());
    let mut patterns = Patterns::new(translate);
    let values = pairs.map(|(text, pattern)| match (text, pattern) {
        (Some(text), Some(pattern)) => read(text, patterns.of(pattern)?).map(Some),
        _ => Ok(None),
    });
    Ok(back(values.collect::<Result<_>>()?, &TIMESTAMP))
}

fn format_by(arrays: &[ArrayRef], translate: fn(&str) -> Result<String>) -> Result<ArrayRef> {
    let mut patterns = Patterns::new(translate);
    let texts =
        times(&arrays[0]).zip(arrays[1].as_string::<i32>()).map(|(time, pattern)| match (time, pattern) {
            (Some(time), Some(pattern)) => Ok(Some(time.format(patterns.of(pattern)?).to_string())),
            _ => Ok(None),
        });
    Ok(Arc::new(texts.collect::<Result<StringArray>>()?))
}

/// The pattern of a column is nearly always one: it is translated once.
struct Patterns {
    translate: fn(&str) -> Result<String>,
    last: Option<(String, String)>,
}

impl Patterns {
    fn new(translate: fn(&str) -> Result<String>) -> Patterns {
        Patterns { translate, last: None }
    }

    fn of(&mut self, pattern: &str) -> Result<&str> {
        if self.last.as_ref().is_none_or(|(known, _)| known != pattern) {
            self.last = Some((pattern.to_owned(), (self.translate)(pattern)?));
        }
        Ok(self.last.as_ref().map_or("", |(_, chrono)| chrono))
    }
}

fn from_texts(
    array: &ArrayRef,
    read: fn(&str) -> Option<NaiveDateTime>,
    kind: &DataType,
) -> Result<ArrayRef> {
    let values = array.as_string::<i32>().iter().map(|text| match text {
        Some(text) => read(text).map(Some).ok_or_else(|| {
            invalid(format!(
                "Value cannot be cast to {}: {text}",
                if *kind == TIMESTAMP { "timestamp" } else { "date" }
            ))
        }),
        None => Ok(None),
    });
    Ok(back(values.collect::<Result<_>>()?, kind))
}

fn iso_time(text: &str) -> Option<NaiveDateTime> {
    let text = text.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.naive_utc());
    }
    let times = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
    let time = times.iter().find_map(|pattern| NaiveDateTime::parse_from_str(text, pattern).ok());
    time.or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0))
}
