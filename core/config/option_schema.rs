//! What the JSON Schema of a plugin says about one option.

use serde_json::Value;
use toml::de::DeValue;

/// The schema of one option, with `$ref`, `oneOf`, `anyOf` and `allOf` resolved.
#[derive(Clone, Debug)]
pub(crate) struct OptionSchema<'s> {
    root: &'s Value,
    /// What the option can be: one schema without branches for each alternative.
    pub(crate) alternatives: Vec<&'s Value>,
    /// Whether the value is a secret.
    pub(crate) is_secret: bool,
}

impl<'s> OptionSchema<'s> {
    /// The schema of a whole table of options.
    pub(crate) fn new(root: &'s Value) -> Self {
        OptionSchema::of(root, [root]).unwrap_or(OptionSchema {
            root,
            alternatives: vec![root],
            is_secret: false,
        })
    }

    fn of(root: &'s Value, schemas: impl IntoIterator<Item = &'s Value>) -> Option<Self> {
        let mut schema = OptionSchema { root, alternatives: Vec::new(), is_secret: false };
        schemas.into_iter().for_each(|it| schema.add(it));
        (!schema.alternatives.is_empty()).then_some(schema)
    }

    fn add(&mut self, schema: &'s Value) {
        self.is_secret |= schema["writeOnly"] == true;
        let reference = schema["$ref"].as_str().and_then(|path| self.root.pointer(path.strip_prefix('#')?));
        let branches = ["oneOf", "anyOf", "allOf"].iter().filter_map(|key| schema[key].as_array()).flatten();
        let branches: Vec<&Value> = reference.into_iter().chain(branches).collect();
        // Branches that only add to properties of their own are left to serde.
        if branches.is_empty() || schema.get("properties").is_some() {
            self.alternatives.push(schema);
        } else {
            for branch in branches {
                self.add(branch);
            }
        }
    }

    /// The same option with one alternative.
    pub(crate) fn only(&self, alternative: &'s Value) -> Self {
        OptionSchema { alternatives: vec![alternative], ..self.clone() }
    }

    /// The alternatives that accept values of this type.
    pub(crate) fn accepting(&self, type_name: &str) -> Self {
        let alternatives = self.alternatives.iter().copied().filter(|it| accepts(it, type_name)).collect();
        OptionSchema { alternatives, ..self.clone() }
    }

    /// The schema of an option in this table; `None` if the table does not have it.
    pub(crate) fn property(&self, name: &str) -> Option<Self> {
        let of_table = |table: &'s Value| {
            let property = table["properties"].get(name).or_else(|| table.get("additionalProperties"));
            property.filter(|schema| **schema != false)
        };
        let mut property =
            OptionSchema::of(self.root, self.alternatives.iter().copied().filter_map(of_table))?;
        property.is_secret |= self.alternatives.iter().any(|table| holds_secret(table, name));
        Some(property)
    }

    /// The schema of the items of this list.
    pub(crate) fn items(&self) -> Option<Self> {
        OptionSchema::of(self.root, self.alternatives.iter().filter_map(|list| list.get("items")))
    }

    /// The strings that it can be; `None` if it can be any string, or none.
    pub(crate) fn choices(&self) -> Option<Vec<&'s str>> {
        let mut choices = Vec::new();
        for alternative in &self.accepting("string").alternatives {
            match (alternative["enum"].as_array(), &alternative["const"]) {
                (Some(names), _) => choices.extend(names.iter().filter_map(Value::as_str)),
                (None, Value::String(name)) => choices.push(name),
                _ => return None,
            }
        }
        (!choices.is_empty()).then_some(choices)
    }

    /// The option whose value names the alternative, as in `strategy = "bearer"`.
    pub(crate) fn tag(&self) -> Option<&'s str> {
        let has_const = |table: &&Value, name: &str| table["properties"][name]["const"].is_string();
        let (first, others) = self.alternatives.split_first()?;
        let mut names = first["properties"].as_object()?.keys().map(String::as_str);
        names.find(|name| {
            !others.is_empty() && has_const(first, name) && others.iter().all(|it| has_const(it, name))
        })
    }

    /// What can be written, in words: "a list, or a string such as "5s"".
    pub(crate) fn in_words(&self) -> String {
        let mut words: Vec<String> = Vec::new();
        for alternative in &self.alternatives {
            for name in type_names(alternative) {
                let word = match name {
                    "string" => strings_in_words(alternative),
                    "integer" => "a whole number".to_owned(),
                    "number" => "a number".to_owned(),
                    "boolean" => "true or false".to_owned(),
                    "array" => "a list".to_owned(),
                    "object" => "a table".to_owned(),
                    other => other.to_owned(),
                };
                if !words.contains(&word) {
                    words.push(word);
                }
            }
        }
        words.join(", or ")
    }
}

