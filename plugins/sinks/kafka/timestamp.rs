//! The timestamp of a record from one of its fields.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use runner_core::{Record, Result};

use crate::shared::record_field::Field;

/// The field `timestamp_field`.
#[derive(Clone, Debug)]
pub(super) struct TimestampField(Field);

/// The first whole number that is read as milliseconds, in March 1973. A smaller one is more likely in seconds, or a
/// date such as 20240131.
const LEAST_MILLIS: i64 = 100_000_000_000;
/// The last one, at the end of the year 9999. A larger one is in microseconds or nanoseconds.
const MOST_MILLIS: i64 = 253_402_300_799_999;

/// Times without a time zone: they are in UTC.
const FORMATS: [&str; 2] = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];

impl TimestampField {
    pub(super) fn new(name: &str) -> Self {
        TimestampField(Field { name: name.to_owned(), option: "timestamp_field" })
    }

    /// Milliseconds since 1970; an error if the field is missing, or is not a time that Kafka can store.
    pub(super) fn get(&self, record: &Record) -> Result<i64> {
        let text = self.0.get(record)?;
        let text = std::str::from_utf8(&text).unwrap_or_default().trim();
        let number = text.parse::<i64>().ok();
        if number.is_some_and(|number| (0..LEAST_MILLIS).contains(&number)) {
            anyhow::bail!(
                "the field {} is a number that is too small for milliseconds since 1970: make a time of it with the \
                 transform `select`: type = \"timestamp\" with parse = \"epoch\" (seconds), \"epoch_ms\" or \"%Y%m%d\"",
                self.0
            );
        }
        if number.is_some_and(|number| number > MOST_MILLIS) {
            anyhow::bail!(
                "the field {} is a number that is too large for milliseconds since 1970: make a time of the microseconds or \
                 nanoseconds with a `remap`, as in `.time = from_unix_timestamp!(.time, unit: \"microseconds\")`",
                self.0
            );
        }
        let millis = number.or_else(|| millis(text)).ok_or_else(|| {
            anyhow::anyhow!(
                "the field {} is not a time: write a date (2024-01-31), a date and time (2024-01-31T10:00:00Z), or \
                 milliseconds since 1970",
                self.0
            )
        })?;
        anyhow::ensure!(
            millis > 0,
            "the field {} is a time before 1970, which Kafka cannot store as a timestamp",
            self.0
        );
        Ok(millis)
    }
}

/// The milliseconds of a date, or of a date and time.
fn millis(text: &str) -> Option<i64> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z"))
    {
        return Some(time.timestamp_millis());
    }
    let time = FORMATS.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let time = time.or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0));
    Some(time?.and_utc().timestamp_millis())
}

#[cfg(test)]
mod tests {
    use runner_core::testing::record;

    use super::*;

    fn timestamp(value: &str) -> Result<i64> {
        TimestampField::new("Date").get(&record(format!("{{\"Date\":{value}}}"), 0))
    }

    #[test]
    fn numbers_that_are_seconds_or_compact_dates_are_rejected() {
        for value in ["1704067200", "20240131", "\"20240131\"", "0"] {
            let error = timestamp(value).unwrap_err().to_string();
            assert!(error.contains("too small for milliseconds"), "{value}: {error}");
        }
    }

    #[test]
    fn numbers_that_are_microseconds_or_nanoseconds_are_rejected() {
        for value in ["1704067200000000", "\"1704067200000000000\"", "253402300800000"] {
            let error = timestamp(value).unwrap_err().to_string();
            assert!(error.contains("too large for milliseconds"), "{value}: {error}");
        }
    }

    #[test]
    fn dates_times_and_milliseconds_are_timestamps() {
        for (value, expected) in [
            (r#""2024-01-01""#, 1_704_067_200_000),
            (r#""2024-01-01T00:00:00Z""#, 1_704_067_200_000),
            (r#""2024-01-01T01:00:00.25+01:00""#, 1_704_067_200_250),
            (r#""2024-01-01 00:00:01""#, 1_704_067_201_000),
            (r#""2024-01-01 00:00:01+00:00""#, 1_704_067_201_000),
            ("1704067200000", 1_704_067_200_000),
            (r#""1704067200000""#, 1_704_067_200_000),
        ] {
            assert_eq!(timestamp(value).unwrap(), expected, "{value}");
        }
    }

    #[test]
    fn other_values_are_errors_that_do_not_contain_them() {
        for value in [r#""31.01.2024""#, "1.5", "true", r#""""#, "null", r#""1969-12-31""#, "-1", "0"] {
            let error = timestamp(value).unwrap_err().to_string();
            assert!(error.contains("`Date` (`timestamp_field`)"), "{error}");
            assert!(!error.contains("31.01.2024"), "{error}");
        }
    }
}
