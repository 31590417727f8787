//! Fields of records: `"Date"`, or a JSON pointer such as `"/bar/date"`.

use std::borrow::Cow;
use std::fmt;

use runner_core::{Body, Result};
use schemars::JsonSchema;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::pointer::with_slashes;
use crate::shared::json_paths::{Key, pointer_names};

/// The place of a field in a record.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline, extend("type" = "string"))]
pub(crate) struct Field {
    text: String,
    tokens: Vec<String>,
}

/// One field, or a list of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "serde_json::Value")]
#[schemars(inline, extend("type" = ["string", "array"], "items" = { "type": "string" }))]
pub(crate) struct Fields(pub(crate) Vec<Field>);

impl TryFrom<String> for Field {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() {
            return Err("expected the name of a field, got an empty text".into());
        }
        let tokens = if text.starts_with('/') { pointer_names(&text) } else { vec![text.clone()] };
        Ok(Field { text, tokens })
    }
}

impl TryFrom<serde_json::Value> for Fields {
    type Error = String;

    fn try_from(value: serde_json::Value) -> Result<Self, String> {
        let names = match value {
            serde_json::Value::String(name) => vec![name],
            other => serde_json::from_value(other)
                .map_err(|_| "expected the name of a field, or a list of such names".to_owned())?,
        };
        names.into_iter().map(Field::try_from).collect::<Result<_, _>>().map(Fields)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Field {
    /// What to add to a message about a missing field whose name has dots, as other tools name a field of an object.
    pub(crate) fn advice(&self) -> String {
        match &*self.tokens {
            [name] if name.contains('.') => {
                format!("; a field of an object is named by a JSON pointer, as in {}", with_slashes(name))
            }
            _ => String::new(),
        }
    }
}

/// The JSON text of a body; a row becomes an object.
pub(crate) fn json_text(body: &Body) -> Cow<'_, [u8]> {
    match body {
        Body::Bytes(bytes) | Body::ParsedBytes(bytes, _) => Cow::Borrowed(bytes),
        Body::Value(value) => Cow::Owned(value.to_string().into_bytes()),
        Body::Row(row) => {
            let mut text = Vec::with_capacity(row.size() * 2);
            row.write_json(&mut text);
            Cow::Owned(text)
        }
        Body::Tombstone => Cow::Borrowed(b""),
    }
}

/// The members of a JSON object, in their order, with unparsed values.
#[derive(Debug)]
pub(crate) struct Members<'a>(pub(crate) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Key(name), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

impl<'a> Members<'a> {
    /// The members of `text`; `None` if it is not an object.
    pub(crate) fn of(text: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }

    /// The text of a field; `None` if it is missing.
    pub(crate) fn get(&self, field: &Field) -> Option<&'a str> {
        let (first, rest) = field.tokens.split_first()?;
        // The last of several equal keys counts, as in most JSON parsers.
        let mut found = self.0.iter().rev().find(|(name, _)| name == first)?.1.get();
        for token in rest {
            let inner: &RawValue = if found.starts_with('[') {
                let items: Vec<&'a RawValue> = serde_json::from_str(found).ok()?;
                items.get(token.parse::<usize>().ok()?)?
            } else {
                let members: Members<'a> = serde_json::from_str(found).ok()?;
                members.0.into_iter().rev().find(|(name, _)| name == token)?.1
            };
            found = inner.get();
        }
        Some(found)
    }

    /// Whether it has one of some fields; true if there is none to have.
    pub(crate) fn has_any(&self, fields: &Fields) -> bool {
        fields.0.is_empty() || fields.0.iter().any(|field| self.get(field).is_some())
    }

    /// Writes the object with its members in the order of their names, and without spaces.
    fn write_sorted(&self, text: &mut String) {
        let mut members: Vec<_> = self.0.iter().collect();
        members.sort_by_key(|(name, _)| name);
        text.push('{');
        for (index, (name, value)) in members.into_iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            // Like the API, but for escapes.
            text.push_str(&serde_json::Value::from(&**name).to_string());
            text.push(':');
            write_sorted(value.get(), text);
        }
        text.push('}');
    }

    /// The hash of some fields. A missing field is not an empty one.
    pub(crate) fn hash(&self, fields: &Fields) -> u64 {
        let mut hash = Xxh3::new();
        for field in &fields.0 {
            match self.get(field) {
                Some(value) => {
                    let mut text = String::new();
                    write_sorted(value, &mut text);
                    hash.update(&(text.len() as u64 + 1).to_le_bytes());
                    hash.update(text.as_bytes());
                }
                None => hash.update(&0_u64.to_le_bytes()),
            }
        }
        hash.digest()
    }
}

/// Writes a value with the members of its objects in the order of their names, and without spaces.
fn write_sorted(value: &str, text: &mut String) {
    match value.as_bytes().first() {
        Some(b'{') if let Ok(members) = serde_json::from_str::<Members<'_>>(value) => {
            members.write_sorted(text);
        }
        Some(b'[') if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(value) => {
            text.push('[');
            for (index, item) in items.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_sorted(item.get(), text);
            }
            text.push(']');
        }
        _ => text.push_str(value),
    }
}

