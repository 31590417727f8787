//! Finds the bounds of JSON values by their brackets and strings, without parsing them.
//!
//! An invalid value, such as `NaN`, therefore does not affect its neighbours.

use std::ops::Range;

use crate::shared::json_text;

/// Why a text has no further value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScanError {
    /// The text ends inside a value.
    End,
    /// The byte at this index is not allowed there.
    Unexpected(usize),
}

/// The bounds of the key, with its quotes, and of the value of a member.
type Member = (Range<usize>, Range<usize>);

/// Members or elements that have not been taken from an object or an array.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Children {
    /// Behind the opening bracket, or behind the last taken value.
    at: usize,
    is_first: bool,
    /// Whether the closing bracket has been found.
    is_closed: bool,
}

impl Children {
    /// Of the object or array whose opening bracket is at `start`.
    pub(crate) fn of(start: usize) -> Self {
        Children { at: start + 1, is_first: true, is_closed: false }
    }

    /// Where the rest begins; behind the closing bracket if there is none.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// For a text without its first `n_bytes` bytes.
    pub(crate) fn move_back(&mut self, n_bytes: usize) {
        self.at -= n_bytes;
    }

    /// The next element of an array.
    pub(crate) fn next_element(&mut self, text: &[u8]) -> Result<Option<Range<usize>>, ScanError> {
        let Some(start) = self.next_start(text, b']')? else { return Ok(None) };
        self.at = value_end(text, start)?;
        Ok(Some(start..self.at))
    }

    /// The key, with its quotes, and the value of the next member of an object.
    pub(crate) fn next_member(&mut self, text: &[u8]) -> Result<Option<Member>, ScanError> {
        let Some((key, start)) = self.next_key(text)? else { return Ok(None) };
        self.at = value_end(text, start)?;
        Ok(Some((key, start..self.at)))
    }

    /// The key, with its quotes, of the next member of an object, and where the value begins. The value is not taken:
    /// [`Self::skip_value`] does.
    pub(super) fn next_key(&mut self, text: &[u8]) -> Result<Option<(Range<usize>, usize)>, ScanError> {
        let Some(key_start) = self.next_start(text, b'}')? else { return Ok(None) };
        if text[key_start] != b'"' {
            return Err(ScanError::Unexpected(key_start));
        }
        let key_end = string_end(text, key_start)?;
        let colon = skip_white(text, key_end);
        match text.get(colon) {
            Some(b':') => {}
            Some(_) => return Err(ScanError::Unexpected(colon)),
            None => return Err(ScanError::End),
        }
        Ok(Some((key_start..key_end, skip_white(text, colon + 1))))
    }

    /// Takes the value that begins at `start`.
    pub(super) fn skip_value(&mut self, text: &[u8], start: usize) -> Result<(), ScanError> {
        self.at = value_end(text, start)?;
        Ok(())
    }

    /// Where the next element of an array begins. The element is not taken: [`Self::skip_value`] does.
    pub(super) fn next_element_start(&mut self, text: &[u8]) -> Result<Option<usize>, ScanError> {
        self.next_start(text, b']')
    }

    /// Where the next child begins; `None` behind the last one.
    fn next_start(&mut self, text: &[u8], closing: u8) -> Result<Option<usize>, ScanError> {
        if self.is_closed {
            return Ok(None);
        }
        let at = skip_white(text, self.at);
        let byte = *text.get(at).ok_or(ScanError::End)?;
        let start = match byte {
            _ if byte == closing => {
                self.is_closed = true;
                self.at = at + 1;
                return Ok(None);
            }
            _ if self.is_first => at,
            b',' => skip_white(text, at + 1),
            _ => return Err(ScanError::Unexpected(at)),
        };
        self.is_first = false;
        match text.get(start) {
            Some(_) => Ok(Some(start)),
            None => Err(ScanError::End),
        }
    }
}

