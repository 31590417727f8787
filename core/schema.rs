//! JSON Schemas: one a plugin, and one for the whole pipeline file.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::pipeline_options::PipelineOptions;
use crate::plugin::{Kind, Plugin, Registry};

/// The dialect of every schema here.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true).into_generator()
}

/// The schema of a config type, without `null`: TOML has none.
pub(crate) fn schema_of<T: JsonSchema>() -> Value {
    finish(T::json_schema(&mut generator()))
}

/// The schema of a plugin's options.
pub fn options_schema(plugin: &Plugin) -> Value {
    finish((plugin.schema)(&mut generator()))
}

fn finish(schema: Schema) -> Value {
    let mut schema = schema.to_value();
    tidy(&mut schema);
    schema
}

/// Removes `null` and the names of Rust's integer types.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Array(types)) = fields.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = &types[..] {
                    fields["type"] = only.clone();
                }
            }
            if let Some(Value::Array(branches)) = fields.get_mut("anyOf") {
                branches.retain(|branch| branch != &json!({ "type": "null" }));
                if branches.len() == 1
                    && let Some(Value::Object(only)) = branches.pop()
                {
                    fields.remove("anyOf");
                    for (key, value) in only {
                        fields.entry(key).or_insert(value);
                    }
                }
            }
            if let Some(Value::Array(values)) = fields.get_mut("enum") {
                values.retain(|value| !value.is_null());
            }
            if fields.get("default") == Some(&Value::Null) {
                fields.remove("default");
            }
            // An option may be called `format` as well; its schema is not text.
            if fields.get("format").is_some_and(Value::is_string) {
                fields.remove("format");
            }
            fields.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// Lets every number, boolean and choice be a string with a variable, as in `"${RATE}"`.
fn allow_variables(schema: &mut Value) {
    let Value::Object(fields) = schema else { return };
    for key in ["properties", "$defs"] {
        if let Some(Value::Object(properties)) = fields.get_mut(key) {
            properties.values_mut().for_each(allow_variables);
        }
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get_mut(key) {
            allow_variables(inner);
        }
    }
    for key in ["oneOf", "anyOf"] {
        let Some(Value::Array(branches)) = fields.get_mut(key) else { continue };
        // One branch for all of them: a string that fits two branches fits no `oneOf`.
        let mut variables: Vec<Value> = branches.iter().filter_map(variable).collect();
        for branch in branches.iter_mut().filter(|branch| variable(branch).is_none()) {
            allow_variables(branch);
        }
        let is_any_string = branches.iter().any(|it| it["type"] == "string" && variable(it).is_none());
        if !is_any_string && let Some(widest) = variables.pop() {
            branches.push(widest);
        }
    }
    // The options of a tagged table: its tag says which they are, and stays.
    let Some(variable) = fields.get("const").is_none().then(|| variable_of(fields)).flatten() else { return };
    let kept = ["description", "default", "title"];
    let mut plain = Map::new();
    let mut outer = Map::new();
    for (key, value) in std::mem::take(fields) {
        if kept.contains(&key.as_str()) {
            outer.insert(key, value);
        } else {
            plain.insert(key, value);
        }
    }
    outer.insert("anyOf".into(), json!([plain, variable]));
    *fields = outer;
}

fn variable(schema: &Value) -> Option<Value> {
    variable_of(schema.as_object()?)
}

/// The strings with variables that may stand where a value of this schema does: a number or a
/// boolean is one variable, a choice among strings may be put together. `None` for what is neither.
fn variable_of(schema: &Map<String, Value>) -> Option<Value> {
    let pattern = match schema.get("type").and_then(Value::as_str) {
        Some("integer" | "number" | "boolean") => r"^\$\{[^}]*\}$",
        Some("string") if schema.contains_key("enum") || schema.contains_key("const") => r"\$\{",
        _ => return None,
    };
    Some(json!({ "type": "string", "pattern": pattern }))
}

