//! Where a response has the cursor of the next page: in its body or in a header.

use std::fmt;

use reqwest::header::HeaderName;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::super::json::Pointer;

// The place of a cursor in a response.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(try_from = "Value")]
#[schemars(with = "Value", inline, extend("anyOf" = [
    { "type": "string", "examples": ["/meta/next_cursor"] },
    {
        "type": "object",
        "properties": { "header": { "type": "string", "description": "The name of the header with the cursor." } },
        "required": ["header"],
        "additionalProperties": false,
    },
]))]
pub(crate) enum CursorPlace {
    Body(Pointer),
    Header(HeaderName),
}

impl CursorPlace {
    pub(super) fn pointer(&self) -> Option<&Pointer> {
        match self {
            CursorPlace::Body(pointer) => Some(pointer),
            CursorPlace::Header(_) => None,
        }
    }
}

impl fmt::Display for CursorPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CursorPlace::Body(pointer) => write!(f, "at `{pointer}`"),
            CursorPlace::Header(name) => write!(f, "in the header `{name}`"),
        }
    }
}

impl TryFrom<Value> for CursorPlace {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        const EXPECTED: &str =
            "expected a JSON pointer such as \"/meta/next_cursor\", or { header = \"X-Next-Cursor\" }";
        let name = match value {
            Value::String(pointer) => return Pointer::try_from(pointer).map(CursorPlace::Body),
            Value::Object(table) if table.len() == 1 => {
                table.get("header").and_then(Value::as_str).map(str::to_owned)
            }
            _ => None,
        };
        let name = name.ok_or(EXPECTED)?;
        let header =
            HeaderName::try_from(&name).map_err(|_| format!("`{name}` is not a valid header name"))?;
        Ok(CursorPlace::Header(header))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn cursor_is_in_the_body_or_in_a_header() {
        let read = |value: Value| CursorPlace::try_from(value).map(|place| place.to_string());
        assert_eq!(read(json!("/meta/next")).unwrap(), "at `/meta/next`");
        assert_eq!(read(json!({"header": "X-Next"})).unwrap(), "in the header `x-next`");
        for (value, part) in [
            (json!("next"), "\"/next\""),
            (json!({"header": "a b"}), "`a b` is not a valid header name"),
            (json!({"headers": "X-Next"}), "{ header = "),
            (json!({"header": 7}), "{ header = "),
            (json!({"header": "X", "at": "/a"}), "{ header = "),
            (json!(7), "{ header = "),
        ] {
            let error = read(value.clone()).unwrap_err();
            assert!(error.contains(part), "{value}: {error}");
        }
    }
}
