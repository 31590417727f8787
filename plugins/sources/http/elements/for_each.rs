//! The `for_each` option: the elements that are asked for, one walk each.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use runner_core::{Name, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use url::form_urlencoded::Serializer;
use xxhash_rust::xxh3::xxh3_128;

use super::super::json::{Field, Members, Pointer};
use super::super::pages::Pagination;
use super::super::request::TIME_VARIABLES;
use super::super::responses::Codec;
use crate::shared::csv::DocumentReader;

/// A longer identity is saved as a hash.
const MAX_ID: usize = 200;

/// What one walk is for: the values of its variables.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Element {
    /// Identifies the element in positions: its values, or those that its request contains.
    pub(crate) id: Arc<str>,
    fields: Vec<(String, Value)>,
}

// Where the elements come from. Values of variables may be secrets.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "Value")]
#[schemars(with = "Value", inline, extend(
    "type" = ["object", "array"],
    "properties" = { "file": {
        "type": ["string", "array"],
        "description": "A CSV file with a header and commas, whose rows are the elements.",
    } },
    "additionalProperties" = { "writeOnly": true },
))]
pub(crate) enum ForEach {
    Listed(Vec<Arc<Element>>),
    File(PathBuf),
    Request(ListRequest),
}

/// The elements are in the response to another request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListRequest {
    pub(crate) endpoint: String,
    #[serde(default)]
    pub(crate) records: Pointer,
    pub(crate) pagination: Option<Box<Pagination>>,
    pub(crate) fields: Map<String, Value>,
}

impl Element {
    pub(crate) fn new(fields: impl IntoIterator<Item = (String, Value)>) -> Self {
        let mut element = Element { id: Arc::default(), fields: fields.into_iter().collect() };
        element.id = element.id_by_all();
        element
    }

    /// The same element under another identity.
    pub(super) fn with_id(&self, id: Arc<str>) -> Self {
        Element { id, fields: self.fields.clone() }
    }

    /// Its identity by all fields.
    pub(super) fn id_by_all(&self) -> Arc<str> {
        id_of(self.fields.iter().map(|(name, value)| (name, text_of(value))))
    }

    /// Its identity by some fields; `None` if it has none of them.
    pub(super) fn id_by(&self, names: &BTreeSet<&str>) -> Option<Arc<str>> {
        let fields = || self.fields.iter().filter(|(name, _)| names.contains(&**name));
        fields().next()?;
        Some(id_of(fields().map(|(name, value)| (name, text_of(value)))))
    }

    /// The element of a source without `for_each`.
    pub(crate) fn only() -> Self {
        Element::new([])
    }

    /// The text of a field.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.value(name).map(text_of)
    }

    /// The value of a field.
    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The fields, in their order.
    pub(crate) fn fields(&self) -> &[(String, Value)] {
        &self.fields
    }

    /// The element in messages.
    pub(crate) fn describe(&self) -> String {
        let pair = |(name, value): &(String, Value)| format!("{name} = `{}`", text_of(value));
        self.fields.iter().map(pair).collect::<Vec<_>>().join(", ")
    }
}

/// The identity of these values, in any order.
pub(super) fn id_of(fields: impl Iterator<Item = (impl AsRef<str>, impl AsRef<str>)>) -> Arc<str> {
    let mut fields: Vec<_> = fields.collect();
    fields.sort_unstable_by(|a, b| (a.0.as_ref(), a.1.as_ref()).cmp(&(b.0.as_ref(), b.1.as_ref())));
    let id = Serializer::new(String::new()).extend_pairs(fields).finish();
    if id.len() > MAX_ID {
        return format!("{:032x}", xxh3_128(id.as_bytes())).into();
    }
    id.into()
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl TryFrom<Value> for ForEach {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let elements = match value {
            Value::Array(tables) => tables.into_iter().map(table_of).collect::<Result<Vec<_>, _>>()?,
            Value::Object(table) if table.get("file").is_some_and(Value::is_string) => {
                if table.len() > 1 {
                    return Err("`file` allows no other key beside it".into());
                }
                return Ok(ForEach::File(text_of(&table["file"]).into()));
            }
            Value::Object(table) if table.get("endpoint").is_some_and(Value::is_string) => {
                let request: ListRequest =
                    serde_json::from_value(table.into()).map_err(|error| error.to_string())?;
                check_request(&request)?;
                return Ok(ForEach::Request(request));
            }
            Value::Object(lists) => combinations(lists)?,
            _ => return Err(EXPECTED.into()),
        };
        let elements: Vec<Arc<Element>> =
            elements.into_iter().map(|fields| Arc::new(Element::new(fields))).collect();
        let mut ids = HashSet::new();
        if elements.is_empty() {
            return Err("lists no element".into());
        }
        match elements.iter().find(|element| !ids.insert(Arc::clone(&element.id))) {
            Some(twice) => Err(format!("lists the element {} twice", twice.describe())),
            None => Ok(ForEach::Listed(elements)),
        }
    }
}