/// The bounds of the only value in a text.
pub(super) fn only_value(text: &[u8]) -> Result<Range<usize>, ScanError> {
    let start = skip_white(text, 0);
    match text.get(start) {
        Some(b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {}
        Some(_) => return Err(ScanError::Unexpected(start)),
        None => return Err(ScanError::End),
    }
    let end = value_end(text, start)?;
    match skip_white(text, end) {
        rest if rest < text.len() => Err(ScanError::Unexpected(rest)),
        _ => Ok(start..end),
    }
}

/// The end of the value that begins at `start`.
fn value_end(text: &[u8], start: usize) -> Result<usize, ScanError> {
    match text.get(start) {
        None => Err(ScanError::End),
        Some(b'"') => string_end(text, start),
        Some(b'{' | b'[') => bracket_end(text, start),
        Some(b'}' | b']' | b',' | b':') => Err(ScanError::Unexpected(start)),
        Some(_) => {
            let is_end = |byte: &u8| b"}],:{[\" \t\r\n".contains(byte);
            Ok(text[start..].iter().position(is_end).map_or(text.len(), |length| start + length))
        }
    }
}

/// The end of the object or array that begins at `start`.
fn bracket_end(text: &[u8], start: usize) -> Result<usize, ScanError> {
    let mut depth = 0_usize;
    let mut at = start;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                at = string_end(text, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Ok(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
    Err(ScanError::End)
}

/// The end of the string whose opening quote is at `start`.
fn string_end(text: &[u8], start: usize) -> Result<usize, ScanError> {
    json_text::string_end(text, start).ok_or(ScanError::End)
}

/// The index of the first byte from `at` that is not white space.
pub(super) fn skip_white(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).unwrap_or(rest.len())
}

/// The text with `null` in the place of every bare `NaN`, `Infinity` and `-Infinity`.
pub(crate) fn without_nan(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut shown = String::with_capacity(text.len());
    let (mut at, mut kept) = (0, 0);
    while at < bytes.len() {
        let rest = &bytes[at..];
        let word = [&b"NaN"[..], b"Infinity", b"-Infinity"].into_iter().find(|word| rest.starts_with(word));
        if let Some(word) = word {
            shown.push_str(&text[kept..at]);
            shown.push_str("null");
            at += word.len();
            kept = at;
        } else if bytes[at] == b'"' {
            at = string_end(bytes, at).unwrap_or(bytes.len());
        } else {
            at += 1;
        }
    }
    shown.push_str(&text[kept..]);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    fn elements(text: &str) -> Result<Vec<&str>, ScanError> {
        let root = only_value(text.as_bytes())?;
        let mut children = Children::of(root.start);
        let mut found = Vec::new();
        while let Some(range) = children.next_element(text.as_bytes())? {
            found.push(&text[range]);
        }
        Ok(found)
    }

    #[test]
    fn elements_are_separated_even_if_one_is_invalid() {
        assert_eq!(
            elements(r#" [1, {"a]": [NaN, "\"]"]} ,"x" ,None] "#).unwrap(),
            ["1", r#"{"a]": [NaN, "\"]"]}"#, "\"x\"", "None"]
        );
        assert_eq!(elements("[ ]").unwrap(), [""; 0]);
    }

    #[test]
    fn error_tells_an_incomplete_text_from_a_wrong_one() {
        for text in ["", "[", "[1", "[1,", r#"["a"#, r#"["a\"#, r#"[{"a": [1}"#] {
            assert_eq!(elements(text), Err(ScanError::End), "{text}");
        }
        for (text, at) in [("[1 2]", 3), ("[1,]", 3), ("[,1]", 1), ("<html>", 0), ("[1] x", 4)] {
            assert_eq!(elements(text), Err(ScanError::Unexpected(at)), "{text}");
        }
    }

    #[test]
    fn nan_is_replaced_outside_of_strings_only() {
        let text = r#"{"NaN": [NaN, -Infinity,Infinity], "s": "a \" NaN"}"#;
        assert_eq!(without_nan(text), r#"{"NaN": [null, null,null], "s": "a \" NaN"}"#);
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i32>().prop_map(Into::into),
            "[a-z\"\\\\\\[\\]{},: ä]{0,6}".prop_map(Into::into),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::vec(("[a\"\\\\]{0,3}", inner), 0..4)
                    .prop_map(|pairs| serde_json::Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn bounds_are_those_that_a_parser_finds(values in prop::collection::vec(json(), 0..5), is_pretty: bool) {
            let value = serde_json::Value::Array(values);
            let text = if is_pretty { format!("{value:#}") } else { value.to_string() };
            let parsed: Vec<&RawValue> = serde_json::from_str(&text).unwrap();
            let parsed: Vec<&str> = parsed.iter().map(|value| value.get()).collect();
            prop_assert_eq!(elements(&text).unwrap(), parsed);
        }

        #[test]
        fn any_text_is_scanned_without_panic(text in r#"[\[\]{},:"\\ aN1-]{0,30}"#) {
            let _ = elements(&text);
            let _ = without_nan(&text);
            if let Ok(range) = only_value(text.as_bytes()) {
                let mut members = Children::of(range.start);
                while let Ok(Some(_)) = members.next_member(text.as_bytes()) {}
            }
        }
    }
}
