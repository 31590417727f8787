//! Reads a pipeline file: text to spanned tables, tables to built components.
//!
//! Every table is read by the plugin that its `type` names, from its own spans,
//! so that each slip is shown where it stands; all of them are shown at once.

mod assembly;
mod blank;
#[cfg(test)]
mod blank_tests;
mod broken;
mod component;
mod diagnostic;
mod graph;
mod places;
mod read;
mod similar;
mod substitute;
mod telltale;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_cast;
pub(crate) mod top;
mod torn;
mod transaction;
mod vars;

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use assembly::{Assembly, DeadLetter};
use component::{Raw, read_component, read_dead_letter};
pub use diagnostic::{Diagnostic, Diagnostics};
use places::{Places, holds};
use read::{Options, read_all};
pub use similar::similar;
use substitute::Filled;
pub use telltale::{is_secret_parameter, without_secrets};
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
        return Err(broken::slips(&errors, source));
    }
    let (filled, mut slips) = Filled::collect(root.get_ref(), surroundings.lookup);
    // What stands where a variable is missing is not known, and so no slip.
    let unfilled: Vec<Range<usize>> = slips.iter().filter_map(|slip| slip.span.clone()).collect();
    let mut found = Vec::new();
    let read = read_root(path, root, &filled, &unfilled, surroundings, &mut found);
    let is_known = |slip: &Diagnostic| {
        slip.span.as_ref().is_none_or(|span| !unfilled.iter().any(|unfilled| holds(unfilled, span)))
    };
    slips.extend(found.into_iter().filter(is_known));
    match read {
        Some(pipeline) if slips.is_empty() => Ok(pipeline),
        _ => Err(slips.into_iter().map(|slip| filled.explain(slip)).collect()),
    }
}

/// Reads and builds all that can be, so that all slips are found; `None` if there are some.
fn read_root<'i>(
    path: &Path,
    root: Spanned<DeTable<'i>>,
    filled: &'i Filled,
    unfilled: &[Range<usize>],
    surroundings: &Surroundings,
    slips: &mut Vec<Diagnostic>,
) -> Option<Pipeline> {
    let span = root.span();
    let mut root = root.into_inner();
    let mut raws = Vec::new();
    let mut is_whole = true;
    for kind in Kind::ALL {
        is_whole &= take_section(&mut root, kind, &mut raws, slips);
    }
    let dead_letter = match root.remove_entry(DEAD_LETTER) {
        Some((key, value)) => take_table(DEAD_LETTER, &key, value, "write it as `[dead_letter]`", slips)
            .map(|(table, span)| (key.span(), table, span)),
        None => None,
    };
    let schema = schema_of::<Top>();
    filled.apply(&mut root, &schema);
    let places = Places::of(&root, &schema);
    let options = Options { table: root, span, owner: "a pipeline file", at: 0..0, schema: &schema };
    // With a slip in it, what is built is built with the defaults.
    let top: Top = match read_all(options, serde::Deserialize::deserialize) {
        Ok(top) => top,
        Err(mut found) => {
            slips.append(&mut found);
            Top::default()
        }
    };

    let mut named = Vec::new();
    let mut builds = Vec::new();
    for raw in raws {
        let (mut component, read) = read_component(raw, filled, surroundings.registry, slips);
        let is_unfilled =
            |(_, at): &(String, Range<usize>)| unfilled.iter().any(|unfilled| holds(at, unfilled));
        component.has_all_inputs &= !component.inputs.iter().any(is_unfilled);
        named.push(component);
        builds.push(read.filter(|read| !read.options.hold_any(unfilled)));
    }
    let dead_letter = dead_letter.and_then(|(at, table, span)| {
        let read = read_dead_letter(&at, (table, span), filled, surroundings.registry, slips);
        read.filter(|read| !read.options.hold_any(unfilled)).map(|read| DeadLetter { read, at })
    });
    let (order, mut wiring) = graph::order(&named, is_whole);
    slips.append(&mut wiring);
    Assembly { path, top, places, named, builds, dead_letter }.build(order, surroundings, slips)
}

/// Whether a file may be called so on any machine.
fn is_plain_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    !name.is_empty() && !name.starts_with('.') && name.chars().all(is_plain)
}

/// Takes all tables of one kind out of the file; false if there is something else in their place.
fn take_section<'i>(
    root: &mut DeTable<'i>,
    kind: Kind,
    raws: &mut Vec<Raw<'i>>,
    slips: &mut Vec<Diagnostic>,
) -> bool {
    let Some((key, section)) = root.remove_entry(kind.section()) else { return true };
    let advice = format!("write `[{}.NAME]`, one table a {kind}", kind.section());
    let n_slips = slips.len();
    let section = take_table(kind.section(), &key, section, &advice, slips);
    let Some((section, _)) = section.filter(|_| slips.len() == n_slips) else { return false };
    for (key, value) in section {
        let at = key.span();
        let name = key.get_ref().to_string();
        let impossible = match &*name {
            DEAD_LETTER => Some("it stands for the table `[dead_letter]`"),
            name if !is_plain_name(name) => Some("use letters, digits, `_`, `-` and `.`"),
            _ => None,
        };
        if let Some(advice) = impossible {
            let message = format!("`{name}` cannot be the name of a component");
            slips.push(Diagnostic::new(message, at.clone(), advice));
        }
        let advice = format!("write it as `[{}.{name}]` with a `type`", kind.section());
        let span = value.span();
        let (table, span) = match take_table(&name, &key, value, &advice, slips) {
            Some((table, span)) => (Some(table), span),
            None => (None, span),
        };
        raws.push(Raw { name, kind, at, table, span });
    }
    true
}

/// The table that `value` is; of a list of tables the first, which is a slip.
fn take_table<'i>(
    name: &str,
    key: &Spanned<DeString<'_>>,
    value: Spanned<DeValue<'i>>,
    advice: &str,
    slips: &mut Vec<Diagnostic>,
) -> Option<(DeTable<'i>, Range<usize>)> {
    let span = value.span();
    let value = value.into_inner();
    if let DeValue::Table(table) = value {
        return Some((table, span));
    }
    slips.push(Diagnostic::new(format!("`{name}` is not a table"), key.span(), advice));
    let DeValue::Array(items) = value else { return None };
    let first = items.into_iter().next()?;
    let span = first.span();
    match first.into_inner() {
        DeValue::Table(table) => Some((table, span)),
        _ => None,
    }
}

/// The schema of the options at the top of a pipeline file.
pub(crate) fn top_schema() -> Value {
    schema_of::<Top>()
}
