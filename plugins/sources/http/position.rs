//! The position of the source: the last page request, and how many of its records were delivered.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::page_request::PageRequest;

/// Where to resume: the first `taken` records of the response to `request` have been delivered.
///
/// The API may return a different response after a restart, so their hash is stored: delivered
/// records are skipped only if the response begins with the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HttpPosition {
    pub(super) request: PageRequest,
    pub(super) taken: u64,
    pub(super) hash: RecordsHash,
    /// How many records the source has emitted in all runs.
    pub(super) offset: u64,
}

/// The hash of a sequence of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(super) struct RecordsHash(u64);

impl RecordsHash {
    /// The hash with one more record.
    pub(super) fn with(self, record: &[u8]) -> Self {
        RecordsHash(xxh3_64_with_seed(record, self.0))
    }
}

impl From<RecordsHash> for String {
    fn from(hash: RecordsHash) -> Self {
        // Many JSON parsers round 64-bit numbers.
        format!("{:016x}", hash.0)
    }
}

impl TryFrom<String> for RecordsHash {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        u64::from_str_radix(&text, 16).map(RecordsHash)
    }
}

impl HttpPosition {
    /// The position before the first record of `request`.
    pub(super) fn before(request: PageRequest, offset: u64) -> Self {
        HttpPosition { request, taken: 0, hash: RecordsHash::default(), offset }
    }
}

#[cfg(test)]
mod tests {
    use super::super::page_request::Place;
    use super::*;
    use serde_json::json;

    #[test]
    fn position_round_trips() {
        for request in [PageRequest::first(Place::First), PageRequest::first(Place::Page(7))] {
            let hash = RecordsHash::default().with(b"{}");
            let position = HttpPosition { request, taken: 1, hash, offset: 12 };
            let saved = serde_json::to_value(&position).unwrap();
            assert_eq!(HttpPosition::deserialize(saved).unwrap(), position);
        }
    }

    #[test]
    fn position_is_stored_as_plain_json() {
        let position = HttpPosition::before(PageRequest::first(Place::Page(7)), 3);
        let expected = json!({"request": {"page": 7}, "taken": 0, "hash": "0000000000000000", "offset": 3});
        assert_eq!(serde_json::to_value(position).unwrap(), expected);
    }

    #[test]
    fn hash_depends_on_record_boundaries() {
        let hash = |records: &[&str]| {
            records.iter().fold(RecordsHash::default(), |hash, record| hash.with(record.as_bytes()))
        };
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
        assert_ne!(hash(&["a"]), hash(&["a", ""]));
        assert_eq!(hash(&["a", "b"]), hash(&["a", "b"]));
    }
}
