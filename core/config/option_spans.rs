//! Where the options of a table are in the file, by their names.

use std::ops::Range;

use toml::de::{DeArray, DeTable, DeValue};

/// The options of a table and of the tables in it, by their names joined with dots. Each has the
/// place of its value; a table has the place of its name, because its value can span many lines.
#[derive(Clone, Debug, Default)]
pub(crate) struct OptionSpans(Vec<(String, Range<usize>)>);

impl OptionSpans {
    pub(crate) fn of(table: &DeTable<'_>) -> Self {
        let mut spans = OptionSpans::default();
        spans.add(table, "");
        spans
    }

    fn add(&mut self, table: &DeTable<'_>, prefix: &str) {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            if let DeValue::Table(inner) = value.get_ref() {
                self.0.push((name.clone(), key.span()));
                self.add(inner, &format!("{name}."));
            } else {
                self.0.push((name.clone(), value.span()));
            }
            if let DeValue::Array(items) = value.get_ref() {
                self.add_items(items, &name);
            }
        }
    }

    /// The tables of a list have their numbers as names, from 0: `tests.0.name`.
    fn add_items(&mut self, items: &DeArray<'_>, name: &str) {
        for (index, item) in items.iter().enumerate() {
            if let DeValue::Table(inner) = item.get_ref() {
                self.0.push((format!("{name}.{index}"), item.span()));
                self.add(inner, &format!("{name}.{index}."));
            }
        }
    }

    /// Where this option is.
    pub(crate) fn find(&self, option: &str) -> Option<Range<usize>> {
        self.0.iter().find(|(name, _)| name == option).map(|(_, span)| span.clone())
    }

    /// Where this option is, else the table that it belongs to.
    pub(crate) fn find_or_table(&self, option: &str) -> Option<Range<usize>> {
        self.find(option).or_else(|| self.find_or_table(option.rsplit_once('.')?.0))
    }
}

/// The name and the place of the innermost option whose key or value has this span.
///
/// The span of a table with a header is that header alone, so every table is searched.
pub(crate) fn option_at(table: &DeTable<'_>, span: &Range<usize>) -> Option<(String, Range<usize>)> {
    let holds = |outer: Range<usize>| outer.start <= span.start && span.end <= outer.end;
    let inner = table.iter().find_map(|(key, value)| {
        let DeValue::Table(inner) = value.get_ref() else { return None };
        let (name, at) = option_at(inner, span)?;
        Some((format!("{}.{name}", key.get_ref()), at))
    });
    inner.or_else(|| {
        let (key, value) = table.iter().find(|(key, value)| key.span() == *span || holds(value.span()))?;
        let is_table = matches!(value.get_ref(), DeValue::Table(_));
        Some((key.get_ref().to_string(), if is_table { key.span() } else { span.clone() }))
    })
}