/// The hashes of a whole record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ContentHash {
    /// Whatever the order of members and the spaces between them.
    pub(crate) sorted: u64,
    /// Of the text as it is written, which earlier releases have saved.
    pub(crate) written: u64,
}

impl ContentHash {
    pub(crate) fn of(text: &[u8]) -> Self {
        let mut sorted = String::with_capacity(text.len());
        match std::str::from_utf8(text) {
            Ok(text) => write_sorted(text, &mut sorted),
            Err(_) => return ContentHash::of_bytes(xxh3_64(text)),
        }
        ContentHash { sorted: xxh3_64(sorted.as_bytes()), written: xxh3_64(text) }
    }

    /// That of a record with these members.
    pub(crate) fn of_members(members: &Members<'_>, text: &[u8]) -> Self {
        let mut sorted = String::with_capacity(text.len());
        members.write_sorted(&mut sorted);
        ContentHash { sorted: xxh3_64(sorted.as_bytes()), written: xxh3_64(text) }
    }

    /// That of bytes whose order matters.
    pub(crate) fn of_bytes(hash: u64) -> Self {
        ContentHash { sorted: hash, written: hash }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(text: &str) -> Field {
        Field::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn field_is_found_by_name_or_pointer() {
        let text = br#"{"a": 1, "b/c": {"d": [7, {"e": "x"}]}, "a": 2}"#;
        let members = Members::of(text).unwrap();
        let get = |name: &str| members.get(&field(name));
        assert_eq!(get("a"), Some("2"));
        assert_eq!(get("b/c"), Some(r#"{"d": [7, {"e": "x"}]}"#));
        assert_eq!(get("/b~1c/d/1/e"), Some("\"x\""));
        assert_eq!((get("/b~1c/d/9"), get("z"), get("/a/b")), (None, None, None));
        assert!(Members::of(b"[1]").is_none() && Members::of(b"{").is_none());
    }

    #[test]
    fn hash_tells_missing_and_moved_values_apart() {
        let fields: Fields = serde_json::from_value(serde_json::json!(["a", "b"])).unwrap();
        let hash = |text: &str| Members::of(text.as_bytes()).unwrap().hash(&fields);
        assert_eq!(hash(r#"{"a":1,"b":2,"c":3}"#), hash(r#"{"b":2, "a":1}"#));
        assert_ne!(hash(r#"{"a":12,"b":3}"#), hash(r#"{"a":1,"b":23}"#));
        assert_ne!(hash(r#"{"a":1}"#), hash(r#"{"b":1}"#));
        assert_ne!(hash(r#"{"a":1}"#), hash(r#"{"a":1,"b":null}"#));
    }

    #[test]
    fn hash_does_not_depend_on_the_order_of_members_and_on_spaces() {
        let hash = |text: &str| ContentHash::of(text.as_bytes()).sorted;
        let same = hash(r#"{"a":1.0,"b":{"x":[1,{"p":2,"q":3}],"y":null}}"#);
        assert_eq!(hash(r#"{ "b" : {"y":null, "x":[1, {"q":3,"p":2}]}, "a": 1.0 }"#), same);
        for other in [
            r#"{"a":1,"b":{"x":[1,{"p":2,"q":3}],"y":null}}"#,
            r#"{"a":1.0,"b":{"x":[{"p":2,"q":3},1],"y":null}}"#,
            r#"{"a":1.0,"b":{"x":[1,{"p":2,"q":3}],"y":""}}"#,
        ] {
            assert_ne!(hash(other), same, "{other}");
        }
        assert_eq!(hash(r#"[1, {"b": 2, "a": [ ]}]"#), hash(r#"[1,{"a":[],"b":2}]"#));
        for text in ["7", "\"x\"", r#"{"a":1,"b":[2]}"#] {
            let ContentHash { sorted, written } = ContentHash::of(text.as_bytes());
            assert_eq!(sorted, written, "{text}");
        }
        let fields: Fields = serde_json::from_value(serde_json::json!("b")).unwrap();
        let hash = |text: &str| Members::of(text.as_bytes()).unwrap().hash(&fields);
        assert_eq!(hash(r#"{"b":{"x":1,"y":[2]}}"#), hash(r#"{"b":{ "y": [ 2 ], "x": 1 }}"#));
    }

    #[test]
    fn fields_are_one_name_or_a_list() {
        let read = |value| serde_json::from_value::<Fields>(value).map(|fields| fields.0.len());
        assert_eq!(read(serde_json::json!("a")).unwrap(), 1);
        assert_eq!(read(serde_json::json!([])).unwrap(), 0);
        assert!(read(serde_json::json!([1])).unwrap_err().to_string().contains("a list of such names"));
        assert!(read(serde_json::json!("")).is_err());
    }
}
