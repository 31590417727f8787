//! Values of the cursor field, compared as what they are: dates, times, numbers or text.

use std::cmp::Ordering;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, NaiveDateTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::time_format::TimeFormat;
use super::{date_text, text_order};

#[cfg(test)]
mod tests;

/// Nanoseconds since 1970 UTC.
pub(crate) type Nanos = i128;

pub(super) const SECOND: Nanos = 1_000_000_000;

/// From 1900 to 2100: a larger number is hardly a date in the form of `format`.
const AGE: RangeInclusive<Nanos> = -2_208_988_800 * SECOND..=4_102_444_800 * SECOND;

/// A number of so many seconds, or more, is an epoch beside points in time; smaller ones may be years,
/// days or counters.
const MIN_EPOCH: Nanos = 100_000_000 * SECOND;

/// A value of the cursor field, as the API wrote it and as it is compared.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Value", into = "Value")]
#[schemars(inline, extend("type" = ["string", "number"]))]
pub(crate) struct CursorValue {
    /// The text of a string, or the digits of a number.
    text: Box<str>,
    is_string: bool,
    order: Order,
    /// Whether numbers are epochs, small ones too: `format` says so, or it is the value of `start`.
    is_epoch: bool,
}

/// What a value is compared as.
#[derive(Clone, Debug)]
enum Order {
    Integer(i128),
    Float(f64),
    Time(Nanos),
    Text,
}

impl CursorValue {
    /// Reads the JSON text of a field; `None` if it is neither a string nor a number. What `format`
    /// reads is a point in time, and so is a text in a usual form of dates.
    pub(crate) fn parse(json: &str, format: Option<&TimeFormat>) -> Option<Self> {
        match json.as_bytes().first()? {
            b'"' => {
                let text: String = serde_json::from_str(json).ok()?;
                Self::of_text(text.trim(), format)
            }
            b'-' | b'0'..=b'9' => Self::new(json, false, format),
            _ => None,
        }
    }

    /// A value that the API writes as a string.
    pub(crate) fn of_text(text: &str, format: Option<&TimeFormat>) -> Option<Self> {
        if text.is_empty() { None } else { Self::new(text, true, format) }
    }

    fn new(text: &str, is_string: bool, format: Option<&TimeFormat>) -> Option<Self> {
        let in_format = || format.and_then(|format| format.read(text));
        let order = match number(text) {
            Some(number) => {
                let is_date = |time: &Nanos| number.is_small() || AGE.contains(time);
                in_format().filter(is_date).map_or(number, Order::Time)
            }
            None if is_string => date_text::read(text).or_else(in_format).map_or(Order::Text, Order::Time),
            None => return None,
        };
        let is_epoch = matches!(format, Some(TimeFormat::Epoch | TimeFormat::EpochMs));
        Some(CursorValue { text: text.into(), is_string, order, is_epoch })
    }

    /// The same value, read with `format`: in a pipeline file and a checkpoint it stands alone.
    pub(crate) fn read_as(&self, format: Option<&TimeFormat>) -> Self {
        Self::new(&self.text, self.is_string, format).unwrap_or_else(|| self.clone())
    }

    /// The value of `start`: a text such as `"20240105"` is a date there, and not an id; a small number such
    /// as 0 is an epoch beside dates.
    pub(crate) fn as_start(&self, format: Option<&TimeFormat>) -> Self {
        let mut start = self.read_as(format);
        start.is_epoch = true;
        if let (true, Some((time, _))) = (start.is_string, start.date_of_digits()) {
            start.order = Order::Time(time);
        }
        start
    }

    /// The value as it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The text, if it is compared as text.
    pub(super) fn plain_text(&self) -> Option<&str> {
        matches!(self.order, Order::Text).then_some(&*self.text)
    }

