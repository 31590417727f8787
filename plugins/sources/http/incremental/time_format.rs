//! How points in time are written in requests.

use chrono::NaiveTime;
use schemars::JsonSchema;
use serde::Deserialize;

use super::cursor_value::{Nanos, SECOND, date_time, nanos};
use super::date_text;
use crate::shared::values::Pattern;

/// `"epoch"`, `"epoch_ms"`, `"rfc3339"`, or a strftime pattern.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", inline, extend("examples" = ["epoch", "epoch_ms", "rfc3339", "%Y-%m-%d"]))]
pub(crate) enum TimeFormat {
    Epoch,
    EpochMs,
    Rfc3339,
    Strftime(Pattern),
}

impl TryFrom<String> for TimeFormat {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "epoch" | "%s" => Ok(TimeFormat::Epoch),
            "epoch_ms" => Ok(TimeFormat::EpochMs),
            "rfc3339" => Ok(TimeFormat::Rfc3339),
            _ => Pattern::new(&text).map(TimeFormat::Strftime).map_err(|_| {
                format!(
                    "`{text}` is not a time format: use \"epoch\", \"epoch_ms\", \"rfc3339\" or a strftime \
                     pattern such as \"%Y-%m-%d\""
                )
            }),
        }
    }
}

impl TimeFormat {
    /// The form of a written point in time; `None` if it is none.
    pub(crate) fn of(text: &str) -> Option<Self> {
        if let Some(pattern) = date_text::pattern(text) {
            return TimeFormat::try_from(pattern).ok();
        }
        if let Some((_, pattern)) = text.parse().ok().and_then(date_text::of_digits) {
            return TimeFormat::try_from(pattern.to_owned()).ok();
        }
        let number: f64 = text.parse().ok().filter(|number: &f64| number.is_finite())?;
        Some(if number.abs() < 1e11 { TimeFormat::Epoch } else { TimeFormat::EpochMs })
    }

    /// A point in time, written in UTC. What the format has no place for is cut off.
    pub(crate) fn write(&self, time: Nanos) -> String {
        let written = |pattern: &str| {
            date_time(time).map_or_else(|| time.to_string(), |time| time.format(pattern).to_string())
        };
        match self {
            TimeFormat::Epoch => time.div_euclid(1_000_000_000).to_string(),
            TimeFormat::EpochMs => time.div_euclid(1_000_000).to_string(),
            TimeFormat::Rfc3339 if time % 1_000_000_000 == 0 => written("%Y-%m-%dT%H:%M:%SZ"),
            TimeFormat::Rfc3339 => written("%Y-%m-%dT%H:%M:%S%.3fZ"),
            TimeFormat::Strftime(pattern) => {
                date_time(time).map_or_else(|| time.to_string(), |time| pattern.format(time).to_string())
            }
        }
    }

    /// Reads a text in this format. What the format leaves out is the first: January, the first day of
    /// a month, Monday of a week, 0 o'clock.
    pub(crate) fn read(&self, text: &str) -> Option<Nanos> {
        let TimeFormat::Strftime(pattern) = self else { return None };
        let mut parsed = pattern.parsed(text)?;
        if parsed.timestamp().is_some() {
            return Some(nanos(parsed.to_naive_datetime_with_offset(0).ok()?));
        }
        let date = parsed.to_naive_date().or_else(|_| {
            let mut parsed = parsed.clone();
            if parsed.isoweek().is_some() {
                parsed.set_weekday(chrono::Weekday::Mon)?;
                return parsed.to_naive_date();
            }
            parsed.set_month(parsed.month().map_or(1, i64::from))?;
            parsed.set_day(parsed.day().map_or(1, i64::from))?;
            parsed.to_naive_date()
        });
        let has_hour = parsed.hour_mod_12().is_some();
        if has_hour && parsed.minute().is_none() {
            parsed.set_minute(0).ok()?;
        }
        let time = if has_hour { parsed.to_naive_time().ok()? } else { NaiveTime::MIN };
        let offset = Nanos::from(parsed.offset().unwrap_or(0)) * SECOND;
        Some(nanos(date.ok()?.and_time(time)) - offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Nanos = 1_704_189_845_250_000_000;

    fn format(text: &str) -> TimeFormat {
        TimeFormat::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn time_is_written_in_the_format() {
        assert_eq!(format("epoch").write(TIME), "1704189845");
        assert_eq!(format("epoch_ms").write(TIME), "1704189845250");
        assert_eq!(format("rfc3339").write(TIME), "2024-01-02T10:04:05.250Z");
        assert_eq!(format("%d/%m/%Y %H:%M").write(TIME), "02/01/2024 10:04");
        for bad in ["", "date", "%", "%Q"] {
            assert!(TimeFormat::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn text_in_a_format_is_read_with_the_first_of_what_it_leaves_out() {
        for (pattern, text, time) in [
            ("%d/%m/%Y", "02/01/2024", "2024-01-02"),
            ("%m/%d/%Y %I:%M:%S %p", "01/02/2024 01:30:00 PM", "2024-01-02 13:30"),
            ("%a, %d %b %Y %H:%M:%S %z", "Tue, 02 Jan 2024 10:00:00 +0100", "2024-01-02 09:00"),
            ("%Y", "2024", "2024-01-01"),
            ("%Y%m", "202402", "2024-02-01"),
            ("%b %Y", "Feb 2024", "2024-02-01"),
            ("%Y%m%d%H", "2024010510", "2024-01-05 10:00"),
            ("%G-W%V", "2024-W02", "2024-01-08"),
            ("%Y-%j", "2024-032", "2024-02-01"),
            ("%s%z", "1704153600+0000", "2024-01-02"),
        ] {
            assert_eq!(format(pattern).read(text), date_text::read(time), "{pattern}");
        }
        for (pattern, text) in [
            ("%H:%M", "10:00"),
            ("%Y", "soon"),
            ("%Y%m%d", "2024015"),
            ("%Y-%m-%d%z", "2024-01-02+2500"),
            ("%d.%m.%Y", "01.13.2024"),
        ] {
            assert_eq!(format(pattern).read(text), None, "{pattern}");
        }
    }

    #[test]
    fn form_of_a_text_is_recognized() {
        for text in ["2024-01-02", "20240102", "202401021004", "2024-01-02T10:04:05Z", "2024-01-02 10:04"] {
            let value = super::super::cursor_value::CursorValue::of_text(text, None).unwrap();
            assert_eq!(TimeFormat::of(text).unwrap().write(value.time().unwrap()), text);
        }
        assert_eq!(TimeFormat::of("0"), Some(TimeFormat::Epoch));
        assert_eq!(TimeFormat::of("1704153600000"), Some(TimeFormat::EpochMs));
        for text in ["abc", "inf", "NaN"] {
            assert_eq!(TimeFormat::of(text), None);
        }
    }
}
