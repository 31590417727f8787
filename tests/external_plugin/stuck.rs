//! `acme_stuck`: a transform with a bug: it never yields. The tests of aborts need one.

use std::path::PathBuf;

use runner_core::{
    Batch, BuildContext, Flow, Output, Plugin, Result, Transform, TransformConfig, async_trait,
};
use schemars::JsonSchema;
use serde::Deserialize;

runner_core::register! { Plugin::transform::<AcmeStuck>("acme_stuck") }

/// Blocks its thread for ever at the first batch.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AcmeStuck {
    /// A file to create when that begins.
    marker: PathBuf,
}

impl TransformConfig for AcmeStuck {
    fn build(self, context: &BuildContext) -> Result<Box<dyn Transform>> {
        Ok(Box::new(Stuck { marker: context.resolve(&self.marker) }))
    }
}

struct Stuck {
    marker: PathBuf,
}

#[async_trait]
impl Transform for Stuck {
    async fn apply(&mut self, _batch: Batch, _out: &mut dyn Output) -> Result<Flow> {
        std::fs::write(&self.marker, "")?;
        loop {
            std::thread::park();
        }
    }
}
