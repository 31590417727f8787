//! JSON as text: checked, compacted, searched. Parsing it into values would take ten times as
//! long and lose digits.

use anyhow::anyhow;
use memchr::memchr2;
use runner_core::{Error, Result, quoting};
use serde::de::IgnoredAny;

/// How many characters of an invalid body an error shows.
const EXCERPT_CHARS: usize = 40;

/// Returns the bytes if they are one JSON value in UTF-8.
pub(crate) fn checked(bytes: &[u8]) -> Result<&[u8]> {
    if let Some(schema) = schema_id(bytes) {
        return Err(anyhow!("the body is not JSON: {schema}"));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| invalid_json(bytes, format_args!("byte {} is not UTF-8", error.valid_up_to())))?;
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Ok(bytes),
        Err(_) if bytes.is_empty() => Err(anyhow!("the body is not JSON: it is empty")),
        Err(error) => match hint(bytes, offset(bytes, &error), "the program that wrote it") {
            Some(hint) => {
                let place = format_args!("{hint} (line {} column {})", error.line(), error.column());
                Err(invalid_json(bytes, place))
            }
            None => Err(invalid_json(bytes, error)),
        },
    }
}

/// What stands at a byte that is not JSON, if it is what many programs write there.
pub(crate) fn hint(text: &[u8], at: usize, writer: &str) -> Option<String> {
    let rest = text.get(at..)?;
    if rest.starts_with(b"'") {
        return Some("a string begins with a single quote, and JSON needs a double quote".into());
    }
    let word = ["NaN", "Infinity", "-Infinity"].into_iter().find(|word| rest.starts_with(word.as_bytes()))?;
    Some(format!("JSON has no {word}; {writer} must write null instead, or nothing"))
}

/// The index of the byte at which parsing failed.
pub(crate) fn offset(text: &[u8], error: &serde_json::Error) -> usize {
    let lines = text.split_inclusive(|&byte| byte == b'\n').take(error.line().saturating_sub(1));
    let at = (lines.map(<[u8]>::len).sum::<usize>() + error.column()).saturating_sub(1);
    // `serde_json` has read the sign of `-Infinity` already.
    match at.checked_sub(1) {
        Some(sign) if text[sign..].starts_with(b"-Infinity") => sign,
        _ => at,
    }
}

/// The message of `serde_json` without its line and column.
pub(crate) fn bare_message(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&place).unwrap_or(&message).to_owned()
}

/// What a body is that was written with a schema registry, in the wire format of Confluent's serializers. JSON never
/// begins with a zero byte.
pub(crate) fn schema_id(bytes: &[u8]) -> Option<String> {
    let [0, a, b, c, d, ..] = *bytes else { return None };
    let schema = u32::from_be_bytes([a, b, c, d]);
    Some(format!(
        "it begins with a zero byte and the number {schema} of a schema, as programs write that use a schema registry \
         (Avro, Protobuf or JSON Schema); runner does not decode it: let the producer write plain JSON, or convert the \
         topic first"
    ))
}

fn invalid_json(bytes: &[u8], reason: impl std::fmt::Display) -> Error {
    // A UTF-8 character has at most four bytes.
    let front = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * EXCERPT_CHARS)]);
    let shown: String = front.chars().take(EXCERPT_CHARS).collect();
    let dots = if shown.len() < bytes.len() { "…" } else { "" };
    quoting(
        format_args!("the body is not JSON: {reason}; it begins with "),
        format_args!("{shown:?}{dots}"),
        "",
    )
}

/// Appends valid JSON without the white space between its tokens.
pub(crate) fn compact(json: &[u8], out: &mut Vec<u8>) {
    let (mut at, mut clean) = (0, 0);
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => at = end_of_string(json, at),
            b' ' | b'\n' | b'\r' | b'\t' => {
                out.extend_from_slice(&json[clean..at]);
                at += 1;
                clean = at;
            }
            _ => at += 1,
        }
    }
    out.extend_from_slice(&json[clean..]);
}

/// Calls `visit` with each key at the top of a valid JSON object, as it is written, quotes included.
pub(crate) fn top_keys<'a>(json: &'a [u8], mut visit: impl FnMut(&'a [u8])) {
    let (mut at, mut depth, mut is_key) = (0, 0_usize, false);
    if json.trim_ascii_start().first() != Some(&b'{') {
        return;
    }
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => {
                let end = end_of_string(json, at);
                if is_key {
                    visit(&json[at..end]);
                    is_key = false;
                }
                at = end;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if matches!(byte, b'{' | b',') {
            is_key = depth == 1;
        }
        at += 1;
    }
}

/// Whether a name is that of a file with JSON.
pub(crate) fn is_name_of_json(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [".json", ".jsonl", ".ndjson"].iter().any(|ending| name.ends_with(ending))
}

/// What a JSON text is, by its first byte.
pub(crate) fn kind_of(json: &[u8]) -> &'static str {
    match json.trim_ascii_start().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// The offset after the closing quote of the string that begins at `start`; `None` if it has none.
pub(crate) fn string_end(json: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr2(b'"', b'\\', json.get(at..)?)?;
        if json[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// The same in valid JSON.
pub(crate) fn end_of_string(json: &[u8], start: usize) -> usize {
    string_end(json, start).unwrap_or(json.len())
}

/// Appends a text as a JSON string.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a string can be written into memory");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn compact_equals_the_compact_output_of_serde(value in any_json()) {
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            let mut out = Vec::new();
            compact(checked(pretty.as_bytes()).unwrap(), &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
    }

    #[test]
    fn bytes_of_a_schema_registry_are_named() {
        let error = |bytes: &[u8]| checked(bytes).unwrap_err().to_string();
        for payload in [&b"\x02\x0cUser_9"[..], b"{\"a\":1}", b""] {
            let said = error(&[&[0, 0, 0, 1, 7][..], payload].concat());
            assert!(
                said.contains("the number 263 of a schema") && said.contains("schema registry"),
                "{said}"
            );
        }
        assert!(!error(b"\0\0\0").contains("schema"));
    }

    #[test]
    fn what_python_programs_write_is_named() {
        for (body, why) in [
            (
                "{'a': 1}",
                "a string begins with a single quote, and JSON needs a double quote (line 1 column 2)",
            ),
            ("{\"a\":\n NaN}", "JSON has no NaN; the program that wrote it must write null instead"),
            ("{\"a\": -Infinity}", "JSON has no -Infinity"),
            ("[Infinity]", "JSON has no Infinity"),
            ("{\"a\": None}", "expected value at line 1 column 7"),
        ] {
            let error = checked(body.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn error_shows_only_the_first_characters() {
        let error = checked("<".repeat(1000).as_bytes()).unwrap_err().to_string();
        assert!(
            error.contains(&"<".repeat(EXCERPT_CHARS)) && !error.contains(&"<".repeat(EXCERPT_CHARS + 1)),
            "{error}"
        );
        let error = checked(b"{\"a\xff\":1}").unwrap_err().to_string();
        assert!(error.contains("byte 3 is not UTF-8"), "{error}");
    }
}
