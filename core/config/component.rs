//! Reads the table of one component: its type, its inputs, its options.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::DEAD_LETTER;
use super::diagnostic::Diagnostic;
use super::graph::Named;
use super::places::Places;
use super::read::{Options, read_all};
use super::similar::similar;
use super::substitute::Filled;
use crate::plugin::{Build, Kind, Plugin, Registry};
use crate::schema::options_schema;

/// One component table, before its options are read.
pub(crate) struct Raw<'i> {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) at: Range<usize>,
    /// `None` if what stands there is no table.
    pub(crate) table: Option<DeTable<'i>>,
    pub(crate) span: Range<usize>,
}

/// A component that has been read: what builds it, and where its options stand.
pub(crate) struct Read {
    pub(crate) plugin: &'static str,
    pub(crate) build: Build,
    pub(crate) options: Places,
}

/// Reads `inputs`, then the options; what could be read of the wiring is
/// answered in any case, so that its slips are found as well.
pub(crate) fn read_component<'i>(
    raw: Raw<'i>,
    filled: &'i Filled,
    registry: &Registry,
    slips: &mut Vec<Diagnostic>,
) -> (Named, Option<Read>) {
    let Raw { name, kind, at, table, span } = raw;
    let mut named = Named { name, kind, at, inputs: Vec::new(), has_all_inputs: true };
    let Some(mut table) = table else {
        return (Named { has_all_inputs: kind == Kind::Source, ..named }, None);
    };
    if kind != Kind::Source {
        let n_slips = slips.len();
        match table.remove("inputs") {
            Some(value) => named.inputs = read_inputs(&value, filled, slips),
            None => slips.push(
                Diagnostic::new(
                    format!("{kind} `{}` needs `inputs`", named.name),
                    named.at.clone(),
                    "`inputs` is missing",
                )
                .note("`inputs` names the components whose records it takes, as in `inputs = [\"stocks\"]`"),
            ),
        }
        named.has_all_inputs = slips.len() == n_slips;
    }
    let read = read_options(&named.name, kind, &named.at, (table, span), filled, registry, slips);
    (named, read)
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
    name: &str,
    kind: Kind,
    at: &Range<usize>,
    (mut table, span): (DeTable<'i>, Range<usize>),
    filled: &'i Filled,
    registry: &Registry,
    slips: &mut Vec<Diagnostic>,
) -> Option<Read> {
    let Some(chosen) = table.remove("type") else {
        let known: Vec<&str> = registry.names(kind).collect();
        slips.push(
            Diagnostic::new(format!("{kind} `{name}` needs a `type`"), at.clone(), "`type` is missing")
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
    let schema = options_schema(plugin);
    filled.apply(&mut table, &schema);
    let places = Places::of(&table, &schema);
    let owner = format!("{kind} `{}`", plugin.name);
    let options = Options { table, span, owner: &owner, at: at.clone(), schema: &schema };
    match read_all(options, |options| (plugin.read)(options)) {
        Ok(build) => Some(Read { plugin: plugin.name, build, options: places }),
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
    // Of another kind the very name is better than a similar one, and a similar one than none.
    let others = || registry.iter().filter(|plugin| plugin.kind != kind);
    let elsewhere = others().find(|plugin| plugin.name == name).or_else(|| {
        let similar = similar(name, others().map(|plugin| plugin.name))?;
        others().find(|plugin| plugin.name == similar && slip.suggestion.is_none())
    });
    let slip = match elsewhere {
        Some(Plugin { name, kind, .. }) => {
            slip.note(format!("`{name}` is a {kind}: its table is `[{}.NAME]`", kind.section()))
        }
        None => slip,
    };
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    slip.note(format!("there are: {known}")).note(
        "a plugin of another crate is linked in by a line such as `use acme_plugins as _;` in the binary's main.rs",
    )
}

/// `[dead_letter]` is the table of one sink without inputs.
pub(crate) fn read_dead_letter<'i>(
    at: &Range<usize>,
    (mut table, span): (DeTable<'i>, Range<usize>),
    filled: &'i Filled,
    registry: &Registry,
    slips: &mut Vec<Diagnostic>,
) -> Option<Read> {
    if let Some((key, _)) = table.remove_entry("inputs") {
        let message = "`[dead_letter]` has no `inputs`";
        slips.push(Diagnostic::new(message, key.span(), "it receives what any component rejects"));
    }
    read_options(DEAD_LETTER, Kind::Sink, at, (table, span), filled, registry, slips)
}
