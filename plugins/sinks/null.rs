//! `null`: takes every record and keeps none.

use runner_core::{BuildContext, Plugin, Record, Result, Sink, SinkConfig, WriteError, async_trait};
use schemars::JsonSchema;
use serde::Deserialize;

runner_core::register! {
    Plugin::sink::<NullConfig>("null").example(
        r#"type = "null"
inputs = ["json"]"#,
    )
}

/// Takes every record, counts it as delivered and keeps none: for measuring what
/// stands in front of it.
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
    async fn write(&self, _: &[Record]) -> Result<(), WriteError> {
        Ok(())
    }

    fn keeps_records(&self) -> bool {
        false
    }
}
