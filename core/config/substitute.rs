//! Applies `vars` to a parsed file, leaf by leaf, and turns a leaf that is one
//! variable into the number or boolean that the option's schema asks for.

use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::blank::leaves;
use super::diagnostic::Diagnostic;
use super::telltale::is_secret_name;
use super::vars::{Expanded, Lookup, expand};

/// The strings of a file that held variables, with what they became.
#[derive(Debug, Default)]
pub(crate) struct Filled(Vec<FilledString>);

#[derive(Debug)]
struct FilledString {
    span: Range<usize>,
    written: String,
    expanded: Expanded,
    /// Where it is spoken of.
    places: Vec<Range<usize>>,
    is_secret: bool,
}

impl Filled {
    /// Fills in every string of the file; variables that are missing are slips.
    pub(crate) fn collect(root: &DeTable<'_>, lookup: Lookup) -> (Self, Vec<Diagnostic>) {
        let mut filled = Vec::new();
        let mut slips = Vec::new();
        for leaf in leaves(root) {
            let DeValue::String(text) = leaf.value.get_ref() else { continue };
            let span = leaf.value.span();
            match expand(text, lookup) {
                Ok(None) => {}
                Ok(Some(expanded)) => {
                    let is_secret = leaf.is_secret || expanded.names.iter().any(|name| is_secret_name(name));
                    let mut places = leaf.keys;
                    places.push(span.clone());
                    // What is harmless may well be called like the component.
                    places.extend(leaf.component.filter(|_| is_secret));
                    filled.push(FilledString {
                        span,
                        written: text.to_string(),
                        expanded,
                        places,
                        is_secret,
                    });
                }
                Err(message) => slips.push(Diagnostic::new(message, span, "here")),
            }
        }
        // Tables may stand in any order in a file.
        filled.sort_by_key(|it| it.span.start);
        (Filled(filled), slips)
    }

    fn get(&self, span: &Range<usize>) -> Option<&Expanded> {
        let at = self.0.binary_search_by_key(&span.start, |it| it.span.start).ok()?;
        Some(&self.0[at].expanded)
    }

    /// The text of a string, filled in; `None` for what is no string.
    pub(crate) fn text<'a>(&'a self, value: &'a Spanned<DeValue<'_>>) -> Option<&'a str> {
        match value.get_ref() {
            DeValue::String(text) => Some(self.get(&value.span()).map_or(&**text, |expanded| &expanded.text)),
            _ => None,
        }
    }

    /// Puts the values into a table that has this schema. An option or an item that is one
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
        let was_empty = items.is_empty();
        let all = std::mem::replace(items, std::iter::empty().collect());
        let kept =
            all.into_iter().filter_map(|mut item| self.apply_to(&mut item, schema, path).then_some(item));
        *items = kept.collect();
        was_empty || !items.is_empty()
    }

    /// Says where a value that a slip speaks of comes from, and hides it: nobody can
    /// tell what a variable holds. Only what is nearly a word that the option knows is
    /// no secret but a slip of the pen, and shown.
    pub(crate) fn explain(&self, mut slip: Diagnostic) -> Diagnostic {
        let place = slip.place().cloned();
        let mut sources: Vec<&str> = Vec::new();
        for it in &self.0 {
            // What is harmless is left where it may not even be spoken of.
            if !slip.touches(&it.places) || place.is_none() && !it.is_secret {
                continue;
            }
            let told = slip.message.clone();
            if it.is_secret || slip.suggestion.is_none() || Some(&it.span) != place.as_ref() {
                slip.forget(&it.expanded.looked_up);
            }
            let is_inside =
                place.as_ref().is_some_and(|place| place.start <= it.span.start && it.span.end <= place.end);
            if is_inside && sources.is_empty() || slip.message != told {
                sources.push(&it.written);
            }
        }
        sources.into_iter().fold(slip, |slip, written| slip.note(format!("the value comes from `{written}`")))
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
