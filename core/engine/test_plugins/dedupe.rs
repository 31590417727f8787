//! A transform for the tests of saved states: it lets the first of equal records pass.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Batch, BuildContext, Flow, Mapped, Output, Plugin, ReadOrder, RecordHandle, Result, SavedState,
    Transform, TransformConfig, async_trait,
};

crate::register! { Plugin::transform::<SeenConfig>("test_seen") }

/// Records are equal if their numbers have the same rest.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SeenConfig {
    divisor: u64,
}

impl TransformConfig for SeenConfig {
    fn build(self, _: &BuildContext) -> Result<Box<dyn Transform>> {
        Ok(Box::new(Seen { divisor: self.divisor, seen: Arc::default() }))
    }
}

struct Seen {
    divisor: u64,
    seen: Arc<Mutex<Keys>>,
}

#[derive(Default)]
struct Keys {
    all: HashSet<u64>,
    /// The records of this run that have passed.
    sent: HashMap<u64, RecordHandle>,
    /// For each source with a checkpoint: the keys before its position.
    covered: BTreeMap<usize, HashSet<u64>>,
    /// Where the other keys have passed.
    passed: Vec<(ReadOrder, u64)>,
}

impl SavedState for Mutex<Keys> {
    fn resume(&self, source: usize, saved: Option<&Value>) -> Result<()> {
        let saved: HashSet<u64> = saved.map(HashSet::deserialize).transpose()?.unwrap_or_default();
        let mut keys = self.lock().unwrap();
        keys.all.extend(&saved);
        keys.covered.insert(source, saved);
        Ok(())
    }

    fn advance(&self, source: usize, n_items: u64) {
        let keys = &mut *self.lock().unwrap();
        let covered = keys.covered.get_mut(&source).expect("it has resumed");
        keys.passed.retain(|(order, key)| {
            let is_covered = order.source == source && order.item < n_items;
            if is_covered {
                covered.insert(*key);
            }
            !is_covered
        });
    }

    fn save(&self, source: usize) -> Value {
        json!(self.lock().unwrap().covered[&source])
    }
}

#[async_trait]
impl Transform for Seen {
    async fn apply(&mut self, mut batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let mut handles = batch.handles().into_iter();
        let rejects = batch.map(|record| {
            let handle = handles.next().expect("each record has a handle");
            let order = handle.read_order();
            let key = record.value().unwrap().as_u64().unwrap() % self.divisor;
            let mut keys = self.seen.lock().unwrap();
            if keys.all.insert(key) {
                keys.sent.insert(key, handle);
                if keys.covered.contains_key(&order.source) {
                    keys.passed.push((order, key));
                }
                return Mapped::Keep;
            }
            match keys.sent.get(&key) {
                Some(other) if other.read_order().source != order.source || other.read_order() > order => {
                    Mapped::FilterWith(other.clone())
                }
                _ => Mapped::Filter,
            }
        });
        assert!(rejects.is_empty());
        out.send(batch).await
    }

    fn saved_state(&self) -> Option<Arc<dyn SavedState>> {
        Some(self.seen.clone())
    }
}
