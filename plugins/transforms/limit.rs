//! `limit`: ends a run after a number of records.

use std::num::NonZeroU64;

use runner_core::{
    Batch, BuildContext, Flow, OptionError, Output, Plugin, Result, Transform, TransformConfig, async_trait,
};
use schemars::JsonSchema;
use serde::Deserialize;

runner_core::register! {
    Plugin::transform::<LimitConfig>("limit").example(
        r#"type = "limit"
inputs = ["pace"]
records = 100"#,
    )
}

/// Passes a number of records and then ends the run.
///
/// Records that were read beyond the limit are released: the next run resumes after the
/// last record that passed. With a limit of 100, the first run delivers the records 0 to 99
/// and the second run 100 to 199.
///
/// A limit ends the run for all branches. If it stands in one branch, the next run delivers again what
/// the other branches have delivered beyond it. So put it before a `route` and before other branches.
///
/// Behind a transform that makes several records of one, all records made of the last one pass, so
/// a few more than the limit may pass.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LimitConfig {
    /// The number of records that pass in one run.
    records: NonZeroU64,
}

impl TransformConfig for LimitConfig {
    fn build(self, context: &BuildContext) -> Result<Box<dyn Transform>> {
        if context.upstream.has_branches {
            let message = "the records before it also go to other components, and it ends the run for all of them: what \
                           they have delivered of later records is delivered again by the next run. Put `limit` before \
                           the branches, next to the source";
            context.warnings.add(OptionError::new("type", message));
        }
        Ok(Box::new(Limit { n_left: self.records.get() }))
    }
}

struct Limit {
    n_left: u64,
}

#[async_trait]
impl Transform for Limit {
    async fn apply(&mut self, mut batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let n_passing = usize::try_from(self.n_left).unwrap_or(usize::MAX).min(batch.len());
        self.n_left -= n_passing as u64;
        if self.n_left > 0 {
            return out.send(batch).await;
        }
        // The last record ends the run, without waiting for a batch after it.
        let n_passing = with_other_parts(&batch, n_passing);
        let sent =
            if n_passing > 0 { out.send(batch.split_front(n_passing)).await.map(drop) } else { Ok(()) };
        batch.release();
        sent.map(|()| Flow::Break(()))
    }
}

/// The first `n` records, and those after them that were made of the same record as the last one. The position of a
/// source moves on only when all of them are delivered: without this the next run would deliver the first ones again.
fn with_other_parts(batch: &Batch, n: usize) -> usize {
    let Some(last) = n.checked_sub(1).and_then(|last| batch.records().get(last)) else { return n };
    n + batch.records()[n..].iter().take_while(|record| record.origin == last.origin).count()
}

#[cfg(test)]
mod tests {
    use runner_core::Upstream;
    use runner_core::testing::{apply, batch, context, record, records};

    use super::*;

    #[test]
    fn limit_in_a_branch_is_a_warning() {
        for (has_branches, n_warnings) in [(false, 0), (true, 1)] {
            let upstream = Upstream { has_branches, ..Upstream::default() };
            let context = BuildContext { upstream, ..context() };
            LimitConfig { records: NonZeroU64::MIN }.build(&context).unwrap();
            assert_eq!(context.warnings.take().len(), n_warnings);
        }
    }

    #[tokio::test]
    async fn limit_stops_with_the_last_record() {
        let mut limit = Limit { n_left: 3 };
        let out = apply(&mut limit, records(["a", "b"])).await.unwrap();
        assert_eq!((out.bodies().len(), out.is_stopped), (2, false));
        let out = apply(&mut limit, records(["c"])).await.unwrap();
        assert_eq!((out.bodies().len(), out.is_stopped), (1, true));
    }

    #[tokio::test]
    async fn limit_releases_records_beyond_it() {
        let mut limit = Limit { n_left: 2 };
        let out = apply(&mut limit, records(["a", "b", "c", "d"])).await.unwrap();
        assert_eq!(out.bodies(), ["a", "b"]);
        assert!(out.is_stopped);
        let out = apply(&mut limit, records(["e"])).await.unwrap();
        assert!(out.bodies().is_empty() && out.is_stopped);
    }

    #[tokio::test]
    async fn limit_passes_all_parts_of_the_last_record() {
        let mut limit = Limit { n_left: 3 };
        let parts = [("0-0", 0), ("0-1", 0), ("1-0", 1), ("1-1", 1), ("1-2", 1), ("2-0", 2)];
        let out = apply(&mut limit, batch(parts.map(|(body, offset)| record(body, offset)))).await.unwrap();
        assert_eq!(out.bodies(), ["0-0", "0-1", "1-0", "1-1", "1-2"]);
        assert!(out.is_stopped);
    }

    #[tokio::test]
    async fn empty_batch_does_not_count() {
        let mut limit = Limit { n_left: 1 };
        let out = apply(&mut limit, Batch::default()).await.unwrap();
        assert!(!out.is_stopped);
        let out = apply(&mut limit, records(["a"])).await.unwrap();
        assert_eq!(out.bodies(), ["a"]);
    }
}
