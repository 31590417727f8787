//! JSON in a text: values at a path.

use std::sync::LazyLock;

use datafusion::common::{Result, ScalarValue};
use regex::Regex;
use serde_json::Value;

use super::{invalid, text};

/// The text of a scalar value at a path.
pub(super) fn extract_scalar(it: &[ScalarValue]) -> Result<ScalarValue> {
    Ok(match find(it)? {
        Some(Value::String(text)) => text.into(),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string().into(),
        _ => ScalarValue::Utf8(None),
    })
}

/// The value at a path as JSON.
pub(super) fn extract(it: &[ScalarValue]) -> Result<ScalarValue> {
    Ok(find(it)?.map(|value| value.to_string()).into())
}

/// The value at a path; none if it is missing or the text is not JSON.
fn find(it: &[ScalarValue]) -> Result<Option<Value>> {
    let (text, path) = (text(&it[0]), text(&it[1]));
    let pointer = pointer(path).ok_or_else(|| invalid(format!("Invalid JSON path: '{path}'")))?;
    let Ok(value) = serde_json::from_str::<Value>(text) else { return Ok(None) };
    Ok(value.pointer(&pointer).cloned())
}

/// A step of `$.a.b[0]["c"]`.
static STEP: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"^(?:\.([\w-]+)|\[(\d+)\]|\["(.*?)"\])"#).ok());

/// The JSON pointer of a path.
fn pointer(path: &str) -> Option<String> {
    let mut rest = path.strip_prefix('$')?;
    let mut pointer = String::new();
    while !rest.is_empty() {
        let step = STEP.as_ref()?.captures(rest)?;
        let name = step.iter().skip(1).flatten().next()?.as_str();
        pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
        rest = &rest[step.get_match().end()..];
    }
    Some(pointer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_paths_are_pointers() {
        for (path, expected) in [
            ("$.a.b[0][\"c d\"]", "/a/b/0/c d"),
            ("$", ""),
            ("$[\"a]b\"].c-d", "/a]b/c-d"),
            ("$[\"a/b~c\"]", "/a~1b~0c"),
        ] {
            assert_eq!(pointer(path).unwrap(), expected);
        }
        for wrong in ["a.b", "$..a", "$.a[*]", "$.*", "$.a b", " $.a", "$['a']", "$[]"] {
            assert!(pointer(wrong).is_none(), "{wrong}");
        }
    }
}
