//! The most recently used keys.

use lru::LruCache;

use super::key::Key;

/// At most `capacity` keys. The least recently used one is removed first.
#[derive(Debug)]
pub(super) struct RecentKeys {
    capacity: usize,
    /// Without a limit, because the crate reserves the memory for a limit at once.
    keys: LruCache<Key, ()>,
}

impl RecentKeys {
    pub(super) fn new(capacity: usize) -> Self {
        RecentKeys { capacity, keys: LruCache::unbounded() }
    }

    pub(super) fn contains(&self, key: Key) -> bool {
        self.keys.contains(&key)
    }

    /// Adds a key, or makes it the most recent one.
    pub(super) fn add(&mut self, key: Key) {
        self.keys.put(key, ());
        while self.keys.len() > self.capacity {
            self.keys.pop_lru();
        }
    }

    /// The keys, the least recently used first.
    pub(super) fn iter(&self) -> impl Iterator<Item = Key> + '_ {
        self.keys.iter().rev().map(|(key, ())| *key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_recently_used_key_is_forgotten_first() {
        let mut recent = RecentKeys::new(3);
        for key in [1, 2, 3, 1, 4] {
            recent.add(key);
        }
        assert_eq!(recent.iter().collect::<Vec<_>>(), [3, 1, 4]);
        assert!(recent.contains(1) && !recent.contains(2));
        assert_eq!(recent.iter().next(), Some(3), "a look changes nothing");
    }
}
