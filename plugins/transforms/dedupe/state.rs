//! What `dedupe` knows: the keys of all records that it has seen, and for each source with a
//! checkpoint those that its position covers.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use runner_core::{Mapped, ReadOrder, RecordHandle, Result, SavedState};
use serde_json::Value;

use super::key::Key;
use super::recent_keys::RecentKeys;

/// The state, shared with the engine, which saves it.
pub(super) struct State(Mutex<Keys>);

pub(super) struct Keys {
    capacity: usize,
    /// The keys of all records, delivered or in flight.
    known: RecentKeys,
    in_flight: InFlight,
    /// By the number of the source.
    sources: BTreeMap<usize, Covered>,
}

/// What is saved with the position of a source.
struct Covered {
    /// The keys as they were after the records before the position.
    keys: RecentKeys,
    /// The records after the position, in their order.
    uncommitted: VecDeque<SeenRecord>,
}

/// A record that was seen.
struct SeenRecord {
    item: u64,
    key: Key,
    /// Whether it has passed. The key of a record is saved once the position covers the equal
    /// record that has passed: until then that one may be read again.
    passed: bool,
}

impl State {
    pub(super) fn new(capacity: usize) -> Self {
        State(Mutex::new(Keys {
            capacity,
            known: RecentKeys::new(capacity),
            in_flight: InFlight::default(),
            sources: BTreeMap::new(),
        }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Keys> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The records that have passed and may not have ended.
#[derive(Default)]
struct InFlight {
    by_key: HashMap<Key, RecordHandle>,
    orders: HashSet<ReadOrder>,
    /// Records that have ended are removed once there are so many.
    limit: usize,
}

impl InFlight {
    fn add(&mut self, key: Key, handle: RecordHandle) {
        if self.by_key.len() >= self.limit {
            self.by_key.retain(|_, handle| !handle.has_ended());
            self.orders = self.by_key.values().map(RecordHandle::read_order).collect();
            self.limit = 2 * self.by_key.len() + 1024;
        }
        self.orders.insert(handle.read_order());
        self.by_key.insert(key, handle);
    }
}

impl Keys {
    /// What becomes of a record: it passes if no equal one is known.
    pub(super) fn decide(&mut self, key: Key, handle: RecordHandle) -> Mapped {
        let order = handle.read_order();
        if self.passes(key, order) {
            self.in_flight.add(key, handle);
            return Mapped::Keep;
        }
        // The record ends with the equal one that has passed. Where that one was read before by the
        // same source, nothing after it is committed before it is delivered. A record of which
        // another part has passed follows none, so that no two records wait for each other.
        match self.in_flight.by_key.get(&key) {
            Some(other)
                if !is_before(other.read_order(), order) && !self.in_flight.orders.contains(&order) =>
            {
                Mapped::FilterWith(other.clone())
            }
            _ => Mapped::Filter,
        }
    }

    /// Whether no equal record is known.
    pub(super) fn passes(&mut self, key: Key, order: ReadOrder) -> bool {
        let passed = !self.known.contains(key);
        self.known.add(key);
        if let Some(source) = self.sources.get_mut(&order.source) {
            source.note(SeenRecord { item: order.item, key, passed });
        }
        passed
    }
}

/// Whether the same source has read one before the other.
fn is_before(one: ReadOrder, other: ReadOrder) -> bool {
    one.source == other.source && one.item <= other.item
}

impl Covered {
    fn note(&mut self, seen: SeenRecord) {
        // Records rarely overtake each other.
        let n_later = self.uncommitted.iter().rev().take_while(|other| other.item > seen.item).count();
        self.uncommitted.insert(self.uncommitted.len() - n_later, seen);
    }

    fn advance(&mut self, n_items: u64) {
        while let Some(seen) = self.uncommitted.pop_front_if(|seen| seen.item < n_items) {
            if seen.passed || self.keys.contains(seen.key) {
                self.keys.add(seen.key);
            }
        }
    }
}

impl SavedState for State {
    fn resume(&self, source: usize, saved: Option<&Value>) -> Result<()> {
        let mut keys = self.lock();
        let mut covered = Covered { keys: RecentKeys::new(keys.capacity), uncommitted: VecDeque::new() };
        for key in saved.map(read).transpose()?.unwrap_or_default() {
            covered.keys.add(key);
            keys.known.add(key);
        }
        keys.sources.insert(source, covered);
        Ok(())
    }

    fn advance(&self, source: usize, n_items: u64) {
        if let Some(covered) = self.lock().sources.get_mut(&source) {
            covered.advance(n_items);
        }
    }

    fn save(&self, source: usize) -> Value {
        let keys = self.lock();
        let bytes = keys.sources.get(&source).map(|covered| {
            let mut bytes = Vec::with_capacity(keys.capacity.min(1 << 20) * size_of::<Key>());
            covered.keys.iter().for_each(|key| bytes.extend_from_slice(&key.to_le_bytes()));
            bytes
        });
        drop(keys);
        BASE64_STANDARD.encode(bytes.unwrap_or_default()).into()
    }
}

/// Reads what `save` has written: the keys, the least recently used first.
fn read(saved: &Value) -> Result<Vec<Key>> {
    let text = saved.as_str().context("the keys are not text")?;
    let bytes = BASE64_STANDARD.decode(text).context("the keys are not base64")?;
    let (keys, rest) = bytes.as_chunks::<{ size_of::<Key>() }>();
    ensure!(rest.is_empty(), "the last key is incomplete");
    Ok(keys.iter().map(|bytes| Key::from_le_bytes(*bytes)).collect())
}
