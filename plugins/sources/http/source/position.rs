//! The position of the source: for each element what was delivered, and how far its walk is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::super::incremental::{
    DeliveredRows, GroupRules, Groups, Incremental, IncrementalSnapshot, RowHashes, RulesChange,
    SavedIncremental, SavedUnchanged, TimeFormat, TimeWindow, UnchangedSnapshot,
};
use super::super::json::Pointer;
use super::super::pages::PageRequest;
use crate::shared::csv::SavedColumns;

/// The positions of all elements.
#[derive(Clone, Debug, Default)]
pub(crate) struct HttpPosition {
    /// How many records the source has emitted in all runs.
    pub(crate) offset: u64,
    /// By the identities of the elements.
    pub(crate) elements: Arc<BTreeMap<Arc<str>, ElementPosition>>,
    /// The walk that is being emitted, which replaces the one in `elements`.
    pub(crate) current: Option<(Arc<str>, WalkSnapshot)>,
    /// The last response with records of this run, or of one before.
    pub(crate) records: Option<Arc<FoundRecords>>,
    /// The columns of CSV responses.
    pub(crate) csv: Option<Arc<SavedColumns>>,
    /// The elements of the present poll that are done, where every answer is delivered.
    pub(crate) done: Arc<Vec<Arc<str>>>,
}

/// What a response with records looked like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FoundRecords {
    /// The place of the records, as a JSON pointer.
    pub(crate) at: String,
    /// The names of the members of the response.
    pub(crate) names: BTreeSet<String>,
    /// Whether they were the elements of an array.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_array: bool,
}

/// The position of one element.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ElementPosition {
    pub(crate) state: Arc<ElementState>,
    /// A walk that was interrupted.
    pub(crate) walk: Option<Arc<SavedWalk>>,
}

/// What the last whole walk of an element has left.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ElementState {
    #[serde(default, skip_serializing_if = "Groups::is_empty")]
    pub(crate) groups: Groups,
    /// The options by which `groups` were found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rules: Option<GroupRules>,
    /// How many rows the last two walks with new rows had, where `{{ since }}` is older than the newest position.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) n_rows: Vec<usize>,
    #[serde(default, rename = "held")]
    pub(crate) delivered: DeliveredRows,
    /// How many walks in a row held all rows of the walk before, and more.
    #[serde(default)]
    pub(crate) n_grown: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) validators: Option<Validators>,
}

/// What a server needs to tell whether its response has changed (RFC 9110, 8.8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Validators {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) etag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last_modified: Option<String>,
    /// The hash of the request, and of the options that shape its records.
    pub(crate) request: String,
}

/// A walk that is not complete: the pages before `request` were delivered, and of it some rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedWalk {
    pub(crate) request: PageRequest,
    /// The hash of the first row of this page; none in those of earlier releases.
    #[serde(default, skip_serializing_if = "RowHashes::is_empty")]
    pub(crate) first: RowHashes,
    /// When the walk began, in milliseconds since 1970.
    pub(crate) now: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) window: Option<TimeWindow>,
    #[serde(default, rename = "held")]
    pub(crate) unchanged: SavedUnchanged,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rows: Option<SavedIncremental>,
    /// What an earlier release has saved of `request`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) prefix: Option<DeliveredPrefix>,
}

/// The first `taken` records of a response were delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeliveredPrefix {
    pub(crate) taken: u64,
    pub(crate) hash: RecordsHash,
}

/// A walk at some row.
#[derive(Clone, Debug)]
pub(crate) struct WalkSnapshot {
    pub(crate) request: PageRequest,
    pub(crate) first: Option<u64>,
    pub(crate) now: i64,
    pub(crate) window: Option<TimeWindow>,
    pub(crate) unchanged: UnchangedSnapshot,
    pub(crate) rows: Option<IncrementalSnapshot>,
}

