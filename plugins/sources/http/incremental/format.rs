//! How points in time are written in requests.

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};
use schemars::JsonSchema;
use serde::Deserialize;

use super::value::{Nanos, date_time, nanos};

/// `"epoch"`, `"epoch_ms"`, `"rfc3339"`, or a strftime pattern.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline, extend("type" = "string", "examples" = ["epoch", "epoch_ms", "rfc3339", "%Y-%m-%d"]))]
pub(crate) enum TimeFormat {
    Epoch,
    EpochMs,
    Rfc3339,
    Strftime(String),
}

impl TryFrom<String> for TimeFormat {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "epoch" => Ok(TimeFormat::Epoch),
            "epoch_ms" => Ok(TimeFormat::EpochMs),
            "rfc3339" => Ok(TimeFormat::Rfc3339),
            _ if !text.contains('%') || StrftimeItems::new(&text).any(|item| item == Item::Error) => {
                Err(format!(
                    "`{text}` is not a time format: use \"epoch\", \"epoch_ms\", \"rfc3339\" or a strftime \
                     pattern such as \"%Y-%m-%d\""
                ))
            }
            _ => Ok(TimeFormat::Strftime(text)),
        }
    }
}

impl TimeFormat {
    /// The form of a written point in time; `None` if it is none.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let strftime = |pattern: &str| Some(TimeFormat::Strftime(pattern.to_owned()));
        let is_time = |pattern| NaiveDateTime::parse_from_str(text, pattern).is_ok();
        match text.len() {
            10 if NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok() => strftime("%Y-%m-%d"),
            8 if NaiveDate::parse_from_str(text, "%Y%m%d").is_ok() => strftime("%Y%m%d"),
            _ if DateTime::parse_from_rfc3339(text).is_ok() => Some(TimeFormat::Rfc3339),
            _ if is_time("%Y-%m-%dT%H:%M:%S") => strftime("%Y-%m-%dT%H:%M:%S"),
            _ if is_time("%Y-%m-%d %H:%M:%S") => strftime("%Y-%m-%d %H:%M:%S"),
            _ if is_time("%Y-%m-%dT%H:%M:%S%.f") => strftime("%Y-%m-%dT%H:%M:%S%.3f"),
            _ if is_time("%Y-%m-%d %H:%M:%S%.f") => strftime("%Y-%m-%d %H:%M:%S%.3f"),
            _ if DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%z").is_ok() => {
                strftime("%Y-%m-%dT%H:%M:%S%z")
            }
            _ => {
                let number: f64 = text.parse().ok()?;
                Some(if number.abs() < 1e11 { TimeFormat::Epoch } else { TimeFormat::EpochMs })
            }
        }
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
            TimeFormat::Strftime(pattern) => written(pattern),
        }
    }

    /// Reads a text in this format.
    pub(super) fn read(&self, text: &str) -> Option<Nanos> {
        let TimeFormat::Strftime(pattern) = self else { return None };
        let with_zone = || DateTime::parse_from_str(text, pattern).ok().map(|time| time.naive_utc());
        let without = || NaiveDateTime::parse_from_str(text, pattern).ok();
        let date = || NaiveDate::parse_from_str(text, pattern).ok().map(|date| date.and_time(NaiveTime::MIN));
        with_zone().or_else(without).or_else(date).map(nanos)
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
        assert_eq!(format("%d/%m/%Y").read("02/01/2024"), Some(1_704_153_600_000_000_000));
        for bad in ["", "date", "%", "%Q"] {
            assert!(TimeFormat::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn form_of_a_text_is_recognized() {
        for text in [
            "2024-01-02",
            "20240102",
            "2024-01-02T10:04:05Z",
            "2024-01-02T10:04:05",
            "2024-01-02 10:04:05",
            "2024-01-02T10:04:05.250",
            "2024-01-02T10:04:05+0000",
        ] {
            let value = super::super::value::CursorValue::of_text(text, None).unwrap();
            assert_eq!(TimeFormat::of(text).unwrap().write(value.time().unwrap()), text);
        }
        assert_eq!(TimeFormat::of("0"), Some(TimeFormat::Epoch));
        assert_eq!(TimeFormat::of("1704153600000"), Some(TimeFormat::EpochMs));
        assert_eq!(TimeFormat::of("abc"), None);
    }
}