const EXPECTED: &str = "expected a table of lists such as { symbol = [\"NYA\", \"IXIC\"] }, a list of tables such as \
    [{ symbol = \"NYA\" }], { file = \"symbols.csv\" }, or { endpoint, records, pagination, fields = { symbol = \"/id\" } }";

/// Every combination of the values of several lists; those of the last list follow each other.
fn combinations(lists: Map<String, Value>) -> Result<Vec<Map<String, Value>>, String> {
    let mut tables = vec![Map::new()];
    if lists.is_empty() {
        return Err(EXPECTED.into());
    }
    for (name, values) in lists {
        let Value::Array(values) = values else {
            return Err(format!("`{name}` is not a list; {EXPECTED}"));
        };
        let with = |table: &Map<String, Value>, value: &Value| {
            let mut table = table.clone();
            table.insert(name.clone(), value.clone());
            table
        };
        tables = tables.iter().flat_map(|table| values.iter().map(move |value| with(table, value))).collect();
    }
    tables.into_iter().map(|table| table_of(table.into())).collect()
}

/// The fields of one element.
fn table_of(value: Value) -> Result<Map<String, Value>, String> {
    let Value::Object(table) = value else { return Err(EXPECTED.into()) };
    for (name, value) in &table {
        check_name(name)?;
        if !matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_)) {
            return Err(format!("the value of `{name}` must be a string, a number or a boolean"));
        }
    }
    if table.is_empty() {
        return Err("lists an element without fields".into());
    }
    Ok(table)
}

fn check_name(name: &str) -> Result<(), String> {
    if TIME_VARIABLES.contains(&name) {
        return Err(format!(
            "`{name}` cannot be the name of a field: `{{{{ {name} }}}}` has a meaning already"
        ));
    }
    Ok(())
}

fn check_request(request: &ListRequest) -> Result<(), String> {
    if request.fields.is_empty() {
        return Err("`fields` must name at least one field, as in { symbol = \"/id\" }".into());
    }
    if let Some(pagination) = &request.pagination {
        pagination.check(Codec::Json, None).map_err(|error| error.to_string())?;
    }
    for (name, place) in &request.fields {
        check_name(name)?;
        let Value::String(place) = place else {
            return Err(format!("the place of `{name}` must be a text such as \"/id\""));
        };
        if !place.is_empty() {
            Field::try_from(place.clone())?;
        }
    }
    Ok(())
}

impl ForEach {
    /// The names of the fields that every element has.
    pub(crate) fn names(&self, folder: &Path) -> Result<Vec<String>> {
        let names = |element: &Arc<Element>| element.fields.iter().map(|(name, _)| name.clone()).collect();
        match self {
            ForEach::Listed(elements) => {
                let first: Vec<String> = elements.first().map(names).unwrap_or_default();
                let has = |name: &String| elements.iter().all(|element| element.value(name).is_some());
                Ok(first.into_iter().filter(has).collect())
            }
            ForEach::File(path) => Ok(read_file(&folder.join(path))?.first().map(names).unwrap_or_default()),
            ForEach::Request(request) => Ok(request.fields.keys().cloned().collect()),
        }
    }
}

/// The elements in a CSV file with a header.
pub(super) fn read_file(path: &Path) -> Result<Vec<Arc<Element>>> {
    let what = || format!("reading the elements in {}", path.display());
    let bytes = std::fs::read(path).with_context(what)?;
    let source = Name::new(&path.display().to_string());
    let mut rows =
        DocumentReader::default().open(bytes::Bytes::from(bytes).into(), source).with_context(what)?;
    let mut elements = Vec::with_capacity(rows.len());
    while let Some(row) = rows.next().with_context(what)? {
        let row = row.map_err(|bad| bad.reason).with_context(what)?;
        let names = row.header().columns().iter().map(|column| column.name.to_string());
        let cells = row.cells().map(|cell| Value::String(String::from_utf8_lossy(cell).trim().to_owned()));
        let fields: Vec<(String, Value)> = names.zip(cells).collect();
        for (name, _) in &fields {
            check_name(name).map_err(anyhow::Error::msg).with_context(what)?;
        }
        elements.push(Arc::new(Element::new(fields)));
    }
    if elements.is_empty() {
        bail!("{} has a header and no elements", path.display());
    }
    Ok(without_repeats(elements))
}

