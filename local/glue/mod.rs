//! Glue: databases, tables and crawlers over the folders of buckets.

mod crawl;
mod crawlers;
mod databases;
mod runs;
mod tables;
#[cfg(test)]
pub(crate) mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use tokio_util::task::TaskTracker;

use self::runs::Runs;
use crate::request::Requests;
use crate::{Catalogue, Fault};

/// The account of all entries.
pub(crate) const ACCOUNT: &str = "000000000000";

const GLUE: Requests = Requests { invalid: "InvalidInputException", page: 100 };

/// A Glue whose crawlers read the folders of buckets from the disk.
pub struct Glue {
    catalogue: Arc<Catalogue>,
    runs: Arc<Runs>,
    tasks: TaskTracker,
}

impl Glue {
    /// Buckets are the folders in `objects_root`. Schedules of crawlers are stored and start nothing.
    pub fn start(catalogue: Arc<Catalogue>, objects_root: PathBuf) -> Glue {
        let tasks = TaskTracker::new();
        let runs = Arc::new(Runs::new(catalogue.clone(), objects_root, tasks.clone()));
        Glue { catalogue, runs, tasks }
    }

    /// Cancels the running crawls and waits for them.
    pub async fn stop(&self) {
        self.runs.cancel_all();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Answers one call; `operation` is named as in `X-Amz-Target`, without `AWSGlue.`.
    pub async fn call(&self, operation: &str, input: Value) -> Result<Value, Fault> {
        let (catalogue, runs, operation) = (self.catalogue.clone(), self.runs.clone(), operation.to_owned());
        // Every change writes the catalogue to the disk.
        let answer = tokio::task::spawn_blocking(move || answer(&catalogue, &runs, &operation, input));
        answer.await.map_err(|error| Fault::new("InternalServiceException", error.to_string()))?
    }
}

/// The input of calls that only name an entry.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    name: String,
}

fn exists(message: impl Into<String>) -> Fault {
    Fault::new("AlreadyExistsException", message)
}

fn answer(catalogue: &Catalogue, runs: &Arc<Runs>, operation: &str, input: Value) -> Result<Value, Fault> {
    match operation {
        "CreateDatabase" | "GetDatabase" | "GetDatabases" | "DeleteDatabase" => {
            databases::call(catalogue, operation, input)
        }
        "CreateTable" | "GetTable" | "GetTables" | "DeleteTable" => tables::call(catalogue, operation, input),
        "GetPartitions" => tables::partitions(catalogue, input),
        "CreateCrawler" | "UpdateCrawler" | "GetCrawler" | "GetCrawlers" | "ListCrawlers"
        | "DeleteCrawler" => crawlers::call(catalogue, runs, operation, input),
        "StartCrawler" | "StopCrawler" | "ListCrawls" => runs::call(catalogue, runs, operation, input),
        _ => Err(Fault::new(
            "UnknownOperationException",
            format!(
                "the offline Glue has no operation {operation}: it has databases, tables, partitions and crawlers"
            ),
        )),
    }
}
