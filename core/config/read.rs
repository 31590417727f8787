//! Reads the options of one table, and finds all of its slips at once.
//!
//! serde stops at the first slip. So the slip is noted, the key that it stands
//! at is taken out, and the table is read again, until nothing is left to find.

use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Error as TomlError, ValueDeserializer};

use super::diagnostic::Diagnostic;
use super::places::holds;
use super::similar::similar;

/// A table of options.
pub(crate) struct Options<'i, 'a> {
    pub(crate) table: DeTable<'i>,
    pub(crate) span: Range<usize>,
    /// Whose options they are, as in "source `csv`".
    pub(crate) owner: &'a str,
    /// Where it is named.
    pub(crate) at: Range<usize>,
    pub(crate) schema: &'a Value,
}

/// Reads all of the options, or answers with all of their slips.
pub(crate) fn read_all<'i, T>(
    options: Options<'i, '_>,
    mut read: impl FnMut(ValueDeserializer<'i>) -> Result<T, TomlError>,
) -> Result<T, Vec<Diagnostic>> {
    let Options { mut table, span, owner, at, schema } = options;
    let mut slips = Vec::new();
    let mut removed: Vec<Vec<String>> = Vec::new();
    loop {
        let value = Spanned::new(span.clone(), DeValue::Table(table.clone()));
        let error = match read(ValueDeserializer::from(value)) {
            Ok(read) if slips.is_empty() => return Ok(read),
            Ok(_) => return Err(slips),
            Err(error) => error,
        };
        let message = error.message().to_owned();
        let place = error.span().filter(|it| *it != span);
        let path = place.as_ref().and_then(|place| find(&table, place));
        if let Some(name) = between(&message, "missing field `", "`") {
            // Of a table serde misses an option only after it has read all that is there: what the
            // table lacks is said at once, and the table goes.
            let path = path.unwrap_or_default();
            let at = place.filter(|_| !path.is_empty()).unwrap_or_else(|| at.clone());
            for name in missing_names(&table, schema, &path, name) {
                if !removed.contains(&joined(&path, &name)) {
                    slips.push(missing(&name, &owner_of(owner, &path), at.clone()));
                }
            }
            if path.is_empty() {
                return Err(slips);
            }
            take_out(&mut table, &path);
            removed.push(path);
            continue;
        }
        let (Some(path), Some(place)) = (path, place) else {
            // What is wrong with the whole may follow from what was taken out of it.
            if slips.is_empty() {
                slips.push(Diagnostic::new(reword(&message), error.span().unwrap_or(at), owner));
            }
            return Err(slips);
        };
        let Some(taken) = take_out(&mut table, &path) else {
            slips.push(Diagnostic::new(reword(&message), place, owner));
            return Err(slips);
        };
        // So may what is wrong with the whole of a table in it.
        let is_in_it = |other: &Vec<String>| other.len() > path.len() && other.starts_with(&path);
        if !removed.iter().any(is_in_it) {
            slips.push(slip(&message, &path, &taken, place, owner, schema));
        }
        removed.push(path);
    }
}

/// The required options that the table at `path` lacks; `name` is one of them.
fn missing_names(table: &DeTable<'_>, schema: &Value, path: &[String], name: &str) -> Vec<String> {
    let table = path.iter().try_fold(table, |table, name| match table.get(name.as_str())?.get_ref() {
        DeValue::Table(inner) => Some(inner),
        _ => None,
    });
    let required =
        schema_at(schema, path)["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let is_there = |name: &str| table.is_some_and(|table| table.contains_key(name));
    let mut names: Vec<String> = required.filter(|name| !is_there(name)).map(str::to_owned).collect();
    if !names.iter().any(|known| known == name) {
        names.insert(0, name.to_owned());
    }
    names
}

fn schema_at<'a>(schema: &'a Value, path: &[String]) -> &'a Value {
    path.iter().fold(schema, |schema, name| &schema["properties"][name])
}

fn takes_a_table(schema: &Value) -> bool {
    let branches = ["oneOf", "anyOf"].iter().filter_map(|key| schema[key].as_array()).flatten();
    schema["type"] == "object" || branches.into_iter().any(takes_a_table)
}

fn joined(path: &[String], name: &str) -> Vec<String> {
    path.iter().cloned().chain([name.to_owned()]).collect()
}

/// Whose options those of the table at `path` are.
fn owner_of(owner: &str, path: &[String]) -> String {
    if path.is_empty() { owner.to_owned() } else { format!("table `{}` of {owner}", path.join(".")) }
}

