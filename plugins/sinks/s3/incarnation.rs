//! Notices that two records have the same key: the metadata of an object names the source of its record, and the
//! incarnation (life of a state folder; messages call it a state) in which it was numbered.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use runner_core::{EntryNumber, Incarnation, Name, Record};
use tracing::warn;

/// The names in the metadata of an object (`x-amz-meta-runner-incarnation`). Crawlers and queries do not read metadata.
const INCARNATION: &str = "runner-incarnation";
const SOURCE: &str = "runner-source";

/// The metadata of the object of a record, if the record has an entry number.
pub(super) fn metadata(record: &Record) -> Option<HashMap<String, String>> {
    let entry = record.entry.as_ref()?;
    let mut metadata = HashMap::from([(SOURCE.to_owned(), encoded(entry.source))]);
    if let Some(incarnation) = entry.incarnation {
        metadata.insert(INCARNATION.to_owned(), incarnation.to_string());
    }
    Some(metadata)
}

/// Metadata are headers, and so ASCII.
fn encoded(source: Name) -> String {
    let mut text = String::new();
    for char in source.to_string().chars() {
        if char.is_ascii_graphic() { text.push(char) } else { text.extend(char.escape_unicode()) }
    }
    text
}

/// Why an object has the key of this record but belongs to another one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum KeyConflict {
    /// Another source has numbered it.
    Source(String),
    /// The same source has numbered it in another state. If the content is the same, it may be the same record.
    State(String),
}

/// The first incarnation that numbered the records of each source in this run.
///
/// It is named where an object has no metadata: some servers do not keep them.
#[derive(Default)]
pub(super) struct Incarnations {
    first: RwLock<Vec<(Name, Incarnation)>>,
    has_said: AtomicBool,
    has_said_same: AtomicBool,
}

impl Incarnations {
    /// Notes the state of a record.
    pub(super) fn add(&self, record: &Record) {
        let Some(entry) = &record.entry else { return };
        let Some(incarnation) = entry.incarnation else { return };
        if self.first_incarnation(entry.source).is_none() {
            let mut incarnations = self.first.write().unwrap_or_else(PoisonError::into_inner);
            if incarnations.iter().all(|(source, _)| *source != entry.source) {
                incarnations.push((entry.source, incarnation));
            }
        }
    }

    /// Why objects may be replaced by other records, where existing ones are replaced; once a run.
    pub(super) fn replaces(&self, record: &Record) -> Option<String> {
        let entry = record.entry.as_ref()?;
        let (first, ours) = (self.first_incarnation(entry.source)?, entry.incarnation?);
        if first == ours || self.has_said.swap(true, Ordering::Relaxed) {
            return None;
        }
        Some(format!(
            "the entry numbers of `{}` were given by the state {first} and by the state {ours}, so two records can \
             have one number; `overwrite = \"always\"` then keeps the later record alone. Let all runs use one \
             `data_dir`, and write to another folder (`key`)",
            entry.source
        ))
    }

    fn first_incarnation(&self, source: Name) -> Option<Incarnation> {
        let incarnations = self.first.read().unwrap_or_else(PoisonError::into_inner);
        incarnations.iter().find(|(known, _)| *known == source).map(|(_, first)| *first)
    }

    /// Why an existing object has the name of this record, if its metadata tells.
    pub(super) fn conflict(
        &self,
        record: &Record,
        existing: Option<&HashMap<String, String>>,
    ) -> Option<KeyConflict> {
        let entry = record.entry.as_ref()?;
        let (source, saved) = (encoded(entry.source), |name| existing.and_then(|it| it.get(name)));
        if let Some(theirs) = saved(SOURCE).filter(|theirs| **theirs != source) {
            return Some(KeyConflict::Source(format!(
                "entry {} was numbered by `{theirs}`, this record by `{source}`; both count from 0: give each source its \
                 own folder in `key`, or use `{{{{ topic }}}}`, `{{{{ partition }}}}` and `{{{{ offset }}}}`",
                entry.text()
            )));
        }
        let ours = entry.incarnation?;
        let saved = saved(INCARNATION).and_then(|state| state.parse().ok());
        let theirs = saved.or_else(|| self.first_incarnation(entry.source))?;
        (ours != theirs).then(|| KeyConflict::State(explain(entry, theirs, ours)))
    }

