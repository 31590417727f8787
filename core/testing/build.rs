//! Builds components by the names of their plugins.

use anyhow::{Context as _, Result};
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::build_context::BuildContext;
use crate::plugin::{Built, Kind, Registry};

/// Builds a component of a plugin that is linked in, with options as in the table of a pipeline file.
pub fn build(kind: Kind, plugin: &str, options: &str, context: &BuildContext) -> Result<Built> {
    let registry = Registry::collect()?;
    let plugin = registry.get(kind, plugin).with_context(|| format!("no {kind} is called `{plugin}`"))?;
    let table = DeTable::parse(options)?;
    let value = Spanned::new(table.span(), DeValue::Table(table.into_inner()));
    (plugin.read)(ValueDeserializer::from(value))?(context)
}
