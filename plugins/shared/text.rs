//! Values and names as text.

use std::fmt::Display;

use serde_json::Value;

/// A text, a number or a boolean as text; `None` for another value. A float is written as Rust prints it: 1.0 is `1`.
pub(crate) fn scalar_text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) if number.is_f64() => Some(number.as_f64().unwrap_or_default().to_string()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    }
}

/// Names in backticks for a message: all, or the first ones and how many more there are.
pub(crate) fn listed<T: Display>(names: impl IntoIterator<Item = T>, at_most: usize) -> String {
    let mut names = names.into_iter();
    let shown: Vec<String> = names.by_ref().take(at_most).map(|name| format!("`{name}`")).collect();
    match names.count() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
