//! Where the options of a table stand, by their names.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// The options of a table, those of tables in it under names joined by dots, each with
/// the place of its value; a table has that of its name, since its own may span many lines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(Vec<(String, Range<usize>)>);

impl Places {
    pub(crate) fn of(table: &DeTable<'_>) -> Self {
        let mut places = Places::default();
        places.add(table, "");
        places
    }

    fn add(&mut self, table: &DeTable<'_>, front: &str) {
        for (key, value) in table {
            let name = format!("{front}{}", key.get_ref());
            if let DeValue::Table(inner) = value.get_ref() {
                self.0.push((name.clone(), key.span()));
                self.add(inner, &format!("{name}."));
            } else {
                self.0.push((name, value.span()));
            }
        }
    }

    /// Where this very option stands.
    pub(crate) fn find(&self, option: &str) -> Option<Range<usize>> {
        self.0.iter().find(|(name, _)| name == option).map(|(_, place)| place.clone())
    }

    /// Where this option stands, else the table that it would stand in.
    pub(crate) fn get(&self, option: &str) -> Option<Range<usize>> {
        self.find(option).or_else(|| self.get(option.rsplit_once('.')?.0))
    }

    /// Whether any of these places lies in one of the options.
    pub(crate) fn hold_any(&self, others: &[Range<usize>]) -> bool {
        self.0.iter().any(|(_, place)| others.iter().any(|other| holds(place, other)))
    }
}

/// Whether `inner` lies in `outer`.
pub(crate) fn holds(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}
