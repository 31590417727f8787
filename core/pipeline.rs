//! A pipeline is components that have been built and not been opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::checkpoint::{Checkpoint, Checkpoints};
use crate::diagnostics::Diagnostics;
use crate::pipeline_options::{BatchLimits, RetryLimits};
use crate::plugin::{Built, Kind};
use crate::progress::{Counters, Gauges, get};
use crate::sink::{CrawlerDefinition, Sink};
use crate::source::{Replay, without_text};
use crate::state_folder::StateFolder;
use crate::test_case::TestCase;

/// The name that the dead-letter sink has in messages and reports.
pub(crate) const DEAD_LETTER: &str = "dead_letter";

/// Components that have been built from one file, wired by their inputs.
pub struct Pipeline {
    /// Its name in logs and checkpoints.
    pub name: String,
    /// The file it was read from, as the user wrote it.
    pub file: PathBuf,
    /// Where its checkpoints are stored.
    pub(crate) state: StateFolder,
    /// What is odd about the file.
    pub warnings: Option<Box<Diagnostics>>,
    pub(crate) batch: BatchLimits,
    pub(crate) retry: RetryLimits,
    /// Every component comes after its inputs.
    pub(crate) components: Vec<Component>,
    pub(crate) dead_letter: Option<Component>,
    pub(crate) checkpoints: Checkpoints,
    /// Whether nothing is stored; see `dry_run.rs`.
    pub(crate) stores_nothing: bool,
    /// The tests of the file.
    pub tests: Vec<TestCase>,
}

/// Whether any of them is a source that keeps its position in a checkpoint.
pub(crate) fn keep_checkpoints(components: &[Component]) -> bool {
    components.iter().any(
        |component| matches!(&component.built, Built::Source(source) if source.replay() != Replay::External),
    )
}

/// A component that has been built.
pub(crate) struct Component {
    pub(crate) name: String,
    /// The name of its plugin.
    pub(crate) plugin: &'static str,
    pub(crate) inputs: Vec<usize>,
    /// Which output of each input it reads; 0 for a component that has one output.
    pub(crate) input_outputs: Vec<usize>,
    pub(crate) built: Built,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) counters: Arc<Counters>,
    /// Whether it is the sink of `[dead_letter]`.
    pub(crate) is_dead_letter: bool,
}

impl Component {
    pub(crate) fn kind(&self) -> Kind {
        match self.built {
            Built::Source(_) => Kind::Source,
            Built::Transform(_) => Kind::Transform,
            Built::Sink(_) => Kind::Sink,
        }
    }

    pub(crate) fn sink(&self) -> Option<&dyn Sink> {
        match &self.built {
            Built::Sink(sink) => Some(&**sink),
            Built::Source(_) | Built::Transform(_) => None,
        }
    }

    /// The crawler that it describes, if it is a sink that does.
    pub(crate) fn crawler(&self) -> Option<CrawlerDefinition> {
        Some(self.sink()?.crawler()?.definition())
    }

    /// The names of its outputs; none if it has one output without a name.
    pub(crate) fn outputs(&self) -> &[String] {
        match &self.built {
            Built::Transform(transform) => transform.outputs(),
            Built::Source(_) | Built::Sink(_) => &[],
        }
    }

    pub(crate) fn n_outputs(&self) -> usize {
        self.outputs().len().max(1)
    }
}

impl Pipeline {
    /// Shows what its components are doing, while it runs and afterwards.
    pub fn monitors(&self) -> Vec<Monitor> {
        let all = self.components.iter().chain(&self.dead_letter);
        all.map(|component| Monitor {
            name: component.name.clone(),
            kind: component.kind(),
            plugin: component.plugin,
            filter_reason: match &component.built {
                Built::Transform(transform) => transform.filter_reason(),
                Built::Source(_) | Built::Sink(_) => "",
            },
            gauges: Arc::clone(&component.gauges),
            counters: Arc::clone(&component.counters),
        })
        .collect()
    }

    /// The crawlers that its sinks describe, with the names of the sinks.
    pub fn crawlers(&self) -> Vec<(&str, CrawlerDefinition)> {
        self.components.iter().filter_map(|it| Some((it.name.as_str(), it.crawler()?))).collect()
    }

    /// The folder of its checkpoints.
    pub fn data_dir(&self) -> &Path {
        &self.state.path
    }

    /// Whether any source keeps its position in a checkpoint.
    pub fn keeps_checkpoints(&self) -> bool {
        keep_checkpoints(&self.components)
    }

    /// The entry number of the next record that a source reads after it has resumed from this
    /// checkpoint; `None` if the file has no source of that name whose records the engine counts.
    pub fn next_entry(&self, checkpoint: &Checkpoint) -> Option<u64> {
        let component = self.components.iter().find(|component| component.name == checkpoint.component)?;
        let Built::Source(source) = &component.built else { return None };
        let replay = source.replay();
        let fresh = Checkpoint::new(&self.name, &component.name, component.plugin, source.identity());
        let migrated = self.state.moved_here(checkpoint.clone()).migrated_to(source.as_ref());
        (replay != Replay::External).then(|| migrated.resume(fresh, replay).next_entry)
    }

