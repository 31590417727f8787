//! The keys of a run with their names in SQL: what was converted once is found again, and a second key with the same
//! name is noticed, in another record too.

use std::collections::HashMap;
use std::sync::Arc;

use super::keys::Renamed;

/// How many keys are kept; those of most sources are few.
const MAX_NAMES: usize = 4096;

/// The keys of all objects at one place of the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level(Option<usize>);

impl Level {
    /// The keys of the record itself.
    pub(super) const TOP: Level = Level(Some(0));
    /// Keys that are not kept.
    const UNKNOWN: Level = Level(None);
}

/// Two keys of different records that have become one name.
#[derive(Debug)]
pub(super) struct SameName {
    pub(super) one: Arc<str>,
    pub(super) other: Arc<str>,
    pub(super) name: Arc<str>,
}

pub(super) struct KnownNames {
    levels: Vec<Names>,
    n_names: usize,
}

#[derive(Default)]
struct Names {
    /// By the key as it is written, quotes included: its name, and the level of the objects in its value.
    by_key: HashMap<Box<[u8]>, (Renamed, Level)>,
    /// The first key of each name.
    first: HashMap<Arc<str>, Arc<str>>,
}

impl Default for KnownNames {
    fn default() -> Self {
        KnownNames { levels: vec![Names::default()], n_names: 0 }
    }
}

impl KnownNames {
    pub(super) fn find(&self, level: Level, key: &[u8]) -> Option<(&Renamed, Level)> {
        let (renamed, inner) = self.levels.get(level.0?)?.by_key.get(key)?;
        Some((renamed, *inner))
    }

    /// Keeps a new key. Returns the level of the objects in its value, and another key that has the same name. Keys
    /// that differ only in case are the same for Athena.
    pub(super) fn add(&mut self, level: Level, key: &[u8], renamed: &Renamed) -> (Level, Option<SameName>) {
        let n_levels = self.levels.len();
        let is_full = self.n_names >= MAX_NAMES;
        let Some(names) = level.0.and_then(|index| self.levels.get_mut(index)).filter(|_| !is_full) else {
            return (Level::UNKNOWN, None);
        };
        let Renamed { original, name } = renamed;
        let first = names.first.entry(Arc::clone(name)).or_insert_with(|| Arc::clone(original));
        let is_other = first.to_lowercase() != original.to_lowercase();
        // The same key may be written in two ways, one of them with `\u`.
        let is_known = || names.by_key.values().any(|(known, _)| known.original == *original);
        let same = (is_other && !is_known()).then(|| SameName {
            one: Arc::clone(first),
            other: Arc::clone(original),
            name: Arc::clone(name),
        });
        let inner = Level(Some(n_levels));
        names.by_key.insert(key.into(), (renamed.clone(), inner));
        self.levels.push(Names::default());
        self.n_names += 1;
        (inner, same)
    }
}
