//! Durations and sizes as people write them: `"1m30s"`, `"10MiB"`.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// Reads a value out of a string; a slip says how the value is written.
struct Written<T> {
    as_in: &'static str,
    value: PhantomData<T>,
}

impl<T: TryFrom<String, Error = String>> Visitor<'_> for Written<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_in)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        T::try_from(text.to_owned()).map_err(E::custom)
    }
}

/// A point in time so far away can still be counted from now, whatever the clock.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// A span of time with its unit: `"250ms"`, `"5s"`, `"1m30s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct HumanDuration(pub Duration);

impl HumanDuration {
    /// So many whole seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        HumanDuration(Duration::from_secs(seconds))
    }

    /// So many milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        HumanDuration(Duration::from_millis(millis))
    }

    /// The span, where `"0s"` stands for no bound at all.
    pub fn unless_zero(self) -> Option<Duration> {
        (!self.0.is_zero()).then_some(self.0)
    }
}

impl From<HumanDuration> for Duration {
    fn from(duration: HumanDuration) -> Self {
        duration.0
    }
}

impl From<HumanDuration> for String {
    fn from(duration: HumanDuration) -> Self {
        humantime::format_duration(duration.0).to_string().replace(' ', "")
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from(*self))
    }
}

impl TryFrom<String> for HumanDuration {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl std::str::FromStr for HumanDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.ends_with(|last: char| last.is_ascii_alphabetic()) {
            return Err(format!(
                "`{text}` is not a duration: it needs a unit, as in \"250ms\", \"5s\" or \"1m30s\""
            ));
        }
        match humantime::parse_duration(text) {
            Ok(span) if span > LONGEST => {
                Err(format!("`{text}` is longer than a hundred years, beyond which no clock here counts"))
            }
            Ok(span) => Ok(HumanDuration(span)),
            Err(_) => Err(format!("`{text}` is not a duration: write it as \"250ms\", \"5s\" or \"1m30s\"")),
        }
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let as_in = "a duration with its unit, as in \"250ms\", \"5s\" or \"1m30s\"";
        deserializer.deserialize_str(Written { as_in, value: PhantomData })
    }
}

impl JsonSchema for HumanDuration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^\s*(\d+(\.\d+)?\s*[a-zA-Zµ]+\s*)+$|\$\{" })
    }
}

/// A number of bytes with its unit: `"64KiB"`, `"10MB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// So many times 1024 · 1024 bytes.
    pub const fn from_mib(n: u64) -> Self {
        ByteSize(n << 20)
    }

    /// The size in memory terms.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = bytesize::ByteSize(self.0).display().iec().to_string().replace(' ', "").replace(".0", "");
        f.write_str(&text)
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.to_string()
    }
}

impl TryFrom<String> for ByteSize {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if !text.ends_with(['b', 'B']) {
            return Err(format!("`{text}` is not a size: it needs a unit, as in \"64KiB\" or \"10MB\""));
        }
        let parsed = text.parse::<bytesize::ByteSize>();
        parsed
            .map(|size| ByteSize(size.as_u64()))
            .map_err(|_| format!("`{text}` is not a size: write it as \"64KiB\" or \"10MB\""))
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let as_in = "a size with its unit, as in \"64KiB\" or \"10MB\"";
        deserializer.deserialize_str(Written { as_in, value: PhantomData })
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*([kKmMgGtT][iI]?)?[bB]$|\$\{" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_read_back_as_they_are_written() {
        for text in ["250ms", "5s", "1m30s", "0s"] {
            assert_eq!(text.parse::<HumanDuration>().unwrap().to_string(), text);
        }
        let absurd = "30000000000y".parse::<HumanDuration>().unwrap_err();
        assert!(absurd.contains("longer than a hundred years"), "{absurd}");
        assert_eq!("0.5s".parse::<HumanDuration>().unwrap(), HumanDuration::from_millis(500));
        for text in ["64KiB", "1MiB", "1.5MiB"] {
            assert_eq!(ByteSize::try_from(text.to_owned()).unwrap().to_string(), text);
        }
        assert_eq!(ByteSize::try_from("10MB".to_owned()).unwrap().0, 10_000_000);
    }

    #[test]
    fn a_number_without_a_unit_is_refused() {
        assert!("5".parse::<HumanDuration>().unwrap_err().contains("needs a unit"));
        assert!(ByteSize::try_from("64".to_owned()).unwrap_err().contains("needs a unit"));
    }

    #[test]
    fn a_bare_number_is_told_how_to_write_it() {
        let duration = serde_json::from_str::<HumanDuration>("5").unwrap_err().to_string();
        assert!(duration.contains("expected a duration with its unit, as in") && duration.contains("\"5s\""));
        let size = serde_json::from_str::<ByteSize>("64").unwrap_err().to_string();
        assert!(size.contains("expected a size with its unit, as in \"64KiB\""), "{size}");
    }
}
