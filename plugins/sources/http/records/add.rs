//! The `add` option: fields that every record gets.

use anyhow::{Context as _, bail};
use runner_core::{OptionError, Result};
use serde_json::{Map, Value};

use super::super::json::Members;
use super::super::request::{Template, ValuePlace, Values};

/// The fields to add, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Add(Vec<(String, AddedValue)>);

#[derive(Clone, Debug)]
enum AddedValue {
    Constant(String),
    Template(Template),
}

/// The fields of one walk as JSON texts.
#[derive(Clone, Debug, Default)]
pub(crate) struct AddedFields(Vec<(String, String)>);

impl Add {
    pub(crate) fn new(table: &Map<String, Value>) -> Result<Self> {
        let mut fields = Vec::new();
        for (name, value) in table {
            let value = match value {
                Value::String(text) => AddedValue::Template(Template::parse(text)),
                Value::Number(_) | Value::Bool(_) => AddedValue::Constant(value.to_string()),
                _ => {
                    let message = "expected a string, a number or a boolean";
                    return Err(OptionError::new(format!("add.{name}"), message));
                }
            };
            fields.push((name.clone(), value));
        }
        Ok(Add(fields))
    }

    /// The fields for one walk. A value of the element keeps its type.
    pub(crate) fn render(&self, values: &Values<'_>) -> Result<AddedFields> {
        let mut fields = Vec::with_capacity(self.0.len());
        for (name, value) in &self.0 {
            let json = match value {
                AddedValue::Constant(json) => json.clone(),
                AddedValue::Template(template) => {
                    let typed = template.single_variable().and_then(|name| values.element.value(name));
                    match typed {
                        Some(value) => value.to_string(),
                        None => serde_json::to_string(&template.render(values, ValuePlace::Plain)?)?,
                    }
                }
            };
            fields.push((name.clone(), json));
        }
        Ok(AddedFields(fields))
    }
}

impl AddedFields {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The record with the fields. Its other bytes stay as they are; a field of that name is replaced.
    pub(crate) fn apply(&self, text: &[u8]) -> Result<Vec<u8>> {
        let text = text.trim_ascii();
        let Some(members) = Members::of(text) else {
            bail!("the record is not an object, so `add` cannot add fields to it; `remap` can make it one");
        };
        let is_replaced = |name: &str| self.0.iter().any(|(added, _)| added == name);
        let mut out = Vec::with_capacity(text.len() + 64);
        let mut is_empty = members.0.is_empty();
        if members.0.iter().any(|(name, _)| is_replaced(name)) {
            out.push(b'{');
            is_empty = true;
            for (name, value) in members.0.iter().filter(|(name, _)| !is_replaced(name)) {
                push(&mut out, &mut is_empty, name, value.get())?;
            }
        } else {
            out.extend_from_slice(
                text.strip_suffix(b"}").context("the record is not an object")?.trim_ascii_end(),
            );
        }
        for (name, value) in &self.0 {
            push(&mut out, &mut is_empty, name, value)?;
        }
        out.push(b'}');
        Ok(out)
    }
}

fn push(out: &mut Vec<u8>, is_empty: &mut bool, name: &str, value: &str) -> Result<()> {
    if !std::mem::take(is_empty) {
        out.push(b',');
    }
    serde_json::to_writer(&mut *out, name)?;
    out.push(b':');
    out.extend_from_slice(value.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::elements::Element;
    use super::*;
    use serde_json::json;

    fn added(add: Value) -> AddedFields {
        let Value::Object(table) = add else { panic!("a table") };
        let element = Element::new([("symbol".to_owned(), json!("N\"YA")), ("year".to_owned(), json!(2024))]);
        let values = Values { element: &element, since: None, now: String::new(), window: None };
        Add::new(&table).unwrap().render(&values).unwrap()
    }

    fn apply(add: Value, text: &str) -> String {
        String::from_utf8(added(add).apply(text.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn field_is_added_and_other_bytes_stay() {
        let add =
            json!({"Index": "{{ symbol }}", "y": "{{ year }}", "t": "a{{ year }}", "n": 1.50, "b": true});
        assert_eq!(
            apply(add, "{ \"p\" : 1.50 }\n"),
            r#"{ "p" : 1.50,"Index":"N\"YA","y":2024,"t":"a2024","n":1.5,"b":true}"#
        );
        assert_eq!(apply(json!({"a": 1}), "{ }"), r#"{"a":1}"#);
        assert_eq!(apply(json!({"a": 1}), r#"{"a":"x","b": 2.0}"#), r#"{"b":2.0,"a":1}"#);
        assert_eq!(apply(json!({"a": 1}), r#"{"a":"x"}"#), r#"{"a":1}"#);
    }

    #[test]
    fn record_that_is_not_an_object_is_bad() {
        for text in ["[1]", "1", "null", ""] {
            assert!(added(json!({"a": 1})).apply(text.as_bytes()).is_err(), "{text}");
        }
    }
}
