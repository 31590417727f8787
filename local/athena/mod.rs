//! Athena: SQL over the tables of the catalogue, its results as files in a bucket.

mod deep;
mod engine;
mod execution;
mod functions;
mod information;
mod metadata;
mod output;
mod queries;
mod results;
mod sql;
mod statements;
mod stop;
mod table;
#[cfg(test)]
mod tests;
mod value;
mod workgroups;

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use self::queries::Queries;
use crate::request::Requests;
use crate::{Catalogue, Fault};

pub(crate) use self::table::wanted_partitions;

const ATHENA: Requests = Requests { invalid: "InvalidRequestException", page: 50 };

/// What an Athena is told when it starts.
#[derive(Clone, Debug, Default)]
pub struct AthenaSettings {
    /// Where the workgroup `primary` puts results, such as `s3://athena-results-local/`; absent:
    /// every query has to say.
    pub output_location: Option<String>,
}

/// An Athena that reads the folders of buckets from the disk.
pub struct Athena {
    catalogue: Arc<Catalogue>,
    queries: Arc<Queries>,
}

impl Athena {
    /// Buckets are the folders in `objects_root`.
    pub fn start(catalogue: Arc<Catalogue>, objects_root: PathBuf, settings: AthenaSettings) -> Athena {
        let queries = Arc::new(Queries::new(catalogue.clone(), objects_root, settings));
        Athena { catalogue, queries }
    }

    /// Cancels the queries that run and waits for them.
    pub async fn stop(&self) {
        self.queries.stop().await;
    }

    /// Answers one call; `operation` is named as in `X-Amz-Target`, without `AmazonAthena.`.
    pub async fn call(&self, operation: &str, input: Value) -> Result<Value, Fault> {
        let (catalogue, queries) = (&self.catalogue, &self.queries);
        match operation {
            "StartQueryExecution" => queries.start(ATHENA.read(input)?),
            "GetQueryExecution" => queries.get(ATHENA.read(input)?),
            "BatchGetQueryExecution" => Ok(queries.get_many(ATHENA.read(input)?)),
            "ListQueryExecutions" => queries.list(ATHENA.read(input)?),
            "StopQueryExecution" => queries.cancel(ATHENA.read(input)?),
            "GetQueryResults" => {
                let queries = queries.clone();
                // Reads a file.
                let answer = tokio::task::spawn_blocking(move || results::get(&queries, ATHENA.read(input)?));
                answer.await.map_err(|error| Fault::new("InternalServerException", error.to_string()))?
            }
            "GetWorkGroup" | "ListWorkGroups" | "CreateWorkGroup" | "UpdateWorkGroup" | "DeleteWorkGroup" => {
                workgroups::call(catalogue, &queries.settings, operation, input)
            }
            "ListDatabases" | "GetDatabase" | "ListTableMetadata" | "GetTableMetadata"
            | "ListDataCatalogs" | "GetDataCatalog" => metadata::call(catalogue, operation, input),
            _ => Err(Fault::new(
                "UnknownOperationException",
                format!(
                    "the offline Athena has no operation {operation}: it runs queries and shows the catalogue"
                ),
            )),
        }
    }
}
