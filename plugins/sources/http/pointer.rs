//! JSON pointers (RFC 6901) that return the original bytes of a value.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A JSON pointer; the empty one is the whole response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(inline, extend("pattern" = r"^(/.*)?$|\$\{"))]
pub(super) struct Pointer {
    text: String,
    tokens: Vec<String>,
}

impl TryFrom<String> for Pointer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if !text.is_empty() && !text.starts_with('/') {
            return Err(format!(
                "`{text}` is not a JSON pointer: it must begin with a slash, as in \"/{text}\""
            ));
        }
        let tokens =
            text.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~")).collect();
        Ok(Pointer { text, tokens })
    }
}

impl From<Pointer> for String {
    fn from(pointer: Pointer) -> Self {
        pointer.text
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The result of a lookup.
#[derive(Debug)]
pub(super) enum Lookup<'a> {
    /// The text of the value, without surrounding white space.
    Value(&'a RawValue),
    /// The reason why there is no value, for messages.
    NotFound(String),
}

impl Pointer {
    /// Whether it points to the whole response.
    pub(super) fn is_root(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The pointer to the parent value.
    pub(super) fn parent(&self) -> Pointer {
        let text = self.text.rsplit_once('/').map_or("", |(front, _)| front).to_owned();
        let tokens = self.tokens.split_last().map_or(Vec::new(), |(_, front)| front.to_vec());
        Pointer { text, tokens }
    }

    /// Looks up the value in `text`; fails if any part of the text is not JSON.
    pub(super) fn find<'a>(&self, text: &'a str) -> serde_json::Result<Lookup<'a>> {
        let mut value: &RawValue = serde_json::from_str(text)?;
        let mut path = String::new();
        for token in &self.tokens {
            let found = match value.get().as_bytes().first() {
                Some(b'{') => {
                    // The last of several equal keys counts, as in most JSON parsers.
                    let members: Members<'_> = serde_json::from_str(value.get())?;
                    members.get(token).copied().ok_or_else(|| keys(&members))
                }
                Some(b'[') => {
                    let items: Vec<&RawValue> = serde_json::from_str(value.get())?;
                    let item = token.parse::<usize>().ok().and_then(|index| items.get(index).copied());
                    item.ok_or_else(|| format!("is an array of {}", items.len()))
                }
                _ => Err(format!("is {}", type_name(value))),
            };
            match found {
                Ok(child) => value = child,
                Err(why) => {
                    let place = if path.is_empty() { "its top level".into() } else { format!("`{path}`") };
                    return Ok(Lookup::NotFound(format!("{place} {why}")));
                }
            }
            path.push('/');
            path.push_str(&token.replace('~', "~0").replace('/', "~1"));
        }
        Ok(Lookup::Value(value))
    }
}

/// The type of a JSON value, for messages.
pub(super) fn type_name(value: &RawValue) -> &'static str {
    match value.get().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// Describes a value for messages: "has the keys …".
pub(super) fn describe(value: &RawValue) -> String {
    let members = serde_json::from_str(value.get());
    members.map_or_else(|_| format!("is {}", type_name(value)), |members| keys(&members))
}

/// The maximum number of keys in a message.
const SHOWN_KEYS: usize = 12;

/// The members of an object, with unparsed values.
type Members<'a> = BTreeMap<String, &'a RawValue>;

fn keys(members: &Members<'_>) -> String {
    let names: Vec<String> = members.keys().take(SHOWN_KEYS).map(|name| format!("`{name}`")).collect();
    match members.len() {
        0 => "has no keys".into(),
        1..=SHOWN_KEYS => format!("has the keys {}", names.join(", ")),
        n => format!("has the keys {} and {} more", names.join(", "), n - SHOWN_KEYS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(pointer: &str, text: &str) -> String {
        match Pointer::try_from(pointer.to_owned()).unwrap().find(text).unwrap() {
            Lookup::Value(value) => value.get().to_owned(),
            Lookup::NotFound(why) => why,
        }
    }

    #[test]
    fn find_returns_the_original_bytes() {
        let text = r#" { "a": {"b/c": [1.50 , { "x" : 1 }]} } "#;
        assert_eq!(find("", text), text.trim());
        assert_eq!(find("/a/b~1c", text), r#"[1.50 , { "x" : 1 }]"#);
        assert_eq!(find("/a/b~1c/1", text), r#"{ "x" : 1 }"#);
    }

    #[test]
    fn find_describes_what_exists_instead() {
        assert_eq!(
            find("/items", r#"{"results": [], "next": null}"#),
            "its top level has the keys `next`, `results`"
        );
        assert_eq!(find("/data/items", r#"{"data": "x"}"#), "`/data` is a string");
        assert_eq!(find("/data/7", r#"{"data": [1, 2]}"#), "`/data` is an array of 2");
        assert_eq!(find("/a", "{}"), "its top level has no keys");
    }

    #[test]
    fn last_of_equal_keys_counts() {
        assert_eq!(find("/a", r#"{"a": 1, "a": 2}"#), "2");
    }

    #[test]
    fn invalid_json_after_the_value_is_an_error() {
        let pointer = Pointer::try_from("/a".to_owned()).unwrap();
        assert!(pointer.find(r#"{"a": 1"#).unwrap_err().is_eof());
        assert!(pointer.find(r#"{"a": 1} x"#).is_err());
    }

    #[test]
    fn pointer_must_begin_with_a_slash() {
        let error = Pointer::try_from("data".to_owned()).unwrap_err();
        assert_eq!(error, "`data` is not a JSON pointer: it must begin with a slash, as in \"/data\"");
    }
}
