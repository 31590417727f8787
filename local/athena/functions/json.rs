//! JSON in a text: values at a path.

use std::sync::LazyLock;

use datafusion::common::Result;
use regex::Regex;
use serde_json::Value;

use super::invalid;

/// The text of a scalar value at a path.
pub(super) fn extract_scalar(text: &str, path: &str) -> Result<Option<String>> {
    Ok(match extract(text, path)? {
        Some(Value::String(text)) => Some(text),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => Some(value.to_string()),
        _ => None,
    })
}

/// The value at a path; none if it is missing or the text is not JSON.
pub(super) fn extract(text: &str, path: &str) -> Result<Option<Value>> {
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
