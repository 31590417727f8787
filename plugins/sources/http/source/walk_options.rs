//! Checks the options that say who is asked, what is new and how records are shaped.

use std::sync::Arc;

use reqwest::Url;
use runner_core::{BuildContext, OptionError, Result};
use xxhash_rust::xxh3::Xxh3;

use super::super::HttpConfig;
use super::super::elements::{ForEach, used_fields};
use super::super::incremental::{Incremental, Unchanged};
use super::super::records::{Add, Remap};
use super::super::request::{placeholder_warnings, request_template};

/// The validated options of walks.
pub(crate) struct WalkOptions {
    pub(crate) for_each: Option<ForEach>,
    pub(crate) list_endpoint: Option<Url>,
    pub(crate) incremental: Option<Arc<Incremental>>,
    pub(crate) remap: Option<Remap>,
    pub(crate) add: Add,
    pub(crate) shape: u64,
}

impl HttpConfig {
    /// Checks the options of walks. Comes before the other checks, which take variables for text.
    pub(crate) fn walk_options(&self, context: &BuildContext) -> Result<WalkOptions> {
        let names = match &self.for_each {
            Some(for_each) => for_each
                .names(&context.folder)
                .map_err(|error| OptionError::new("for_each", format!("{error:#}")))?,
            None => Vec::new(),
        };
        request_template::check(self, &names)?;
        placeholder_warnings::warn(self, &names, context);
        let list_endpoint = match &self.for_each {
            Some(ForEach::Request(list)) => Some(list_endpoint(&list.endpoint)?),
            _ => None,
        };
        if let Some(incremental) = &self.incremental {
            incremental.check()?;
            if self.unchanged == Unchanged::Deliver {
                let message = "\"deliver\" is not allowed with `incremental`, which emits new rows only";
                return Err(OptionError::new("unchanged", message));
            }
        }
        let remap = self.remap.as_ref().map(|remap| remap.compile(context)).transpose()?;
        used_fields::check(self, &names, remap.as_ref().map_or("", |remap| &remap.text), context)?;
        let mut shape = Xxh3::new();
        shape.update(&remap.as_ref().map_or(0, |remap| remap.hash).to_le_bytes());
        shape.update(serde_json::to_string(&self.add)?.as_bytes());
        shape.update(self.records.to_string().as_bytes());
        shape.update(self.codec.name().as_bytes());
        Ok(WalkOptions {
            for_each: self.for_each.clone(),
            list_endpoint,
            incremental: self.incremental.clone().map(Arc::new),
            remap,
            add: Add::new(&self.add)?,
            shape: shape.digest(),
        })
    }
}

fn list_endpoint(text: &str) -> Result<Url> {
    let invalid = |message: String| OptionError::new("for_each.endpoint", message);
    if text.contains("{{") {
        return Err(invalid("variables have no value before the elements are known".into()));
    }
    let url = Url::parse(text.trim()).map_err(|error| {
        invalid(format!("not a valid URL such as https://api.example.com/symbols: {error}"))
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid(format!("unsupported scheme `{}`: use http:// or https://", url.scheme())));
    }
    if !url.username().is_empty() || url.password().is_some() {
        // Not an `OptionError`, which would show the line with the password.
        anyhow::bail!("`for_each.endpoint` holds a user and a password: set `auth` instead");
    }
    Ok(url)
}