impl WalkSnapshot {
    pub(crate) fn save(&self) -> SavedWalk {
        SavedWalk {
            request: self.request.clone(),
            first: RowHashes(self.first.into_iter().collect()),
            now: self.now,
            window: self.window,
            unchanged: self.unchanged.save(),
            rows: self.rows.as_ref().map(IncrementalSnapshot::save),
            prefix: None,
        }
    }
}

/// The form in a checkpoint; also that of earlier releases, which knew no elements.
#[derive(Debug, Serialize, Deserialize)]
struct SavedPosition {
    offset: u64,
    #[serde(default)]
    elements: BTreeMap<String, SavedElement>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    done: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    records: Option<FoundRecords>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    csv: Option<SavedColumns>,
    #[serde(default, skip_serializing)]
    request: Option<PageRequest>,
    #[serde(default, skip_serializing)]
    taken: u64,
    #[serde(default, skip_serializing)]
    hash: RecordsHash,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedElement {
    #[serde(default)]
    state: ElementState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    walk: Option<SavedWalk>,
}

impl Serialize for HttpPosition {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut elements: BTreeMap<String, SavedElement> = BTreeMap::new();
        for (id, element) in &*self.elements {
            let state = ElementState::clone(&element.state);
            let walk = element.walk.as_ref().map(|walk| SavedWalk::clone(walk));
            elements.insert(id.to_string(), SavedElement { state, walk });
        }
        if let Some((id, walk)) = &self.current {
            let element = elements.entry(id.to_string());
            let fresh = || SavedElement { state: ElementState::default(), walk: None };
            element.or_insert_with(fresh).walk = Some(walk.save());
        }
        let done = self.done.iter().map(|id| id.to_string()).collect();
        let (hash, records) = (RecordsHash::default(), self.records.as_deref().cloned());
        let (offset, csv) = (self.offset, self.csv.as_deref().cloned());
        SavedPosition { offset, elements, done, records, csv, request: None, taken: 0, hash }
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for HttpPosition {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let SavedPosition { offset, elements, done, records, csv, request, taken, hash } =
            SavedPosition::deserialize(deserializer)?;
        let mut all: BTreeMap<Arc<str>, ElementPosition> = BTreeMap::new();
        for (id, SavedElement { state, walk }) in elements {
            all.insert(id.into(), ElementPosition { state: state.into(), walk: walk.map(Arc::new) });
        }
        if let Some(request) = request {
            let prefix = (taken > 0).then_some(DeliveredPrefix { taken, hash });
            let unchanged = SavedUnchanged::unknown();
            let first = RowHashes::default();
            let walk = SavedWalk { request, first, now: 0, window: None, unchanged, rows: None, prefix };
            all.insert("".into(), ElementPosition { walk: Some(walk.into()), ..ElementPosition::default() });
        }
        let done = done.into_iter().map(Arc::from).collect::<Vec<_>>().into();
        let (records, csv) = (records.map(Arc::new), csv.map(Arc::new));
        Ok(HttpPosition { offset, elements: all.into(), current: None, records, csv, done })
    }
}

impl HttpPosition {
    /// The position of an element; a fresh one if there is none.
    pub(crate) fn element(&self, id: &str) -> ElementPosition {
        self.elements.get(id).cloned().unwrap_or_default()
    }

    /// This position with the values of `cursor` read as `format` says.
    pub(crate) fn read_as(mut self, format: &TimeFormat) -> Self {
        for element in Arc::make_mut(&mut self.elements).values_mut() {
            Arc::make_mut(&mut element.state).groups.read_as(Some(format));
            let rows = element.walk.as_mut().and_then(|walk| Arc::make_mut(walk).rows.as_mut());
            if let Some(rows) = rows {
                rows.read_as(Some(format));
            }
        }
        self
    }