/// The table of one component: its options, its `type`, its `inputs`.
fn component_schema(plugin: &Plugin, has_inputs: bool) -> Value {
    let mut schema = options_schema(plugin);
    allow_variables(&mut schema);
    let fields = schema.as_object_mut().expect("a config is an object");
    fields.insert("type".into(), "object".into());
    fields.insert("additionalProperties".into(), false.into());
    let mut properties = Map::new();
    properties.insert("type".into(), json!({ "const": plugin.name, "description": "The plugin." }));
    let mut required = vec![json!("type")];
    if has_inputs {
        let inputs = json!({
            "description": "The components whose records it takes.",
            "type": "array",
            "items": { "type": "string" },
            "minItems": 1,
            "uniqueItems": true,
        });
        properties.insert("inputs".into(), inputs);
        required.push(json!("inputs"));
    }
    if let Some(Value::Object(own)) = fields.remove("properties") {
        properties.extend(own);
    }
    if let Some(Value::Array(own)) = fields.remove("required") {
        required.extend(own);
    }
    fields.insert("properties".into(), properties.into());
    fields.insert("required".into(), required.into());
    fields.insert("title".into(), plugin.name.into());
    schema
}

/// The schema of one plugin's component table, as a file of its own.
pub fn plugin_schema(plugin: &Plugin) -> Value {
    let mut schema = component_schema(plugin, plugin.kind != Kind::Source);
    let fields = schema.as_object_mut().expect("a component is an object");
    let mut whole = Map::new();
    whole.insert("$schema".into(), DIALECT.into());
    whole.extend(std::mem::take(fields));
    whole.into()
}

/// The schema of a whole pipeline file.
pub fn pipeline_schema(registry: &Registry) -> Value {
    let mut schema = schema_of::<PipelineOptions>();
    allow_variables(&mut schema);
    let components = |kind: Kind, has_inputs: bool| -> Vec<Value> {
        registry
            .iter()
            .filter(|plugin| plugin.kind == kind)
            .map(|plugin| component_schema(plugin, has_inputs))
            .collect()
    };
    let section = |kind: Kind, what: &str| {
        json!({
            "description": what,
            "type": "object",
            "minProperties": usize::from(kind != Kind::Transform),
            "additionalProperties": { "oneOf": components(kind, kind != Kind::Source) },
            "x-tombi-additional-key-label": "name",
        })
    };
    let fields = schema.as_object_mut().expect("a file is an object");
    fields.insert("title".into(), "A pipeline of runner".into());
    fields.insert("additionalProperties".into(), false.into());
    let properties = fields.entry("properties").or_insert_with(|| json!({}));
    properties["dead_letter"] = json!({
        "description": "The sink that receives the rejected records of all components. Without it the first bad record ends the run.",
        "oneOf": components(Kind::Sink, false),
    });
    properties["sources"] = section(Kind::Source, "The sources, which read records.");
    properties["transforms"] =
        section(Kind::Transform, "The transforms, which change, filter or route records.");
    properties["sinks"] = section(Kind::Sink, "The sinks, which write records.");
    fields.insert("required".into(), json!(["sources", "sinks"]));
    let mut whole = Map::new();
    whole.insert("$schema".into(), DIALECT.into());
    whole.extend(std::mem::take(fields));
    whole.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_variables(mut schema: Value) -> Value {
        allow_variables(&mut schema);
        schema
    }

    #[test]
    fn numbers_and_choices_may_be_variables() {
        let one = json!({ "type": "string", "pattern": r"^\$\{[^}]*\}$" });
        let part = json!({ "type": "string", "pattern": r"\$\{" });
        let number = json!({ "type": "integer", "minimum": 1 });
        assert_eq!(with_variables(number.clone()), json!({ "anyOf": [number, one] }));

        let choice = json!({ "type": "string", "enum": ["gzip", "zstd"] });
        let described = json!({ "type": "string", "enum": ["gzip", "zstd"], "description": "How." });
        assert_eq!(with_variables(described), json!({ "description": "How.", "anyOf": [choice, part] }));

        // What has words of its own for some choices, or takes a boolean as well.
        let on = json!({ "type": "string", "const": "on" });
        let mixed = json!({ "oneOf": [on, choice] });
        assert_eq!(with_variables(mixed), json!({ "oneOf": [on, choice, part] }));
        let flag = json!({ "type": "boolean" });
        assert_eq!(with_variables(json!({ "oneOf": [flag, on] })), json!({ "oneOf": [flag, on, part] }));
    }

    #[test]
    fn what_is_a_string_anyway_or_a_tag_stays_as_it_is() {
        let text = json!({ "type": "string" });
        assert_eq!(with_variables(text.clone()), text);
        let any = json!({ "anyOf": [text, { "type": "integer" }] });
        assert_eq!(with_variables(any.clone()), any);
        let tagged =
            json!({ "type": "object", "properties": { "type": { "type": "string", "const": "link" } } });
        assert_eq!(with_variables(tagged.clone()), tagged);
    }
}
