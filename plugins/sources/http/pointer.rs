//! A JSON pointer (RFC 6901) finds a place in a JSON text without changing a byte of it.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// A JSON pointer; the empty one is the whole answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Pointer {
    text: String,
    tokens: Vec<String>,
}

impl TryFrom<String> for Pointer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if !text.is_empty() && !text.starts_with('/') {
            return Err(format!("`{text}` is not a JSON pointer: it begins with a slash, as in \"/{text}\""));
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

impl JsonSchema for Pointer {
    fn schema_name() -> Cow<'static, str> {
        "JsonPointer".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^(/.*)?$|\$\{" })
    }
}

/// What stands at a pointer.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// This text, without the white space around it.
    At(&'a RawValue),
    /// Nothing; why, in words.
    Nothing(String),
}

impl Pointer {
    /// Whether it is the whole answer.
    pub(super) fn is_whole(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The pointer to what contains it.
    pub(super) fn parent(&self) -> Pointer {
        let text = self.text.rsplit_once('/').map_or("", |(front, _)| front).to_owned();
        let tokens = self.tokens.split_last().map_or(Vec::new(), |(_, front)| front.to_vec());
        Pointer { text, tokens }
    }

    /// Finds the place in `text`; fails if the text is not JSON, wherever that shows.
    pub(super) fn find<'a>(&self, text: &'a str) -> serde_json::Result<Found<'a>> {
        let mut at: &RawValue = serde_json::from_str(text)?;
        let mut passed = String::new();
        for token in &self.tokens {
            let found = match at.get().as_bytes().first() {
                Some(b'{') => {
                    let Members(members) = serde_json::from_str(at.get())?;
                    // As everywhere in JSON, the last of several equal names counts.
                    match members.iter().rev().find(|(name, _)| name == token) {
                        Some((_, value)) => Ok(*value),
                        None => Err(keys(&members)),
                    }
                }
                Some(b'[') => {
                    let items: Vec<&RawValue> = serde_json::from_str(at.get())?;
                    let item = token.parse::<usize>().ok().and_then(|index| items.get(index).copied());
                    item.ok_or_else(|| format!("is an array of {}", items.len()))
                }
                _ => Err(format!("is {}", kind(at))),
            };
            match found {
                Ok(value) => at = value,
                Err(why) => {
                    let place =
                        if passed.is_empty() { "its top level".into() } else { format!("`{passed}`") };
                    return Ok(Found::Nothing(format!("{place} {why}")));
                }
            }
            passed.push('/');
            passed.push_str(&token.replace('~', "~0").replace('/', "~1"));
        }
        Ok(Found::At(at))
    }
}

/// What sort of value a JSON text is, for people.
pub(super) fn kind(value: &RawValue) -> &'static str {
    match value.get().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// What is inside a value, for people: "has the keys …".
pub(super) fn describe(value: &RawValue) -> String {
    match serde_json::from_str(value.get()) {
        Ok(Members(members)) => keys(&members),
        Err(_) => format!("is {}", kind(value)),
    }
}

/// How many keys a message lists.
const SHOWN_KEYS: usize = 12;

fn keys(members: &[(String, &RawValue)]) -> String {
    let names: Vec<String> = members.iter().take(SHOWN_KEYS).map(|(name, _)| format!("`{name}`")).collect();
    match members.len() {
        0 => "has no keys".into(),
        1..=SHOWN_KEYS => format!("has the keys {}", names.join(", ")),
        n => format!("has the keys {} and {} more", names.join(", "), n - SHOWN_KEYS),
    }
}

/// The members of an object, in order, their values unread.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(pointer: &str, text: &str) -> String {
        match Pointer::try_from(pointer.to_owned()).unwrap().find(text).unwrap() {
            Found::At(value) => value.get().to_owned(),
            Found::Nothing(why) => why,
        }
    }

    #[test]
    fn a_place_is_found_with_its_own_bytes() {
        let text = r#" { "a": {"b/c": [1.50 , { "x" : 1 }]} } "#;
        assert_eq!(find("", text), text.trim());
        assert_eq!(find("/a/b~1c", text), r#"[1.50 , { "x" : 1 }]"#);
        assert_eq!(find("/a/b~1c/1", text), r#"{ "x" : 1 }"#);
    }

    #[test]
    fn what_is_there_instead_is_named() {
        assert_eq!(
            find("/items", r#"{"results": [], "next": null}"#),
            "its top level has the keys `results`, `next`"
        );
        assert_eq!(find("/data/items", r#"{"data": "x"}"#), "`/data` is a string");
        assert_eq!(find("/data/7", r#"{"data": [1, 2]}"#), "`/data` is an array of 2");
        assert_eq!(find("/a", "{}"), "its top level has no keys");
    }

    #[test]
    fn the_last_of_equal_names_counts() {
        assert_eq!(find("/a", r#"{"a": 1, "a": 2}"#), "2");
    }

    #[test]
    fn a_slip_behind_the_place_is_still_a_slip() {
        let pointer = Pointer::try_from("/a".to_owned()).unwrap();
        assert!(pointer.find(r#"{"a": 1"#).unwrap_err().is_eof());
        assert!(pointer.find(r#"{"a": 1} x"#).is_err());
    }

    #[test]
    fn a_pointer_begins_with_a_slash() {
        let error = Pointer::try_from("data".to_owned()).unwrap_err();
        assert_eq!(error, "`data` is not a JSON pointer: it begins with a slash, as in \"/data\"");
    }
}
