//! The time at which a group without a position starts to read.

use chrono::DateTime;
use schemars::JsonSchema;
use serde::Deserialize;

/// A time in RFC 3339.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(into = "String", inline)]
pub(super) struct StartTime(i64);

impl StartTime {
    /// Milliseconds since 1970, as in the timestamps of Kafka.
    pub(super) fn millis(self) -> i64 {
        self.0
    }
}

impl TryFrom<String> for StartTime {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match DateTime::parse_from_rfc3339(&text) {
            // No record is older than 1970.
            Ok(time) => Ok(StartTime(time.timestamp_millis().max(0))),
            Err(error) => Err(format!(
                "`{text}` is not a valid time: {error}; write it as in \"2024-01-01T00:00:00Z\" (RFC 3339)"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_time_is_rfc_3339_with_an_offset() {
        let millis = |text: &str| StartTime::try_from(text.to_owned()).map(StartTime::millis);
        assert_eq!(millis("2024-01-01T00:00:00Z"), Ok(1_704_067_200_000));
        assert_eq!(millis("2024-01-01T01:00:00.5+01:00"), Ok(1_704_067_200_500));
        assert_eq!(millis("0001-01-01T00:00:00Z"), Ok(0));
        for text in ["2024-01-01", "yesterday", "1704067200000", ""] {
            assert!(millis(text).unwrap_err().contains("RFC 3339"), "{text}");
        }
    }
}
