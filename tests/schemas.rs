//! The committed schemas are what the plugins say.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::TestEnv;

/// Rewrites the committed schemas instead of comparing them.
const UPDATE: &str = "UPDATE_SCHEMAS";

fn files_in(folder: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder).expect("the folder of schemas");
    let files = entries.map(|entry| {
        let entry = entry.expect("an entry");
        let text = std::fs::read_to_string(entry.path()).expect("a schema");
        (entry.file_name().into_string().expect("a plain name"), text)
    });
    files.collect()
}

#[test]
fn committed_schemas_match_plugins() {
    let env = TestEnv::new();
    env.run(["schema", "made"]).assert_code(0);
    let made = files_in(&env.path("made"));
    assert!(made.len() > 10, "one a plugin and one for the file, not {}", made.len());
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    if std::env::var_os(UPDATE).is_some() {
        for name in files_in(&committed).keys().filter(|name| !made.contains_key(*name)) {
            std::fs::remove_file(committed.join(name)).expect("removing a schema that nothing makes");
        }
        for (name, text) in &made {
            std::fs::write(committed.join(name), text).expect("writing a schema");
        }
    }
    let committed = files_in(&committed);
    let names = |of: &BTreeMap<String, String>| of.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&committed), names(&made), "run the tests once with {UPDATE}=1");
    for (name, text) in &made {
        assert!(
            committed[name] == *text,
            "schemas/{name} is out of date: run the tests once with {UPDATE}=1"
        );
    }
}

#[test]
fn every_schema_is_closed_and_without_null() {
    let env = TestEnv::new();
    env.run(["schema", "made"]).assert_code(0);
    for (name, text) in files_in(&env.path("made")) {
        let schema: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{name}");
        assert_eq!(schema["additionalProperties"], false, "{name}");
        let allows_null = |line: &str| {
            line.contains("\"null\"") && !line.contains("\"const\"") && !line.contains("\"title\"")
        };
        assert!(!text.lines().any(allows_null), "{name} allows null, which TOML does not have");
    }
}

#[test]
fn shipped_pipelines_conform_to_schema() {
    let env = TestEnv::new();
    env.run(["schema", "made"]).assert_code(0);
    let schema = files_in(&env.path("made")).remove("pipeline.schema.json").expect("the schema of a file");
    let schema: serde_json::Value = serde_json::from_str(&schema).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
    let mut n_files = 0;
    for entry in std::fs::read_dir(folder).expect("the folder of pipelines") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        n_files += 1;
        let text = std::fs::read_to_string(&path).expect("a pipeline file");
        let file: serde_json::Value = toml::from_str(&text).expect("TOML");
        let errors: Vec<String> =
            validator.iter_errors(&file).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
    }
    assert!(n_files >= 4, "{n_files} pipeline files");
}
