//! Athena: SQL over the tables of the catalogue, its results as files in a bucket.

mod big_stack;
mod engine;
mod execution;
mod functions;
mod output;
mod queries;
mod results;
mod sql;
mod statements;
mod table;
#[cfg(test)]
mod tests;
mod value;
mod yielding;

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use self::engine::Engine;
use self::queries::Queries;
use crate::request::Requests;
use crate::{Catalogue, Fault};

const ATHENA: Requests = Requests { invalid: "InvalidRequestException", page: 50 };
/// The only catalog.
const CATALOG: &str = "awsdatacatalog";

/// An Athena that reads the folders of buckets from the disk.
pub struct Athena {
    queries: Arc<Queries>,
}

impl Athena {
    /// Buckets are the folders in `objects_root`; results are stored in `results`, such as
    /// `s3://athena-results-local/`, unless the query says otherwise.
    pub fn start(catalogue: Arc<Catalogue>, objects_root: PathBuf, results: String) -> Athena {
        Athena { queries: Arc::new(Queries::new(Engine::new(catalogue, objects_root), results)) }
    }

    /// Cancels the running queries and waits for them.
    pub async fn stop(&self) {
        self.queries.stop().await;
    }

    /// Answers one call; `operation` is named as in `X-Amz-Target`, without `AmazonAthena.`.
    pub async fn call(&self, operation: &str, input: Value) -> Result<Value, Fault> {
        let queries = &self.queries;
        match operation {
            "StartQueryExecution" => queries.start(input).await,
            "GetQueryExecution" => queries.get(ATHENA.read(input)?),
            "StopQueryExecution" => queries.cancel(ATHENA.read(input)?),
            "GetQueryResults" => {
                let queries = queries.clone();
                // Reads a file.
                let answer = tokio::task::spawn_blocking(move || results::get(&queries, ATHENA.read(input)?));
                answer.await.map_err(|error| Fault::new("InternalServerException", error.to_string()))?
            }
            _ => Err(Fault::new(
                "UnknownOperationException",
                format!("the offline Athena has no operation {operation}: it runs queries"),
            )),
        }
    }
}
