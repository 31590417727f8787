//! Replaces the variables in a parsed file, string by string, and turns a string that is one
//! variable into the number or boolean that the schema asks for.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::leaves::leaves_of;
use super::option_schema::{OptionSchema, type_of};
use super::variables::{Expanded, Lookup, expand};
use crate::diagnostics::Diagnostic;

/// The strings of a file that contain variables, with their values.
#[derive(Debug, Default)]
pub(crate) struct Interpolated(Vec<InterpolatedString>);

#[derive(Debug)]
struct InterpolatedString {
    span: Range<usize>,
    written: String,
    expanded: Expanded,
}

impl Interpolated {
    /// Replaces the variables in every string of the file; a variable that is not set is an error.
    pub(crate) fn collect(root: &DeTable<'_>, lookup: Lookup) -> Result<Self, Vec<Diagnostic>> {
        let mut strings = Vec::new();
        let mut errors = Vec::new();
        for leaf in leaves_of(root, None) {
            let DeValue::String(text) = leaf.value.get_ref() else { continue };
            let span = leaf.value.span();
            match expand(text, lookup) {
                Ok(None) => {}
                Ok(Some(expanded)) => {
                    strings.push(InterpolatedString { span, written: text.to_string(), expanded });
                }
                Err(message) => errors.push(Diagnostic::new(message, span, "here")),
            }
        }
        // Tables can be in any order in a file.
        strings.sort_by_key(|it| it.span.start);
        if errors.is_empty() { Ok(Interpolated(strings)) } else { Err(errors) }
    }

    fn at(&self, span: &Range<usize>) -> Option<&InterpolatedString> {
        let at = self.0.binary_search_by_key(&span.start, |it| it.span.start).ok()?;
        Some(&self.0[at])
    }

    /// What a string at this place became.
    pub(crate) fn get(&self, span: &Range<usize>) -> Option<&Expanded> {
        Some(&self.at(span)?.expanded)
    }

    /// A string with variables as it is in the file.
    pub(crate) fn written(&self, span: &Range<usize>) -> Option<&str> {
        Some(&self.at(span)?.written)
    }

    /// The same, if it is one variable and nothing else.
    pub(crate) fn reference(&self, span: &Range<usize>) -> Option<&str> {
        self.written(span).filter(|written| is_reference(written))
    }

    /// The text of a string with its variables replaced; `None` if the value is not a string.
    pub(crate) fn text<'a>(&'a self, value: &'a Spanned<DeValue<'_>>) -> Option<&'a str> {
        match value.get_ref() {
            DeValue::String(text) => Some(self.get(&value.span()).map_or(&**text, |expanded| &expanded.text)),
            _ => None,
        }
    }

    /// Puts the values into a table that has this schema. An option or an item that is one
    /// variable with an empty value is removed: it counts as absent.
    pub(crate) fn apply<'i>(&'i self, table: &mut DeTable<'i>, schema: Option<&OptionSchema<'_>>) {
        let mut absent = Vec::new();
        for (key, value) in table.iter_mut() {
            let property = schema.and_then(|schema| schema.property(key.get_ref()));
            if !self.apply_to(value, property.as_ref()) {
                absent.push(key.clone());
            }
        }
        for key in absent {
            table.remove(&key);
        }
    }

    /// Returns false if the value counts as absent.
    fn apply_to<'i>(&'i self, value: &mut Spanned<DeValue<'i>>, schema: Option<&OptionSchema<'_>>) -> bool {
        let span = value.span();
        match value.get_mut() {
            DeValue::String(text) => {
                let Some(expanded) = self.get(&span) else { return true };
                if expanded.is_one_variable && expanded.text.is_empty() {
                    return false;
                }
                let literal =
                    schema.filter(|_| expanded.is_one_variable).and_then(|it| literal(&expanded.text, it));
                if let Some(literal) = literal {
                    *value.get_mut() = literal;
                } else {
                    *text = expanded.text.as_str().into();
                }
                true
            }
            DeValue::Array(items) => {
                let schema = schema.and_then(OptionSchema::items);
                let was_empty = items.is_empty();
                let all = std::mem::replace(items, std::iter::empty().collect());
                let kept = all
                    .into_iter()
                    .filter_map(|mut item| self.apply_to(&mut item, schema.as_ref()).then_some(item));
                *items = kept.collect();
                was_empty || !items.is_empty()
            }
            DeValue::Table(table) => {
                let was_empty = table.is_empty();
                self.apply(table, schema);
                was_empty || !table.is_empty()
            }
            _ => true,
        }
    }
}

/// Warns of strings with `$NAME`, which is a variable in other tools. The message does not quote them: they may be secrets.
pub(crate) fn warn_without_braces(root: &DeTable<'_>) -> Vec<Diagnostic> {
    let is_without_braces =
        |value: &DeValue<'_>| matches!(value, DeValue::String(text) if names_without_braces(text));
    let found = leaves_of(root, None).into_iter().filter(|leaf| is_without_braces(leaf.value.get_ref()));
    let warnings = found.map(|leaf| {
        let message = "`$NAME` without braces is text: for the value of a variable write `${NAME}`";
        Diagnostic { is_warning: true, ..Diagnostic::new(message, leaf.value.span(), "here") }
    });
    warnings.collect()
}

/// Whether a text begins with `$NAME`, or has it behind a slash.
fn names_without_braces(text: &str) -> bool {
    let begins_with_name = |text: &str| {
        let name = text.strip_prefix('$').unwrap_or_default();
        let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let (name, rest) = name.split_at(name.find(|c| !is_part(c)).unwrap_or(name.len()));
        let is_name = name.len() > 1 && name.starts_with(|c: char| c.is_ascii_uppercase());
        is_name && !rest.starts_with(char::is_alphanumeric)
    };
    text.split('/').any(begins_with_name)
}

/// Whether a text is `${NAME}`, so that nothing in it can be a secret.
pub(crate) fn is_reference(text: &str) -> bool {
    let name = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

/// `text` as the number or boolean that the schema asks for.
fn literal<'i>(text: &'i str, schema: &OptionSchema<'_>) -> Option<DeValue<'i>> {
    let accepts = |name: &str| !schema.accepting(name).alternatives.is_empty();
    if accepts("string") && schema.choices().is_none() {
        return None;
    }
    let parsed = DeValue::parse(text.trim()).ok()?.into_inner();
    let is_scalar = matches!(parsed, DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_));
    (is_scalar && accepts(type_of(&parsed))).then_some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_without_braces_is_recognized() {
        for text in ["$GROUP", "$KAFKA_1:9092", "https://$HOST/v1", "$A_B/rows.csv"] {
            assert!(names_without_braces(text), "{text}");
        }
        for text in
            ["${GROUP}", "$filter=a", "$5", "$2a$10$ABC", "$", "US$AB", "$$AB", "$Abc", "^A$", "$.a/b"]
        {
            assert!(!names_without_braces(text), "{text}");
        }
    }
}
