//! Reads a pipeline file: text to spanned tables, tables to built components.
//!
//! Every table is read by the plugin that its `type` names, from its own spans,
//! so that each slip is shown where it stands; all of them are shown at once.

mod diagnostic;
mod graph;
mod read;
mod substitute;
pub(crate) mod top;
mod vars;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub use diagnostic::{Diagnostic, Diagnostics};
use graph::Named;
use substitute::Filled;
use top::Top;
pub use vars::Lookup;

use crate::error::OptionError;
use crate::pipeline::{Component, Pipeline};
use crate::plugin::{Build, BuildContext, Built, Kind, Registry};
use crate::progress::{Counters, Gauges};
use crate::schema::{options_schema, schema_of};

/// What a pipeline file is read with.
pub struct Surroundings<'a> {
    /// The plugins.
    pub registry: &'a Registry,
    /// The variables.
    pub lookup: Lookup<'a>,
    /// Where checkpoints lie, whatever the file says (`--data-dir`).
    pub data_dir: Option<PathBuf>,
}

/// The name that the dead-letter sink has in messages and reports.
const DEAD_LETTER: &str = "dead_letter";

/// Reads a pipeline file and builds its components; opens nothing.
pub fn load(path: &Path, surroundings: &Surroundings) -> Result<Pipeline, Diagnostics> {
    let shown = path.display().to_string();
    let source = std::fs::read_to_string(path).map_err(|error| {
        let message = match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
            std::io::ErrorKind::InvalidData => "the file is not UTF-8 text".to_owned(),
            _ => format!("the file cannot be read: {error}"),
        };
        Diagnostics::new(shown.clone(), "", vec![Diagnostic::of_file(message)])
    })?;
    read(path, &source, surroundings).map_err(|slips| Diagnostics::new(shown, &source, slips))
}

/// One component table, before its options are read.
struct Raw<'i> {
    name: String,
    kind: Kind,
    at: Range<usize>,
    table: DeTable<'i>,
    span: Range<usize>,
}

fn read(path: &Path, source: &str, surroundings: &Surroundings) -> Result<Pipeline, Vec<Diagnostic>> {
    let (root, errors) = DeTable::parse_recoverable(source);
    if !errors.is_empty() {
        let slip = |error: &toml::de::Error| {
            let end = source.len();
            Diagnostic::new(error.message(), error.span().unwrap_or(end..end), "not TOML from here on")
        };
        return Err(errors.iter().map(slip).collect());
    }
    let (filled, mut slips) = Filled::collect(root.get_ref(), surroundings.lookup);
    let span = root.span();
    let mut root = root.into_inner();
    let mut raws = Vec::new();
    for kind in Kind::ALL {
        take_section(&mut root, kind, &mut raws, &mut slips);
    }
    let dead_letter = take_table(&mut root, DEAD_LETTER, &mut slips);
    filled.apply(&mut root, &schema_of::<Top>());
    let top = keep(
        read::read_all(root, span, "a pipeline file", 0..0, |options| {
            serde::Deserialize::deserialize(options)
        }),
        &mut slips,
    );

    let mut named = Vec::new();
    let mut builds = Vec::new();
    for raw in raws {
        let (inputs, build) = read_component(raw, &filled, surroundings.registry, &mut slips);
        named.push(inputs);
        builds.push(build);
    }
    let dead_letter = dead_letter.map(|(at, table, span)| {
        let raw = Raw { name: DEAD_LETTER.into(), kind: Kind::Sink, at, table, span };
        read_dead_letter(raw, &filled, surroundings.registry, &mut slips)
    });
    let order = keep(graph::order(&named), &mut slips);
    let (Some(top), Some(order), true) = (top, order, slips.is_empty()) else {
        return Err(slips.into_iter().map(|slip| filled.explain(slip, source)).collect());
    };
    let assembly = Assembly { path, top, named, builds, dead_letter: dead_letter.flatten() };
    assembly
        .build(order, surroundings)
        .map_err(|slips| slips.into_iter().map(|slip| filled.explain(slip, source)).collect())
}

fn keep<T>(read: Result<T, Vec<Diagnostic>>, slips: &mut Vec<Diagnostic>) -> Option<T> {
    read.map_err(|mut found| slips.append(&mut found)).ok()
}

/// A component that has been read: what builds it, and where its options stand.
struct Read {
    plugin: &'static str,
    build: Build,
    options: Vec<(String, Range<usize>)>,
}

/// Takes all tables of one kind out of the file.
fn take_section<'i>(
    root: &mut DeTable<'i>,
    kind: Kind,
    raws: &mut Vec<Raw<'i>>,
    slips: &mut Vec<Diagnostic>,
) {
    let Some((_, section, _)) = take_table(root, kind.section(), slips) else { return };
    for (name, value) in section {
        let at = name.span();
        let name = name.get_ref().to_string();
        let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
        if !is_plain || name.is_empty() || name.starts_with('.') {
            let message = format!("`{name}` cannot be the name of a component");
            slips.push(Diagnostic::new(message, at, "use letters, digits, `_`, `-` and `.`"));
            continue;
        }
        if name == DEAD_LETTER {
            let message = format!("`{name}` cannot be the name of a component");
            slips.push(Diagnostic::new(message, at, "it stands for the table `[dead_letter]`"));
            continue;
        }
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => raws.push(Raw { name, kind, at, table, span }),
            _ => slips.push(Diagnostic::new(
                format!("`{name}` is not a table"),
                at,
                format!("write it as `[{}.{name}]` with a `type`", kind.section()),
            )),
        }
    }
}

