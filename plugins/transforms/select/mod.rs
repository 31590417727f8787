//! `select`: makes records with declared fields and types.

mod field;
mod json;
mod options;
mod rows;

use runner_core::{
    Batch, BuildContext, Flow, Output, Plugin, Result, Transform, TransformConfig, async_trait,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use field::Field;
use json::JsonSelection;
use options::Fields;
use rows::RowSelection;

runner_core::register! {
    Plugin::transform::<SelectConfig>("select").example(
        r#"type = "select"
inputs = ["stocks"]

[transforms.NAME.fields]
Index = "symbol"
Date = { from = "day", type = "date", parse = "%d/%m/%Y" }
Close = { from = "/prices/close", type = "float" }
Volume = { from = "volume", type = "integer", null_values = ["n/a"], required = false }
Source = { value = "nyse" }"#,
    )
}

/// Gives records the fields of a table: names, order, types, dates, defaults and constants.
///
/// It takes JSON, and rows of a CSV file, which stay rows. It keeps digits, and puts the fields in the
/// order of `fields`. It rejects a record if a field is missing or does not fit its type. The reason
/// names the field, and only the dead letter contains the value. A record without a body (a tombstone
/// in Kafka) passes unchanged.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SelectConfig {
    /// The fields of the new record, by their names. Each is taken from a field of the record: a
    /// name (`"close"`), a JSON pointer into it (`"/prices/close"`, `"/rows/0"`), or a table of options:
    #[schemars(schema_with = "options::fields_schema")]
    fields: Fields,
    /// What happens to the fields of the record that `fields` does not take: `"drop"`, or `"keep"`, which
    /// puts them after the others.
    #[serde(default)]
    rest: Rest,
}

/// What becomes of the other fields.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Rest {
    /// They are dropped.
    #[default]
    Drop,
    /// They follow after `fields`, in their order. A field is dropped if `fields` has one of its name,
    /// or takes it under another name. If `fields` takes only a part of it, it stays whole.
    Keep,
}

impl TransformConfig for SelectConfig {
    fn build(self, _: &BuildContext) -> Result<Box<dyn Transform>> {
        let fields = self.fields.build()?;
        Ok(Box::new(Select::new(fields, self.rest == Rest::Keep)))
    }
}

struct Select {
    rows: RowSelection,
    json: JsonSelection,
}

impl Select {
    fn new(fields: Vec<Field>, keeps_rest: bool) -> Self {
        Select {
            rows: RowSelection::new(fields.clone(), keeps_rest),
            json: JsonSelection::new(fields, keeps_rest),
        }
    }
}

#[async_trait]
impl Transform for Select {
    async fn apply(&mut self, mut batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let mut rejects = Vec::new();
        self.rows.apply(batch.records_mut(), &mut rejects);
        self.json.apply(batch.records_mut(), &mut rejects);
        if !rejects.is_empty() {
            rejects.sort_unstable_by_key(|(index, _)| *index);
            batch = out.reject(batch, rejects).await?;
        }
        out.send(batch).await
    }
}

#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod tests;
