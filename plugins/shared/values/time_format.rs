//! How dates and times are read and written: strftime patterns and a few named forms.

use std::fmt;

use chrono::{NaiveTime, SecondsFormat};
use schemars::JsonSchema;
use serde::Deserialize;

use super::iso;
use super::pattern::Pattern;
use super::time::{Time, write_date, write_timestamp};

/// How dates and times are read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", inline, extend("minLength" = 1))]
pub(crate) struct ReadTime(Form);

/// How dates and times are written.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", inline, extend("minLength" = 1))]
pub(crate) struct WriteTime(Form);

#[derive(Clone, Debug, Default, PartialEq)]
enum Form {
    /// ISO 8601 to read; Athena's own forms to write.
    #[default]
    Iso,
    Rfc3339,
    Epoch,
    EpochMs,
    Strftime(Pattern),
}

impl Form {
    fn new(text: &str) -> Result<Self, String> {
        match text {
            "rfc3339" => Ok(Form::Rfc3339),
            "epoch" => Ok(Form::Epoch),
            "epoch_ms" => Ok(Form::EpochMs),
            pattern => Pattern::new(pattern).map(Form::Strftime),
        }
    }
}

impl TryFrom<String> for ReadTime {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let form = Form::new(&text)?;
        if let Form::Strftime(pattern) = &form {
            pattern.check_reading()?;
        }
        Ok(ReadTime(form))
    }
}

impl TryFrom<String> for WriteTime {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Form::new(&text).map(WriteTime)
    }
}

impl ReadTime {
    /// Reads a date or a time in UTF-8; `None` if it does not have this form.
    pub(super) fn read(&self, text: &[u8]) -> Option<Time> {
        match &self.0 {
            Form::Iso => iso::read(text, false),
            Form::Rfc3339 => iso::read(text, true),
            Form::Epoch => epoch(text, 1),
            Form::EpochMs => epoch(text, 1000),
            Form::Strftime(pattern) => pattern.read(std::str::from_utf8(text).ok()?),
        }
    }
}

impl WriteTime {
    /// Whether times are written as a number.
    pub(super) fn is_number(&self) -> bool {
        matches!(self.0, Form::Epoch | Form::EpochMs)
    }

    /// Appends the date; `None` if this form cannot write it.
    pub(super) fn write_date(&self, time: &Time, out: &mut Vec<u8>) -> Option<()> {
        let date = time.date()?;
        if self.0 == Form::Iso {
            write_date(date, out);
            return Some(());
        }
        self.write(date.and_time(NaiveTime::MIN), out)
    }

    /// Appends the time in UTC; `None` if this form cannot write it.
    pub(super) fn write_timestamp(&self, time: &Time, out: &mut Vec<u8>) -> Option<()> {
        let utc = time.utc()?;
        if self.0 == Form::Iso {
            write_timestamp(utc, out);
            return Some(());
        }
        self.write(utc, out)
    }

    fn write(&self, utc: chrono::NaiveDateTime, out: &mut Vec<u8>) -> Option<()> {
        match &self.0 {
            Form::Iso => write_timestamp(utc, out),
            Form::Rfc3339 => {
                let text = utc.and_utc().to_rfc3339_opts(SecondsFormat::AutoSi, true);
                out.extend_from_slice(text.as_bytes());
            }
            Form::Epoch => out.extend_from_slice(utc.and_utc().timestamp().to_string().as_bytes()),
            Form::EpochMs => out.extend_from_slice(utc.and_utc().timestamp_millis().to_string().as_bytes()),
            Form::Strftime(pattern) => return pattern.write(utc, out),
        }
        Some(())
    }
}

/// The form in messages.
impl fmt::Display for ReadTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Iso => {
                f.write_str("of ISO 8601, such as 2024-01-31 or 2024-01-31T09:30:00Z; `parse` names another")
            }
            Form::Rfc3339 => f.write_str("\"rfc3339\", such as 2024-01-31T09:30:00Z"),
            Form::Epoch => f.write_str("\"epoch\", the seconds since 1970"),
            Form::EpochMs => f.write_str(
                "\"epoch_ms\", the milliseconds since 1970; microseconds and nanoseconds are read by `from_unix_timestamp` \
                 in a `remap`",
            ),
            Form::Strftime(pattern) => write!(f, "\"{}\"", pattern.text),
        }
    }
}

/// A number of seconds since 1970, or of `per_second`ths of a second, with an optional fraction.
fn epoch(text: &[u8], per_second: i64) -> Option<Time> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let (seconds, units) = (whole.div_euclid(per_second), whole.rem_euclid(per_second));
    let nanos_per_unit = 1_000_000_000 / per_second;
    let after = i64::from(iso::nanos(fraction.as_bytes())) / per_second;
    // The fraction of a number before 1970 counts backwards.
    let after = if text.starts_with('-') { -after } else { after };
    let nanos = units * nanos_per_unit + after;
    let seconds = seconds.checked_add(nanos.div_euclid(1_000_000_000))?;
    Time::from_epoch(seconds, u32::try_from(nanos.rem_euclid(1_000_000_000)).ok()?)
}
