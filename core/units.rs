//! Durations and sizes as people write them: `"1m30s"`, `"10MiB"`.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The end of such a duration can be computed on every clock.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// A span of time with its unit: `"250ms"`, `"5s"`, `"1m30s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(inline, extend(
    "pattern" = r"^\s*(\d+(\.\d+)?\s*[a-zA-Zµ]+\s*)+$|\$\{",
    "examples" = ["250ms", "5s", "1m30s"],
))]
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

    /// The duration; `"0s"` is no limit.
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
            Ok(span) if span > LONGEST => Err(format!("`{text}` is longer than the maximum of 100 years")),
            Ok(span) => Ok(HumanDuration(span)),
            Err(_) => Err(format!("`{text}` is not a duration: write it as \"250ms\", \"5s\" or \"1m30s\"")),
        }
    }
}

/// A number of bytes with its unit: `"64KiB"`, `"10MB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(inline, extend(
    "pattern" = r"^\s*\d+(\.\d+)?\s*([kKmMgGtT][iI]?)?[bB]$|\$\{",
    "examples" = ["64KiB", "10MB"],
))]
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

/// For `#[serde(with)]`: a size in bytes, written as a [`ByteSize`].
pub(crate) mod as_size {
    use super::ByteSize;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
    pub(crate) fn serialize<S: Serializer>(size: &usize, serializer: S) -> Result<S::Ok, S::Error> {
        ByteSize(*size as u64).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
        ByteSize::deserialize(deserializer).map(ByteSize::as_usize)
    }
}

/// For `#[serde(with)]`: a duration, written as a [`HumanDuration`].
pub(crate) mod as_time {
    use super::{Duration, HumanDuration};
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(crate) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        HumanDuration(*time).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        HumanDuration::deserialize(deserializer).map(Duration::from)
    }
}

/// For `#[serde(with)]`: a duration, written as a [`HumanDuration`]; `"0s"` is no limit.
pub(crate) mod as_limit {
    use super::{Duration, HumanDuration};
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    #[expect(clippy::ref_option, reason = "serde passes references")]
    pub(crate) fn serialize<S: Serializer>(
        limit: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        HumanDuration(limit.unwrap_or_default()).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        HumanDuration::deserialize(deserializer).map(HumanDuration::unless_zero)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_survive_a_round_trip() {
        for text in ["250ms", "5s", "1m30s", "0s"] {
            assert_eq!(text.parse::<HumanDuration>().unwrap().to_string(), text);
        }
        let absurd = "30000000000y".parse::<HumanDuration>().unwrap_err();
        assert!(absurd.contains("longer than the maximum"), "{absurd}");
        assert_eq!("0.5s".parse::<HumanDuration>().unwrap(), HumanDuration::from_millis(500));
        for text in ["64KiB", "1MiB", "1.5MiB"] {
            assert_eq!(ByteSize::try_from(text.to_owned()).unwrap().to_string(), text);
        }
        assert_eq!(ByteSize::try_from("10MB".to_owned()).unwrap().0, 10_000_000);
    }

    #[test]
    fn number_without_a_unit_is_refused() {
        assert!("5".parse::<HumanDuration>().unwrap_err().contains("needs a unit"));
        assert!(ByteSize::try_from("64".to_owned()).unwrap_err().contains("needs a unit"));
    }
}
