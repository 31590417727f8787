//! Loads pipeline files with the plugins and the environment of this process.

use std::path::{Path, PathBuf};

use runner_core::config::{self, LoadContext};
use runner_core::diagnostics::Diagnostics;
use runner_core::{Pipeline, Registry};

use crate::arguments::Common;
use crate::exit::{Exit, are_messages_json, print_error, print_json, print_message};

/// Reads a file, builds its pipeline and prints its warnings. If this fails, its errors have been printed.
pub(crate) fn load(path: &Path, data_dir: Option<PathBuf>, common: &Common) -> Result<Pipeline, Exit> {
    let pipeline = load_again(path, data_dir, common)?;
    if let Some(warnings) = &pipeline.warnings {
        print_diagnostics(warnings, common);
    }
    Ok(pipeline)
}

/// Reads a file whose warnings have been printed.
pub(crate) fn load_again(path: &Path, data_dir: Option<PathBuf>, common: &Common) -> Result<Pipeline, Exit> {
    let registry = registry()?;
    let surroundings = LoadContext { registry: &registry, lookup: &variable, data_dir };
    config::load(path, &surroundings).map_err(|errors| {
        print_diagnostics(&errors, common);
        Exit::Config
    })
}

/// Prints the errors or warnings of a file, with `--log-format json` each as a JSON line.
fn print_diagnostics(errors: &Diagnostics, common: &Common) {
    if !are_messages_json() {
        return print_message(&errors.render(common.color.on_stderr()));
    }
    for (error, (line, column)) in errors.with_positions() {
        let mut fields = serde_json::Map::new();
        let file = error.other_file.as_ref().map_or(errors.path.as_str(), |file| &file.path);
        fields.insert("file".into(), file.into());
        if error.span.is_some() {
            fields.insert("line".into(), line.into());
            fields.insert("column".into(), column.into());
        }
        let suggestion = error.suggestion.as_ref().map(|name| format!("a similar name exists: {name}"));
        let help: Vec<&str> =
            [error.label.as_str()].into_iter().chain(error.notes.iter().map(String::as_str)).collect();
        let help: Vec<&str> =
            help.into_iter().chain(suggestion.as_deref()).filter(|text| !text.is_empty()).collect();
        if !help.is_empty() {
            fields.insert("help".into(), help.join("; ").into());
        }
        print_json(if error.is_warning { "WARN" } else { "ERROR" }, &error.message, fields);
    }
}

/// Loads pipelines that run together. If this fails, the errors of all files have been printed.
pub(crate) fn load_all(
    paths: &[PathBuf],
    data_dir: Option<&Path>,
    common: &Common,
) -> Result<Vec<Pipeline>, Exit> {
    for (index, path) in paths.iter().enumerate() {
        if paths[..index].contains(path) {
            print_error(&anyhow::anyhow!(
                "{} is given twice; a pipeline cannot run twice at the same time",
                path.display()
            ));
            return Err(Exit::Usage);
        }
    }
    let loaded: Vec<_> = paths.iter().map(|path| load(path, data_dir.map(Path::to_owned), common)).collect();
    let pipelines = loaded.into_iter().collect::<Result<Vec<_>, _>>()?;
    for (index, pipeline) in pipelines.iter().enumerate() {
        if let Some(other) = pipelines[..index].iter().find(|other| other.name == pipeline.name) {
            print_error(&anyhow::anyhow!(
                "{} and {} have the same pipeline name `{}` and would share its checkpoints: run one of \
                 them, or give one a different `name`",
                other.file.display(),
                pipeline.file.display(),
                pipeline.name
            ));
            return Err(Exit::Config);
        }
    }
    check_crawlers(&pipelines)?;
    Ok(pipelines)
}

/// Checks that no two files describe one crawler differently. If this fails, the errors have been printed.
pub(crate) fn check_crawlers(pipelines: &[Pipeline]) -> Result<(), Exit> {
    let crawlers = || pipelines.iter().flat_map(|it| it.crawlers().into_iter().map(move |found| (it, found)));
    let mut checked = Ok(());
    for (place, (pipeline, (sink, crawler))) in crawlers().enumerate() {
        let other = crawlers()
            .take(place)
            .find(|(other, (_, theirs))| other.file != pipeline.file && crawler.conflicts_with(theirs));
        if let Some((other, (their_sink, theirs))) = other {
            print_error(&anyhow::anyhow!(
                "sink `{sink}` of {} describes the same crawler as sink `{their_sink}` of {} with other settings \
                 ({}, there {}): give each its own name in `{}`",
                pipeline.file.display(),
                other.file.display(),
                crawler.settings,
                theirs.settings,
                crawler.option
            ));
            checked = Err(Exit::Config);
        }
    }
    checked
}

/// All plugins that are linked into this binary.
pub(crate) fn registry() -> Result<Registry, Exit> {
    Registry::collect().map_err(|error| {
        print_error(&error);
        Exit::Failed
    })
}

/// A variable of the environment, for `${NAME}` in pipeline files.
#[allow(clippy::disallowed_methods, reason = "the only place that reads the environment for pipeline files")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
