//! Builds components by the names of their plugins.

use anyhow::{Context as _, Result};
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::build_context::BuildContext;
use crate::plugin::{Built, Kind, Registry};
use crate::sink::Sink;
use crate::source::Source;
use crate::transform::Transform;

/// Builds a source of a plugin that is linked in, with options as in the table of a pipeline file.
///
/// # Panics
///
/// If no plugin of this kind has the name, or the options are invalid.
#[track_caller]
pub fn build_source(plugin: &str, options: &str, context: &BuildContext) -> Box<dyn Source> {
    match build(Kind::Source, plugin, options, context) {
        Ok(Built::Source(source)) => source,
        other => not_built(Kind::Source, plugin, other),
    }
}

/// Builds a transform, as [`build_source`] does a source.
///
/// # Panics
///
/// If no plugin of this kind has the name, or the options are invalid.
#[track_caller]
pub fn build_transform(plugin: &str, options: &str, context: &BuildContext) -> Box<dyn Transform> {
    match build(Kind::Transform, plugin, options, context) {
        Ok(Built::Transform(transform)) => transform,
        other => not_built(Kind::Transform, plugin, other),
    }
}

/// Builds a sink, as [`build_source`] does a source.
///
/// # Panics
///
/// If no plugin of this kind has the name, or the options are invalid.
#[track_caller]
pub fn build_sink(plugin: &str, options: &str, context: &BuildContext) -> Box<dyn Sink> {
    match build(Kind::Sink, plugin, options, context) {
        Ok(Built::Sink(sink)) => sink,
        other => not_built(Kind::Sink, plugin, other),
    }
}

#[track_caller]
fn not_built(kind: Kind, plugin: &str, built: Result<Built>) -> ! {
    match built {
        Ok(_) => panic!("the plugin `{plugin}` builds no {kind}"),
        Err(error) => panic!("{kind} `{plugin}`: {error:#}"),
    }
}

fn build(kind: Kind, plugin: &str, options: &str, context: &BuildContext) -> Result<Built> {
    let registry = Registry::collect()?;
    let plugin = registry.get(kind, plugin).with_context(|| format!("no {kind} is called `{plugin}`"))?;
    let table = DeTable::parse(options)?;
    let value = Spanned::new(table.span(), DeValue::Table(table.into_inner()));
    (plugin.read)(ValueDeserializer::from(value))?(context)
}
