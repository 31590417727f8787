//! The keys that were met last.

use std::collections::{HashMap, VecDeque};

use super::key::Key;

/// A number of keys. The one that was not met for the longest time is forgotten first.
#[derive(Clone, Debug)]
pub(super) struct Recent {
    capacity: usize,
    /// When each key was met last.
    met: HashMap<Key, u64>,
    /// Every meeting in its order; one is outdated once the key was met again.
    order: VecDeque<(u64, Key)>,
    n_meetings: u64,
}

impl Recent {
    pub(super) fn new(capacity: usize) -> Self {
        Recent { capacity, met: HashMap::new(), order: VecDeque::new(), n_meetings: 0 }
    }

    pub(super) fn contains(&self, key: Key) -> bool {
        self.met.contains_key(&key)
    }

    /// Adds a key, or notes that it was met again.
    pub(super) fn meet(&mut self, key: Key) {
        self.n_meetings += 1;
        self.met.insert(key, self.n_meetings);
        self.order.push_back((self.n_meetings, key));
        while self.met.len() > self.capacity {
            let Some((meeting, key)) = self.order.pop_front() else { return };
            if self.met.get(&key) == Some(&meeting) {
                self.met.remove(&key);
            }
        }
        if self.order.len() > 2 * self.capacity + 64 {
            let met = &self.met;
            self.order.retain(|(meeting, key)| met.get(key) == Some(meeting));
        }
    }

    /// The keys, the longest unmet first.
    pub(super) fn iter(&self) -> impl Iterator<Item = Key> + '_ {
        let is_last = |(meeting, key): &&(u64, Key)| self.met.get(key) == Some(meeting);
        self.order.iter().filter(is_last).map(|&(_, key)| key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn recent_keys_equal_those_of_a_plain_list(capacity in 1_usize..6, keys in prop::collection::vec(0_u128..9, 0..300)) {
            let (mut recent, mut list) = (Recent::new(capacity), Vec::new());
            for key in keys {
                prop_assert_eq!(recent.contains(key), list.contains(&key));
                recent.meet(key);
                list.retain(|it| *it != key);
                list.push(key);
                list.drain(..list.len().saturating_sub(capacity));
                prop_assert_eq!(&recent.iter().collect::<Vec<_>>(), &list);
                prop_assert!(recent.order.len() <= 2 * capacity + 64);
            }
        }
    }
}
