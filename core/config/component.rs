//! Reads the table of one component: its type, its inputs, its options.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::graph::{ComponentHeader, Input};
use super::interpolation::Interpolated;
use super::option_schema::OptionSchema;
use super::option_spans::OptionSpans;
use super::options::Options;
use super::redaction;
use crate::diagnostics::{Diagnostic, similar};
use crate::pipeline::DEAD_LETTER;
use crate::plugin::{Build, Kind, Plugin, Registry};
use crate::redaction::Redaction;
use crate::schema::options_schema;

/// What `inputs` is called in other programs.
const OTHER_NAMES: [&str; 4] = ["from", "source", "sources", "upstream"];

/// One component table, before its options are read.
pub(crate) struct RawComponent<'i> {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) at: Range<usize>,
    pub(crate) table: DeTable<'i>,
    pub(crate) span: Range<usize>,
}

/// The options of a component: what builds it, and what its errors are shown with.
pub(crate) struct ComponentOptions {
    pub(crate) plugin: &'static str,
    pub(crate) build: Build,
    pub(crate) spans: OptionSpans,
    pub(crate) redaction: Redaction,
}

/// Reads a component; `None` if it has errors.
pub(crate) fn read_component<'i>(
    mut raw: RawComponent<'i>,
    interpolated: &'i Interpolated,
    registry: &Registry,
    errors: &mut Vec<Diagnostic>,
) -> Option<(ComponentHeader, ComponentOptions)> {
    let mut inputs = Vec::new();
    if raw.kind != Kind::Source {
        match raw.table.remove("inputs") {
            Some(value) => inputs = read_inputs(&value, interpolated, errors),
            None => errors.push(without_inputs(&mut raw, registry)),
        }
    }
    let named = ComponentHeader { name: raw.name.clone(), kind: raw.kind, at: raw.at.clone(), inputs };
    let options = read_options(raw, interpolated, registry, errors)?;
    Some((named, options))
}

/// The error of a component without `inputs`. Removes the option that is most likely meant as `inputs` from its table.
fn without_inputs(raw: &mut RawComponent<'_>, registry: &Registry) -> Diagnostic {
    let plugin = raw.table.get("type").and_then(|name| registry.get(raw.kind, name.get_ref().as_str()?));
    let schema = plugin.map(options_schema);
    let is_option = |name: &str| schema.as_ref().is_some_and(|it| it["properties"].get(name).is_some());
    let is_meant = |name: &str| OTHER_NAMES.contains(&name) || similar(name, ["inputs"]).is_some();
    let other = raw.table.keys().find(|name| is_meant(name.get_ref()) && !is_option(name.get_ref())).cloned();
    let message = format!("{} `{}` needs `inputs`", raw.kind, raw.name);
    let error = match &other {
        Some(other) => {
            raw.table.remove(&**other.get_ref());
            Diagnostic::new(message, other.span(), "write it as `inputs = [\"NAME\"]`")
        }
        None => Diagnostic::new(message, raw.at.clone(), "`inputs` is missing"),
    };
    error.note("`inputs` names the components whose records it takes, as in `inputs = [\"stocks\"]`")
}

fn read_inputs(
    value: &Spanned<DeValue<'_>>,
    interpolated: &Interpolated,
    errors: &mut Vec<Diagnostic>,
) -> Vec<Input> {
    let DeValue::Array(items) = value.get_ref() else {
        let message = "`inputs` is a list of names";
        errors.push(Diagnostic::new(message, value.span(), "write it as `inputs = [\"name\"]`"));
        return Vec::new();
    };
    if items.is_empty() {
        errors.push(Diagnostic::new("`inputs` is empty", value.span(), "name at least one component"));
    }
    let mut inputs = Vec::new();
    for item in items {
        let at = item.span();
        match interpolated.text(item) {
            Some(name) => {
                let written = interpolated.written(&at).unwrap_or(name).to_owned();
                inputs.push(Input { name: name.to_owned(), written, at });
            }
            None => errors.push(Diagnostic::new("an input is the name of a component", at, "not a string")),
        }
    }
    inputs
}

