//! A transform for the tests of pipelines, which misbehaves as configured.

use std::ops::ControlFlow::{Break, Continue};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::Instant;

use crate::testing::record;
use crate::{
    Batch, BuildContext, Flow, Mapped, Output, Plugin, Result, Transform, TransformConfig, async_trait,
};

crate::register! { Plugin::transform::<MeddleConfig>("test_meddle") }

/// Does what transforms do to batches, and what they must not do.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MeddleConfig {
    /// Stops after so many.
    stop_after: Option<usize>,
    /// Drops the batch that holds this one.
    drop: Option<u64>,
    /// Filters these out.
    #[serde(default)]
    filter: Vec<u64>,
    /// Waits so many seconds before each record.
    pause: Option<u64>,
    /// Rejects this one.
    reject: Option<u64>,
    /// Splits these into two records, with `a` and `b` added.
    #[serde(default)]
    split: Vec<u64>,
    /// Sends every second batch before the one that came first.
    #[serde(default)]
    swap: bool,
}

struct Meddle(MeddleConfig, Option<Batch>);

impl TransformConfig for MeddleConfig {
    fn build(self, _: &BuildContext) -> Result<Box<dyn Transform>> {
        Ok(Box::new(Meddle(self, None)))
    }
}

#[async_trait]
impl Transform for Meddle {
    async fn apply(&mut self, mut batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let holds = |batch: &Batch, n: u64| batch.records().iter().position(|it| it.origin.offset == n);
        if self.0.drop.is_some_and(|n| holds(&batch, n).is_some()) {
            return Ok(Continue(()));
        }
        if self.0.swap {
            let Some(held) = self.1.take() else {
                self.1 = Some(batch);
                return Ok(Continue(()));
            };
            if out.send(batch).await?.is_break() {
                held.release();
                return Ok(Break(()));
            }
            batch = held;
        }
        batch.retain(|record| !self.0.filter.contains(&record.origin.offset));
        if !self.0.split.is_empty() {
            let rejects = batch.map(|original| {
                if !self.0.split.contains(&original.origin.offset) {
                    return Mapped::Keep;
                }
                let n = original.origin.offset;
                Mapped::Split(vec![record(format!("{n}a"), n), record(format!("{n}b"), n)])
            });
            assert!(rejects.is_empty());
        }
        if let Some(at) = self.0.reject.and_then(|n| holds(&batch, n)) {
            batch = out.reject(batch, vec![(at, anyhow::anyhow!("not this one"))]).await?;
        }
        if let Some(seconds) = self.0.pause {
            while !batch.is_empty() {
                let mut flow = out.sleep_until_or_stop(Instant::now() + Duration::from_secs(seconds)).await;
                if flow.is_continue() {
                    flow = out.send(batch.split_front(1)).await?;
                }
                if flow.is_break() {
                    batch.release();
                    return Ok(flow);
                }
            }
        }
        let Some(left) = &mut self.0.stop_after else { return out.send(batch).await };
        let front = batch.split_front(*left);
        *left -= front.len();
        let is_done = *left == 0;
        let flow = out.send(front).await?;
        batch.release();
        Ok(if is_done { Break(()) } else { flow })
    }

    async fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        if let Some(held) = self.1.take() {
            // It was the last one either way.
            let _ = out.send(held).await?;
        }
        Ok(())
    }
}
