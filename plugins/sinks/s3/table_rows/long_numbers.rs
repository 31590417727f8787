//! Numbers with more digits than a double has: the parser of JSON, which makes doubles of them, does not tell.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::scan::Kinds;

/// Doubles are written with so many digits at most.
const DIGITS: usize = 17;

/// Adds the columns in which a body has such numbers.
pub(super) fn add_long_numbers(body: &[u8], fields: &mut Vec<(String, Kinds)>) {
    if has_long_number(body)
        && let Ok(body) = serde_json::from_slice::<&RawValue>(body)
    {
        add_of(body, &mut String::new(), fields);
    }
}

fn add_of(value: &RawValue, path: &mut String, fields: &mut Vec<(String, Kinds)>) {
    let text = value.get();
    let n_path = path.len();
    match text.as_bytes()[0] {
        b'{' => {
            for (key, value) in serde_json::from_str::<BTreeMap<String, &RawValue>>(text).unwrap_or_default()
            {
                if n_path > 0 {
                    path.push('.');
                }
                path.push_str(&key.to_lowercase());
                add_of(value, path, fields);
                path.truncate(n_path);
            }
        }
        b'[' => {
            path.push_str("[]");
            for value in serde_json::from_str::<Vec<&RawValue>>(text).unwrap_or_default() {
                add_of(value, path, fields);
            }
            path.truncate(n_path);
        }
        b'-' | b'0'..=b'9' if has_long_number(text.as_bytes()) => fields.push((path.clone(), Kinds::LONG)),
        _ => {}
    }
}

/// Whether a text has a decimal point among so many digits, without zeros at both ends.
fn has_long_number(text: &[u8]) -> bool {
    memchr::memchr_iter(b'.', text).any(|point| {
        let n_whole = text[..point].iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        let n_fraction = text[point + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if n_whole + n_fraction <= DIGITS {
            return false;
        }
        let digits = text[point - n_whole..=point + n_fraction].iter().filter(|&&byte| byte != b'.');
        let is_zero = |byte: &&u8| **byte == b'0';
        let n_leading = digits.clone().take_while(is_zero).count();
        let n_trailing = digits.rev().take_while(is_zero).count();
        n_whole + n_fraction > DIGITS + n_leading + n_trailing
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn column_with_more_digits_than_a_double_is_found() {
        let columns = |body: &str| {
            let mut fields = Vec::new();
            add_long_numbers(body.as_bytes(), &mut fields);
            fields.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(columns(r#"{"A":0.123456789012345678,"b":1.5}"#), ["a"]);
        assert_eq!(columns(r#"{"o":{"W":[1.5,-123456789.1234567891e3]}}"#), ["o.w[]"]);
        for body in [
            r#"{"a":0.10000000000000001}"#,
            r#"{"a":1.500000000000000000}"#,
            r#"{"a":0.000000000000000000000001}"#,
            r#"{"a":12345678901234567890}"#,
            r#"{"a":"1.234567890123456789"}"#,
            r#"{"a":"x","b":[]}"#,
        ] {
            assert_eq!(columns(body), [""; 0], "{body}");
        }
    }
}