    /// Warns once a run that a record counts as stored, since an object of another state has its content.
    pub(super) fn warn_of_same(&self, reason: &str, object: &str) {
        if !self.has_said_same.swap(true, Ordering::Relaxed) {
            warn!("{object} has the content of this record, which therefore counts as stored, but {reason}");
        }
    }
}

fn explain(entry: &EntryNumber, theirs: Incarnation, ours: Incarnation) -> String {
    format!(
        "entry {} of `{}` was given twice, by the state {theirs} and by the state {ours}. The checkpoint of that \
             source was reset, lost or replaced, or two runs of that pipeline use different `data_dir`. Let all runs use \
             one `data_dir`; then write to another folder (`key`), or give the pipeline another `name`",
        entry.text(),
        entry.source
    )
}

#[cfg(test)]
mod tests {
    use runner_core::testing::record;

    use super::*;

    fn numbered_by(incarnation: Option<&str>) -> Record {
        let mut record = record("{}", 7);
        let incarnation = incarnation.map(|text| text.parse().unwrap());
        record.entry = Some(EntryNumber::new(7, Name::new("p/api")).of_incarnation(incarnation));
        record
    }

    #[test]
    fn number_of_two_states_is_detected_and_both_are_named() {
        let existing = metadata(&numbered_by(Some("0000000a")));
        let incarnations = Incarnations::default();
        let conflict = incarnations.conflict(&numbered_by(Some("0000000b")), existing.as_ref());
        let Some(KeyConflict::State(reason)) = conflict else { panic!("{conflict:?}") };
        for part in ["entry 7 of `p/api`", "0000000a", "0000000b", "data_dir"] {
            assert!(reason.contains(part), "{reason}");
        }
        assert_eq!(incarnations.conflict(&numbered_by(Some("0000000a")), existing.as_ref()), None);
    }

    #[test]
    fn number_of_two_sources_is_detected_and_both_are_named() {
        let (incarnations, mut other) = (Incarnations::default(), numbered_by(Some("0000000a")));
        let existing = metadata(&other);
        other.entry = Some(EntryNumber::new(7, Name::new("p/höhe")));
        let Some(KeyConflict::Source(reason)) = incarnations.conflict(&other, existing.as_ref()) else {
            panic!("no conflict")
        };
        assert!(reason.contains("numbered by `p/api`, this record by `p/h\\u{f6}he`"), "{reason}");
        assert_eq!(incarnations.conflict(&other, metadata(&other).as_ref()), None);
        assert!(metadata(&other).unwrap().values().all(|value| value.is_ascii()));
    }

    #[test]
    fn server_without_metadata_is_made_up_for_by_the_states_of_the_run() {
        let incarnations = Incarnations::default();
        incarnations.add(&numbered_by(Some("0000000a")));
        incarnations.add(&numbered_by(Some("0000000b")));
        let conflict = incarnations.conflict(&numbered_by(Some("0000000b")), None);
        let Some(KeyConflict::State(reason)) = conflict else { panic!("{conflict:?}") };
        assert!(reason.contains("by the state 0000000a and by the state 0000000b"), "{reason}");
    }

    #[test]
    fn second_state_of_a_run_is_reported_once() {
        let incarnations = Incarnations::default();
        let replaces = |incarnation| {
            let record = numbered_by(Some(incarnation));
            incarnations.add(&record);
            incarnations.replaces(&record)
        };
        assert_eq!(replaces("0000000a"), None);
        let reason = replaces("0000000b").unwrap();
        assert!(reason.contains("by the state 0000000a and by the state 0000000b"), "{reason}");
        assert_eq!(replaces("0000000b"), None);
    }

    #[test]
    fn unknown_state_says_nothing() {
        let (incarnations, existing) = (Incarnations::default(), metadata(&numbered_by(Some("0000000a"))));
        assert_eq!(incarnations.conflict(&numbered_by(None), existing.as_ref()), None);
        assert_eq!(incarnations.conflict(&numbered_by(Some("0000000a")), None), None);
        assert_eq!(metadata(&record("{}", 7)), None);
    }
}
