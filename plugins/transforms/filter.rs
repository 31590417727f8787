//! `filter`: lets the records pass for which a condition holds.

use runner_core::{
    Batch, BuildContext, Flow, Mapped, Output, Plugin, Record, Result, Transform, TransformConfig,
    async_trait,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::shared::vrl::{Program, ProgramText, on_large_stack};

runner_core::register! {
    Plugin::transform::<FilterConfig>("filter").example(
        r#"type = "filter"
inputs = ["stocks"]
condition = '.Index == "NYA"'"#,
    )
}

/// Passes the records for which a condition is true, and filters the others.
///
/// Bodies do not change. An error of the condition, or a result that is not a boolean, rejects the
/// record.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FilterConfig {
    /// A program in VRL that returns true or false and does not change the record. `.` is the body: a
    /// JSON value of any type, or a row; null for a record without a body (a tombstone in Kafka). `%key` and
    /// `%timestamp` are those in Kafka.
    condition: String,
}

impl TransformConfig for FilterConfig {
    fn build(self, context: &BuildContext) -> Result<Box<dyn Transform>> {
        let text = ProgramText::inline("condition", &self.condition)?;
        Ok(Box::new(Filter { condition: Program::compile_condition(&text, context)? }))
    }
}

struct Filter {
    condition: Program,
}

#[async_trait]
impl Transform for Filter {
    fn filter_reason(&self) -> &'static str {
        "the condition is false"
    }

    async fn apply(&mut self, mut batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let rejects = on_large_stack(|| batch.map(|record| self.map(record)));
        if !rejects.is_empty() {
            batch = out.reject(batch, rejects).await?;
        }
        out.send(batch).await
    }
}

impl Filter {
    fn map(&self, record: &mut Record) -> Mapped {
        match self.condition.holds(record) {
            Ok(true) => Mapped::Keep,
            Ok(false) => Mapped::Filter,
            Err(reason) => Mapped::Reject(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use runner_core::testing::{apply, context, records};

    use super::*;

    #[tokio::test]
    async fn records_pass_unchanged_are_filtered_or_rejected() {
        let config = FilterConfig { condition: ".n > 1 ?? exists(.ok)".into() };
        let mut filter = config.build(&context()).unwrap();
        let bodies = [r#"{ "n": 2.50 }"#, r#"{"n":1}"#, r#"{"n":null}"#, r#"{"ok":1}"#, "x"];
        let out = apply(&mut *filter, records(bodies)).await.unwrap();
        assert_eq!(out.bodies(), [r#"{ "n": 2.50 }"#, r#"{"ok":1}"#]);
        assert_eq!(out.rejected.len(), 1);
    }
}
