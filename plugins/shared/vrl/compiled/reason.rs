//! Why a program has failed on a record, without the values of the record.

use anyhow::{Error, anyhow};
use runner_core::Redaction;
use vrl::compiler::ExpressionError;
use vrl::diagnostic::DiagnosticMessage as _;
use vrl::value::Value;

use super::ProgramText;

/// How many values of a record are looked for in a message.
const MAX_VALUES: usize = 1000;

/// The error of a program. `original` gives the place in the text for one in the compiled program;
/// `values` are the record as it was, and as the program has left it.
pub(super) fn of(
    error: &ExpressionError,
    text: &ProgramText,
    original: impl Fn(usize) -> usize,
    values: &[&Value],
) -> Error {
    let message = error.message();
    let (call, rest) = innermost_call(&message);
    let at = call.map(|(_, at)| at).or_else(|| error.labels().first().map(|label| label.span.start()));
    let place = at.map_or_else(|| format!("`{}`", text.option), |at| text.place(original(at)));
    let what = call.map_or_else(|| "the program".to_owned(), |(name, _)| format!("`{}`", written(name)));
    match without_values(call.map(|(name, _)| name), rest, text, values) {
        Some(rest) => anyhow!("{what} has failed at {place}: {rest}"),
        None => anyhow!("{what} has failed at {place}"),
    }
}

/// What the text has in the place of a function that stands in an edited program.
fn written(name: &str) -> &str {
    match name {
        "__append" => "push",
        "__multiply" => "*",
        name => name,
    }
}

/// The name and the place of the call that has failed, and its message.
fn innermost_call(message: &str) -> (Option<(&str, usize)>, &str) {
    let mut found = (None, message);
    while let Some(call) = read_call(found.1) {
        found = call;
    }
    found
}

#[allow(clippy::type_complexity, reason = "the same pair as its caller's")]
fn read_call(message: &str) -> Option<(Option<(&str, usize)>, &str)> {
    let (name, rest) = message.strip_prefix("function call error for \"")?.split_once("\" at (")?;
    let (span, rest) = rest.split_once("): ")?;
    let at = span.split_once(':')?.0.parse().ok()?;
    Some((Some((name, at)), rest))
}

/// The functions whose messages quote what comes from a record, or do not contain it.
const QUOTES: [&str; 33] = [
    "__append",
    "__multiply",
    "array",
    "assert",
    "assert_eq",
    "bool",
    "encode_key_value",
    "flatten",
    "float",
    "format_number",
    "format_timestamp",
    "get",
    "int",
    "join",
    "merge",
    "object",
    "parse_csv",
    "parse_duration",
    "parse_float",
    "parse_int",
    "parse_json",
    "parse_timestamp",
    "parse_url",
    "push",
    "redact",
    "replace",
    "set",
    "string",
    "timestamp",
    "to_bool",
    "to_float",
    "to_int",
    "to_string",
];

/// The message with `…` in the place of what may come from a record; `None` if it may be anything.
fn without_values(
    function: Option<&str>,
    message: &str,
    text: &ProgramText,
    record: &[&Value],
) -> Option<String> {
    if text.text.contains(message) {
        return Some(message.to_owned());
    }
    // The types of the fields of an object are listed with their names.
    let message = match (message.find('{'), message.rfind('}')) {
        (Some(first), Some(last)) if first < last => {
            format!("{}an object{}", &message[..first], &message[last + 1..])
        }
        _ => message.to_owned(),
    };
    if function.is_some_and(|name| !QUOTES.contains(&name)) && !is_about_types(&message) {
        return None;
    }
    let message = message.lines().next().unwrap_or_default();
    let mut values = Vec::new();
    if !record.iter().all(|value| add_values(value, &mut values)) {
        return None;
    }
    let mut shown = without_quoted(message);
    shown = Redaction::new(values.into_iter().map(|value| (value, "…".to_owned()))).apply(&shown);
    Some(without_numbers(&shown))
}

/// Whether it only says that the type of an argument is wrong.
fn is_about_types(message: &str) -> bool {
    let is_plain = |char: char| char.is_ascii_lowercase() || matches!(char, ' ' | ',');
    message.starts_with("expected ") && message.contains(", got ") && message.chars().all(is_plain)
}

/// Adds the texts and numbers in a value; false if there are too many.
fn add_values(value: &Value, values: &mut Vec<String>) -> bool {
    match value {
        Value::Array(items) => return items.iter().all(|item| add_values(item, values)),
        Value::Object(fields) => return fields.values().all(|item| add_values(item, values)),
        Value::Null | Value::Boolean(_) => {}
        Value::Bytes(_) | Value::String(_) => values.push(value.to_string_lossy().trim().to_owned()),
        _ => values.push(value.to_string_lossy().into_owned()),
    }
    values.len() <= MAX_VALUES
}

/// The text without what is between its first and its last quote of a kind: a value that is quoted
/// may contain quotes itself.
fn without_quoted(message: &str) -> String {
    let mut shown = message.to_owned();
    for quote in ['"', '\'', '`'] {
        if let (Some(first), Some(last)) = (shown.find(quote), shown.rfind(quote))
            && first < last
        {
            shown.replace_range(first..=last, "…");
        }
    }
    shown
}

/// The text with `…` for numbers of three and more digits.
fn without_numbers(message: &str) -> String {
    let mut shown = String::new();
    for part in message.split_inclusive(|c: char| !c.is_ascii_digit()) {
        let digits = part.trim_end_matches(|c: char| !c.is_ascii_digit());
        if digits.len() < 3 {
            shown.push_str(part);
        } else {
            shown.push('…');
            shown.push_str(&part[digits.len()..]);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(message: &str, left: &serde_json::Value) -> String {
        let text = ProgramText::inline("source", "a\nassert!(.x, message: \"no price\")").unwrap();
        let error = ExpressionError::from(message);
        of(&error, &text, |at| at, &[&Value::from(left.clone())]).to_string()
    }

    #[test]
    fn message_of_a_call_names_function_and_place_without_values() {
        let record = serde_json::json!({ "a": "secret word", "b": [12.5] });
        let message = |rest: &str| format!("function call error for \"to_int\" at (2:8): {rest}");
        let at = "`to_int` has failed at line 2, column 1 of `source`: ";
        for (rest, expected) in [
            ("no price", "no price"),
            ("Invalid integer \"SECRET\": x", "Invalid integer …: x"),
            ("cannot read secret word here", "cannot read … here"),
            ("12.5 or 12345", "… or …"),
        ] {
            assert_eq!(shown(&message(rest), &record), format!("{at}{expected}"));
        }
        let unknown = |rest: &str| shown(&message(rest).replace("to_int", "parse_cef"), &record);
        let at_unknown = at.replace("to_int", "parse_cef");
        assert_eq!(unknown("SECRET\nword"), at_unknown.trim_end_matches(": "));
        assert_eq!(
            unknown("expected string, got { secret: integer }"),
            format!("{at_unknown}expected string, got an object")
        );
        let nested = message(&message("no price"));
        assert_eq!(shown(&nested, &record), format!("{at}no price"));
        assert_eq!(shown("no price", &record), "the program has failed at `source`: no price");
    }
}