/// Whether an option that the schema does not name is a secret by its name: `x-secrets` lists parts of such names.
fn holds_secret(table: &Value, name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let parts = table["x-secrets"].as_array().into_iter().flatten().filter_map(Value::as_str);
    table["properties"].get(&name).is_none() && parts.into_iter().any(|part| name.contains(part))
}

fn strings_in_words(schema: &Value) -> String {
    let quoted = |values: &[Value]| values.iter().map(Value::to_string).collect::<Vec<_>>().join(", ");
    match (&schema["enum"], &schema["const"], &schema["examples"]) {
        (Value::Array(names), _, _) => quoted(names),
        (_, Value::String(name), _) => format!("\"{name}\""),
        (_, _, Value::Array(examples)) => format!("a string such as {}", quoted(examples)),
        _ => "a string".to_owned(),
    }
}

fn type_names(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn accepts(schema: &Value, type_name: &str) -> bool {
    let names = type_names(schema);
    names.is_empty()
        || names.iter().any(|name| *name == type_name || (*name, type_name) == ("number", "integer"))
}

/// The type of a value as a JSON Schema calls it.
pub(crate) fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "string",
        DeValue::Integer(_) => "integer",
        DeValue::Float(_) => "number",
        DeValue::Boolean(_) => "boolean",
        DeValue::Datetime(_) => "date",
        DeValue::Array(_) => "array",
        DeValue::Table(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn alternatives_are_found_behind_references_and_branches() {
        let root = json!({
            "type": "object",
            "properties": {
                "paths": { "anyOf": [{ "type": "string", "examples": ["a.csv"] }, { "$ref": "#/$defs/List" }] },
                "mode": { "oneOf": [{ "type": "boolean" }, { "type": "string", "const": "on" }] },
            },
            "additionalProperties": false,
            "$defs": { "List": { "type": "array", "items": { "type": "string", "writeOnly": true } } }
        });
        let schema = OptionSchema::new(&root);
        let paths = schema.property("paths").unwrap();
        assert_eq!(paths.in_words(), "a string such as \"a.csv\", or a list");
        assert!(!paths.is_secret && paths.items().unwrap().is_secret);
        assert_eq!(paths.choices(), None);
        let mode = schema.property("mode").unwrap();
        assert_eq!((mode.in_words(), mode.choices()), ("true or false, or \"on\"".into(), Some(vec!["on"])));
        assert!(schema.property("other").is_none());
    }

    #[test]
    fn option_that_the_schema_does_not_name_is_a_secret_by_its_name() {
        let root =
            json!({ "type": "object", "additionalProperties": { "type": "string" }, "x-secrets": ["pass"] });
        let schema = OptionSchema::new(&root);
        let is_secret = |name: &str| schema.property(name).unwrap().is_secret;
        assert!(is_secret("sasl.Password") && is_secret("bypass") && !is_secret("linger.ms"));
    }

    #[test]
    fn tag_is_the_constant_that_all_tables_have() {
        let table =
            |kind: &str| json!({ "type": "object", "properties": { "a": { "const": kind }, "b": {} } });
        let root = json!({ "oneOf": [table("x"), table("y")] });
        assert_eq!(OptionSchema::new(&root).tag(), Some("a"));
        assert_eq!(OptionSchema::new(&table("x")).tag(), None);
    }
}
