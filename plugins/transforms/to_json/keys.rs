//! Converts keys to snake case: `Adj Close` to `adj_close`.

use std::collections::HashMap;

use anyhow::{Context as _, bail};
use runner_core::{JsonKeys, Result, TableHeader};

use super::text;

/// The column names in snake case.
pub(super) fn of_columns(header: &TableHeader) -> Result<JsonKeys> {
    let mut used = UsedNames::default();
    let mut names = Vec::with_capacity(header.columns().len());
    for column in header.columns() {
        let name = snake_case(&column.name);
        used.add(&name, &column.name).context("the columns cannot be renamed")?;
        names.push(name);
    }
    Ok(JsonKeys::new(names.iter().map(String::as_str)))
}

/// The new names in one object, with their original names.
#[derive(Default)]
struct UsedNames(HashMap<String, String>);

impl UsedNames {
    fn add(&mut self, name: &str, original: &str) -> Result<()> {
        match self.0.insert(name.into(), original.into()) {
            Some(other) if other != original => bail!(
                "`{other}` and `{original}` would both be called `{name}`: \
                 rename one of them at its source, or use keys = \"as_is\""
            ),
            _ => Ok(()),
        }
    }
}

/// Appends valid JSON without white space and with its keys in snake case.
pub(super) fn rename(json: &[u8], out: &mut Vec<u8>) -> Result<()> {
    // The open objects with their names; `None` is an array.
    let mut open: Vec<Option<UsedNames>> = Vec::new();
    let mut is_key = false;
    let mut at = 0;
    while let Some(&byte) = json.get(at) {
        if byte == b'"' {
            let end = text::end_of_string(json, at);
            match open.last_mut() {
                Some(Some(used)) if is_key => {
                    let original: String = serde_json::from_slice(&json[at..end])
                        .context("the body is not JSON: a key contains an incomplete surrogate pair")?;
                    let name = snake_case(&original);
                    used.add(&name, &original)?;
                    // Letters, digits and underscores need no escapes.
                    out.push(b'"');
                    out.extend_from_slice(name.as_bytes());
                    out.push(b'"');
                }
                _ => out.extend_from_slice(&json[at..end]),
            }
            is_key = false;
            at = end;
            continue;
        }
        match byte {
            b'{' => open.push(Some(UsedNames::default())),
            b'[' => open.push(None),
            b'}' | b']' => drop(open.pop()),
            _ => {}
        }
        if matches!(byte, b'{' | b',') {
            is_key = matches!(open.last(), Some(Some(_)));
        }
        if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
            out.push(byte);
        }
        at += 1;
    }
    Ok(())
}

/// Joins words of lower-case letters and digits by `_`. A word begins after any other
/// character, at a capital after a small letter or a digit (`closeUSD`), and at the last
/// capital before a small letter (`USDClose`).
fn snake_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    let mut characters = name.chars().peekable();
    let mut before = None;
    while let Some(character) = characters.next() {
        if !character.is_alphanumeric() {
            before = None;
            continue;
        }
        let begins = character.is_uppercase()
            && match before {
                Some('A') => characters.peek().is_some_and(|next| next.is_lowercase()),
                before => before.is_some(),
            };
        if !out.is_empty() && (begins || before.is_none()) {
            out.push('_');
        }
        // The lower case of a Turkish `İ` contains a combining dot, which is not a letter: it would split a word
        // if the name is converted again.
        out.extend(character.to_lowercase().filter(|small| small.is_alphanumeric()));
        before = Some(if character.is_uppercase() { 'A' } else { 'a' });
    }
    if out.is_empty() {
        out.push('_');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snake_case_splits_names_at_word_boundaries() {
        for (name, expected) in [
            ("Index", "index"),
            ("Adj Close", "adj_close"),
            ("CloseUSD", "close_usd"),
            ("USDClose", "usd_close"),
            ("Close2USD", "close2_usd"),
            ("  Volume (in USD) ", "volume_in_usd"),
            ("already_snake_case", "already_snake_case"),
            ("SHOUTED_NAME", "shouted_name"),
            ("Größe", "größe"),
            ("日付", "日付"),
            ("İstanbul", "istanbul"),
            ("52WeekHigh", "52_week_high"),
            ("%", "_"),
            ("", "_"),
        ] {
            assert_eq!(snake_case(name), expected, "{name:?}");
        }
    }

    #[test]
    fn duplicate_key_passes() {
        let mut out = Vec::new();
        rename(br#"{"A":1,"A":2}"#, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"a":1,"a":2}"#);
    }
}
