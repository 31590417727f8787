//! The registry: what plugins there are, and what each is told when it is built.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use schemars::{Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use toml::de::ValueDeserializer;

pub use crate::pipeline_options::{BatchLimits, RetryLimits};
use crate::progress::Gauges;
use crate::sink::{Sink, SinkConfig};
use crate::source::{Source, SourceConfig};
use crate::transform::{Transform, TransformConfig};

/// What a component does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Reads records.
    Source,
    /// Changes, filters, paces or counts them.
    Transform,
    /// Writes them.
    Sink,
}

impl Kind {
    /// All kinds, in the order in which records meet them.
    pub const ALL: [Kind; 3] = [Kind::Source, Kind::Transform, Kind::Sink];

    /// The table of a pipeline file that holds components of this kind.
    pub fn section(self) -> &'static str {
        match self {
            Kind::Source => "sources",
            Kind::Transform => "transforms",
            Kind::Sink => "sinks",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::Source => "source",
            Kind::Transform => "transform",
            Kind::Sink => "sink",
        })
    }
}

/// What the registry knows: a name that pipeline files use as `type`, the
/// documentation, and how to build a component.
pub struct Plugin {
    /// What stands behind `type =` in a pipeline file.
    pub name: &'static str,
    /// What it does.
    pub kind: Kind,
    /// A component table that shows its use, without its header.
    pub example: &'static str,
    /// The schema of its options; the doc comments of the config become descriptions.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    pub(crate) read: ReadConfig,
}

inventory::collect!(Plugin);

/// Reads a component's options; what it answers with builds the component.
pub(crate) type ReadConfig = fn(ValueDeserializer<'_>) -> Result<Build, toml::de::Error>;
pub(crate) type Build = Box<dyn FnOnce(&BuildContext) -> Result<Built> + Send>;

/// A component that has been built and not been opened.
pub enum Built {
    /// A source.
    Source(Box<dyn Source>),
    /// A transform.
    Transform(Box<dyn Transform>),
    /// A sink.
    Sink(Box<dyn Sink>),
}

impl Plugin {
    /// A source whose options are `C`.
    pub const fn source<C: SourceConfig>(name: &'static str) -> Self {
        Plugin {
            name,
            kind: Kind::Source,
            example: "",
            schema: SchemaGenerator::root_schema_for_inline::<C>,
            read: |options| {
                let config = C::deserialize(options)?;
                Ok(Box::new(move |context| Ok(Built::Source(config.build(context)?))))
            },
        }
    }

    /// A transform whose options are `C`.
    pub const fn transform<C: TransformConfig>(name: &'static str) -> Self {
        Plugin {
            name,
            kind: Kind::Transform,
            example: "",
            schema: SchemaGenerator::root_schema_for_inline::<C>,
            read: |options| {
                let config = C::deserialize(options)?;
                Ok(Box::new(move |context| Ok(Built::Transform(config.build(context)?))))
            },
        }
    }

    /// A sink whose options are `C`.
    pub const fn sink<C: SinkConfig>(name: &'static str) -> Self {
        Plugin {
            name,
            kind: Kind::Sink,
            example: "",
            schema: SchemaGenerator::root_schema_for_inline::<C>,
            read: |options| {
                let config = C::deserialize(options)?;
                Ok(Box::new(move |context| Ok(Built::Sink(config.build(context)?))))
            },
        }
    }

    /// Adds a component table that shows the plugin's use, without its header.
    #[must_use]
    pub const fn example(mut self, toml: &'static str) -> Self {
        self.example = toml;
        self
    }
}

/// Gives a schema of a type in place, whatever the generator's settings.
trait RootSchema {
    fn root_schema_for_inline<T: schemars::JsonSchema>(&mut self) -> Schema;
}

impl RootSchema for SchemaGenerator {
    fn root_schema_for_inline<T: schemars::JsonSchema>(&mut self) -> Schema {
        T::json_schema(self)
    }
}

/// All plugins that are linked in, by kind and name.
pub struct Registry(BTreeMap<(Kind, &'static str), &'static Plugin>);

impl Registry {
    /// Collects what `register!` has left in this binary; a name that stands
    /// twice for one kind is an error.
    pub fn collect() -> Result<Self> {
        Registry::of(inventory::iter::<Plugin>)
    }

    fn of(registered: impl IntoIterator<Item = &'static Plugin>) -> Result<Self> {
        let mut plugins = BTreeMap::new();
        for plugin in registered {
            if plugins.insert((plugin.kind, plugin.name), plugin).is_some() {
                anyhow::bail!(
                    "two plugins call themselves {} `{}`: rename one of them in its `register!`",
                    plugin.kind,
                    plugin.name
                );
            }
        }
        Ok(Registry(plugins))
    }

    /// The plugin of that kind and name.
    pub fn get(&self, kind: Kind, name: &str) -> Option<&'static Plugin> {
        self.0.get(&(kind, name)).copied()
    }

    /// All of them, sources first, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &'static Plugin> {
        self.0.values().copied()
    }

    /// The names of one kind, in order.
    pub fn names(&self, kind: Kind) -> impl Iterator<Item = &'static str> {
        self.iter().filter(move |plugin| plugin.kind == kind).map(|plugin| plugin.name)
    }
}

/// What a component is told when it is built.
#[derive(Clone, Debug)]
pub struct BuildContext {
    /// The name of the pipeline.
    pub pipeline: String,
    /// The name of the component in its file.
    pub component: String,
    /// The folder of the pipeline file; relative paths begin here.
    pub folder: PathBuf,
    /// How large batches may become.
    pub batch: BatchLimits,
    /// How long to keep trying.
    pub retry: RetryLimits,
    /// What the component shows while it runs.
    pub gauges: Arc<Gauges>,
    /// Where the sinks in front of this one write to, if they say so.
    pub upstream_locations: Vec<String>,
    /// The sources in front of this one that count their records, each from 0, by name; for the
    /// sink of `[dead_letter]` those of the whole file.
    pub numbered_by: Vec<String>,
    /// Whether it is the sink of `[dead_letter]`. A letter that is written again after a crash
    /// says another time, and is another letter with the same name.
    pub is_dead_letter: bool,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_once_for_a_kind_and_the_list_is_in_order() {
        let stories: Vec<&'static Plugin> = inventory::iter::<Plugin>.into_iter().collect();
        let listed = |registry: Registry| registry.iter().map(|it| (it.kind, it.name)).collect::<Vec<_>>();
        let all = listed(Registry::of(stories.iter().copied()).unwrap());
        assert!(all.len() >= 3 && all.is_sorted(), "{all:?}");
        let reversed = Registry::of(stories.iter().rev().copied()).unwrap();
        assert_eq!(listed(reversed), all, "however they were linked");
        let twice = stories.iter().chain(&stories[..1]).copied();
        let error = Registry::of(twice).err().expect("one too many").to_string();
        let name = format!("`{}`: rename one of them", stories[0].name);
        assert!(error.contains(&name), "{error}");
    }
}
