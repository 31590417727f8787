//! `runner plugins`: lists the plugins, or shows the documentation and options of one.

use std::io::Write as _;

use runner_core::diagnostics::similar;
use runner_core::schema::options_schema;
use runner_core::{Kind, Plugin};
use serde_json::Value;

use crate::arguments::PluginsArguments;
use crate::exit::{Exit, print_error};
use crate::pipeline_file;

pub(crate) fn show(arguments: &PluginsArguments) -> Exit {
    let registry = match pipeline_file::registry() {
        Ok(registry) => registry,
        Err(exit) => return exit,
    };
    let text = match &arguments.name {
        None => Kind::ALL.map(|kind| list(kind, registry.iter())).join("\n"),
        Some(name) => {
            let found: Vec<String> =
                registry.iter().filter(|plugin| plugin.name == name).map(describe).collect();
            if found.is_empty() {
                let meant = similar(name, registry.iter().map(|plugin| plugin.name));
                let hint = meant.map_or(String::new(), |meant| format!("did you mean `{meant}`? "));
                print_error(&anyhow::anyhow!(
                    "unknown plugin `{name}`; {hint}`runner plugins` lists all plugins"
                ));
                return Exit::Usage;
            }
            found.join("\n")
        }
    };
    // A closed stdout (`| head`) is not an error.
    let _ = anstream::stdout().lock().write_all(text.as_bytes());
    Exit::Done
}

fn list(kind: Kind, plugins: impl Iterator<Item = &'static Plugin>) -> String {
    let mut out = format!("\x1b[1m{}\x1b[0m\n", kind.section());
    for plugin in plugins.filter(|plugin| plugin.kind == kind) {
        let schema = options_schema(plugin);
        let summary = text_of(&schema, "description");
        let summary = summary.split("\n\n").next().unwrap_or_default().replace('\n', " ");
        out += &format!("  {:<12} {summary}\n", plugin.name);
    }
    out
}

fn describe(plugin: &'static Plugin) -> String {
    let schema = options_schema(plugin);
    let mut out = format!("\x1b[1m{} {}\x1b[0m\n\n", plugin.kind, plugin.name);
    out += &indented(text_of(&schema, "description"), "  ");
    out += "\n\x1b[1mOptions\x1b[0m\n";
    let listed = options(&schema, "", "  ");
    out += if listed.is_empty() { "  none\n" } else { listed.as_str() };
    if !plugin.example.is_empty() {
        out += "\n\x1b[1mExample\x1b[0m\n";
        out += &format!("  [{}.NAME]\n", plugin.kind.section());
        out += &indented(plugin.example.trim(), "  ");
    }
    out
}

/// The options of a table except `tag`. The options of a nested table follow its own line, indented.
fn options(schema: &Value, tag: &str, indent: &str) -> String {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let inner = format!("{indent}    ");
    let mut out = String::new();
    for (name, option) in properties(schema).filter(|(name, _)| *name != tag) {
        let presence = if required.contains(&name.as_str()) {
            "required".to_owned()
        } else {
            option.get("default").map_or("optional".into(), |default| format!("default {default}"))
        };
        out += &format!("{indent}\x1b[1m{name}\x1b[0m ({}, {presence})\n", type_name(option));
        out += &indented(text_of(option, "description"), &inner);
        for (value, meaning) in values(option) {
            out += &indented(&format!("{value}: {}", meaning.replace('\n', " ")), &inner);
        }
        for table in tables(option) {
            match properties(table).find_map(|(name, option)| Some((name, option.get("const")?))) {
                None => out += &options(table, "", &inner),
                Some((tag, value)) => {
                    let deeper = format!("{inner}    ");
                    out += &format!("{inner}\x1b[1m{tag} = {value}\x1b[0m\n");
                    out += &indented(text_of(table, "description"), &deeper);
                    out += &options(table, tag, &deeper);
                }
            }
        }
    }
    out
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

fn branches(schema: &Value) -> impl Iterator<Item = &Value> {
    ["oneOf", "anyOf"].iter().filter_map(|key| schema[*key].as_array()).flatten()
}

/// The values of an option that are described, with their descriptions.
fn values(option: &Value) -> impl Iterator<Item = (&Value, &str)> {
    let described = branches(option).filter_map(|it| Some((it.get("const")?, text_of(it, "description"))));
    described.filter(|(_, meaning)| !meaning.is_empty())
}

/// The tables that an option accepts: none, one, or one for each value of a tag. The values of a map and the items of a
/// list count too.
fn tables(option: &Value) -> Vec<&Value> {
    let parts = [option, &option["additionalProperties"], &option["items"]];
    let all = parts.into_iter().flat_map(|part| branches(part).chain([part]));
    all.filter(|table| table["properties"].is_object()).collect()
}

fn text_of<'a>(schema: &'a Value, key: &str) -> &'a str {
    schema[key].as_str().unwrap_or_default()
}

fn indented(text: &str, indent: &str) -> String {
    text.lines().map(|line| format!("{}\n", format!("{indent}{line}").trim_end())).collect()
}

/// The type of a value of this schema, or the values that it may have.
fn type_name(schema: &Value) -> String {
    let alternatives = ["oneOf", "anyOf"].iter().find_map(|key| schema[*key].as_array());
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().map(Value::to_string).collect::<Vec<_>>().join(" or ");
    }
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    if let Some(alternatives) = alternatives {
        let mut names: Vec<String> = alternatives.iter().map(type_name).collect();
        names.dedup();
        return names.join(" or ");
    }
    match schema["type"].as_str() {
        Some("object") => "table".into(),
        Some("array") => format!("list of {}", type_name(&schema["items"])),
        Some(name) => name.into(),
        None => "any".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_and_options_of_nested_tables_are_indented() {
        let text = json!({ "type": "string" });
        let schema = json!({ "properties": {
            "tls": { "type": "object", "description": "Certificates.", "properties": { "ca_file": text } },
            "fields": { "type": "object", "additionalProperties": { "properties": { "from": text } } },
            "keys": { "oneOf": [{ "const": "keep", "description": "As they\nare." }, { "const": "snake_case" }] },
            "auth": { "oneOf": [{
                "type": "object",
                "description": "A token.",
                "properties": { "strategy": { "const": "bearer" }, "token": text },
                "required": ["strategy", "token"],
            }] },
        } });
        let plain = options(&schema, "", "  ").replace("\x1b[1m", "").replace("\x1b[0m", "");
        let expected = "  tls (table, optional)\n      Certificates.\n      ca_file (string, optional)\n  fields (table, optional)\n      from (string, optional)\n  keys (\"keep\" or \"snake_case\", optional)\n      \"keep\": As they are.\n  auth (table, optional)\n      strategy = \"bearer\"\n          A token.\n          token (string, required)\n";
        assert_eq!(plain, expected);
    }
}
