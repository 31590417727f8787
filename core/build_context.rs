//! What a component is told when it is built.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::pipeline_options::{BatchLimits, RetryLimits};
use crate::progress::Gauges;
use crate::text_error::Warnings;

/// The part of the pipeline that feeds a component.
#[derive(Clone, Debug, Default)]
pub struct Upstream {
    /// The sources whose records get their entry numbers in this pipeline, each counted from 0, in
    /// the order of their names. For the sink of `[dead_letter]` those of the whole file.
    pub counting_sources: Vec<String>,
    /// The folders that the sinks before this component write to; see
    /// [`Sink::location`](crate::Sink::location).
    pub locations: Vec<String>,
    /// Whether records of its sources may also go to components that it does not feed: a component before it has
    /// several readers.
    pub has_branches: bool,
}

/// What a component is told when it is built.
#[derive(Clone, Debug)]
pub struct BuildContext {
    /// The name of the pipeline.
    pub pipeline: String,
    /// The name of the component in its file.
    pub component: String,
    /// The folder of the pipeline file; relative paths start here.
    pub folder: PathBuf,
    /// How large batches may become.
    pub batch: BatchLimits,
    /// How long failed operations are retried.
    pub retry: RetryLimits,
    /// What the component shows while it runs.
    pub gauges: Arc<Gauges>,
    /// What feeds the component.
    pub upstream: Upstream,
    /// Whether it is the sink of `[dead_letter]`. A dead letter that is written again after a
    /// crash has another time, and so other content.
    pub is_dead_letter: bool,
    /// What is odd about the component, for the user to see.
    pub warnings: Warnings,
}

impl BuildContext {
    /// `path` as the pipeline file means it: relative to the file's folder.
    pub fn resolve(&self, path: impl AsRef<Path>) -> PathBuf {
        self.folder.join(path)
    }

    /// To add to "no such file": that the path would exist in the current folder.
    pub fn path_hint(&self, path: impl AsRef<Path>) -> String {
        let path = path.as_ref();
        if path.is_relative() && path.exists() && !self.resolve(path).exists() {
            format!(
                "; it exists in the current folder, but paths in a pipeline file are relative to that file ({})",
                self.folder.display()
            )
        } else {
            String::new()
        }
    }
}
