//! A transform with several outputs for the tests of pipelines.

use std::ops::ControlFlow::{Break, Continue};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{Batch, BuildContext, Flow, Output, Plugin, Result, Transform, TransformConfig, async_trait};

crate::register! { Plugin::transform::<RouteConfig>("test_route") }

/// Sends multiples of 2 to `two`, multiples of 3 to `three`, and what is neither to `rest`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RouteConfig {}

struct Route([String; 3]);

impl TransformConfig for RouteConfig {
    fn build(self, _: &BuildContext) -> Result<Box<dyn Transform>> {
        Ok(Box::new(Route(["two", "three", "rest"].map(str::to_owned))))
    }
}

#[async_trait]
impl Transform for Route {
    async fn apply(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let offsets: Vec<u64> = batch.records().iter().map(|record| record.origin.offset).collect();
        let is_read = [0, 1, 2].map(|output| out.is_read(output));
        let batches = batch.route(3, |index, outputs| {
            let n = offsets[index];
            let matches =
                [n.is_multiple_of(2), n.is_multiple_of(3), !n.is_multiple_of(2) && !n.is_multiple_of(3)];
            outputs.extend((0..3).filter(|output| matches[*output] && is_read[*output]));
        });
        let mut flow = Continue(());
        for (output, batch) in batches.into_iter().enumerate() {
            match flow {
                Continue(()) => flow = out.send_to(output, batch).await?,
                Break(()) => batch.release(),
            }
        }
        Ok(flow)
    }

    fn outputs(&self) -> &[String] {
        &self.0
    }
}
