//! `athena`: the rows of an SQL query.

mod position;
mod reader;

use runner_core::{BuildContext, HumanDuration, OptionError, Plugin, Result, Source, SourceConfig};
use schemars::JsonSchema;
use serde::Deserialize;

use self::reader::Athena;
use crate::shared::athena::Query;
use crate::shared::aws::{AccessOptions, Endpoint, Role, RoleArn};

runner_core::register! {
    Plugin::source::<AthenaConfig>("athena").example(
        r#"type = "athena"
query = "SELECT index, avg(close) AS average FROM stockmarket_project GROUP BY index"
database = "realtime-de-db"
output_location = "s3://my-athena-results/"
"#,
    )
}

/// Runs an SQL query in Athena, once or at an interval, and reads its rows.
///
/// Every row becomes a JSON object with the columns as keys. Numbers and booleans keep their
/// type, NULL becomes `null`, and everything else becomes text. After a crash the source continues with
/// the rows of the same execution, if they are still in the output location: no row is missing, and the
/// query is billed once. Once all rows are delivered, the next run starts the query again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AthenaConfig {
    /// One SQL statement.
    query: String,
    /// The default database of the query.
    database: Option<String>,
    /// The data catalog. Default: `AwsDataCatalog`.
    catalog: Option<String>,
    /// The workgroup, which may set the output location and limit the scanned bytes. Default: `primary`.
    workgroup: Option<String>,
    /// Where Athena writes the rows, `s3://bucket/folder/`. Default: the setting of the workgroup.
    output_location: Option<String>,
    /// The time from the start of one query to the start of the next. Without it the query runs once,
    /// and the run ends.
    interval: Option<HumanDuration>,
    /// How long one query may take. After that the source stops the query and the run fails. `"0s"`: no timeout.
    #[serde(default = "thirty_minutes")]
    timeout: HumanDuration,
    /// The URL of a server other than AWS's own. Default: `AWS_ENDPOINT_URL_ATHENA`,
    /// `AWS_ENDPOINT_URL` or the profile.
    endpoint: Option<Endpoint>,
    /// The region. Default: `AWS_REGION` or the profile.
    region: Option<String>,
    /// The role with which the source calls Athena, by ARN. The credentials that were found must be
    /// allowed to assume it. Default: no role.
    assume_role: Option<RoleArn>,
    /// The external ID that the trust policy of the role requires. Default: none.
    external_id: Option<String>,
}

fn thirty_minutes() -> HumanDuration {
    HumanDuration::from_secs(1800)
}

impl SourceConfig for AthenaConfig {
    fn build(self, context: &BuildContext) -> Result<Box<dyn Source>> {
        if self.query.trim().is_empty() {
            return Err(OptionError::new("query", "the query is empty"));
        }
        if self.interval.is_some_and(|interval| interval.unless_zero().is_none()) {
            let message = "the interval must be longer than 0: every query is billed; leave it out to run the query once";
            return Err(OptionError::new("interval", message));
        }
        let non_empty = |option: Option<String>| option.filter(|text| !text.is_empty());
        let output_location = non_empty(self.output_location);
        if let Some(location) = &output_location
            && location.strip_prefix("s3://").is_none_or(|rest| rest.is_empty() || rest.starts_with('/'))
        {
            let message =
                format!("`{location}` is not a folder of a bucket: write it as \"s3://bucket/folder/\"");
            return Err(OptionError::new("output_location", message));
        }
        let query = Query {
            sql: self.query,
            database: non_empty(self.database),
            catalog: non_empty(self.catalog),
            workgroup: non_empty(self.workgroup),
            output_location,
        };
        let interval = self.interval.map(Into::into);
        let role = Role::of(self.assume_role, self.external_id)?;
        let access = AccessOptions { region: non_empty(self.region), endpoint: self.endpoint, role };
        Ok(Box::new(Athena::new(query, interval, self.timeout.unless_zero(), access, context)))
    }
}