    /// The position of a checkpoint as `runner checkpoint show` prints it: without tokens of an API.
    pub fn shown_position(&self, checkpoint: &Checkpoint) -> Option<Value> {
        let is_reader = |it: &&Component| it.name == checkpoint.component && it.plugin == checkpoint.plugin;
        let position = checkpoint.position.as_ref()?;
        Some(match self.components.iter().find(is_reader).map(|component| &component.built) {
            Some(Built::Source(source)) => source.shown_position(position),
            _ => without_text(position),
        })
    }

    /// The sinks of the pipeline that crawl, with their names.
    pub fn into_crawlers(self) -> Vec<(String, Box<dyn Sink>, Arc<Gauges>)> {
        let crawlers = self.components.into_iter().filter_map(|component| match component.built {
            Built::Sink(sink) if sink.crawler().is_some() => Some((component.name, sink, component.gauges)),
            _ => None,
        });
        crawlers.collect()
    }

    /// Takes the sink of `[dead_letter]` out of the pipeline.
    pub fn take_dead_letter(&mut self) -> Option<Box<dyn Sink>> {
        match self.dead_letter.take()?.built {
            Built::Sink(sink) => Some(sink),
            _ => None,
        }
    }

    /// The components that a record passes on its way to `component`, and that component. The name
    /// may be that of an output, as in `split.nya`.
    pub fn path_to(&self, component: &str) -> Vec<String> {
        let named = self.find_output(component).map(|(index, _)| index);
        let mut is_on_path = vec![false; self.components.len()];
        let mut waiting: Vec<usize> = named.into_iter().collect();
        while let Some(index) = waiting.pop() {
            if !std::mem::replace(&mut is_on_path[index], true) {
                waiting.extend(&self.components[index].inputs);
            }
        }
        let on_path = self.components.iter().zip(is_on_path).filter(|(_, is_on_path)| *is_on_path);
        on_path.map(|(component, _)| component.name.clone()).collect()
    }

    /// The component that a name such as `split` or `split.nya` stands for, and which of its
    /// outputs, if the name has one.
    pub fn output_named(&self, name: &str) -> Option<(String, Option<usize>)> {
        self.find_output(name).map(|(index, output)| (self.components[index].name.clone(), output))
    }

    fn find_output(&self, name: &str) -> Option<(usize, Option<usize>)> {
        if let Some(index) = self.components.iter().position(|it| it.name == name) {
            return Some((index, None));
        }
        self.components.iter().enumerate().find_map(|(index, component)| {
            let output = output_of(name, &component.name)?;
            let output = component.outputs().iter().position(|known| known == output)?;
            Some((index, Some(output)))
        })
    }

    /// The outputs of a component, if they have names.
    pub fn outputs(&self, component: &str) -> Vec<String> {
        let found = self.components.iter().find(|it| it.name == component);
        found.map_or_else(Vec::new, |it| it.outputs().to_vec())
    }

    /// How large the batches of its sources are.
    pub fn batch(&self) -> BatchLimits {
        self.batch
    }

    /// How long failed operations are retried.
    pub fn retry(&self) -> RetryLimits {
        self.retry
    }
}

/// Shows what one component is doing.
#[derive(Clone, Debug)]
pub struct Monitor {
    /// Its name in the file.
    pub name: String,
    /// What it does.
    pub kind: Kind,
    /// The name of its plugin.
    pub plugin: &'static str,
    /// Why it filters a record; empty if it is not a transform or does not say so.
    pub filter_reason: &'static str,
    /// What the component sets itself.
    pub gauges: Arc<Gauges>,
    pub(crate) counters: Arc<Counters>,
}

/// The output that an input names, given its component.
pub(crate) fn output_of<'a>(input: &'a str, component: &str) -> Option<&'a str> {
    input.strip_prefix(component)?.strip_prefix('.')
}

/// The counters of a component at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Records it has read or received.
    pub records_in: u64,
    /// Records it has sent, or stored.
    pub records_out: u64,
    /// Records it has filtered out on purpose.
    pub filtered: u64,
    /// Records it has rejected: they went to the dead letters, or ended the run.
    pub rejected: u64,
    /// Records it held when the pipeline stopped or failed, and has not processed; they will be read again.
    pub released: u64,
    /// Bytes of bodies that came in.
    pub bytes_in: u64,
    /// Bytes of bodies that it has sent, or stored.
    pub bytes_out: u64,
    /// How often it has retried.
    pub retries: u64,
}

impl Monitor {
    /// The counters now.
    pub fn counts(&self) -> Counts {
        Counts {
            records_in: get(&self.counters.records_in),
            records_out: get(&self.counters.records_out),
            filtered: get(&self.counters.filtered),
            rejected: get(&self.counters.rejected),
            released: get(&self.counters.released),
            bytes_in: get(&self.counters.bytes_in),
            bytes_out: get(&self.counters.bytes_out),
            retries: get(&self.counters.retries),
        }
    }
}