    /// Compares two values; `None` if they are of different kinds, or texts whose order is not that of their numbers.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (&self.order, &other.order) {
            (Order::Integer(a), Order::Integer(b)) | (Order::Time(a), Order::Time(b)) => Some(a.cmp(b)),
            (Order::Text, _) | (_, Order::Text) if self.may_be_id() && other.may_be_id() => {
                text_order::compare(&self.text, &other.text)
            }
            (Order::Text, _) | (_, Order::Text) => None,
            (Order::Time(_), _) | (_, Order::Time(_)) => Some(self.moment()?.cmp(&other.moment()?)),
            _ => self.float()?.partial_cmp(&other.float()?),
        }
    }

    /// Whether it is newer than a value, if there is one.
    pub(crate) fn is_newer(&self, than: Option<&Self>) -> bool {
        than.is_none_or(|than| self.compare(than) == Some(Ordering::Greater))
    }

    /// Whether it is so far ahead of `now` that it is more likely an error than the newest row.
    pub(crate) fn is_ahead(&self, now: Nanos) -> bool {
        const DAY: Nanos = 86_400 * SECOND;
        self.is_later_than(now + DAY)
    }

    pub(crate) fn is_later_than(&self, moment: Nanos) -> bool {
        self.certain_time().is_some_and(|time| time > moment)
    }

    /// Whether it is text, or digits that can be an id beside text: with zeros in front, or more than numbers have.
    fn may_be_id(&self) -> bool {
        const MAX_DIGITS: usize = 19;
        let has_zeros = || matches!(self.text.as_bytes(), [b'0', b'0'..=b'9', ..]);
        match self.order {
            Order::Text => true,
            Order::Time(_) => false,
            _ => self.is_string && (has_zeros() || self.text.len() > MAX_DIGITS),
        }
    }

    /// The point in time. A number is one in the form of a date, such as 20240105, else it is in seconds,
    /// milliseconds, microseconds or nanoseconds since 1970, by its size.
    pub(crate) fn time(&self) -> Option<Nanos> {
        if let Some((time, _)) = self.date_of_digits() {
            return Some(time);
        }
        match self.order {
            Order::Time(nanos) => Some(nanos),
            Order::Integer(number) => number.checked_mul(unit(number.unsigned_abs())),
            Order::Float(number) => Some((number * unit(number.abs() as u128) as f64) as Nanos),
            Order::Text => None,
        }
    }

    /// The point in time, unless the value is a number that may mean anything, such as a year.
    pub(crate) fn moment(&self) -> Option<Nanos> {
        let is_epoch = |time: &Nanos| self.is_epoch || (MIN_EPOCH..=*AGE.end()).contains(&time.abs());
        let is_sure = matches!(self.order, Order::Time(_)) || self.date_of_digits().is_some();
        self.time().filter(|time| is_sure || is_epoch(time))
    }

    /// The point in time, if the value can only mean one: a number is one if it has the form of a date, or
    /// is in seconds or milliseconds between 2000 and 2100.
    pub(super) fn certain_time(&self) -> Option<Nanos> {
        const PLAUSIBLE: RangeInclusive<Nanos> = 946_684_800 * SECOND..=4_102_444_800 * SECOND;
        if let Some((time, _)) = self.date_of_digits() {
            return Some(time);
        }
        match self.order {
            Order::Time(nanos) => Some(nanos),
            Order::Text => None,
            _ => self
                .time()
                .filter(|time| PLAUSIBLE.contains(time) && self.float().is_some_and(|number| number < 1e14)),
        }
    }

    /// The point in time of a number such as 20240105, and the pattern of its form.
    fn date_of_digits(&self) -> Option<(Nanos, &'static str)> {
        match self.order {
            Order::Integer(number) => date_text::of_digits(number),
            Order::Float(number) if number.fract() == 0.0 => date_text::of_digits(number as i128),
            _ => None,
        }
    }

    /// The value less a span of time; `None` if it is not a point in time.
    pub(crate) fn minus_time(&self, span: Duration) -> Option<Self> {
        let nanos = span.as_nanos() as Nanos;
        if let Some((time, pattern)) = self.date_of_digits() {
            let less = TimeFormat::try_from(pattern.to_owned()).ok()?.write(time - nanos);
            return Self::new(&less, self.is_string, None);
        }
        let order = match self.order {
            Order::Time(time) => Order::Time(time - nanos),
            Order::Integer(number) => Order::Integer(number - nanos / unit(number.unsigned_abs())),
            Order::Float(number) => Order::Float(number - nanos as f64 / unit(number.abs() as u128) as f64),
            Order::Text => return None,
        };
        Some(self.with_order(order))
    }

    /// The value less a number; `None` if it is not a number.
    pub(crate) fn minus_number(&self, number: f64) -> Option<Self> {
        let order = match self.order {
            Order::Integer(value) if number.fract() == 0.0 => Order::Integer(value - number as i128),
            Order::Integer(value) => Order::Float(value as f64 - number),
            Order::Float(value) => Order::Float(value - number),
            Order::Time(_) | Order::Text => return None,
        };
        Some(self.with_order(order))
    }

    /// Written in the form of this value.
    fn with_order(&self, order: Order) -> Self {
        let text = match order {
            Order::Integer(number) => number.to_string(),
            Order::Float(number) => number.to_string(),
            Order::Time(nanos) => TimeFormat::of(&self.text).unwrap_or(TimeFormat::Rfc3339).write(nanos),
            Order::Text => self.text.to_string(),
        };
        CursorValue { text: text.into(), order, ..*self }
    }

    fn float(&self) -> Option<f64> {
        match self.order {
            Order::Integer(number) => Some(number as f64),
            Order::Float(number) => Some(number),
            Order::Time(_) | Order::Text => None,
        }
    }

    /// What it is compared as, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self.order {
            Order::Integer(_) | Order::Float(_) => "a number",
            Order::Time(_) => "a point in time",
            Order::Text => "text",
        }
    }
}

