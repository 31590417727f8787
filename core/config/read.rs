//! Reads the options of one table, and finds all of its slips at once.
//!
//! serde stops at the first slip. So the slip is noted, the key that it stands
//! at is taken out, and the table is read again, until nothing is left to find.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error as TomlError, ValueDeserializer};

use super::diagnostic::Diagnostic;

/// Reads `table`, which belongs to `owner` (as in "source `csv`") and is named at `at`.
pub(crate) fn read_all<'i, T>(
    mut table: DeTable<'i>,
    span: Range<usize>,
    owner: &str,
    at: Range<usize>,
    mut read: impl FnMut(ValueDeserializer<'i>) -> Result<T, TomlError>,
) -> Result<T, Vec<Diagnostic>> {
    let mut slips = Vec::new();
    let mut removed: Vec<String> = Vec::new();
    loop {
        let value = Spanned::new(span.clone(), DeValue::Table(table.clone()));
        let error = match read(ValueDeserializer::from(value)) {
            Ok(read) if slips.is_empty() => return Ok(read),
            Ok(_) => return Err(slips),
            Err(error) => error,
        };
        let message = error.message().to_owned();
        if let Some(name) = between(&message, "missing field `", "`") {
            if !removed.iter().any(|removed| removed == name) {
                slips.push(missing(name, owner, error.span().filter(|it| *it != span).unwrap_or(at)));
            }
            return Err(slips);
        }
        let place = error.span().and_then(|at| take_out(&mut table, &at));
        let Some((key, at)) = place else {
            slips.push(Diagnostic::new(reword(&message), error.span().unwrap_or(at), owner));
            return Err(slips);
        };
        slips.push(slip(&message, &key, at, owner));
        removed.push(key);
    }
}

fn missing(name: &str, owner: &str, at: Range<usize>) -> Diagnostic {
    Diagnostic::new(format!("{owner} needs the option `{name}`"), at, format!("`{name}` is missing"))
}

fn slip(message: &str, key: &str, at: Range<usize>, owner: &str) -> Diagnostic {
    let known: Vec<&str> = message.split_once(", expected ").map_or(Vec::new(), |(_, list)| quoted(list));
    if message.starts_with("unknown field") {
        let name = between(message, "unknown field `", "`").unwrap_or(key);
        let slip = Diagnostic::new(
            format!("unknown option `{name}` for {owner}"),
            at,
            format!("{owner} has no such option"),
        )
        .of_unknown_option();
        return match known[..] {
            [] => slip,
            _ => slip.did_you_mean(name, known.iter().copied()).note(format!("it has: {}", known.join(", "))),
        };
    }
    if let Some(typed) = between(message, "unknown variant `", "`") {
        let slip = Diagnostic::new(
            format!("`{typed}` is no value of `{key}`"),
            at.clone(),
            format!("one of: {}", known.join(", ")),
        );
        return slip.did_you_mean(typed, known).quoted();
    }
    Diagnostic::new(format!("`{key}` of {owner}: {}", reword(message)), at, "here")
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

/// Removes the innermost key whose name or value stands at `span`; says which
/// it was and where. A key whose list holds `span` is removed whole.
///
/// The span of a table with a header is that header alone, so every table is looked into.
fn take_out(table: &mut DeTable<'_>, span: &Range<usize>) -> Option<(String, Range<usize>)> {
    let is_at = |at: Range<usize>| at == *span;
    let found = table.iter().find(|(key, value)| is_at(key.span()) || is_at(value.span()));
    if let Some(key) = found.map(|(key, _)| key.clone()) {
        table.remove(&key);
        return Some((key.get_ref().to_string(), span.clone()));
    }
    for (_, value) in table.iter_mut() {
        if let DeValue::Table(inner) = value.get_mut()
            && let Some(found) = take_out(inner, span)
        {
            return Some(found);
        }
    }
    let holds = |outer: Range<usize>| outer.start <= span.start && span.end <= outer.end;
    let key = table.iter().find(|(_, value)| holds(value.span())).map(|(key, _)| key.clone())?;
    table.remove(&key);
    Some((key.get_ref().to_string(), span.clone()))
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(inner, _)| inner)
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}
