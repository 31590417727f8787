//! `runner schema`: writes the JSON Schemas of pipeline files and plugins.

use std::path::Path;

use anyhow::{Context as _, Result};
use runner_core::schema::{pipeline_schema, plugin_schema};
use serde_json::Value;

use crate::arguments::SchemaArguments;
use crate::exit::{Exit, print_error, print_message};
use crate::pipeline_file;

pub(crate) fn write(arguments: &SchemaArguments) -> Exit {
    let registry = match pipeline_file::registry() {
        Ok(registry) => registry,
        Err(exit) => return exit,
    };
    let mut files = vec![("pipeline.schema.json".to_owned(), pipeline_schema(&registry))];
    for plugin in registry.iter() {
        files.push((format!("{}.{}.schema.json", plugin.kind, plugin.name), plugin_schema(plugin)));
    }
    match write_all(&arguments.folder, &files) {
        Ok(()) => {
            print_message(&format!("wrote {} schemas to {}", files.len(), arguments.folder.display()));
            Exit::Done
        }
        Err(error) => {
            print_error(&error);
            Exit::Failed
        }
    }
}

fn write_all(folder: &Path, files: &[(String, Value)]) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    for (name, schema) in files {
        let path = folder.join(name);
        let text = serde_json::to_string_pretty(schema).context("writing a schema")? + "\n";
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}
