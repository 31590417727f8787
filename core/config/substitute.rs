//! Applies `vars` to a parsed file, leaf by leaf, and turns a leaf that is one
//! variable into the number or boolean that the option's schema asks for.

use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::diagnostic::{Diagnostic, is_secret_name};
use super::vars::{Expanded, Lookup, expand};

/// The strings of a file that held variables, with what they became.
#[derive(Debug, Default)]
pub(crate) struct Filled(Vec<(Range<usize>, String, Expanded)>);

impl Filled {
    /// Fills in every string of the file; variables that are missing are slips.
    pub(crate) fn collect(root: &DeTable<'_>, lookup: Lookup) -> (Self, Vec<Diagnostic>) {
        let mut filled = Filled::default();
        let mut slips = Vec::new();
        filled.walk_table(root, lookup, &mut slips);
        // Tables may stand in any order in a file.
        filled.0.sort_by_key(|(span, ..)| span.start);
        (filled, slips)
    }

    fn walk_table(&mut self, table: &DeTable<'_>, lookup: Lookup, slips: &mut Vec<Diagnostic>) {
        for (_, value) in table {
            self.walk(value, lookup, slips);
        }
    }

    fn walk(&mut self, value: &Spanned<DeValue<'_>>, lookup: Lookup, slips: &mut Vec<Diagnostic>) {
        match value.get_ref() {
            DeValue::String(text) => match expand(text, lookup) {
                Ok(None) => {}
                Ok(Some(expanded)) => self.0.push((value.span(), text.to_string(), expanded)),
                Err(message) => slips.push(Diagnostic::new(message, value.span(), "here")),
            },
            DeValue::Array(items) => items.iter().for_each(|item| self.walk(item, lookup, slips)),
            DeValue::Table(table) => self.walk_table(table, lookup, slips),
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
        }
    }

    fn get(&self, span: &Range<usize>) -> Option<&Expanded> {
        let at = self.0.binary_search_by_key(&span.start, |(span, ..)| span.start).ok()?;
        Some(&self.0[at].2)
    }

    /// The text of a string, filled in; `None` for what is no string.
    pub(crate) fn text<'a>(&'a self, value: &'a Spanned<DeValue<'_>>) -> Option<&'a str> {
        match value.get_ref() {
            DeValue::String(text) => Some(self.get(&value.span()).map_or(&**text, |expanded| &expanded.text)),
            _ => None,
        }
    }

    /// Puts the values into a table that has this schema. An option that is one
    /// variable with an empty value is as good as absent, and goes.
    pub(crate) fn apply<'i>(&'i self, table: &mut DeTable<'i>, schema: &Value) {
        self.apply_at(table, schema, &mut Vec::new());
    }

    fn apply_at<'i>(&'i self, table: &mut DeTable<'i>, schema: &Value, path: &mut Vec<String>) {
        let mut absent = Vec::new();
        for (key, value) in table.iter_mut() {
            path.push(key.get_ref().to_string());
            if !self.apply_to(value, schema, path) {
                absent.push(key.clone());
            }
            path.pop();
        }
        for key in absent {
            table.remove(&key);
        }
    }

    /// False if the value is as good as absent.
    fn apply_to<'i>(
        &'i self,
        value: &mut Spanned<DeValue<'i>>,
        schema: &Value,
        path: &mut Vec<String>,
    ) -> bool {
        let span = value.span();
        match value.get_mut() {
            DeValue::String(text) => {
                let Some(expanded) = self.get(&span) else { return true };
                if expanded.is_one_variable && expanded.text.is_empty() {
                    return false;
                }
                let literal =
                    expanded.is_one_variable.then(|| literal(&expanded.text, schema, path)).flatten();
                if let Some(literal) = literal {
                    *value.get_mut() = literal;
                } else {
                    *text = expanded.text.as_str().into();
                }
                true
            }
            DeValue::Array(items) => self.apply_to_items(items, schema, path),
            DeValue::Table(table) => {
                let was_empty = table.is_empty();
                self.apply_at(table, schema, path);
                was_empty || !table.is_empty()
            }
            _ => true,
        }
    }

    fn apply_to_items<'i>(&'i self, items: &mut DeArray<'i>, schema: &Value, path: &mut Vec<String>) -> bool {
        for item in items.iter_mut() {
            self.apply_to(item, schema, path);
        }
        true
    }

    /// Says where a value that a slip speaks of comes from, and hides it if it is a secret.
    pub(crate) fn explain(&self, mut slip: Diagnostic, source: &str) -> Diagnostic {
        let Some(span) = slip.span.clone() else { return slip };
        let inside =
            self.0.iter().find(|(at, ..)| span.start <= at.start && at.end <= span.end.max(at.start));
        // What is empty is no part of what is shown.
        let Some((_, written, expanded)) = inside.filter(|it| !it.2.text.is_empty()) else { return slip };
        let line = source[..span.start].rsplit('\n').next().unwrap_or_default();
        if is_secret_name(line) || expanded.names.iter().any(|name| is_secret_name(name)) {
            slip.message = slip.message.replace(&expanded.text, "…");
            slip.label = slip.label.replace(&expanded.text, "…");
        }
        slip.note(format!("the value comes from `{written}`"))
    }
}

/// `text` as the number or boolean that the schema asks for at `path`.
fn literal<'i>(text: &'i str, schema: &Value, path: &[String]) -> Option<DeValue<'i>> {
    let wanted = type_at(schema, schema, path)?;
    let parsed = DeValue::parse(text.trim()).ok()?.into_inner();
    let fits = matches!(
        (&parsed, wanted),
        (DeValue::Integer(_), "integer" | "number")
            | (DeValue::Float(_), "number")
            | (DeValue::Boolean(_), "boolean")
    );
    fits.then_some(parsed)
}

/// The plain type of the option at `path`, if it has one.
fn type_at<'s>(root: &'s Value, schema: &'s Value, path: &[String]) -> Option<&'s str> {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        return type_at(root, root.pointer(reference.strip_prefix('#')?)?, path);
    }
    let branches = ["oneOf", "anyOf", "allOf"].iter().filter_map(|key| schema.get(key)?.as_array()).flatten();
    let found = branches.filter_map(|branch| type_at(root, branch, path)).find(|found| *found != "string");
    if found.is_some() {
        return found;
    }
    let Some((first, rest)) = path.split_first() else {
        return match schema.get("type")? {
            Value::String(name) => Some(name),
            Value::Array(names) => names.iter().filter_map(Value::as_str).find(|name| *name != "null"),
            _ => None,
        };
    };
    let property = schema.get("properties").and_then(|properties| properties.get(first));
    type_at(root, property.or_else(|| schema.get("additionalProperties"))?, rest)
}