impl PartialEq for CursorValue {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, self.is_string) == (&other.text, other.is_string)
    }
}

impl fmt::Display for CursorValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<CursorValue> for Value {
    fn from(value: CursorValue) -> Self {
        if value.is_string {
            return Value::String(value.text.into());
        }
        serde_json::from_str(&value.text).unwrap_or(Value::String(value.text.into()))
    }
}

impl TryFrom<Value> for CursorValue {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        let expected = "expected a string that is not empty, or a number";
        match &value {
            Value::String(text) => CursorValue::of_text(text, None).ok_or(expected),
            value => CursorValue::parse(&value.to_string(), None).ok_or(expected),
        }
    }
}

impl Order {
    /// Whether it is a number that is too small for an epoch of our time.
    fn is_small(&self) -> bool {
        match self {
            Order::Integer(number) => number.unsigned_abs() < 100_000_000,
            Order::Float(number) => number.abs() < 1e8,
            Order::Time(_) | Order::Text => false,
        }
    }
}

fn number(text: &str) -> Option<Order> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return None;
    }
    let integer = text.parse().ok().map(Order::Integer);
    integer.or_else(|| text.parse().ok().filter(|number: &f64| number.is_finite()).map(Order::Float))
}

/// How many nanoseconds the unit of an epoch of this size has.
fn unit(size: u128) -> Nanos {
    match size {
        0..100_000_000_000 => SECOND,
        100_000_000_000..100_000_000_000_000 => SECOND / 1_000,
        100_000_000_000_000..100_000_000_000_000_000 => SECOND / 1_000_000,
        _ => 1,
    }
}

/// Nanoseconds since 1970 of a time in UTC.
pub(super) fn nanos(time: NaiveDateTime) -> Nanos {
    let time = time.and_utc();
    Nanos::from(time.timestamp()) * SECOND + Nanos::from(time.timestamp_subsec_nanos())
}

/// The time in UTC.
pub(super) fn date_time(nanos: Nanos) -> Option<DateTime<chrono::Utc>> {
    let seconds = i64::try_from(nanos.div_euclid(SECOND)).ok()?;
    DateTime::from_timestamp(seconds, nanos.rem_euclid(SECOND) as u32)
}

/// The present time.
pub(crate) fn now() -> Nanos {
    match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => since.as_nanos() as Nanos,
        Err(error) => -(error.duration().as_nanos() as Nanos),
    }
}
