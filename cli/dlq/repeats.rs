//! Finds letters about one record: a record that is read again after a stop is rejected again by the same component.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use runner_core::DeadLetter;

use super::locked_file::Number;

/// What a letter is about: equal for two letters about one record from one component.
pub(super) type Subject = u128;

/// What a letter is about: where its record was read, its entry number, all that the component received, and the
/// component.
pub(super) fn subject(letter: &DeadLetter) -> Subject {
    let DeadLetter { pipeline, component, record, .. } = letter;
    let body = record.to_bytes();
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, pipeline, component).hash(&mut hasher);
        let origin = &record.origin;
        (origin.source.as_str(), origin.partition, origin.offset, record.parts()).hash(&mut hasher);
        let entry = record.entry.as_ref();
        entry
            .map(|it| (it.text().to_string(), it.source.as_str(), it.incarnation.map(|it| it.to_string())))
            .hash(&mut hasher);
        (&record.key, record.timestamp, &body).hash(&mut hasher);
        record.headers.iter().for_each(|header| (&header.name, &header.value).hash(&mut hasher));
        hasher.finish()
    };
    u128::from(half(0)) << 64 | u128::from(half(1))
}

/// The letters of a replay that repeat an earlier one: its record is delivered once, and all of them are removed.
#[derive(Clone, Debug, Default)]
pub(super) struct Repeats {
    /// The numbers of the repeats of a letter.
    of: BTreeMap<Number, Vec<Number>>,
    all: HashSet<Number>,
}

impl Repeats {
    pub(super) fn contains(&self, letter: Number) -> bool {
        self.all.contains(&letter)
    }

    pub(super) fn of(&self, letter: Number) -> &[Number] {
        self.of.get(&letter).map_or(&[], Vec::as_slice)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}

/// Finds the repeats among letters that are given one after another.
#[derive(Debug, Default)]
pub(super) struct RepeatFinder {
    first: HashMap<Subject, Number>,
    found: Repeats,
}

impl RepeatFinder {
    /// Whether this letter repeats an earlier one.
    pub(super) fn add(&mut self, letter: Number, subject: Subject) -> bool {
        let first = *self.first.entry(subject).or_insert(letter);
        let is_repeat = first != letter;
        if is_repeat {
            self.found.of.entry(first).or_default().push(letter);
            self.found.all.insert(letter);
        }
        is_repeat
    }

    pub(super) fn finish(self) -> Repeats {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use runner_core::testing::record;
    use runner_core::{EntryNumber, Name};

    use super::*;

    fn letter(body: &str, offset: u64) -> DeadLetter {
        let mut record = record(body, offset);
        record.entry = Some(EntryNumber::new(offset, Name::new("p/rows")));
        DeadLetter {
            reason: "not a number".into(),
            pipeline: "p".into(),
            component: "select".into(),
            time: "2026-01-02T03:04:05.678Z".into(),
            record,
        }
    }

    #[test]
    fn letter_repeats_another_one_only_if_record_and_component_are_the_same() {
        let first = letter("n/a", 50);
        let later =
            DeadLetter { time: "2026-01-03T00:00:00.000Z".into(), reason: "x".into(), ..first.clone() };
        assert_eq!(subject(&first), subject(&later));
        let mut others = vec![letter("n/a", 51), letter("na", 50)];
        others.push(DeadLetter { component: "json".into(), ..first.clone() });
        others.push(DeadLetter { pipeline: "q".into(), ..first.clone() });
        for change in 0..4 {
            let mut other = first.clone();
            match change {
                0 => other.record.entry = None,
                1 => other.record.entry = Some(EntryNumber::new(50, Name::new("p/others"))),
                2 => other.record.key = Some("".into()),
                _ => other.record.timestamp = Some(0),
            }
            others.push(other);
        }
        for other in &others {
            assert_ne!(subject(&first), subject(other), "{other:?}");
        }
    }

    #[test]
    fn repeats_are_listed_under_the_first_letter() {
        let mut finder = RepeatFinder::default();
        let found: Vec<bool> =
            [(1, 7), (2, 8), (3, 7), (4, 7)].map(|(n, subject)| finder.add(n, subject)).into();
        assert_eq!(found, [false, false, true, true]);
        let repeats = finder.finish();
        assert_eq!((repeats.of(1), repeats.of(2), repeats.len()), (&[3, 4][..], &[][..], 2));
        assert!(repeats.contains(3) && !repeats.contains(1));
    }
}
