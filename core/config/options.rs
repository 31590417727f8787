//! Checks a table of options against its schema, then reads it.
//!
//! The schema finds every unknown, missing or mistyped option at once. What is left for
//! serde to refuse are values that only the type of an option can judge.

use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue, Error as TomlError, ValueDeserializer};

use super::interpolation::Interpolated;
use super::option_schema::{OptionSchema, type_of};
use super::option_spans::option_at;
use crate::diagnostics::{Diagnostic, similar};
use crate::pipeline_options::PipelineOptions;
use crate::redaction::Redaction;
use crate::schema::schema_of;

/// The keyword in the schema of a table for what helps where an option is wrong, by its name; also for options that the
/// table does not have.
const HINTS: &str = "x-hints";

/// A table of options, its variables filled in.
pub(crate) struct Options<'i, 'a> {
    pub(crate) table: DeTable<'i>,
    pub(crate) span: Range<usize>,
    /// Whose options they are, as in "source `csv`".
    pub(crate) owner: &'a str,
    /// Where the owner is named.
    pub(crate) at: Range<usize>,
    pub(crate) schema: &'a Value,
    pub(crate) interpolated: &'a Interpolated,
    pub(crate) redaction: &'a Redaction,
}

impl<'i> Options<'i, '_> {
    /// Reads the options, or returns all that is wrong with them.
    pub(crate) fn read<T>(
        self,
        read: impl FnOnce(ValueDeserializer<'i>) -> Result<T, TomlError>,
    ) -> Result<T, Vec<Diagnostic>> {
        let Options { table, span, owner, at, schema, interpolated, redaction } = self;
        let mut check = Check { owner, interpolated, errors: Vec::new(), other_case: Vec::new() };
        check.table("", &table, &at, &OptionSchema::new(schema));
        if !check.errors.is_empty() {
            return Err(check.errors);
        }
        let value = Spanned::new(span.clone(), DeValue::Table(table.clone()));
        read(ValueDeserializer::from(value)).map_err(|error| {
            if !check.other_case.is_empty() {
                return check.other_case;
            }
            let message = redaction.apply(error.message());
            let option = error.span().filter(|it| *it != span).and_then(|span| option_at(&table, &span));
            vec![match option {
                Some((name, at)) => Diagnostic::new(format!("`{name}` of {owner}: {message}"), at, "here"),
                None => Diagnostic::new(message, at, owner),
            }]
        })
    }
}

/// A walk through a table and its schema.
struct Check<'a> {
    owner: &'a str,
    interpolated: &'a Interpolated,
    errors: Vec<Diagnostic>,
    /// Choices in another case. An alias may accept them, and schemas do not list aliases.
    other_case: Vec<Diagnostic>,
}

