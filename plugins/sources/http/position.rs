//! A position says which request gave records last, and how many of them have been delivered.

use runner_core::Position;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Which request of a walk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Request {
    /// The endpoint as it stands in the pipeline file.
    First,
    /// The page of this number.
    Page(u64),
    /// What the API named to go on with.
    Cursor(String),
    /// The `next` link of an answer, without the API key.
    Link(String),
}

/// Where reading goes on: the first `taken` records that `request` gives have been delivered.
///
/// An API may answer the same request with something else after a restart, so
/// their hash is kept: only what is the same byte for byte is passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) request: Request,
    pub(super) taken: u64,
    pub(super) hash: Prefix,
    /// How many records this source has given in all its runs.
    pub(super) offset: u64,
}

/// The hash of a row of records, each in the bytes it came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(super) struct Prefix(u64);

impl Prefix {
    /// The hash with one record more.
    pub(super) fn with(self, record: &[u8]) -> Self {
        Prefix(xxh3_64_with_seed(record, self.0))
    }
}

impl From<Prefix> for String {
    fn from(hash: Prefix) -> Self {
        // A JSON number of 64 bits loses its last digits in many readers.
        format!("{:016x}", hash.0)
    }
}

impl TryFrom<String> for Prefix {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        u64::from_str_radix(&text, 16).map(Prefix)
    }
}

impl Place {
    /// At the front of what `request` gives.
    pub(super) fn before(request: Request, offset: u64) -> Self {
        Place { request, taken: 0, hash: Prefix::default(), offset }
    }

    pub(super) fn to_position(&self) -> Position {
        Position(serde_json::to_value(self).unwrap_or(Value::Null))
    }

    /// Reads a position; fails on one that another version or type has written.
    pub(super) fn from_position(position: &Position) -> serde_json::Result<Self> {
        Place::deserialize(&position.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_place_reads_back_as_it_was_saved() {
        for request in [
            Request::First,
            Request::Page(7),
            Request::Cursor("b=".into()),
            Request::Link("http://a/?x=1".into()),
        ] {
            let hash = Prefix::default().with(b"{}");
            let place = Place { request, taken: 1, hash, offset: 12 };
            assert_eq!(Place::from_position(&place.to_position()).unwrap(), place);
        }
    }

    #[test]
    fn a_saved_place_is_plain_json() {
        let place = Place::before(Request::Page(7), 3);
        let expected = json!({"request": {"page": 7}, "taken": 0, "hash": "0000000000000000", "offset": 3});
        assert_eq!(place.to_position().0, expected);
    }

    #[test]
    fn records_cut_in_another_way_have_another_hash() {
        let hash = |records: &[&str]| {
            records.iter().fold(Prefix::default(), |hash, record| hash.with(record.as_bytes()))
        };
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
        assert_ne!(hash(&["a"]), hash(&["a", ""]));
        assert_eq!(hash(&["a", "b"]), hash(&["a", "b"]));
    }
}
