//! Reads a pipeline file with the surroundings of this process.

use std::path::{Path, PathBuf};

use runner_core::config::{LoadContext, load};
use runner_core::{Pipeline, Registry};

use crate::arguments::Common;
use crate::exit::{Exit, say, say_error};

/// Reads and builds a pipeline; what is wrong with it has been said if this fails.
pub(crate) fn read(path: &Path, data_dir: Option<PathBuf>, common: &Common) -> Result<Pipeline, Exit> {
    let registry = registry()?;
    let surroundings = LoadContext { registry: &registry, lookup: &variable, data_dir };
    load(path, &surroundings).map_err(|slips| {
        say(&slips.render(common.color.on_stderr()));
        Exit::Config
    })
}

/// Reads pipelines that are to run together; what is wrong with any of them has been said if this fails.
pub(crate) fn read_all(
    paths: &[PathBuf],
    data_dir: Option<&Path>,
    common: &Common,
) -> Result<Vec<Pipeline>, Exit> {
    for (index, path) in paths.iter().enumerate() {
        if paths[..index].contains(path) {
            say_error(&anyhow::anyhow!("{} is given twice; a file runs once at a time", path.display()));
            return Err(Exit::Usage);
        }
    }
    let read: Vec<_> = paths.iter().map(|path| read(path, data_dir.map(Path::to_owned), common)).collect();
    let read = read.into_iter().collect::<Result<Vec<_>, _>>()?;
    for (index, pipeline) in read.iter().enumerate() {
        if let Some(other) = read[..index].iter().find(|other| other.name == pipeline.name) {
            say_error(&anyhow::anyhow!(
                "{} and {} are both the pipeline `{}`, which keeps one position and one count: run one of \
                 them, or give one another `name`",
                other.file.display(),
                pipeline.file.display(),
                pipeline.name
            ));
            return Err(Exit::Config);
        }
    }
    Ok(read)
}

/// All plugins of this binary.
pub(crate) fn registry() -> Result<Registry, Exit> {
    Registry::collect().map_err(|error| {
        say_error(&error);
        Exit::Failed
    })
}

/// The environment, as pipeline files see it.
#[allow(clippy::disallowed_methods, reason = "this is where the environment comes in")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