fn missing(name: &str, owner: &str, at: Range<usize>) -> Diagnostic {
    Diagnostic::new(format!("{owner} needs the option `{name}`"), at, format!("`{name}` is missing"))
}

fn slip(
    message: &str,
    path: &[String],
    taken: &Taken,
    at: Range<usize>,
    owner: &str,
    schema: &Value,
) -> Diagnostic {
    let known: Vec<&str> = message.split_once(", expected ").map_or(Vec::new(), |(_, list)| quoted(list));
    let option = path.join(".");
    if message.starts_with("unknown field") {
        let (name, inside) = path.split_last().map_or(("", path), |(name, inside)| (name.as_str(), inside));
        let table = if inside.is_empty() { owner.to_owned() } else { format!("`{}`", inside.join(".")) };
        let schema = schema_at(schema, inside);
        let meant = similar(name, known.iter().copied());
        let (name, at, meant) = match taken.dotted() {
            // `group.id` may be meant for `group_id`: then the whole of it is to be replaced.
            Some((whole, span))
                if !meant.is_some_and(|meant| takes_a_table(&schema["properties"][meant])) =>
            {
                let meant = similar(&whole.replace('.', "_"), known.iter().copied());
                (whole, span, meant)
            }
            _ => (name.to_owned(), at, meant),
        };
        let mut slip = Diagnostic::new(
            format!("unknown option `{name}` for {}", owner_of(owner, inside)),
            at,
            format!("{table} has no such option"),
        )
        .of_unknown_option();
        slip.suggestion = meant.map(str::to_owned);
        return if known.is_empty() { slip } else { slip.note(format!("it has: {}", known.join(", "))) };
    }
    if let Some(typed) = between(message, "unknown variant `", "`") {
        let slip = Diagnostic::new(
            format!("`{typed}` is no value of `{option}`"),
            at.clone(),
            format!("one of: {}", known.join(", ")),
        );
        return slip.did_you_mean(typed, known).quoted();
    }
    Diagnostic::new(format!("`{option}` of {owner}: {}", reword(message)), at, "here")
}

/// Says in the words of a pipeline file what serde says in those of Rust.
fn reword(message: &str) -> String {
    let Some((found, expected)) = message.split_once(", expected ") else { return message.to_owned() };
    let found = found.replace("invalid type: ", "found ").replace("invalid value: ", "found ");
    let expected = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" | "i64" | "i32" => "a whole number",
        "a nonzero u32" | "a nonzero u64" | "a nonzero usize" | "a nonzero u16" => "a whole number from 1 on",
        "f64" | "f32" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other => other,
    };
    format!("expected {expected}, {found}")
}

/// The path of the innermost key whose name or value stands at `span`, else of the
/// innermost whose list holds it.
///
/// The span of a table with a header is that header alone, so every table is looked into.
fn find(table: &DeTable<'_>, span: &Range<usize>) -> Option<Vec<String>> {
    let name = |key: &Spanned<_>| vec![ToString::to_string(key.get_ref())];
    let is_at = |at: Range<usize>| at == *span;
    if let Some((key, _)) = table.iter().find(|(key, value)| is_at(key.span()) || is_at(value.span())) {
        return Some(name(key));
    }
    for (key, value) in table {
        if let DeValue::Table(inner) = value.get_ref()
            && let Some(path) = find(inner, span)
        {
            return Some(name(key).into_iter().chain(path).collect());
        }
    }
    table.iter().find(|(_, value)| holds(&value.span(), span)).map(|(key, _)| name(key))
}

/// A key that was taken out of its table, and what it held.
struct Taken<'i> {
    name: String,
    at: Range<usize>,
    value: DeValue<'i>,
}

impl Taken<'_> {
    /// The whole of a dotted key such as `group.id`, if this is the front of one.
    fn dotted(&self) -> Option<(String, Range<usize>)> {
        let (mut name, mut span) = (self.name.clone(), self.at.clone());
        let mut value = &self.value;
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
        (span != self.at).then_some((name, span))
    }
}

fn take_out<'i>(table: &mut DeTable<'i>, path: &[String]) -> Option<Taken<'i>> {
    let (name, inside) = path.split_last()?;
    let mut table = table;
    for name in inside {
        let (_, value) = table.iter_mut().find(|(key, _)| key.get_ref() == name)?;
        let DeValue::Table(inner) = value.get_mut() else { return None };
        table = inner;
    }
    let (key, value) = table.remove_entry(name.as_str())?;
    Some(Taken { name: name.clone(), at: key.span(), value: value.into_inner() })
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(inner, _)| inner)
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}
