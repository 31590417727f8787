//! Rows that are remembered: lists of hashes, saved as compact text, and logs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Hashes of rows. In a checkpoint each of them takes 11 characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RowHashes(pub(crate) Vec<u64>);

impl RowHashes {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for RowHashes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|hash| hash.to_le_bytes()).collect();
        serializer.serialize_str(&STANDARD_NO_PAD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for RowHashes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD_NO_PAD.decode(text).map_err(serde::de::Error::custom)?;
        let (chunks, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(serde::de::Error::custom("the hashes are incomplete"));
        }
        Ok(RowHashes(chunks.iter().map(|chunk| u64::from_le_bytes(*chunk)).collect()))
    }
}

/// A log that only grows, so that a position needs to know no more than its length.
#[derive(Debug, Default)]
pub(super) struct Log<T>(Arc<Mutex<T>>);

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Log(Arc::clone(&self.0))
    }
}

impl<T> Log<T> {
    pub(super) fn new(rows: T) -> Self {
        Log(Arc::new(Mutex::new(rows)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_round_trip() {
        for hashes in [vec![], vec![0], vec![1, u64::MAX, 7]] {
            let saved = serde_json::to_string(&RowHashes(hashes.clone())).unwrap();
            assert_eq!(serde_json::from_str::<RowHashes>(&saved).unwrap().0, hashes);
        }
        assert!(serde_json::from_str::<RowHashes>("\"AAAA\"").is_err());
    }
}
