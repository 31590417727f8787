//! Reads a pipeline file: text to spanned tables, tables to built components.
//!
//! Every table is read by the plugin that its `type` names, from its own spans,
//! so that each slip is shown where it stands; all of them are shown at once.

mod assembly;
mod blank;
#[cfg(test)]
mod blank_tests;
mod component;
mod diagnostic;
mod graph;
mod read;
mod substitute;
mod telltale;
pub(crate) mod top;
mod torn;
mod transaction;
mod vars;

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use assembly::Assembly;
use component::{Raw, read_component, read_dead_letter};
pub use diagnostic::{Diagnostic, Diagnostics};
use substitute::Filled;
use top::Top;
pub use vars::Lookup;

use crate::pipeline::Pipeline;
use crate::plugin::{Kind, Registry};
use crate::schema::schema_of;

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
pub(crate) const DEAD_LETTER: &str = "dead_letter";

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
        return Err(slips.into_iter().map(|slip| filled.explain(slip)).collect());
    };
    let assembly = Assembly { path, top, named, builds, dead_letter: dead_letter.flatten() };
    assembly
        .build(order, surroundings)
        .map_err(|slips| slips.into_iter().map(|slip| filled.explain(slip)).collect())
}

/// Whether a file may be called so on any machine.
fn is_plain_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    !name.is_empty() && !name.starts_with('.') && name.chars().all(is_plain)
}

fn keep<T>(read: Result<T, Vec<Diagnostic>>, slips: &mut Vec<Diagnostic>) -> Option<T> {
    read.map_err(|mut found| slips.append(&mut found)).ok()
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
        if !is_plain_name(&name) {
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
    if let DeValue::Table(table) = value.into_inner() {
        return Some((key.span(), table, span));
    }
    slips.push(Diagnostic::new(format!("`{name}` is not a table"), key.span(), "expected a table"));
    None
}

/// The schema of the options at the top of a pipeline file.
pub(crate) fn top_schema() -> Value {
    schema_of::<Top>()
}
