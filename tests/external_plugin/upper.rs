//! `acme_upper`: writes a field of every record in capitals.

use anyhow::Context as _;
use runner_core::{
    BuildContext, MapRecord, Mapped, Plugin, Record, Result, Transform, TransformConfig, map_records,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

runner_core::register! { Plugin::transform::<AcmeUpper>("acme_upper") }

/// Writes a field of every record in capitals.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AcmeUpper {
    /// The name of the field; it must hold text.
    field: String,
}

impl TransformConfig for AcmeUpper {
    fn build(self, _: &BuildContext) -> Result<Box<dyn Transform>> {
        Ok(map_records(self))
    }
}

impl MapRecord for AcmeUpper {
    fn map(&mut self, record: &mut Record) -> Result<Mapped> {
        let text = record.value()?.get(&self.field).and_then(Value::as_str);
        let text = text.with_context(|| format!("there is no text in the field `{}`", self.field))?;
        let capitals = text.to_uppercase();
        record.value_mut()?[&self.field] = capitals.into();
        Ok(Mapped::Keep)
    }
}

#[cfg(test)]
mod tests {
    use runner_core::testing::{apply, conformance, record, records};

    use super::*;

    fn upper() -> Box<dyn Transform> {
        map_records(AcmeUpper { field: "name".into() })
    }

    #[tokio::test]
    async fn record_without_the_field_is_rejected() {
        let batch = records([r#"{"name":"acme"}"#, r#"{"name":1}"#, "[]"]);
        let out = apply(&mut *upper(), batch).await.unwrap();
        assert_eq!(out.bodies(), [r#"{"name":"ACME"}"#]);
        assert_eq!(out.rejected.len(), 2);
    }

    #[tokio::test]
    async fn every_record_is_settled() {
        let records = || vec![record(r#"{"name":"acme"}"#, 0), record("[]", 1)];
        conformance::transform_settles_every_record(&mut *upper(), records()).await;
        conformance::transform_stops_with_its_output(&mut *upper(), records()).await;
    }
}
