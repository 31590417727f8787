//! Reads a pipeline file: text to spanned tables, tables to built components.
//!
//! The checks are staged: syntax, variables, options, wiring, build. The first stage that finds
//! errors reports all of them and ends the reading, so that no error follows from another.

mod assembly;
mod component;
mod crawled;
mod find_state_folder;
mod graph;
mod interpolation;
mod leaves;
mod loops;
mod option_schema;
mod option_spans;
mod options;
mod outputs;
mod redaction;
#[cfg(test)]
mod redaction_tests;
mod test_cases;
#[cfg(test)]
pub(crate) mod test_plugins;
#[cfg(test)]
mod tests;
mod text_places;
mod transaction;
mod variables;

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use assembly::{Assembly, DeadLetter, TopLevel};
use component::{RawComponent, read_component, read_dead_letter};
use interpolation::Interpolated;
use option_schema::OptionSchema;
use option_spans::OptionSpans;
use options::Options;
use test_cases::TestCases;
pub use variables::Lookup;

use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::pipeline::{DEAD_LETTER, Pipeline};
use crate::pipeline_options::PipelineOptions;
use crate::plugin::{Kind, Registry};
use crate::schema::schema_of;

/// What a pipeline file is read with.
pub struct LoadContext<'a> {
    /// The plugins.
    pub registry: &'a Registry,
    /// The variables.
    pub lookup: Lookup<'a>,
    /// The folder of the checkpoints. It overrides the `data_dir` of the file.
    pub data_dir: Option<PathBuf>,
}

/// Reads a pipeline file and builds its components; opens nothing.
pub fn load(path: &Path, context: &LoadContext) -> Result<Pipeline, Diagnostics> {
    let shown = path.display().to_string();
    let source = std::fs::read_to_string(path).map_err(|error| {
        let message = match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
            std::io::ErrorKind::InvalidData => {
                "the file is not UTF-8 text: save it as UTF-8 (`>` of Windows PowerShell writes UTF-16)"
                    .to_owned()
            }
            _ => format!("the file cannot be read: {error}"),
        };
        Diagnostics::new(shown.clone(), "", Vec::new(), vec![Diagnostic::of_file(message)])
    })?;
    let diagnostics = |found: Vec<Diagnostic>| {
        let hidden = redaction::hidden(&source, context.registry, context.lookup);
        Diagnostics::new(shown.clone(), &source, hidden, found)
    };
    let (mut pipeline, warnings) = read(path, &source, context).map_err(&diagnostics)?;
    pipeline.warnings = (!warnings.is_empty()).then(|| Box::new(diagnostics(warnings)));
    Ok(pipeline)
}

/// Reads the pipeline, with its warnings.
fn read(
    path: &Path,
    source: &str,
    context: &LoadContext,
) -> Result<(Pipeline, Vec<Diagnostic>), Vec<Diagnostic>> {
    let root = parse(source)?;
    let interpolated = Interpolated::collect(root.get_ref(), context.lookup)?;
    let without_braces = interpolation::warn_without_braces(root.get_ref());
    let mut errors = Vec::new();
    let read = read_root(path, root, &interpolated, context.registry, &mut errors);
    let (Some(top), true) = (read.top, errors.is_empty()) else { return Err(errors) };
    let (named, options): (Vec<_>, Vec<_>) = read.components.into_iter().unzip();
    let order = graph::order(&named)?;
    let tests = TestCases { tests: &top.options.tests, spans: &top.spans }.check(&named);
    if !tests.is_empty() {
        return Err(tests);
    }
    let assembly = Assembly { path, source, top, named, options, dead_letter: read.dead_letter };
    let (pipeline, mut warnings) = assembly.build(order, context)?;
    warnings.extend(without_braces);
    Ok((pipeline, warnings))
}

fn parse(source: &str) -> Result<Spanned<DeTable<'_>>, Vec<Diagnostic>> {
    let (root, errors) = DeTable::parse_recoverable(source);
    let end = source.len();
    let shown = |error: &toml::de::Error| {
        let at = error.span().unwrap_or(end..end);
        let mut shown = Diagnostic::new(error.message(), at.clone(), "the file is not valid TOML");
        shown.notes.extend(advice(source, at.start).map(str::to_owned));
        shown
    };
    if errors.is_empty() { Ok(root) } else { Err(errors.iter().map(shown).collect()) }
}