    /// What the present options change for the positions. A walk that was interrupted begins again if `by` is another one.
    pub(crate) fn adopt_options(&mut self, options: &Incremental) -> Option<RulesChange> {
        let mut found = None;
        let elements = &mut self.elements;
        let changed: Vec<(Arc<str>, RulesChange)> = elements
            .iter()
            .filter_map(|(id, element)| {
                let ElementState { groups, rules, .. } = &*element.state;
                let rows = element.walk.as_ref().and_then(|walk| walk.rows.as_ref());
                let in_walk =
                    rows.filter(|rows| rows.has_other_groups(options)).map(|_| RulesChange::OtherGroups);
                Some((Arc::clone(id), in_walk.or_else(|| groups.change(rules.as_ref(), options))?))
            })
            .collect();
        for (id, change) in changed {
            if change == RulesChange::OtherGroups
                && let Some(element) = Arc::make_mut(elements).get_mut(&id)
            {
                element.walk = None;
            }
            if found != Some(RulesChange::OtherGroups) {
                found = Some(change);
            }
        }
        found
    }

    /// Whether all that is known of delivered rows are positions of `incremental`.
    pub(crate) fn is_of_incremental(&self) -> bool {
        let mut states = self.elements.values().map(|element| &element.state);
        states.any(|state| !state.groups.is_empty() && state.delivered.rows.is_empty())
    }

    /// The change of the options for which rows before the positions may be expected.
    pub(crate) fn change_before(&self, options: &Incremental, records: &Pointer) -> Option<String> {
        let mut states = self.elements.values().map(|element| &element.state);
        let found = self.records.as_ref().filter(|found| found.at != records.to_string());
        if let Some(found) = found
            && states.clone().any(|state| !state.groups.is_empty())
        {
            return Some(format!("`records` has changed from \"{}\" to \"{records}\"", found.at));
        }
        states.find_map(|state| state.rules.as_ref()?.change_before_position(options))
    }

    /// This position with another one of an element.
    pub(crate) fn with_element(&self, id: &Arc<str>, element: ElementPosition) -> Self {
        let mut elements = BTreeMap::clone(&self.elements);
        elements.insert(Arc::clone(id), element);
        HttpPosition { elements: elements.into(), current: None, ..self.clone() }
    }
}

/// The hash of a sequence of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct RecordsHash(u64);

impl RecordsHash {
    /// The hash with one more record.
    pub(crate) fn with(self, record: &[u8]) -> Self {
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

#[cfg(test)]
mod tests {
    use super::super::super::incremental::UnchangedFilter;
    use super::super::super::json::ContentHash;
    use super::super::super::pages::PagePlace;
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn position_round_trips() {
        let mut unchanged = UnchangedFilter::new(&DeliveredRows::default(), true);
        unchanged.begin_page();
        unchanged.add(ContentHash::of_bytes(7));
        let walk = WalkSnapshot {
            request: PageRequest::first(PagePlace::Page(7)),
            first: Some(3),
            now: 5,
            window: None,
            unchanged: unchanged.snapshot(),
            rows: None,
        };
        let state = ElementState { delivered: unchanged.finish(), n_grown: 1, ..ElementState::default() };
        let element = ElementPosition { state: state.into(), walk: None };
        let mut position = HttpPosition { offset: 12, ..HttpPosition::default() };
        position = position.with_element(&"symbol=NYA".into(), element);
        position.current = Some(("symbol=IXIC".into(), walk));
        let saved = serde_json::to_value(&position).unwrap();
        let read = HttpPosition::deserialize(&saved).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), saved);
        assert_eq!(read.element("symbol=IXIC").walk.unwrap().request.place, PagePlace::Page(7));
        assert_eq!(read.element("symbol=NYA").state.delivered.rows.0, [7]);
    }

    #[test]
    fn position_of_an_earlier_release_is_an_interrupted_walk() {
        let saved: Value =
            json!({"request": {"page": 7}, "taken": 2, "hash": "00000000000000ff", "offset": 3});
        let position = HttpPosition::deserialize(&saved).unwrap();
        assert_eq!(position.offset, 3);
        let walk = position.element("").walk.unwrap();
        assert_eq!(walk.request, PageRequest::first(PagePlace::Page(7)));
        assert_eq!(walk.prefix, Some(DeliveredPrefix { taken: 2, hash: RecordsHash(255) }));
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
