//! The registry of plugins.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;
use schemars::{Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use toml::de::ValueDeserializer;

use crate::build_context::BuildContext;
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
    /// All kinds, in the order in which records pass them.
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
    /// The value of `type` in a pipeline file.
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
    /// Collects the plugins that were registered in this binary with `register!`; two plugins of
    /// the same kind and name are an error.
    pub fn collect() -> Result<Self> {
        Registry::of(inventory::iter::<Plugin>)
    }

    fn of(registered: impl IntoIterator<Item = &'static Plugin>) -> Result<Self> {
        let mut plugins = BTreeMap::new();
        for plugin in registered {
            if plugins.insert((plugin.kind, plugin.name), plugin).is_some() {
                anyhow::bail!(
                    "two plugins are registered as {} `{}`: rename one of them in its `register!`",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registry_lists_in_order_and_refuses_duplicates() {
        let plugins: Vec<&'static Plugin> = inventory::iter::<Plugin>.into_iter().collect();
        let listed = |registry: Registry| registry.iter().map(|it| (it.kind, it.name)).collect::<Vec<_>>();
        let all = listed(Registry::of(plugins.iter().copied()).unwrap());
        assert!(all.len() >= 3 && all.is_sorted(), "{all:?}");
        let reversed = Registry::of(plugins.iter().rev().copied()).unwrap();
        assert_eq!(listed(reversed), all, "independent of the link order");
        let twice = plugins.iter().chain(&plugins[..1]).copied();
        let error = Registry::of(twice).err().expect("one is registered twice").to_string();
        let name = format!("`{}`: rename one of them", plugins[0].name);
        assert!(error.contains(&name), "{error}");
    }
}
