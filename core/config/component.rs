//! Reads the table of one component: its type, its inputs, its options.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Diagnostic;
use super::graph::Named;
use super::read;
use super::substitute::Filled;
use crate::plugin::{Build, Kind, Registry};
use crate::schema::options_schema;

/// One component table, before its options are read.
pub(crate) struct Raw<'i> {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) at: Range<usize>,
    pub(crate) table: DeTable<'i>,
    pub(crate) span: Range<usize>,
}

/// A component that has been read: what builds it, and where its options stand.
pub(crate) struct Read {
    pub(crate) plugin: &'static str,
    pub(crate) build: Build,
    pub(crate) options: Vec<(String, Range<usize>)>,
}

/// Reads `inputs`, then the options; what could be read of the wiring is
/// answered in any case, so that its slips are found as well.
pub(crate) fn read_component<'i>(
    mut raw: Raw<'i>,
    filled: &'i Filled,
    registry: &Registry,
    slips: &mut Vec<Diagnostic>,
) -> (Named, Option<Read>) {
    let mut inputs = Vec::new();
    if raw.kind != Kind::Source {
        match raw.table.remove("inputs") {
            Some(value) => inputs = read_inputs(&value, filled, slips),
            None => slips.push(
                Diagnostic::new(
                    format!("{} `{}` needs `inputs`", raw.kind, raw.name),
                    raw.at.clone(),
                    "`inputs` is missing",
                )
                .note("`inputs` names the components whose records it takes, as in `inputs = [\"stocks\"]`"),
            ),
        }
    }
    let named = Named { name: raw.name.clone(), kind: raw.kind, at: raw.at.clone(), inputs };
    (named, read_options(raw, filled, registry, slips))
}

fn read_inputs(
    value: &Spanned<DeValue<'_>>,
    filled: &Filled,
    slips: &mut Vec<Diagnostic>,
) -> Vec<(String, Range<usize>)> {
    let DeValue::Array(items) = value.get_ref() else {
        let message = "`inputs` is a list of names";
        slips.push(Diagnostic::new(message, value.span(), "write it as `inputs = [\"name\"]`"));
        return Vec::new();
    };
    if items.is_empty() {
        slips.push(Diagnostic::new("`inputs` is empty", value.span(), "name at least one component"));
    }
    let mut inputs = Vec::new();
    for item in items {
        match filled.text(item) {
            Some(name) => inputs.push((name.to_owned(), item.span())),
            None => slips.push(Diagnostic::new(
                "an input is the name of a component",
                item.span(),
                "not a string",
            )),
        }
    }
    inputs
}

fn read_options<'i>(
    raw: Raw<'i>,
    filled: &'i Filled,
    registry: &Registry,
    slips: &mut Vec<Diagnostic>,
) -> Option<Read> {
    let Raw { name, kind, at, mut table, span } = raw;
    let Some(chosen) = table.remove("type") else {
        let known: Vec<&str> = registry.names(kind).collect();
        slips.push(
            Diagnostic::new(format!("{kind} `{name}` needs a `type`"), at, "`type` is missing")
                .note(format!("there are: {}", known.join(", "))),
        );
        return None;
    };
    let Some(plugin_name) = filled.text(&chosen) else {
        slips.push(Diagnostic::new("`type` is the name of a plugin", chosen.span(), "not a string"));
        return None;
    };
    let Some(plugin) = registry.get(kind, plugin_name) else {
        slips.push(unknown_plugin(kind, plugin_name, chosen.span(), registry));
        return None;
    };
    filled.apply(&mut table, &options_schema(plugin));
    let options = table.iter().map(|(key, _)| (key.get_ref().to_string(), key.span())).collect();
    let owner = format!("{kind} `{}`", plugin.name);
    let read = read::read_all(table, span, &owner, at, |options| (plugin.read)(options));
    match read {
        Ok(build) => Some(Read { plugin: plugin.name, build, options }),
        Err(found) => {
            let chosen = chosen.span();
            let context = |slip: Diagnostic| match slip.context {
                None => slip.context(chosen.clone(), "the plugin is chosen here"),
                Some(_) => slip,
            };
            slips.extend(found.into_iter().map(context));
            None
        }
    }
}

fn unknown_plugin(kind: Kind, name: &str, at: Range<usize>, registry: &Registry) -> Diagnostic {
    let known: Vec<&str> = registry.names(kind).collect();
    let slip = Diagnostic::new(format!("there is no {kind} of type `{name}`"), at, "unknown plugin")
        .did_you_mean(name, known.iter().copied())
        .quoted();
    let elsewhere = Kind::ALL.into_iter().find(|other| registry.get(*other, name).is_some());
    let slip = match elsewhere {
        Some(other) => slip.note(format!("`{name}` is a {other}: its table is `[{}.NAME]`", other.section())),
        None => slip,
    };
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    slip.note(format!("there are: {known}")).note(
        "a plugin of another crate is linked in by a line such as `use acme_plugins as _;` in the binary's main.rs",
    )
}

/// `[dead_letter]` is the table of one sink without inputs.
pub(crate) fn read_dead_letter<'i>(
    raw: Raw<'i>,
    filled: &'i Filled,
    registry: &Registry,
    slips: &mut Vec<Diagnostic>,
) -> Option<Read> {
    if let Some((key, _)) = raw.table.get_key_value("inputs") {
        let message = "`[dead_letter]` has no `inputs`";
        slips.push(Diagnostic::new(message, key.span(), "it receives what any component rejects"));
        return None;
    }
    read_options(raw, filled, registry, slips)
}
