//! Notices objects with keys that are equal in lower case: Athena reads names without case, so
//! that it cannot read such objects.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};

use runner_core::TableHeader;

use crate::shared::json_text::top_keys;

/// How many sets of keys are known to be right; those of most sources are few.
const KNOWN_SETS: usize = 4096;

/// Looks for such keys, and finds each pair once.
#[derive(Default)]
pub(super) struct SameKeys {
    found: HashSet<(String, String)>,
    /// The hashes of sets of keys that have been looked at.
    known: HashSet<u64>,
    hasher: RandomState,
    keys: Vec<u8>,
}

impl SameKeys {
    /// Two columns whose names are equal in lower case.
    pub(super) fn of_columns(&mut self, header: &TableHeader) -> Option<(String, String)> {
        self.look(header.columns().iter().map(|column| column.name.to_string()))
    }

    /// Two keys of a JSON object that are equal, or equal in lower case.
    pub(super) fn of_object(&mut self, json: &[u8]) -> Option<(String, String)> {
        let mut keys = std::mem::take(&mut self.keys);
        keys.clear();
        // Each key ends with its quote, so that other keys give other bytes.
        top_keys(json, |key| keys.extend_from_slice(key));
        let hash = self.hasher.hash_one(&keys);
        self.keys = keys;
        if self.known.contains(&hash) {
            return None;
        }
        if self.known.len() < KNOWN_SETS {
            self.known.insert(hash);
        }
        let mut names = Vec::new();
        // A key with half a surrogate pair is not looked at: it is equal to no other.
        top_keys(json, |key| names.extend(serde_json::from_slice::<String>(key)));
        self.look(names.into_iter())
    }

    fn look(&mut self, names: impl Iterator<Item = String>) -> Option<(String, String)> {
        let mut by_lower_case: HashMap<String, String> = HashMap::new();
        for name in names {
            if let Some(other) = by_lower_case.insert(name.to_lowercase(), name.clone())
                && self.found.insert((other.clone(), name.clone()))
            {
                return Some((other, name));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pair_of_keys_is_found_once() {
        let mut same = SameKeys::default();
        let mut look = |json: &str| same.of_object(json.as_bytes());
        assert_eq!(look(r#"{"a":{"A":1},"b":[{"a":1}],"c":"a\":"}"#), None);
        let pair = Some(("Close".to_owned(), "close".to_owned()));
        assert_eq!(look(r#"{"Close":1, "x" : 2 , "close":3}"#), pair);
        assert_eq!(look(r#"{"Close":1, "close":3}"#), None);
        assert_eq!(look(r#"{"é":1,"\u00c9":2}"#), Some(("é".to_owned(), "É".to_owned())));
        assert_eq!(look(r#"{"a":1,"a":2}"#), Some(("a".to_owned(), "a".to_owned())));
        assert_eq!(look("[1]"), None);
    }
}