type TakenTable<'i> = (Range<usize>, DeTable<'i>, Range<usize>);

fn take_table<'i>(root: &mut DeTable<'i>, name: &str, slips: &mut Vec<Diagnostic>) -> Option<TakenTable<'i>> {
    let (key, value) = root.remove_entry(name)?;
    let span = value.span();
    match value.into_inner() {
        DeValue::Table(table) => Some((key.span(), table, span)),
        _ => {
            slips.push(Diagnostic::new(format!("`{name}` is not a table"), key.span(), "expected a table"));
            None
        }
    }
}

/// Reads `inputs`, then the options; what could be read of the wiring is
/// answered in any case, so that its slips are found as well.
fn read_component<'i>(
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
fn read_dead_letter<'i>(
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

/// All that is needed to build the components.
struct Assembly<'a> {
    path: &'a Path,
    top: Top,
    named: Vec<Named>,
    builds: Vec<Option<Read>>,
    dead_letter: Option<Read>,
}

impl Assembly<'_> {
    fn build(self, order: graph::Order, surroundings: &Surroundings) -> Result<Pipeline, Vec<Diagnostic>> {
        let Assembly { path, top, named, mut builds, dead_letter } = self;
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let name = top.name.or(stem).unwrap_or_else(|| "pipeline".into());
        let folder = folder_of(path);
        let batch = top.batch.into();
        let retry = top.retry.into();
        let context = |component: &str, upstream_locations| BuildContext {
            pipeline: name.clone(),
            component: component.to_owned(),
            folder: folder.clone(),
            batch,
            retry,
            gauges: Arc::new(Gauges::default()),
            upstream_locations,
        };
        let mut slips = Vec::new();
        let mut components: Vec<Option<Component>> = Vec::new();
        for (index, inputs) in order {
            let Named { name: component, at, .. } = &named[index];
            let location = |input: &usize| match &components[*input].as_ref()?.built {
                Built::Sink(sink) => sink.location(),
                _ => None,
            };
            let context = context(component, inputs.iter().filter_map(location).collect());
            let built = builds[index].take().and_then(|read| build(read, context, inputs, at, &mut slips));
            components.push(built);
        }
        let dead_letter = dead_letter
            .and_then(|read| build(read, context(DEAD_LETTER, Vec::new()), Vec::new(), &(0..0), &mut slips));
        if !slips.is_empty() {
            return Err(slips);
        }
        let data_dir = data_dir(surroundings, top.data_dir.as_deref(), &folder, &name);
        Ok(Pipeline {
            name,
            file: path.to_owned(),
            data_dir: data_dir.map_err(|message| vec![Diagnostic::of_file(message)])?,
            batch,
            retry,
            components: components.into_iter().flatten().collect(),
            dead_letter,
        })
    }
}

fn build(
    read: Read,
    context: BuildContext,
    inputs: Vec<usize>,
    at: &Range<usize>,
    slips: &mut Vec<Diagnostic>,
) -> Option<Component> {
    let gauges = Arc::clone(&context.gauges);
    match (read.build)(&context) {
        Ok(built) => Some(Component {
            name: context.component,
            plugin: read.plugin,
            inputs,
            built,
            gauges,
            counters: Arc::new(Counters::default()),
        }),
        Err(error) => {
            let slip = match error.downcast_ref::<OptionError>() {
                Some(OptionError { option, message }) => {
                    let first = option.split('.').next().unwrap_or(option);
                    let place = read.options.iter().find(|(name, _)| name == first);
                    let at = place.map_or(at.clone(), |(_, span)| span.clone());
                    Diagnostic::new(format!("`{option}`: {message}"), at, "here")
                }
                None => Diagnostic::new(format!("{error:#}"), at.clone(), "in this component"),
            };
            slips.push(slip);
            None
        }
    }
}

/// The folder that relative paths of a pipeline file begin in.
fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// The folder of this pipeline's checkpoints.
fn data_dir(
    surroundings: &Surroundings,
    option: Option<&str>,
    folder: &Path,
    name: &str,
) -> Result<PathBuf, String> {
    let variable = |name: &str| (surroundings.lookup)(name).filter(|value| !value.is_empty());
    let given = surroundings
        .data_dir
        .clone()
        .or_else(|| option.map(|option| folder.join(option)))
        .or_else(|| variable("RUNNER_DATA_DIR").map(PathBuf::from));
    if let Some(given) = given {
        return Ok(given.join(name));
    }
    let state = variable("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".local/state")))
        .ok_or("there is no HOME to keep checkpoints in: name a folder with `data_dir` or RUNNER_DATA_DIR")?;
    // Two projects may both have a `producer.toml`: the folder of the file tells them apart.
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    Ok(state.join("runner").join(format!("{name}-{:08x}", fingerprint(&folder.to_string_lossy()))))
}

/// A short, stable name for a text (FNV-1a, 32 bits).
fn fingerprint(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The schema of the options at the top of a pipeline file.
pub(crate) fn top_schema() -> Value {
    schema_of::<Top>()
}
