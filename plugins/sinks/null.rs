//! `null`: discards every record.

use runner_core::{Batch, BuildContext, Plugin, Result, Sink, SinkConfig, WriteError, async_trait};
use schemars::JsonSchema;
use serde::Deserialize;

runner_core::register! {
    Plugin::sink::<NullConfig>("null").example(
        r#"type = "null"
inputs = ["json"]"#,
    )
}

/// Discards every record and counts it as delivered. Useful to measure the throughput of
/// the rest of a pipeline.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NullConfig {}

impl SinkConfig for NullConfig {
    fn build(self, _: &BuildContext) -> Result<Box<dyn Sink>> {
        Ok(Box::new(Null))
    }
}

struct Null;

#[async_trait]
impl Sink for Null {
    async fn write(&self, _: &Batch) -> Result<(), WriteError> {
        Ok(())
    }

    fn stores_records(&self) -> bool {
        false
    }
}
