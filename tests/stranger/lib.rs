//! `acme_upper`: writes a field of every record in capitals.

use runner_core::{
    Batch, BuildContext, Error, Flow, Output, Plugin, Record, Result, Transform, TransformConfig, async_trait,
};
use schemars::JsonSchema;
use serde::Deserialize;

runner_core::register! {
    Plugin::transform::<AcmeUpperConfig>("acme_upper").example(
        r#"type = "acme_upper"
inputs = ["stocks"]
field = "Index""#,
    )
}

/// Writes a field of every record in capitals.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AcmeUpperConfig {
    /// The name of the field; it must hold text.
    field: String,
}

impl TransformConfig for AcmeUpperConfig {
    fn build(self, _: &BuildContext) -> Result<Box<dyn Transform>> {
        Ok(Box::new(AcmeUpper { field: self.field }))
    }
}

struct AcmeUpper {
    field: String,
}

#[async_trait]
impl Transform for AcmeUpper {
    async fn apply(&mut self, mut batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let mut rejects = Vec::new();
        for (index, record) in batch.records_mut().iter_mut().enumerate() {
            if let Err(reason) = self.write_in_capitals(record) {
                rejects.push((index, reason));
            }
        }
        if !rejects.is_empty() {
            batch = out.reject(batch, rejects).await?;
        }
        out.send(batch).await
    }
}

impl AcmeUpper {
    fn write_in_capitals(&self, record: &mut Record) -> Result<()> {
        let field = &self.field;
        let Some(text) = record.value()?.get(field).and_then(|value| value.as_str()) else {
            return Err(Error::msg(format!("the record has no text in the field `{field}`")));
        };
        let capitals = text.to_uppercase();
        record.value_mut()?[field] = capitals.into();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use runner_core::testing::{apply, records};

    use super::*;

    #[tokio::test]
    async fn a_record_without_the_field_is_rejected() {
        let mut upper = AcmeUpper { field: "name".into() };
        let out = apply(&mut upper, records([r#"{"name":"acme"}"#, r#"{"name":1}"#, "[]"])).await.unwrap();
        assert_eq!(out.bodies(), [r#"{"name":"ACME"}"#]);
        assert_eq!(out.rejected.len(), 2);
    }
}
