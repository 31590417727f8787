//! Values of the cursor field, compared as what they are: dates, times, numbers or text.

use std::cmp::Ordering;
use std::fmt;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::format::TimeFormat;

/// Nanoseconds since 1970 UTC.
pub(crate) type Nanos = i128;

const SECOND: Nanos = 1_000_000_000;

/// A value of the cursor field, as the API wrote it and as it is compared.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Value", into = "Value")]
#[schemars(inline, extend("type" = ["string", "number"]))]
pub(crate) struct CursorValue {
    /// The text of a string, or the digits of a number.
    text: Box<str>,
    is_string: bool,
    order: Order,
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
    /// Reads the JSON text of a field; `None` if it is neither a string nor a number. Text that is
    /// not a date in a usual form is read with `format` if possible.
    pub(crate) fn parse(json: &str, format: Option<&TimeFormat>) -> Option<Self> {
        match json.as_bytes().first()? {
            b'"' => {
                let text: String = serde_json::from_str(json).ok()?;
                Self::of_text(text.trim(), format)
            }
            b'-' | b'0'..=b'9' => {
                Some(CursorValue { text: json.into(), is_string: false, order: number(json)? })
            }
            _ => None,
        }
    }

    /// A value that the API writes as a string.
    pub(crate) fn of_text(text: &str, format: Option<&TimeFormat>) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        let order = time(text)
            .or_else(|| format.and_then(|format| format.read(text)))
            .map(Order::Time)
            .or_else(|| number(text))
            .unwrap_or(Order::Text);
        Some(CursorValue { text: text.into(), is_string: true, order })
    }

    /// The value as it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Compares two values; `None` if they are of different kinds.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (&self.order, &other.order) {
            (Order::Integer(a), Order::Integer(b)) | (Order::Time(a), Order::Time(b)) => Some(a.cmp(b)),
            (Order::Text, Order::Text) => Some(self.text.cmp(&other.text)),
            (Order::Text, _) | (_, Order::Text) => None,
            (Order::Time(_), _) | (_, Order::Time(_)) => Some(self.time()?.cmp(&other.time()?)),
            _ => self.float()?.partial_cmp(&other.float()?),
        }
    }

    /// The point in time. Numbers are seconds, milliseconds, microseconds or nanoseconds since
    /// 1970, by their size.
    pub(crate) fn time(&self) -> Option<Nanos> {
        match self.order {
            Order::Time(nanos) => Some(nanos),
            Order::Integer(number) => number.checked_mul(unit(number.unsigned_abs())),
            Order::Float(number) => Some((number * unit(number.abs() as u128) as f64) as Nanos),
            Order::Text => None,
        }
    }

    /// The point in time, if the value can only mean one: a number is one if it is in seconds or
    /// milliseconds between 2000 and 2100.
    pub(crate) fn certain_time(&self) -> Option<Nanos> {
        const PLAUSIBLE: std::ops::RangeInclusive<Nanos> = 946_684_800 * SECOND..=4_102_444_800 * SECOND;
        match self.order {
            Order::Time(nanos) => Some(nanos),
            Order::Text => None,
            _ => self
                .time()
                .filter(|time| PLAUSIBLE.contains(time) && self.float().is_some_and(|number| number < 1e14)),
        }
    }

    /// The value less a span of time; `None` if it is not a point in time.
    pub(crate) fn minus_time(&self, span: Duration) -> Option<Self> {
        let nanos = span.as_nanos() as Nanos;
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
        CursorValue { text: text.into(), is_string: self.is_string, order }
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

/// Reads ISO dates, RFC 3339 and its usual variants. Without a zone it is UTC.
fn time(text: &str) -> Option<Nanos> {
    let bytes = text.as_bytes();
    if !text.is_ascii() || bytes.len() < 8 || !bytes[..4].iter().all(u8::is_ascii_digit) {
        return None;
    }
    if bytes.len() == 8 {
        let is_this_age = matches!(&bytes[..2], b"19" | b"20");
        let date = NaiveDate::parse_from_str(text, "%Y%m%d").ok().filter(|_| is_this_age)?;
        return Some(nanos(date.and_time(NaiveTime::MIN)));
    }
    if bytes[4] != b'-' {
        return None;
    }
    if bytes.len() == 10 {
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        return Some(nanos(date.and_time(NaiveTime::MIN)));
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(nanos(time.naive_utc()));
    }
    let text = text.strip_suffix(" UTC").or(text.strip_suffix(" GMT")).unwrap_or(text);
    for form in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"] {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, form) {
            return Some(nanos(time));
        }
        for zone in ["%#z", " %#z"] {
            if let Ok(time) = DateTime::parse_from_str(text, &format!("{form}{zone}")) {
                return Some(nanos(time.naive_utc()));
            }
        }
    }
    None
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

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> CursorValue {
        CursorValue::parse(json, None).unwrap()
    }

    fn compare(a: &str, b: &str) -> Option<Ordering> {
        value(a).compare(&value(b))
    }

    #[test]
    fn values_compare_as_what_they_are() {
        use Ordering::{Equal, Greater, Less};
        for (a, b, expected) in [
            ("\"2024-01-02\"", "\"2024-01-10\"", Less),
            ("\"2024-01-02\"", "\"2024-01-02T00:00:00.000Z\"", Equal),
            ("\"2024-01-02T00:00:00+0000\"", "\"2024-01-02T00:00:00Z\"", Equal),
            ("\"2024-01-02T01:00:00+01:00\"", "\"2024-01-02 00:00:00\"", Equal),
            ("\"2024-01-02 10:00\"", "\"2024-01-02T09:59:59.5Z\"", Greater),
            ("\"20240102\"", "\"2024-01-02\"", Equal),
            ("1704153600", "\"2024-01-02\"", Equal),
            ("1704153600000", "\"2024-01-02\"", Equal),
            ("9", "10", Less),
            ("\"9\"", "\"10\"", Less),
            ("1.5", "1", Greater),
            ("12345678901234567891", "12345678901234567890", Greater),
            ("\"b\"", "\"a\"", Greater),
        ] {
            assert_eq!(compare(a, b), Some(expected), "{a} {b}");
        }
        assert_eq!(compare("\"b\"", "1"), None);
        for none in ["null", "true", "{}", "[]", "\"\""] {
            assert!(CursorValue::parse(none, None).is_none(), "{none}");
        }
    }

    #[test]
    fn value_less_a_span_keeps_its_form() {
        let day = Duration::from_hours(24);
        let less = |json: &str| value(json).minus_time(day).unwrap().to_string();
        assert_eq!(less("\"2024-03-01\""), "2024-02-29");
        assert_eq!(less("\"2024-03-01T10:00:00Z\""), "2024-02-29T10:00:00Z");
        assert_eq!(less("1704153600"), "1704067200");
        assert_eq!(less("1704153600000"), "1704067200000");
        assert!(value("\"x\"").minus_time(day).is_none());
        assert_eq!(value("10").minus_number(3.0).unwrap().to_string(), "7");
    }

    #[test]
    fn only_plausible_numbers_are_certain_times() {
        assert!(value("1704153600").certain_time().is_some());
        assert!(value("1704153600000").certain_time().is_some());
        for number in ["7", "20240102", "99999999999999999", "1704153600000000"] {
            assert!(value(number).certain_time().is_none(), "{number}");
        }
    }

    #[test]
    fn value_round_trips_through_json() {
        for json in ["\"2024-01-02\"", "17", "1.5", "\"a\\\"b\"", "\"007\""] {
            let saved = serde_json::to_string(&value(json)).unwrap();
            assert_eq!(saved, json);
            assert_eq!(serde_json::from_str::<CursorValue>(&saved).unwrap(), value(json));
        }
    }
}
