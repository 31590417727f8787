//! JSON in a text: values at a path.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use serde_json::Value;

use super::{Argument, Cell, Function, invalid};

pub(super) const ALL: &[Function] = &[
    Function {
        name: "json_extract_scalar",
        arguments: &[Argument::Text, Argument::Text],
        result: |_| DataType::Utf8,
        compute: |it| {
            let value = extract(it[0].text(), it[1].text())?;
            Ok(value.and_then(|value| match value {
                Value::String(text) => Some(Cell::Text(text)),
                Value::Number(_) | Value::Bool(_) => Some(Cell::Text(value.to_string())),
                _ => None,
            }))
        },
    },
    Function {
        name: "json_extract",
        arguments: &[Argument::Text, Argument::Text],
        result: |_| DataType::Utf8,
        compute: |it| Ok(extract(it[0].text(), it[1].text())?.map(|value| Cell::Text(value.to_string()))),
    },
];

/// The value at a path; none if it is missing or the text is not JSON.
fn extract(text: &str, path: &str) -> Result<Option<Value>> {
    let steps = steps(path).ok_or_else(|| invalid(format!("Invalid JSON path: '{path}'")))?;
    let Ok(value) = serde_json::from_str::<Value>(text) else { return Ok(None) };
    let found = steps.iter().try_fold(&value, |value, step| match (value, step.parse::<usize>()) {
        (Value::Array(items), Ok(at)) => items.get(at),
        _ => value.get(step),
    });
    Ok(found.cloned())
}

/// The steps of `$.a.b[0]["c"]`.
fn steps(path: &str) -> Option<Vec<String>> {
    let is_plain = |it: char| it.is_alphanumeric() || matches!(it, '_' | '-');
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (step, after) = if let Some(name) = rest.strip_prefix('.') {
            name.split_at(name.find(['.', '[']).unwrap_or(name.len()))
        } else if let Some(quoted) = rest.strip_prefix("[\"") {
            let (step, after) = quoted.split_once("\"]")?;
            steps.push(step.to_owned());
            rest = after;
            continue;
        } else {
            rest.strip_prefix('[')?.split_once(']')?
        };
        if step.is_empty() || !step.chars().all(is_plain) {
            return None;
        }
        steps.push(step.to_owned());
        rest = after;
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_paths_have_steps() {
        assert_eq!(steps("$.a.b[0][\"c d\"]").unwrap(), ["a", "b", "0", "c d"]);
        assert_eq!(steps("$").unwrap(), Vec::<String>::new());
        assert_eq!(steps("$[\"a]b\"].c-d").unwrap(), ["a]b", "c-d"]);
        for wrong in ["a.b", "$..a", "$.a[*]", "$.*", "$.a b", " $.a", "$['a']", "$[]"] {
            assert!(steps(wrong).is_none(), "{wrong}");
        }
    }
}
