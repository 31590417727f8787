//! Entry numbers: the number that a record got from its first source.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context as _, Result};

use crate::record::Name;

/// The number that a record got from its first source. It travels through Kafka in a header.
///
/// A record that a transform has split into several gives them its number with a suffix: `12-0`,
/// `12-1`, … A further split adds another suffix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryNumber {
    /// Counted from 0.
    pub number: u64,
    /// The source that has counted: `pipeline/component`.
    pub source: Name,
    /// Which part of a split record this is, from the first split to the last; usually none.
    parts: Option<Arc<[u32]>>,
}

impl EntryNumber {
    /// The number of a record as the source has read it.
    pub fn new(number: u64, source: Name) -> Self {
        EntryNumber { number, source, parts: None }
    }

    /// Reads what [`text`](Self::text) has written.
    pub fn parse(text: &str, source: Name) -> Result<Self> {
        let mut numbers = text.split('-');
        let number = number(numbers.next().unwrap_or_default(), text)?;
        let parts: Arc<[u32]> = numbers.map(|part| self::number(part, text)).collect::<Result<_>>()?;
        Ok(EntryNumber { number, source, parts: (!parts.is_empty()).then_some(parts) })
    }

    /// The number of one of the records that a record was split into.
    #[must_use]
    pub fn part(&self, index: u32) -> Self {
        let parts = self.parts().iter().copied().chain([index]).collect();
        EntryNumber { parts: Some(parts), ..*self }
    }

    /// Which part of a split record this is, from the first split to the last.
    pub fn parts(&self) -> &[u32] {
        self.parts.as_deref().unwrap_or_default()
    }

    /// The number as it is written in headers, object names and dead letters: `12` or `12-0`.
    pub fn text(&self) -> impl fmt::Display + '_ {
        fmt::from_fn(|f| {
            write!(f, "{}", self.number)?;
            self.parts().iter().try_for_each(|part| write!(f, "-{part}"))
        })
    }
}

/// Digits only: `u64::from_str` would also take a sign.
fn number<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(digits: &str, text: &str) -> Result<T> {
    anyhow::ensure!(digits.bytes().all(|byte| byte.is_ascii_digit()), "`{text}` is not a valid entry number");
    digits.parse().with_context(|| format!("`{text}` is not a valid entry number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_written_and_read_back() {
        let entry = EntryNumber::new(12, Name::new("p/s"));
        assert_eq!(entry.text().to_string(), "12");
        let part = entry.part(0).part(3);
        assert_eq!(part.text().to_string(), "12-0-3");
        for entry in [entry, part] {
            assert_eq!(EntryNumber::parse(&entry.text().to_string(), entry.source).unwrap(), entry);
        }
    }

    #[test]
    fn text_that_is_not_a_number_is_refused() {
        for text in ["", "-", "12-", "-1", "+1", "1-x", "1.5", "99999999999999999999"] {
            assert!(EntryNumber::parse(text, Name::new("p/s")).is_err(), "{text}");
        }
    }
}
