//! Reads a pipeline file with the surroundings of this process.

use std::path::{Path, PathBuf};

use runner_core::config::{Surroundings, load};
use runner_core::{Pipeline, Registry};

use crate::arguments::Common;
use crate::exit::{Exit, say, say_error};

/// Reads and builds a pipeline; what is wrong with it has been said if this fails.
pub(crate) fn read(path: &Path, data_dir: Option<PathBuf>, common: &Common) -> Result<Pipeline, Exit> {
    let registry = registry()?;
    let surroundings = Surroundings { registry: &registry, lookup: &variable, data_dir };
    load(path, &surroundings).map_err(|slips| {
        say(&slips.render(common.color.on_stderr()));
        Exit::Config
    })
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