impl Check<'_> {
    /// Checks the table at `path`, which is named at `at`.
    fn table(&mut self, path: &str, table: &DeTable<'_>, at: &Range<usize>, schema: &OptionSchema<'_>) {
        if let [only] = schema.alternatives[..] {
            return self.one_table(&self.owner_of(path), path, table, at, schema, only);
        }
        let Some(tag) = schema.tag() else {
            // The alternative that was meant is the one that fits best.
            let attempts = schema.alternatives.iter().map(|alternative| {
                let mut attempt = Check { errors: Vec::new(), other_case: Vec::new(), ..*self };
                attempt.table(path, table, at, &schema.only(alternative));
                attempt.errors
            });
            self.errors.extend(attempts.min_by_key(Vec::len).unwrap_or_default());
            return;
        };
        let Some(value) = table.get(tag) else {
            self.errors.push(missing(tag, &self.owner_of(path), at));
            return;
        };
        let chosen = match value.get_ref() {
            DeValue::String(name) => {
                schema.alternatives.iter().find(|it| it["properties"][tag]["const"] == **name)
            }
            _ => None,
        };
        match (chosen, schema.property(tag)) {
            (Some(chosen), _) => {
                let owner =
                    format!("{} with `{tag} = {}`", self.owner_of(path), chosen["properties"][tag]["const"]);
                self.one_table(&owner, path, table, at, schema, chosen);
            }
            (None, Some(tag_schema)) => self.value(&joined(path, tag), at, value, &tag_schema),
            (None, None) => {}
        }
    }

    fn one_table(
        &mut self,
        owner: &str,
        path: &str,
        table: &DeTable<'_>,
        at: &Range<usize>,
        schema: &OptionSchema<'_>,
        chosen: &Value,
    ) {
        for (key, value) in table {
            let n_errors = self.errors.len();
            // An option of another alternative is still unknown in this one.
            let is_known = chosen["properties"].get(&**key.get_ref()).is_some();
            match schema.property(key.get_ref()) {
                _ if !is_known && chosen["additionalProperties"] == false => {
                    self.errors.push(unknown(owner, path, (key, value), chosen));
                }
                Some(schema) => self.value(&joined(path, key.get_ref()), &key.span(), value, &schema),
                None => {}
            }
            // `{ retention.ms = 1 }` is a table in a table, where the name of one setting was meant.
            if !is_known
                && chosen["additionalProperties"] != false
                && let Some((whole, _)) = dotted(key, value)
            {
                let hint = format!("a name that contains dots is written in quotes: `\"{whole}\"`");
                self.errors[n_errors..].iter_mut().for_each(|error| error.notes.insert(0, hint.clone()));
            }
            if let Some(hint) = chosen[HINTS][&**key.get_ref()].as_str() {
                self.errors[n_errors..].iter_mut().for_each(|error| error.notes.insert(0, hint.to_owned()));
            }
        }
        let required = chosen["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let absent = required.filter(|name| !table.contains_key(*name));
        self.errors.extend(absent.map(|name| missing(name, owner, at)));
    }

    /// Checks the value of the option `path`, whose name is at `at`.
    fn value(
        &mut self,
        path: &str,
        at: &Range<usize>,
        value: &Spanned<DeValue<'_>>,
        schema: &OptionSchema<'_>,
    ) {
        let fitting = schema.accepting(type_of(value.get_ref()));
        if fitting.alternatives.is_empty() {
            let found = match value.get_ref() {
                DeValue::Datetime(_) => "a date".to_owned(),
                DeValue::Float(_) => "a number".to_owned(),
                DeValue::Boolean(truth) => truth.to_string(),
                other => OptionSchema::new(&serde_json::json!({ "type": type_of(other) })).in_words(),
            };
            let found = match self.interpolated.reference(&value.span()) {
                Some(variable) => format!("{found}, the value of `{variable}`"),
                None => found,
            };
            let message =
                format!("`{path}` of {}: expected {}, found {found}", self.owner, schema.in_words());
            let takes = |name| !schema.accepting(name).alternatives.is_empty();
            let label = match value.get_ref() {
                DeValue::String(_) if takes("array") => "write brackets around it",
                DeValue::Datetime(_) if takes("string") => "write quotes around it",
                _ => "here",
            };
            self.errors.push(Diagnostic::new(message, value.span(), label));
            return;
        }
        match value.get_ref() {
            DeValue::Table(table) => self.table(path, table, at, &fitting),
            DeValue::Array(items) => {
                let Some(schema) = fitting.items() else { return };
                items.iter().for_each(|item| self.value(path, &item.span(), item, &schema));
            }
            DeValue::String(text) => self.choice(path, text, value.span(), schema),
            DeValue::Integer(number) => {
                let number = i64::from_str_radix(number.as_str(), number.radix()).ok();
                self.range(path, number.map(|it| it as f64), value.span(), &fitting);
            }
            DeValue::Float(number) => self.range(path, number.as_str().parse().ok(), value.span(), &fitting),
            DeValue::Boolean(_) | DeValue::Datetime(_) => {}
        }
    }

    fn choice(&mut self, path: &str, text: &str, at: Range<usize>, schema: &OptionSchema<'_>) {
        let Some(choices) = schema.choices().filter(|choices| !choices.contains(&text)) else { return };
        let label = if schema.accepting("string").alternatives.len() == schema.alternatives.len() {
            format!("expected one of: {}", choices.join(", "))
        } else {
            format!("expected {}", schema.in_words())
        };
        let errors = if choices.iter().any(|choice| choice.eq_ignore_ascii_case(text)) {
            &mut self.other_case
        } else {
            &mut self.errors
        };
        errors.push(match self.interpolated.written(&at) {
            // The value of a variable is not shown, nor what it is similar to.
            Some(written) => Diagnostic::new(format!("invalid value `{written}` for `{path}`"), at, label),
            None => Diagnostic::new(format!("invalid value `{text}` for `{path}`"), at, label)
                .did_you_mean(text, choices)
                .quoted(),
        });
    }

    fn range(&mut self, path: &str, number: Option<f64>, at: Range<usize>, schema: &OptionSchema<'_>) {
        let ([only], Some(number)) = (&schema.alternatives[..], number) else { return };
        let low = only["minimum"].as_f64().filter(|low| number < *low);
        let high = only["maximum"].as_f64().filter(|high| number > *high);
        let bound = match (low, high) {
            (Some(low), _) => format!("at least {low}"),
            (_, Some(high)) => format!("at most {high}"),
            (None, None) => return,
        };
        let message = format!("`{path}` of {} must be {bound}", self.owner);
        self.errors.push(Diagnostic::new(message, at, "here"));
    }

    fn owner_of(&self, path: &str) -> String {
        if path.is_empty() { self.owner.to_owned() } else { format!("table `{path}` of {}", self.owner) }
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn missing(name: &str, owner: &str, at: &Range<usize>) -> Diagnostic {
    let message = format!("{owner} needs the option `{name}`");
    Diagnostic::new(message, at.clone(), format!("`{name}` is missing"))
}

fn unknown(
    owner: &str,
    path: &str,
    (key, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>),
    schema: &Value,
) -> Diagnostic {
    let known: Vec<&str> =
        schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let meant = similar(key.get_ref(), known.iter().copied());
    let takes_table = |name: &str| {
        let option = OptionSchema::new(schema).property(name);
        option.is_some_and(|option| !option.accepting("object").alternatives.is_empty())
    };
    let (name, at, meant) = match dotted(key, value) {
        // `group.id` may be meant for `group_id`: then all of it is replaced.
        Some((whole, span)) if !meant.is_some_and(takes_table) => {
            let meant = similar(&whole.replace('.', "_"), known.iter().copied());
            (whole, span, meant)
        }
        _ => (key.get_ref().to_string(), key.span(), meant),
    };
    let table = if path.is_empty() { owner.to_owned() } else { format!("`{path}`") };
    let message = format!("unknown option `{name}` for {owner}");
    let mut error = Diagnostic::new(message, at, format!("{table} has no such option"));
    error.notes.extend(pipeline_option(key.get_ref()));
    error.suggestion = meant.map(str::to_owned);
    if known.is_empty() { error } else { error.note(format!("it has: {}", known.join(", "))) }
}

/// Where an option of the pipeline belongs; below the header of a table it is one of that table.
fn pipeline_option(name: &str) -> Option<String> {
    let schema = schema_of::<PipelineOptions>();
    let option = OptionSchema::new(&schema).property(name)?;
    let takes = |kind| !option.accepting(kind).alternatives.is_empty();
    if takes("object") {
        Some(format!("`{name}` is a table of the pipeline: write it as `[{name}]`"))
    } else if takes("string") {
        Some(format!("`{name}` is an option of the pipeline: write it above the first table"))
    } else {
        None
    }
}

/// The whole of a dotted key such as `group.id`, if this is the first part of one.
fn dotted(key: &Spanned<DeString<'_>>, value: &Spanned<DeValue<'_>>) -> Option<(String, Range<usize>)> {
    let (mut name, mut span) = (key.get_ref().to_string(), key.span());
    let mut value = value.get_ref();
    while let DeValue::Table(table) = value {
        let mut keys = table.iter();
        let (Some((key, inner)), None) = (keys.next(), keys.next()) else { return None };
        // In `group = { id = 1 }` and under `[group]` there is more between them than the dot.
        if key.span().start != span.end + 1 {
            return None;
        }
        name = format!("{name}.{}", key.get_ref());
        span.end = key.span().end;
        value = inner.get_ref();
    }
    (span != key.span()).then_some((name, span))
}