/// Reads the options of the plugin that `type` names.
fn read_options<'i>(
    raw: RawComponent<'i>,
    interpolated: &'i Interpolated,
    registry: &Registry,
    errors: &mut Vec<Diagnostic>,
) -> Option<ComponentOptions> {
    let RawComponent { name, kind, at, mut table, span } = raw;
    let Some(chosen) = table.remove("type") else {
        let known: Vec<&str> = registry.names(kind).collect();
        errors.push(
            Diagnostic::new(format!("{kind} `{name}` needs a `type`"), at.clone(), "`type` is missing")
                .note(format!("there are: {}", known.join(", "))),
        );
        return None;
    };
    let Some(plugin_name) = interpolated.text(&chosen) else {
        errors.push(Diagnostic::new("`type` is the name of a plugin", chosen.span(), "not a string"));
        return None;
    };
    let Some(plugin) = registry.get(kind, plugin_name) else {
        errors.push(unknown_plugin(
            kind,
            interpolated.written(&chosen.span()).unwrap_or(plugin_name),
            chosen.span(),
            registry,
        ));
        return None;
    };
    let schema = options_schema(plugin);
    let (spans, option_schema) = (OptionSpans::of(&table), OptionSchema::new(&schema));
    let redaction = redaction::of_table(&table, &option_schema, interpolated);
    interpolated.apply(&mut table, Some(&option_schema));
    let owner = format!("{kind} `{}`", plugin.name);
    let (schema, redacted) = (&schema, &redaction);
    let options = Options { table, span, owner: &owner, at, schema, interpolated, redaction: redacted };
    match options.read(|options| (plugin.read)(options)) {
        Ok(build) => Some(ComponentOptions { plugin: plugin.name, build, spans, redaction }),
        Err(found) => {
            let chosen = chosen.span();
            errors.extend(
                found.into_iter().map(|error| error.context(chosen.clone(), "the plugin is chosen here")),
            );
            None
        }
    }
}

fn unknown_plugin(kind: Kind, name: &str, at: Range<usize>, registry: &Registry) -> Diagnostic {
    let known: Vec<&str> = registry.names(kind).collect();
    let error = Diagnostic::new(format!("there is no {kind} of type `{name}`"), at, "unknown plugin")
        .did_you_mean(name, known.iter().copied())
        .quoted();
    // The same name of another kind is better than a similar one, and a similar one than none.
    let others = || registry.iter().filter(|plugin| plugin.kind != kind);
    let elsewhere = others().find(|plugin| plugin.name == name).or_else(|| {
        let similar = similar(name, others().map(|plugin| plugin.name))?;
        others().find(|plugin| plugin.name == similar && error.suggestion.is_none())
    });
    let error = match elsewhere {
        Some(Plugin { name, kind, .. }) => {
            error.note(format!("`{name}` is a {kind}: its table is `[{}.NAME]`", kind.section()))
        }
        None => error,
    };
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    error.note(format!("there are: {known}")).note(
        "a plugin of another crate is linked in by a line such as `use acme_plugins as _;` in the binary's main.rs",
    )
}

/// Reads `[dead_letter]`, the table of one sink without inputs.
pub(crate) fn read_dead_letter<'i>(
    at: Range<usize>,
    (mut table, span): (DeTable<'i>, Range<usize>),
    interpolated: &'i Interpolated,
    registry: &Registry,
    errors: &mut Vec<Diagnostic>,
) -> Option<ComponentOptions> {
    if let Some((key, _)) = table.remove_entry("inputs") {
        let message = "`[dead_letter]` has no `inputs`";
        errors.push(Diagnostic::new(message, key.span(), "it receives what any component rejects"));
    }
    let raw = RawComponent { name: DEAD_LETTER.to_owned(), kind: Kind::Sink, at, table, span };
    read_options(raw, interpolated, registry, errors)
}
