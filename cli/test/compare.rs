//! Compares records as JSON, and shows how they differ.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;
use similar::{ChangeTag, TextDiff};

/// How many equal lines are shown around a difference.
const CONTEXT: usize = 3;

/// Whether these are the same records, in the same order.
pub(super) fn is_same(expected: &[String], actual: &[Vec<u8>]) -> bool {
    expected.len() == actual.len()
        && expected.iter().zip(actual).all(|(expected, actual)| is_same_record(expected, actual))
}

fn is_same_record(expected: &str, actual: &[u8]) -> bool {
    if expected.as_bytes() == actual {
        return true;
    }
    let json = |text| serde_json::from_str::<&RawValue>(text).ok();
    let actual = std::str::from_utf8(actual).ok().and_then(json);
    json(expected).zip(actual).is_some_and(|(expected, actual)| is_same_json(expected, actual))
}

/// Whether two JSON texts have the same value. Whole numbers are compared digit by digit: as floats, those beyond 64 bits
/// would be equal to others near them.
fn is_same_json(expected: &RawValue, actual: &RawValue) -> bool {
    let (one, other) = (expected.get(), actual.get());
    match (one.as_bytes().first(), other.as_bytes().first()) {
        (Some(b'{'), Some(b'{')) => {
            let (Some(one), Some(other)) = (fields(one), fields(other)) else { return false };
            let is_same_field = |((name, one), (other_name, other)): ((&_, &&_), (&_, &&_))| {
                name == other_name && is_same_json(one, other)
            };
            one.len() == other.len() && one.iter().zip(&other).all(is_same_field)
        }
        (Some(b'['), Some(b'[')) => {
            let (Some(one), Some(other)) = (items(one), items(other)) else { return false };
            one.len() == other.len() && one.iter().zip(&other).all(|(one, other)| is_same_json(one, other))
        }
        // An integer does not equal a float.
        _ if is_whole_number(one) || is_whole_number(other) => one == other,
        _ => value(one).is_some_and(|one| Some(one) == value(other)),
    }
}

/// The fields of an object, by name.
fn fields(json: &str) -> Option<BTreeMap<Cow<'_, str>, &RawValue>> {
    serde_json::from_str(json).ok()
}

fn items(json: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(json).ok()
}

fn value(json: &str) -> Option<Value> {
    serde_json::from_str(json).ok()
}

fn is_whole_number(json: &str) -> bool {
    let digits = json.strip_prefix('-').unwrap_or(json);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The differences, in words and as lines: `-` was expected, `+` came out.
pub(super) fn differences(expected: &[String], actual: &[Vec<u8>]) -> String {
    let first = expected.iter().zip(actual).position(|(expected, actual)| !is_same_record(expected, actual));
    let title = match first {
        Some(index) => format!("record {} differs", index + 1),
        None => format!("expected {} records, found {}", expected.len(), actual.len()),
    };
    let expected: String = expected.iter().map(|record| pretty(record.as_bytes())).collect();
    let actual: String = actual.iter().map(|record| pretty(record)).collect();
    let diff = TextDiff::from_lines(&expected, &actual);
    let mut text = format!("{title} (\x1b[31m- expected\x1b[0m, \x1b[32m+ found\x1b[0m)\n");
    for (index, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if index > 0 {
            text += "  …\n";
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let line = change.value().trim_end_matches('\n');
            text += &match change.tag() {
                ChangeTag::Equal => format!("  {line}\n"),
                ChangeTag::Delete => format!("\x1b[31m- {line}\x1b[0m\n"),
                ChangeTag::Insert => format!("\x1b[32m+ {line}\x1b[0m\n"),
            };
        }
    }
    text
}

/// A record as lines: JSON with one field a line, anything else as it is. Keys are sorted, since
/// their order does not matter.
fn pretty(record: &[u8]) -> String {
    let text = match serde_json::from_slice::<Value>(record) {
        Ok(mut value) => {
            value.sort_all_objects();
            serde_json::to_string_pretty(&value).unwrap_or_default()
        }
        Err(_) => String::from_utf8_lossy(record).escape_debug().to_string(),
    };
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actual(records: &[&str]) -> Vec<Vec<u8>> {
        records.iter().map(|record| record.as_bytes().to_vec()).collect()
    }

    #[test]
    fn json_is_compared_as_json_and_text_as_text() {
        let expected = [r#"{"a": 1, "b": [1.50]}"#.to_owned(), "x,1".to_owned()];
        assert!(is_same(&expected, &actual(&[r#"{"b":[1.5],"a":1}"#, "x,1"])));
        assert!(!is_same(&expected, &actual(&[r#"{"b":[1.5],"a":1}"#, "x,1.0"])));
        assert!(!is_same(&expected, &actual(&[r#"{"b":[1.5],"a":1}"#])));
        assert!(!is_same(&["1".to_owned()], &actual(&["1.0"])), "a column of Athena is one or the other");
        let large = r#"{"a": [100000000000000000777]}"#.to_owned();
        assert!(is_same(std::slice::from_ref(&large), &actual(&[r#"{"a":[100000000000000000777]}"#])));
        for other in ["100000000000000000001", "1e20", "1.00000000000000000777e20"] {
            assert!(
                !is_same(std::slice::from_ref(&large), &actual(&[&format!("{{\"a\":[{other}]}}")])),
                "{other}"
            );
        }
    }

    #[test]
    fn differences_show_the_fields_that_differ() {
        let text = differences(&[r#"{"b":1,"a":"x"}"#.to_owned()], &actual(&[r#"{"a":"x","b":2}"#]));
        assert!(text.starts_with("record 1 differs"), "{text}");
        assert!(text.contains("  \"a\": \"x\"") || text.contains("    \"a\": \"x\","), "{text}");
        assert!(text.contains("-   \"b\": 1") && text.contains("+   \"b\": 2"), "{text}");
        let text = differences(&[], &actual(&["{}"]));
        assert!(text.starts_with("expected 0 records, found 1") && text.contains("+ {}"), "{text}");
    }
}
