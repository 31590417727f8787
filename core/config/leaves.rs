//! The values of a file, each with what its schema says.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::option_schema::{OptionSchema, type_of};

/// A value that is neither a list nor a table.
pub(crate) struct Leaf<'t, 'i> {
    pub(crate) value: &'t Spanned<DeValue<'i>>,
    /// Whether it can be a secret: its option is one, or not known, or a table or list of options.
    pub(crate) is_secret: bool,
}

/// All leaves of a table of options.
pub(crate) fn leaves_of<'t, 'i>(
    table: &'t DeTable<'i>,
    schema: Option<&OptionSchema<'_>>,
) -> Vec<Leaf<'t, 'i>> {
    let mut leaves = Vec::new();
    add_table(table, schema, &mut leaves);
    leaves
}

fn add_table<'t, 'i>(
    table: &'t DeTable<'i>,
    schema: Option<&OptionSchema<'_>>,
    leaves: &mut Vec<Leaf<'t, 'i>>,
) {
    for (key, value) in table {
        add(value, schema.and_then(|schema| schema.property(key.get_ref())).as_ref(), leaves);
    }
}

/// Adds the leaves of a value.
pub(crate) fn add<'t, 'i>(
    value: &'t Spanned<DeValue<'i>>,
    schema: Option<&OptionSchema<'_>>,
    leaves: &mut Vec<Leaf<'t, 'i>>,
) {
    let schema = schema.filter(|schema| !schema.is_secret);
    let accepts = |name: &str| schema.is_some_and(|it| !it.accepting(name).alternatives.is_empty());
    // A table of secrets may have been written as something else.
    let is_known =
        schema.is_some() && (accepts(type_of(value.get_ref())) || !accepts("object") && !accepts("array"));
    match value.get_ref() {
        DeValue::Table(table) => add_table(table, schema, leaves),
        DeValue::Array(items) => {
            let schema = schema.filter(|_| is_known);
            // In a list that was written for one value, each item is such a value.
            let of_item = schema.and_then(OptionSchema::items);
            let of_item = of_item.as_ref().or(schema.filter(|_| !accepts("array") && !accepts("object")));
            items.iter().for_each(|item| add(item, of_item, leaves));
        }
        _ => leaves.push(Leaf { value, is_secret: !is_known }),
    }
}