/// What to write instead where a line is written as in another language. `at` is the place of the error.
fn advice(source: &str, at: usize) -> Option<&'static str> {
    let (before, after) = source.split_at_checked(at)?;
    let line = source[before.rfind('\n').map_or(0, |end| end + 1)..].lines().next()?.trim();
    let value = line.split_once('=').map(|(_, value)| value.trim());
    if before.ends_with('\\') || after.starts_with('\\') {
        Some("in double quotes `\\` begins an escape: use single quotes, as in 'C:\\data\\rows.csv'")
    } else if value.is_some_and(|value| ["null", "nil", "None"].iter().any(|none| value.starts_with(none))) {
        Some("TOML has no null: leave the option out")
    } else if line.starts_with("//")
        || (value.is_none() && line.starts_with(|c: char| c.is_ascii_alphabetic()))
    {
        Some("an option is written as `name = value`, and a comment begins with `#`")
    } else {
        None
    }
}

/// What a file says, as far as it has no errors.
struct Read {
    top: Option<TopLevel>,
    components: Vec<(graph::ComponentHeader, component::ComponentOptions)>,
    dead_letter: Option<DeadLetter>,
}

/// Reads all options of a file.
fn read_root<'i>(
    path: &Path,
    root: Spanned<DeTable<'i>>,
    interpolated: &'i Interpolated,
    registry: &Registry,
    errors: &mut Vec<Diagnostic>,
) -> Read {
    let span = root.span();
    let mut root = root.into_inner();
    let raws: Vec<RawComponent> =
        Kind::ALL.into_iter().flat_map(|kind| take_section(&mut root, kind, errors)).collect();
    let components =
        raws.into_iter().filter_map(|raw| read_component(raw, interpolated, registry, errors)).collect();
    let dead_letter = root.remove_entry(DEAD_LETTER).and_then(|(key, value)| {
        let table = take_table(DEAD_LETTER, &key, value, "write it as `[dead_letter]`", errors)?;
        let options = read_dead_letter(key.span(), table, interpolated, registry, errors)?;
        Some(DeadLetter { options, at: key.span() })
    });
    let mut schema = schema_of::<PipelineOptions>();
    for section in Kind::ALL.map(Kind::section).into_iter().chain([DEAD_LETTER]) {
        schema["properties"][section] = true.into();
    }
    let (spans, option_schema) = (OptionSpans::of(&root), OptionSchema::new(&schema));
    let redaction = redaction::of_table(&root, &option_schema, interpolated);
    interpolated.apply(&mut root, Some(&option_schema));
    let options = Options {
        table: root,
        span,
        owner: "a pipeline file",
        at: 0..0,
        schema: &schema,
        interpolated,
        redaction: &redaction,
    };
    let top = options.read(<PipelineOptions as serde::Deserialize>::deserialize);
    let top = top.map_err(|found| errors.extend(found)).ok().map(|options| {
        let top = TopLevel { options, spans, redaction };
        errors.extend(top.check(path));
        top
    });
    Read { top, components, dead_letter }
}

/// Whether this can be the name of a file on every machine.
fn is_plain_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    !name.is_empty() && !name.starts_with('.') && name.chars().all(is_plain)
}

/// Takes all tables of one kind out of the file.
fn take_section<'i>(
    root: &mut DeTable<'i>,
    kind: Kind,
    errors: &mut Vec<Diagnostic>,
) -> Vec<RawComponent<'i>> {
    let Some((key, section)) = root.remove_entry(kind.section()) else { return Vec::new() };
    let advice = format!("write `[{}.NAME]`, one table for each {kind}", kind.section());
    let Some((section, _)) = take_table(kind.section(), &key, section, &advice, errors) else {
        return Vec::new();
    };
    let mut raws = Vec::new();
    for (key, value) in section {
        let at = key.span();
        let name = key.get_ref().to_string();
        let advice = match &*name {
            DEAD_LETTER => Some("it stands for the table `[dead_letter]`"),
            name if !is_plain_name(name) => Some("use letters, digits, `_`, `-` and `.`"),
            _ => None,
        };
        if let Some(advice) = advice {
            let message = format!("`{name}` cannot be the name of a component");
            errors.push(Diagnostic::new(message, at.clone(), advice));
        }
        let advice = format!("write `[{}.NAME]` above it, one table for each {kind}", kind.section());
        if let Some((table, span)) = take_table(&name, &key, value, &advice, errors) {
            raws.push(RawComponent { name, kind, at, table, span });
        }
    }
    raws
}

/// The table that `value` is; an error if it is anything else.
fn take_table<'i>(
    name: &str,
    key: &Spanned<DeString<'_>>,
    value: Spanned<DeValue<'i>>,
    advice: &str,
    errors: &mut Vec<Diagnostic>,
) -> Option<(DeTable<'i>, Range<usize>)> {
    let span = value.span();
    if let DeValue::Table(table) = value.into_inner() {
        return Some((table, span));
    }
    errors.push(Diagnostic::new(format!("`{name}` is not a table"), key.span(), advice));
    None
}
