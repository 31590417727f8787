//! The `codec` option: the formats of responses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The format of responses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Codec {
    /// One JSON value; `records` is the location of the records in it.
    #[default]
    Json,
    /// One JSON value per line, each a record.
    Ndjson,
    /// CSV with a header; the type of a column is inferred from the first response with values in it.
    Csv,
}

impl Codec {
    /// The value of the header `Accept`.
    pub(crate) fn accepts(self) -> &'static str {
        match self {
            Codec::Json => "application/json, */*;q=0.1",
            Codec::Ndjson => "application/x-ndjson, application/jsonl, application/json;q=0.5, */*;q=0.1",
            Codec::Csv => "text/csv, */*;q=0.1",
        }
    }

    /// The name in a pipeline file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Codec::Json => "json",
            Codec::Ndjson => "ndjson",
            Codec::Csv => "csv",
        }
    }
}
