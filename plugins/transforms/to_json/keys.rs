//! Converts keys to snake case: `Adj Close` to `adj_close`.

use std::collections::HashMap;

use anyhow::{Context as _, bail};
use runner_core::{JsonKeys, Result, TableHeader};

use super::sql_name::sql_name;
use crate::shared::json_text;

/// The column names in snake case.
pub(super) fn of_columns(header: &TableHeader) -> Result<JsonKeys> {
    let mut used = UsedNames::default();
    let mut names = Vec::with_capacity(header.columns().len());
    for column in header.columns() {
        let name = sql_name(&column.name);
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
            let end = json_text::end_of_string(json, at);
            match open.last_mut() {
                Some(Some(used)) if is_key => {
                    let original: String = serde_json::from_slice(&json[at..end])
                        .context("the body is not JSON: a key contains an incomplete surrogate pair")?;
                    let name = sql_name(&original);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicate_key_passes() {
        let mut out = Vec::new();
        rename(br#"{"A":1,"A":2}"#, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"a":1,"a":2}"#);
    }
}
