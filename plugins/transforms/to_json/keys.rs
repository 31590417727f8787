//! Converts keys to snake case: `Adj Close` to `adj_close`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use runner_core::{JsonKeys, Result, TableHeader};

use super::known_names::{KnownNames, Level, SameName};
use super::sql_name::sql_name;
use crate::shared::json_text;

/// A key and its name in SQL.
#[derive(Clone, Debug)]
pub(super) struct Renamed {
    pub(super) original: Arc<str>,
    pub(super) name: Arc<str>,
}

impl Renamed {
    fn of(original: &str) -> Renamed {
        Renamed { original: original.into(), name: sql_name(original).into() }
    }
}

/// The column names in snake case, and names of other headers that are now equal to one of them.
pub(super) fn of_columns(header: &TableHeader, known: &mut KnownNames) -> Result<(JsonKeys, Vec<SameName>)> {
    let mut used = UsedNames::default();
    let mut same = Vec::new();
    let mut names = Vec::with_capacity(header.columns().len());
    for column in header.columns() {
        let renamed = Renamed::of(&column.name);
        used.add(&renamed).context("the columns cannot be renamed")?;
        let key = serde_json::to_vec(&*column.name)?;
        if known.find(Level::TOP, &key).is_none() {
            same.extend(known.add(Level::TOP, &key, &renamed).1);
        }
        names.push(renamed.name);
    }
    Ok((JsonKeys::new(names.iter().map(|name| &**name)), same))
}

/// The new names in one object, with their original names.
#[derive(Default)]
struct UsedNames(HashMap<Arc<str>, Arc<str>>);

impl UsedNames {
    fn add(&mut self, renamed: &Renamed) -> Result<()> {
        let Renamed { original, name } = renamed;
        match self.0.entry(Arc::clone(name)) {
            Entry::Occupied(other) if other.get() != original => bail!(
                "`{}` and `{}` would both be called `{name}`: \
                 rename one of them at its source, or use keys = \"as_is\"",
                other.get().escape_debug(),
                original.escape_debug()
            ),
            Entry::Occupied(_) => {}
            Entry::Vacant(free) => drop(free.insert(Arc::clone(original))),
        }
        Ok(())
    }
}

/// An open object or array.
struct OpenValue {
    /// The names of an object so far; `None` for an array.
    used: Option<UsedNames>,
    level: Level,
}

/// Appends valid JSON without white space and with its keys in snake case. Returns names of other records that are now
/// equal to one of this record.
pub(super) fn rename(json: &[u8], out: &mut Vec<u8>, known: &mut KnownNames) -> Result<Vec<SameName>> {
    let mut same = Vec::new();
    let mut open: Vec<OpenValue> = Vec::new();
    // The level of the objects in the value that is read next.
    let mut level = Level::TOP;
    let mut is_key = false;
    let mut at = 0;
    while let Some(&byte) = json.get(at) {
        if byte == b'"' {
            let end = json_text::end_of_string(json, at);
            match open.last_mut() {
                Some(OpenValue { used: Some(used), level: of_object }) if is_key => {
                    level = rename_key(&json[at..end], *of_object, used, out, known, &mut same)?;
                }
                _ => out.extend_from_slice(&json[at..end]),
            }
            is_key = false;
            at = end;
            continue;
        }
        match byte {
            b'{' => open.push(OpenValue { used: Some(UsedNames::default()), level }),
            b'[' => open.push(OpenValue { used: None, level }),
            b'}' | b']' => drop(open.pop()),
            _ => {}
        }
        if let (b'{' | b'[' | b',', Some(OpenValue { used, level: inside })) = (byte, open.last()) {
            is_key = used.is_some() && byte != b'[';
            level = *inside;
        }
        if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
            out.push(byte);
        }
        at += 1;
    }
    Ok(same)
}

/// Appends the key of an object with its new name; returns the level of the objects in its value.
fn rename_key(
    key: &[u8],
    level: Level,
    used: &mut UsedNames,
    out: &mut Vec<u8>,
    known: &mut KnownNames,
    same: &mut Vec<SameName>,
) -> Result<Level> {
    // Letters, digits and underscores need no escapes.
    let mut write = |name: &str| {
        out.push(b'"');
        out.extend_from_slice(name.as_bytes());
        out.push(b'"');
    };
    if let Some((renamed, inner)) = known.find(level, key) {
        used.add(renamed)?;
        write(&renamed.name);
        return Ok(inner);
    }
    let original: String = serde_json::from_slice(key)
        .context("the body is not JSON: a key contains an incomplete surrogate pair")?;
    let renamed = Renamed::of(&original);
    used.add(&renamed)?;
    write(&renamed.name);
    let (inner, other) = known.add(level, key, &renamed);
    same.extend(other);
    Ok(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(json: &str, known: &mut KnownNames) -> (String, Vec<SameName>) {
        let mut out = Vec::new();
        let same = rename(json.as_bytes(), &mut out, known).unwrap();
        (String::from_utf8(out).unwrap(), same)
    }

    #[test]
    fn duplicate_key_passes() {
        let (json, same) = renamed(r#"{"A":1,"A":2}"#, &mut KnownNames::default());
        assert_eq!((&*json, same.len()), (r#"{"a":1,"a":2}"#, 0));
    }

    #[test]
    fn names_of_two_records_that_become_one_are_reported_once() {
        let mut known = KnownNames::default();
        let mut same = |json: &str| {
            let same = renamed(json, &mut known).1;
            same.iter().map(|it| format!("{} {} {}", it.one, it.other, it.name)).collect::<Vec<_>>()
        };
        assert!(same(r#"{"Change":1,"o":{"x":1},"l":[{"y":1}]}"#).is_empty());
        assert_eq!(same(r#"{"Change %":2}"#), ["Change Change % change"]);
        assert!(same(r#"{"Change %":3}"#).is_empty(), "told before");
        assert!(same(r#"{"CHANGE":4}"#).is_empty(), "Athena reads names without case");
        assert!(same(r#"{"Ch\u0061nge":5}"#).is_empty(), "the same key");
        assert!(same(r#"{"a":{"Change %":1}}"#).is_empty(), "another column");
        assert_eq!(same(r#"{"o":{"x!":1}}"#), ["x x! x"]);
        assert_eq!(same(r#"{"l":[3,[4],{"y?":1}]}"#), ["y y? y"]);
    }

    #[test]
    fn names_without_letters_stay_different() {
        let mut known = KnownNames::default();
        let names = [r#"{"🙂":1}"#, r#"{"":1}"#, r#"{"%":1}"#, r##"{"#":1}"##];
        let renamed = names.map(|json| renamed(json, &mut known));
        assert!(renamed.iter().all(|(_, same)| same.is_empty()));
        assert_eq!(
            renamed.map(|it| it.0),
            [r#"{"u1f642":1}"#, r#"{"field":1}"#, r#"{"u25":1}"#, r#"{"u23":1}"#]
        );
    }
}
