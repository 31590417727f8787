//! `athena`: the rows of an SQL query.

mod position;
mod reader;

use runner_core::{BuildContext, HumanDuration, OptionError, Plugin, Result, Source, SourceConfig};
use schemars::JsonSchema;
use serde::Deserialize;

use self::reader::Athena;
use crate::shared::athena::Query;
use crate::shared::aws::Endpoint;

runner_core::register! {
    Plugin::source::<AthenaConfig>("athena").example(
        r#"type = "athena"
query = "SELECT index, avg(close) AS average FROM stockmarket_project GROUP BY index"
database = "realtime-de-db"
output_location = "s3://my-athena-results/"
"#,
    )
}

/// Runs an SQL query in Athena, once or again and again, and reads its rows.
///
/// Every row becomes a JSON object with the columns as keys: numbers and booleans
/// as such, NULL as `null`, everything else as text. After a crash the rows of the
/// same execution are read on, so that none is missing and the query is not paid
/// for twice, as long as they lie in the output location. A new run asks anew.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AthenaConfig {
    /// One statement of SQL.
    query: String,
    /// The database that tables without one belong to.
    database: Option<String>,
    /// The data catalog; absent: `AwsDataCatalog`.
    catalog: Option<String>,
    /// The workgroup, which may fix the output location and limit what a query reads; absent: `primary`.
    workgroup: Option<String>,
    /// Where Athena writes the rows, `s3://bucket/folder/`; absent: what the workgroup says.
    output_location: Option<String>,
    /// How long from one query to the next. Without it the query is run once, and the run ends.
    interval: Option<HumanDuration>,
    /// How long one query may take; then it is stopped, and the run with it. `"0s"` is as long as it takes.
    #[serde(default = "thirty_minutes")]
    timeout: HumanDuration,
    /// The address of a server other than AWS's own; absent: what `AWS_ENDPOINT_URL_ATHENA`,
    /// `AWS_ENDPOINT_URL` or the profile say.
    endpoint: Option<Endpoint>,
    /// The region; absent: what `AWS_REGION` or the profile say.
    region: Option<String>,
}

fn thirty_minutes() -> HumanDuration {
    HumanDuration::from_secs(1800)
}

impl SourceConfig for AthenaConfig {
    fn build(self, context: &BuildContext) -> Result<Box<dyn Source>> {
        if self.query.trim().is_empty() {
            return Err(OptionError::new("query", "there is no statement in it"));
        }
        if self.interval.is_some_and(|interval| interval.unless_zero().is_none()) {
            let message =
                "without a pause Athena would be asked, and paid, without end; leave it out to ask once";
            return Err(OptionError::new("interval", message));
        }
        let given = |option: Option<String>| option.filter(|text| !text.is_empty());
        let output_location = given(self.output_location);
        if let Some(location) = &output_location
            && location.strip_prefix("s3://").is_none_or(|rest| rest.is_empty() || rest.starts_with('/'))
        {
            let message = format!("`{location}` is not a place in S3: write it as \"s3://bucket/folder/\"");
            return Err(OptionError::new("output_location", message));
        }
        let query = Query {
            sql: self.query,
            database: given(self.database),
            catalog: given(self.catalog),
            workgroup: given(self.workgroup),
            output_location,
        };
        let interval = self.interval.map(Into::into);
        let (endpoint, region) = (self.endpoint, given(self.region));
        Ok(Box::new(Athena::new(query, interval, self.timeout.unless_zero(), endpoint, region, context)))
    }
}
