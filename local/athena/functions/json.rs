//! JSON in a text: values picked by a path.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray as _, Int64Array, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use serde_json::Value;

use super::scalar::{Function, Kind, invalid};

const TEXT_PATH: &[&[Kind]] = &[&[Kind::Text, Kind::Text]];

pub(super) const ALL: &[Function] = &[
    Function {
        name: "json_extract_scalar",
        takes: TEXT_PATH,
        gives: |_| DataType::Utf8,
        does: |arrays| {
            pick(arrays, |value| match value {
                Value::String(text) => Some(text.clone()),
                Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
                _ => None,
            })
        },
    },
    Function {
        name: "json_extract",
        takes: TEXT_PATH,
        gives: |_| DataType::Utf8,
        does: |arrays| pick(arrays, |value| Some(value.to_string())),
    },
    Function {
        name: "json_parse",
        takes: &[&[Kind::Text]],
        gives: |_| DataType::Utf8,
        does: |arrays| {
            let parse = |text: &str| {
                let value: Value = serde_json::from_str(text)
                    .map_err(|_| invalid(format!("Cannot convert value to JSON: '{text}'")))?;
                Ok(value.to_string())
            };
            let texts = arrays[0].as_string::<i32>().iter().map(|text| text.map(parse).transpose());
            Ok(Arc::new(texts.collect::<Result<StringArray>>()?))
        },
    },
    Function {
        name: "json_format",
        takes: &[&[Kind::Text]],
        gives: |_| DataType::Utf8,
        does: |arrays| Ok(arrays[0].clone()),
    },
    Function {
        name: "json_array_length",
        takes: &[&[Kind::Text]],
        gives: |_| DataType::Int64,
        does: |arrays| {
            let length = |text: &str| match serde_json::from_str(text) {
                Ok(Value::Array(items)) => Some(items.len() as i64),
                _ => None,
            };
            Ok(Arc::new(
                arrays[0].as_string::<i32>().iter().map(|it| it.and_then(length)).collect::<Int64Array>(),
            ))
        },
    },
];

fn pick(arrays: &[ArrayRef], show: impl Fn(&Value) -> Option<String>) -> Result<ArrayRef> {
    let pairs = arrays[0].as_string::<i32>().iter().zip(arrays[1].as_string::<i32>());
    let texts = pairs.map(|(text, path)| {
        let (Some(text), Some(path)) = (text, path) else { return Ok(None) };
        let steps = steps(path).ok_or_else(|| invalid(format!("Invalid JSON path: '{path}'")))?;
        let Ok(value) = serde_json::from_str::<Value>(text) else { return Ok(None) };
        let found = steps.iter().try_fold(&value, |value, step| match (value, step.parse::<usize>()) {
            (Value::Array(items), Ok(at)) => items.get(at),
            _ => value.get(step),
        });
        Ok(found.and_then(&show))
    });
    Ok(Arc::new(texts.collect::<Result<StringArray>>()?))
}

/// The steps of `$.a.b[0]["c"]`.
fn steps(path: &str) -> Option<Vec<String>> {
    let is_plain = |it: char| it.is_alphanumeric() || matches!(it, '_' | '-');
    let is_in_dots = |it: char| is_plain(it) || matches!(it, ':' | '$' | '/' | '@' | '|' | '#');
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(|it| !is_in_dots(it)).unwrap_or(after.len());
            steps.push(after[..end].to_owned());
            rest = &after[end..];
        } else if let Some(quoted) = rest.strip_prefix("[\"") {
            let (inside, after) = quoted.split_once("\"]")?;
            steps.push(inside.to_owned());
            rest = after;
        } else {
            let (inside, after) = rest.strip_prefix('[')?.split_once(']')?;
            if !inside.chars().all(is_plain) {
                return None;
            }
            steps.push(inside.to_owned());
            rest = after;
        }
    }
    steps.iter().all(|step| !step.is_empty()).then_some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_followed_step_by_step() {
        assert_eq!(steps("$.a.b[0][\"c d\"]").unwrap(), ["a", "b", "0", "c d"]);
        assert_eq!(steps("$").unwrap(), Vec::<String>::new());
        assert_eq!(steps("$[\"a]b\"].c-d").unwrap(), ["a]b", "c-d"]);
        for wrong in ["a.b", "$..a", "$.a[*]", "$.*", "$.a b", " $.a", "$['a']", "$[]"] {
            assert!(steps(wrong).is_none(), "{wrong}");
        }
    }
}
