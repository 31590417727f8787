//! Entry numbers: the number that a record got from its first source.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context as _, Error, Result, ensure};
use serde::{Deserialize, Serialize};

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
    /// The state that it has counted in, if known.
    pub incarnation: Option<Incarnation>,
    /// Which part of a split record this is, from the first split to the last; usually none.
    parts: Option<Arc<[u32]>>,
}

/// Tells two states apart that count for the same source: a state folder that is copied, replaced or deleted, or one
/// on each of two hosts. It is random, and made with the first checkpoint of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Incarnation(u32);

impl Incarnation {
    /// A new one.
    pub(crate) fn random() -> Self {
        Incarnation(fastrand::u32(..))
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl FromStr for Incarnation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let is_valid = text.len() == 8 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        ensure!(is_valid, "an incarnation has eight hexadecimal digits");
        Ok(Incarnation(u32::from_str_radix(text, 16)?))
    }
}

impl From<Incarnation> for String {
    fn from(incarnation: Incarnation) -> Self {
        incarnation.to_string()
    }
}

impl TryFrom<String> for Incarnation {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl EntryNumber {
    /// The number of a record as the source has read it.
    pub fn new(number: u64, source: Name) -> Self {
        EntryNumber { number, source, incarnation: None, parts: None }
    }

    /// The number as given by the state with this incarnation.
    #[must_use]
    pub fn of_incarnation(self, incarnation: Option<Incarnation>) -> Self {
        EntryNumber { incarnation, ..self }
    }

    /// Whether both name the same record: an unknown incarnation may be any.
    pub fn names_same_record(&self, other: &EntryNumber) -> bool {
        let are_two_states =
            matches!((self.incarnation, other.incarnation), (Some(one), Some(two)) if one != two);
        (self.number, self.source, self.parts()) == (other.number, other.source, other.parts())
            && !are_two_states
    }

    /// Reads what [`text`](Self::text) has written.
    pub fn parse(text: &str, source: Name) -> Result<Self> {
        let mut numbers = text.split('-');
        let number = number(numbers.next().unwrap_or_default(), text)?;
        let parts: Arc<[u32]> = numbers.map(|part| self::number(part, text)).collect::<Result<_>>()?;
        Ok(EntryNumber { number, source, incarnation: None, parts: (!parts.is_empty()).then_some(parts) })
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
    ensure!(digits.bytes().all(|byte| byte.is_ascii_digit()), "`{text}` is not a valid entry number");
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
    fn incarnation_is_written_and_read_back() {
        let incarnation = Incarnation(0xab);
        assert_eq!(incarnation.to_string(), "000000ab");
        assert_eq!("000000ab".parse::<Incarnation>().unwrap(), incarnation);
        for text in ["", "ab", "+00000ab", "000000AB", "0000000ab"] {
            text.parse::<Incarnation>().unwrap_err();
        }
    }

    #[test]
    fn same_number_of_two_states_names_two_records() {
        let entry = |incarnation: Option<u32>| {
            EntryNumber::new(7, Name::new("p/s")).of_incarnation(incarnation.map(Incarnation))
        };
        assert!(entry(Some(1)).names_same_record(&entry(Some(1))));
        assert!(entry(Some(1)).names_same_record(&entry(None)));
        assert!(!entry(Some(1)).names_same_record(&entry(Some(2))));
        assert!(!entry(Some(1)).names_same_record(&entry(Some(1)).part(0)));
    }

    #[test]
    fn text_that_is_not_a_number_is_refused() {
        for text in ["", "-", "12-", "-1", "+1", "1-x", "1.5", "99999999999999999999"] {
            assert!(EntryNumber::parse(text, Name::new("p/s")).is_err(), "{text}");
        }
    }
}
