//! JSON pointers (RFC 6901) that return the original bytes of a value.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::scan;
use super::scan::{Children, ScanError};
use crate::shared::json_paths::{pointer_name, pointer_names};
use crate::shared::json_text::kind_of;
use crate::shared::text::listed;

/// A JSON pointer; the empty one is the whole response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(inline, extend("pattern" = r"^(/.*)?$|\$\{"))]
pub(crate) struct Pointer {
    text: String,
    tokens: Vec<String>,
}

impl TryFrom<String> for Pointer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if !text.is_empty() && !text.starts_with('/') {
            return Err(format!(
                "`{text}` is not a JSON pointer: it must begin with a slash, as in {}",
                with_slashes(&text)
            ));
        }
        let tokens = pointer_names(&text);
        Ok(Pointer { text, tokens })
    }
}

/// A pointer in place of a name, or of a path with dots as in other tools.
pub(super) fn with_slashes(name: &str) -> String {
    let path = name.trim_start_matches(['$', '.']).replace(['.', '['], "/").replace([']', '"', '\''], "");
    if path == name || name.starts_with('@') {
        format!("\"/{name}\"")
    } else {
        format!("\"/{path}\", or \"/{name}\" for a member with this name")
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

impl Pointer {
    /// Whether it points to the whole response.
    pub(crate) fn is_root(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The name of the member of the response that it leads to, or into.
    pub(crate) fn first(&self) -> Option<&str> {
        self.tokens.first().map(String::as_str)
    }

    /// The pointer to the parent value.
    pub(crate) fn parent(&self) -> Pointer {
        let text = self.text.rsplit_once('/').map_or("", |(front, _)| front).to_owned();
        let tokens = self.tokens.split_last().map_or(Vec::new(), |(_, front)| front.to_vec());
        Pointer { text, tokens }
    }

    /// Finds the value in a JSON text by brackets and strings alone. The value itself may be invalid.
    pub(crate) fn locate(&self, text: &[u8]) -> Result<Located, ScanError> {
        let mut value = scan::only_value(text)?;
        let mut path = String::new();
        for token in &self.tokens {
            let found = match text[value.start] {
                b'{' => match member(text, value.start, token)? {
                    Some(range) => Ok(range),
                    None => Err(keys(text, value.start)?),
                },
                b'[' => element(text, value.start, token)?,
                _ => Err(format!("is {}", kind_of(&text[value]))),
            };
            match found {
                Ok(child) => value = child,
                Err(why) => {
                    let place = if path.is_empty() { "its top level".into() } else { format!("`{path}`") };
                    return Ok(Located::Nowhere(format!("{place} {why}")));
                }
            }
            path.push('/');
            path.push_str(&pointer_name(token));
        }
        Ok(Located::At(value))
    }

    /// Where the array at this place begins in a JSON text whose end may be missing; `None` if there is none, or if only
    /// the whole text tells.
    ///
    /// Takes the first of several members of one name, where [`Self::locate`] takes the last.
    pub(crate) fn array_start(&self, text: &[u8]) -> Result<Option<usize>, ScanError> {
        let mut start = scan::skip_white(text, 0);
        for token in &self.tokens {
            let mut children = Children::of(start);
            let found = match text.get(start).ok_or(ScanError::End)? {
                b'{' => loop {
                    match children.next_key(text)? {
                        Some((key, value)) if is_key(&text[key.clone()], token) => break Some(value),
                        Some((_, value)) => children.skip_value(text, value)?,
                        None => break None,
                    }
                },
                b'[' => {
                    let Ok(mut n_before) = token.parse::<usize>() else { return Ok(None) };
                    loop {
                        match children.next_element_start(text)? {
                            Some(value) if n_before == 0 => break Some(value),
                            Some(value) => children.skip_value(text, value)?,
                            None => break None,
                        }
                        n_before -= 1;
                    }
                }
                _ => None,
            };
            match found {
                Some(value) => start = value,
                None => return Ok(None),
            }
        }
        Ok((*text.get(start).ok_or(ScanError::End)? == b'[').then_some(start))
    }

    /// Whether the value at one of the two places holds the other.
    pub(crate) fn overlaps(&self, other: &Pointer) -> bool {
        self.tokens.iter().zip(&other.tokens).all(|(one, another)| one == another)
    }

    /// Whether this place is inside of the value at the other one.
    pub(crate) fn is_below(&self, other: &Pointer) -> bool {
        self.tokens.len() > other.tokens.len() && self.overlaps(other)
    }

    /// The text with `json` at this place, in the objects and arrays that exist; members that do not
    /// exist are added. Fails with the reason if there can be no such place.
    pub(crate) fn replace(&self, text: &str, json: &str) -> Result<String, String> {
        let invalid = |_| "it is not valid JSON".to_owned();
        if let Located::At(range) = self.locate(text.as_bytes()).map_err(invalid)? {
            return Ok([&text[..range.start], json, &text[range.end..]].concat());
        }
        let Some(name) = self.tokens.last() else { return Ok(json.to_owned()) };
        let parent = self.parent();
        let name = Value::from(name.as_str());
        let Located::At(range) = parent.locate(text.as_bytes()).map_err(invalid)? else {
            return parent.replace(text, &format!("{{{name}:{json}}}"));
        };
        let object = &text[range.clone()];
        if !object.starts_with('{') {
            return Err(format!("`{parent}` is {}, not an object", kind_of(object.as_bytes())));
        }
        let is_empty = object[1..].trim_start() == "}";
        let comma = if is_empty { "" } else { "," };
        let end = range.end - 1;
        Ok(format!("{}{comma}{name}:{json}{}", text[..end].trim_end(), &text[end..]))
    }
}

/// Where a value is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Located {
    /// Its bounds.
    At(Range<usize>),
    /// The reason why there is no value, for messages.
    Nowhere(String),
}

/// The value of the last member with this name, as in most JSON parsers.
fn member(text: &[u8], start: usize, name: &str) -> Result<Option<Range<usize>>, ScanError> {
    let mut members = Children::of(start);
    let mut found = None;
    while let Some((key, value)) = members.next_member(text)? {
        if is_key(&text[key], name) {
            found = Some(value);
        }
    }
    Ok(found)
}

/// Whether a key, with its quotes, is this name.
fn is_key(key: &[u8], name: &str) -> bool {
    let is_plain = !key.contains(&b'\\');
    is_plain && key[1..key.len() - 1] == *name.as_bytes()
        || !is_plain && serde_json::from_slice::<String>(key).is_ok_and(|key| key == name)
}

/// The element with this index; a negative one counts from the end.
fn element(text: &[u8], start: usize, token: &str) -> Result<Result<Range<usize>, String>, ScanError> {
    let mut elements = Children::of(start);
    let mut n_elements = 0_i64;
    while elements.next_element(text)?.is_some() {
        n_elements += 1;
    }
    let index = token.parse::<i64>().ok().map(|index| if index < 0 { index + n_elements } else { index });
    let Some(index) = index.filter(|index| (0..n_elements).contains(index)) else {
        return Ok(Err(format!("is an array of {n_elements}")));
    };
    let mut elements = Children::of(start);
    for _ in 0..index {
        elements.next_element(text)?;
    }
    Ok(elements.next_element(text)?.ok_or_else(String::new))
}

/// Describes a value for messages: "has the keys …".
pub(crate) fn describe(value: &[u8]) -> String {
    let keys = if value.starts_with(b"{") { keys(value, 0) } else { Err(ScanError::End) };
    keys.unwrap_or_else(|_| format!("is {}", kind_of(value)))
}

/// The maximum number of keys in a message.
const SHOWN_KEYS: usize = 12;

/// The names of the members of the object at `start`, for messages.
fn keys(text: &[u8], start: usize) -> Result<String, ScanError> {
    let mut members = Children::of(start);
    let mut names = BTreeSet::new();
    while let Some((key, _)) = members.next_member(text)? {
        names.insert(serde_json::from_slice::<String>(&text[key]).unwrap_or_default());
    }
    if names.is_empty() {
        return Ok("has no keys".into());
    }
    Ok(format!("has the keys {}", listed(names, SHOWN_KEYS)))
}

/// A longer value holds something.
const MAX_EXAMINED: usize = 16 << 10;

/// Whether a JSON value holds nothing: `{}`, or an object of nothing but empty arrays and objects.
pub(crate) fn holds_nothing(value: &[u8]) -> bool {
    fn is_empty(value: &Value) -> bool {
        match value {
            Value::Array(elements) => elements.is_empty(),
            Value::Object(members) => members.values().all(is_empty),
            _ => false,
        }
    }
    value.len() <= MAX_EXAMINED && serde_json::from_slice(value).is_ok_and(|value: Value| is_empty(&value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn find(pointer: &str, text: &str) -> String {
        match Pointer::try_from(pointer.to_owned()).unwrap().locate(text.as_bytes()).unwrap() {
            Located::At(range) => text[range].to_owned(),
            Located::Nowhere(why) => why,
        }
    }

    #[test]
    fn find_returns_the_original_bytes_or_what_exists_instead() {
        let nested = r#" { "a": {"b/c": [1.50 , { "x" : 1 }]} } "#;
        let hits = r#"{"hits": [{"sort": [1]}, {"sort": [2, "b"]}]}"#;
        let keys = r#"{"results": [], "next": null}"#;
        for (pointer, text, found) in [
            ("", nested, nested.trim()),
            ("/a/b~1c", nested, r#"[1.50 , { "x" : 1 }]"#),
            ("/a/b~1c/1", nested, r#"{ "x" : 1 }"#),
            // The last of equal keys counts, and a negative index from the end.
            ("/a", r#"{"a": 1, "a": 2}"#, "2"),
            ("/hits/-1/sort", hits, r#"[2, "b"]"#),
            ("/hits/-3", hits, "`/hits` is an array of 2"),
            ("/items", keys, "its top level has the keys `next`, `results`"),
            ("/data/items", r#"{"data": "x"}"#, "`/data` is a string"),
            ("/data/7", r#"{"data": [1, 2]}"#, "`/data` is an array of 2"),
            ("/a", "{}", "its top level has no keys"),
        ] {
            assert_eq!(find(pointer, text), found, "{pointer}");
        }
    }

    #[test]
    fn incomplete_json_and_text_after_it_are_errors() {
        let pointer = Pointer::try_from("/a".to_owned()).unwrap();
        assert_eq!(pointer.locate(br#"{"a": 1"#), Err(ScanError::End));
        assert_eq!(pointer.locate(br#"{"a": 1} x"#), Err(ScanError::Unexpected(9)));
    }

    #[test]
    fn pointer_must_begin_with_a_slash() {
        let error = Pointer::try_from("data".to_owned()).unwrap_err();
        assert_eq!(error, "`data` is not a JSON pointer: it must begin with a slash, as in \"/data\"");
        for (name, pointers) in [
            ("a.b", "\"/a/b\", or \"/a.b\" for a member with this name"),
            ("$.a[0].b", "\"/a/0/b\", or \"/$.a[0].b\" for a member with this name"),
            ("@odata.nextLink", "\"/@odata.nextLink\""),
        ] {
            assert_eq!(with_slashes(name), pointers);
        }
    }

    #[test]
    fn replace_keeps_the_other_bytes_and_adds_members() {
        for (pointer, text, replaced) in [
            ("/v/after", r#"{"q": "x" , "v": {"after" : null}}"#, Ok(r#"{"q": "x" , "v": {"after" : 7}}"#)),
            ("/v/after", r#"{"v": {"n": 1 }}"#, Ok(r#"{"v": {"n": 1,"after":7}}"#)),
            ("/v/after", "{ }", Ok(r#"{"v":{"after":7}}"#)),
            ("/0/p", r#"[{"p":1}]"#, Ok(r#"[{"p":7}]"#)),
            ("/v/after", r#"{"v": []}"#, Err("`/v` is an array, not an object")),
            ("/v", "q=1", Err("it is not valid JSON")),
        ] {
            let found = Pointer::try_from(pointer.to_owned()).unwrap().replace(text, "7");
            assert_eq!(found.as_deref().map_err(String::as_str), replaced, "{pointer}");
        }
    }

    #[test]
    fn object_of_empty_arrays_is_hollow() {
        for value in [json!({}), json!({"t": [], "c": []}), json!({"series": {"t": [], "c": {}}})] {
            assert!(holds_nothing(value.to_string().as_bytes()), "{value}");
        }
        for value in [json!({"t": [], "name": "x"}), json!({"t": [null]}), json!({"t": null}), json!(0)] {
            assert!(!holds_nothing(value.to_string().as_bytes()), "{value}");
        }
    }
}
