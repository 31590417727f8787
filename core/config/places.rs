//! Where the options of a table stand, by their names.

use std::ops::Range;

use serde_json::Value;
use toml::de::{DeTable, DeValue};

/// The options of a table, those of tables in it under names joined by dots, each with
/// the place of its value; a table has that of its name, since its own may span many lines.
/// A secret has the place of the table that it stands in: its own line is better not shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    options: Vec<(String, Range<usize>)>,
    values: Vec<Range<usize>>,
}

impl Places {
    /// Of a table with this schema.
    pub(crate) fn of(table: &DeTable<'_>, schema: &Value) -> Self {
        let mut places = Places::default();
        places.add(table, schema, "", None);
        places
    }

    fn add(&mut self, table: &DeTable<'_>, schema: &Value, front: &str, inside: Option<Range<usize>>) {
        for (key, value) in table {
            let name = format!("{front}{}", key.get_ref());
            let schemas = schemas_of(schema, key.get_ref());
            if let DeValue::Table(inner) = value.get_ref() {
                self.options.push((name.clone(), key.span()));
                let schema = schemas.first().copied().unwrap_or(&Value::Null);
                self.add(inner, schema, &format!("{name}."), Some(key.span()));
                continue;
            }
            let is_secret = schemas.iter().any(|schema| schema["writeOnly"] == true);
            let place = if is_secret { inside.clone().unwrap_or(key.span()) } else { value.span() };
            self.options.push((name, place));
            self.values.push(value.span());
        }
    }

    /// Where this very option stands.
    pub(crate) fn find(&self, option: &str) -> Option<Range<usize>> {
        self.options.iter().find(|(name, _)| name == option).map(|(_, place)| place.clone())
    }

    /// Where this option stands, else the table that it would stand in.
    pub(crate) fn get(&self, option: &str) -> Option<Range<usize>> {
        self.find(option).or_else(|| self.get(option.rsplit_once('.')?.0))
    }

    /// Whether any of these places lies in one of the values.
    pub(crate) fn hold_any(&self, others: &[Range<usize>]) -> bool {
        self.values.iter().any(|value| others.iter().any(|other| holds(value, other)))
    }
}

/// What the schema says of the option `name`, in whichever of its branches.
fn schemas_of<'s>(schema: &'s Value, name: &str) -> Vec<&'s Value> {
    let branches = ["oneOf", "anyOf"].iter().filter_map(|key| schema[*key].as_array()).flatten();
    let own = schema["properties"].get(name).or_else(|| schema.get("additionalProperties"));
    own.into_iter().filter(|it| it.is_object()).chain(branches.flat_map(|it| schemas_of(it, name))).collect()
}

/// Whether `inner` lies in `outer`.
pub(crate) fn holds(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}
