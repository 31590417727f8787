//! What the schema says about `for_each`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::for_each::ForEach;

impl JsonSchema for ForEach {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ForEach".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["object", "array"],
            "properties": { "file": {
                "type": ["string", "array"],
                "description": "A CSV file with a header and commas, whose rows are the elements.",
            } },
            // Values of variables may be secrets.
            "additionalProperties": { "writeOnly": true },
        })
    }
}