impl ListRequest {
    /// The elements in the records of a response.
    pub(crate) fn elements<'a>(&self, records: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Arc<Element>>> {
        let mut elements = Vec::new();
        for (index, record) in records.enumerate() {
            let mut fields = Vec::with_capacity(self.fields.len());
            for (name, place) in &self.fields {
                let place = place.as_str().unwrap_or_default();
                let found = if place.is_empty() {
                    std::str::from_utf8(record).ok()
                } else {
                    let field = Field::try_from(place.to_owned()).map_err(anyhow::Error::msg)?;
                    Members::of(record).and_then(|members| members.get(&field))
                };
                let value = found.and_then(|text| serde_json::from_str::<Value>(text).ok());
                let value = value.with_context(|| {
                    format!("element {index} has no value at `{place}`, which `for_each.fields.{name}` names")
                })?;
                ensure!(
                    matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_)),
                    "the value at `{place}` of element {index}, which `for_each.fields.{name}` names, \
                     is not a string, a number or a boolean"
                );
                fields.push((name.clone(), value));
            }
            elements.push(Arc::new(Element::new(fields)));
        }
        Ok(without_repeats(elements))
    }
}

/// Each element once.
fn without_repeats(elements: Vec<Arc<Element>>) -> Vec<Arc<Element>> {
    let mut ids = HashSet::new();
    let (first, repeats): (Vec<_>, Vec<_>) =
        elements.into_iter().partition(|element| ids.insert(Arc::clone(&element.id)));
    if let Some(repeat) = repeats.first() {
        tracing::warn!(
            "`for_each` gives the element {} more than once; it is walked once",
            repeat.describe()
        );
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn listed(value: Value) -> Result<Vec<String>, String> {
        match ForEach::try_from(value)? {
            ForEach::Listed(elements) => Ok(elements.iter().map(|element| element.id.to_string()).collect()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lists_and_tables_give_elements_in_their_order() {
        assert_eq!(listed(json!({"symbol": ["NYA", "IXIC"]})).unwrap(), ["symbol=NYA", "symbol=IXIC"]);
        assert_eq!(
            listed(json!({"s": ["b", "a"], "y": [2, 1]})).unwrap(),
            ["s=b&y=2", "s=b&y=1", "s=a&y=2", "s=a&y=1"]
        );
        let tables = json!([{"symbol": "^nya", "index": "NYA"}, {"index": "X", "symbol": "x y"}]);
        assert_eq!(listed(tables).unwrap(), ["index=NYA&symbol=%5Enya", "index=X&symbol=x+y"]);
    }

    #[test]
    fn unusable_elements_are_refused_with_the_reason() {
        for (value, part) in [
            (json!([]), "lists no element"),
            (json!({"s": []}), "lists no element"),
            (json!({"s": ["a", "a"]}), "`a` twice"),
            (json!({"s": "a"}), "`s` is not a list"),
            (json!({"s": [["a"]]}), "a string, a number or a boolean"),
            (json!([{}]), "without fields"),
            (json!({"now": ["a"]}), "has a meaning already"),
            (json!("a"), "table of lists"),
            (json!({"endpoint": "http://a", "fields": {}}), "at least one field"),
            (json!({"file": "a.csv", "x": 1}), "no other key"),
            (
                json!({"endpoint": "http://a", "fields": {"a": "/b"}, "pagination": {"type": "pages"}}),
                "pages",
            ),
            (
                json!({"endpoint": "http://a", "fields": {"a": "/b"},
                    "pagination": {"type": "page", "param": "p", "max_pages": 0}}),
                "`pagination.max_pages`",
            ),
        ] {
            let error = ForEach::try_from(value.clone()).unwrap_err();
            assert!(error.contains(part), "{value}: {error}");
        }
    }

    #[test]
    fn file_and_response_give_elements() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("symbols.csv");
        std::fs::write(&path, "symbol,code\nNYA,007\nIXIC, 8\nNYA,007\n").unwrap();
        let ids = |elements: Vec<Arc<Element>>| -> Vec<String> {
            elements.iter().map(|element| element.id.to_string()).collect()
        };
        assert_eq!(ids(read_file(&path).unwrap()), ["code=007&symbol=NYA", "code=8&symbol=IXIC"]);
        let each = ForEach::try_from(json!({"file": "symbols.csv"})).unwrap();
        assert_eq!(each.names(folder.path()).unwrap(), ["symbol", "code"]);
        let request = json!({"endpoint": "http://a", "fields": {"symbol": "/id", "n": "n"}});
        let ForEach::Request(request) = ForEach::try_from(request).unwrap() else { panic!() };
        let records = [r#"{"id": "A", "n": 1}"#, r#"{"id": "B", "n": 2}"#];
        let elements = request.elements(records.iter().map(|text| text.as_bytes())).unwrap();
        assert_eq!(ids(elements), ["n=1&symbol=A", "n=2&symbol=B"]);
        let bad = request.elements([r#"{"id": null, "n": 1}"#.as_bytes()].into_iter()).unwrap_err();
        assert!(bad.to_string().contains("`for_each.fields.symbol` names, is not a string"), "{bad}");
        let bad = request.elements([b"{}".as_slice()].into_iter()).unwrap_err();
        assert!(bad.to_string().contains("no value at `/id`"), "{bad}");
    }

    #[test]
    fn long_identity_is_saved_as_a_hash() {
        let element = Element::new([("s".to_owned(), json!("x".repeat(500)))]);
        assert_eq!(element.id.len(), 32);
    }
}
