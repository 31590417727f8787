//! Keeps secrets and the values of variables out of what is shown of a pipeline file.
//!
//! The file is shown as it is written, so with `${NAME}` and not its value, except for the
//! values of options whose schema is `writeOnly`, of options that no schema knows, and of all
//! options where the file is not valid TOML or the plugin is not known.

use std::collections::HashSet;
use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::interpolation::{Interpolated, is_reference};
use super::leaves::{self, Leaf, leaves_of};
use super::option_schema::OptionSchema;
use super::variables::{Lookup, expand};
use crate::diagnostics::MASK;
use crate::pipeline::DEAD_LETTER;
use crate::pipeline_options::PipelineOptions;
use crate::plugin::{Kind, Registry};
use crate::redaction::Redaction;
use crate::schema::{options_schema, schema_of};

/// The places of a pipeline file that are not shown.
pub(crate) fn hidden(source: &str, registry: &Registry, lookup: Lookup) -> Vec<Range<usize>> {
    let (root, errors) = DeTable::parse_recoverable(source);
    if !errors.is_empty() {
        return hidden_lines(source, registry);
    }
    let top = schema_of::<PipelineOptions>();
    let top = OptionSchema::new(&top);
    let mut found = Vec::new();
    for (key, value) in root.get_ref() {
        let kind = Kind::ALL.into_iter().find(|kind| kind.section() == key.get_ref());
        match (kind, value.get_ref()) {
            (Some(kind), DeValue::Table(components)) => {
                for (_, component) in components {
                    add_component(component, kind, registry, lookup, &mut found);
                }
            }
            _ if key.get_ref() == DEAD_LETTER => {
                add_component(value, Kind::Sink, registry, lookup, &mut found);
            }
            _ => leaves::add(value, top.property(key.get_ref()).as_ref(), &mut found),
        }
    }
    let is_reference =
        |leaf: &Leaf| matches!(leaf.value.get_ref(), DeValue::String(text) if is_reference(text));
    let secrets = found.iter().filter(|leaf| leaf.is_secret && !is_reference(leaf));
    secrets.map(|leaf| leaf.value.span()).collect()
}

/// Adds the leaves of a component.
fn add_component<'t, 'i>(
    value: &'t Spanned<DeValue<'i>>,
    kind: Kind,
    registry: &Registry,
    lookup: Lookup,
    found: &mut Vec<Leaf<'t, 'i>>,
) {
    let DeValue::Table(table) = value.get_ref() else { return leaves::add(value, None, found) };
    let plugin = match table.get("type").map(Spanned::get_ref) {
        Some(DeValue::String(name)) => match expand(name, lookup) {
            Ok(Some(expanded)) => registry.get(kind, &expanded.text),
            _ => registry.get(kind, name),
        },
        _ => None,
    };
    let schema = plugin.map(options_schema);
    let schema = schema.as_ref().map(OptionSchema::new);
    for (key, value) in table {
        if !matches!(&**key.get_ref(), "type" | "inputs") {
            let option = schema.as_ref().and_then(|schema| schema.property(key.get_ref()));
            leaves::add(value, option.as_ref(), found);
        }
    }
}

/// What is hidden of a file that is not valid TOML. Any part of it can be part of a secret, so
/// all that is shown are headers and the names of known options.
fn hidden_lines(source: &str, registry: &Registry) -> Vec<Range<usize>> {
    let mut names: HashSet<String> = ["type", "inputs"].map(str::to_owned).into();
    add_names(&schema_of::<PipelineOptions>(), &mut names);
    registry.iter().for_each(|plugin| add_names(&options_schema(plugin), &mut names));
    let mut hidden = Vec::new();
    let mut start = 0;
    for line in source.split_inclusive('\n') {
        let text = line.trim_end();
        let shown = shown_length(text, &names);
        if shown < text.len() {
            hidden.push(start + shown..start + text.len());
        }
        start += line.len();
    }
    hidden
}

/// The length of the header or the key that a line begins with.
fn shown_length(line: &str, names: &HashSet<String>) -> usize {
    let indent = line.len() - line.trim_start().len();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '[' | ']');
    if line[indent..].starts_with('[') {
        let header = line[indent..].find(|c| !is_plain(c)).map_or(line, |length| &line[..indent + length]);
        let first = header[indent..].trim_matches(['[', ']']).split('.').next().unwrap_or_default();
        let is_section = first == DEAD_LETTER
            || names.contains(first)
            || Kind::ALL.iter().any(|kind| kind.section() == first);
        return if is_section { header.len() } else { indent };
    }
    match line.split_once('=') {
        Some((key, value)) if key.split('.').all(|name| names.contains(name.trim())) => {
            line.len() - value.trim_start().len()
        }
        _ => indent,
    }
}

/// The names of all options in a schema.
fn add_names(schema: &Value, names: &mut HashSet<String>) {
    match schema {
        Value::Object(fields) => {
            for (key, value) in fields {
                if let ("properties", Value::Object(properties)) = (key.as_str(), value) {
                    names.extend(properties.keys().cloned());
                }
                add_names(value, names);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| add_names(item, names)),
        _ => {}
    }
}

/// What takes the secrets and the values of variables of a table out of messages about it. The
/// table is as it is written.
pub(crate) fn of_table(
    table: &DeTable<'_>,
    schema: &OptionSchema<'_>,
    interpolated: &Interpolated,
) -> Redaction {
    let mut texts = Vec::new();
    let mut hide = |text: &str, shown: &str| {
        texts.extend(forms_of(text).map(|text| (text, shown.to_owned())));
    };
    for leaf in leaves_of(table, Some(schema)) {
        let DeValue::String(text) = leaf.value.get_ref() else { continue };
        let shown = if leaf.is_secret && !is_reference(text) { MASK } else { text };
        match interpolated.get(&leaf.value.span()) {
            Some(expanded) => {
                hide(&expanded.text, shown);
                expanded.values.iter().for_each(|(variable, value)| hide(value, variable));
            }
            None if leaf.is_secret => hide(text, MASK),
            None => {}
        }
    }
    Redaction::new(texts)
}

/// The forms that a text takes in messages: as it is, as `{:?}` of the text and of its characters, and in JSON.
fn forms_of(text: &str) -> [String; 4] {
    let without_quotes = |quoted: String| quoted[1..quoted.len() - 1].to_owned();
    let json = Value::from(text).to_string();
    [
        text.trim().to_owned(),
        without_quotes(format!("{text:?}")),
        text.escape_debug().to_string(),
        without_quotes(json),
    ]
}
