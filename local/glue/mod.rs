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
}

impl Glue {
    /// Buckets are the folders in `objects_root`. Schedules of crawlers are stored and start nothing.
    pub fn start(catalogue: Arc<Catalogue>, objects_root: PathBuf) -> Glue {
        Glue { runs: Arc::new(Runs::new(catalogue.clone(), objects_root)), catalogue }
    }

    /// Cancels the running crawls and waits for them.
    pub async fn stop(&self) {
        self.runs.stop().await;
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
        "CreateDatabase" => databases::create(catalogue, GLUE.read(input["DatabaseInput"].clone())?),
        "GetDatabase" => databases::get(catalogue, &GLUE.read(input)?),
        "GetDatabases" => databases::list(catalogue, &GLUE.read(input)?),
        "DeleteDatabase" => databases::delete(catalogue, &GLUE.read(input)?),
        "GetTable" => tables::get(catalogue, &GLUE.read(input)?),
        "GetTables" => tables::list(catalogue, &GLUE.read(input)?),
        "DeleteTable" => tables::delete(catalogue, &GLUE.read(input)?),
        "GetPartitions" => tables::partitions(catalogue, &GLUE.read(input)?),
        "CreateCrawler" => crawlers::create(catalogue, GLUE.read(input)?),
        "UpdateCrawler" => crawlers::update(catalogue, runs, GLUE.read(input)?),
        "GetCrawler" => crawlers::get(catalogue, runs, &GLUE.read(input)?),
        "GetCrawlers" => crawlers::list(catalogue, runs, &GLUE.read(input)?),
        "ListCrawlers" => crawlers::names(catalogue, &GLUE.read(input)?),
        "DeleteCrawler" => crawlers::delete(catalogue, runs, &GLUE.read(input)?),
        "StartCrawler" => runs.begin(&GLUE.read(input)?),
        "StopCrawler" => runs.cancel(&GLUE.read(input)?),
        _ => Err(Fault::new(
            "UnknownOperationException",
            format!(
                "the offline Glue has no operation {operation}: it has databases, tables, partitions and crawlers"
            ),
        )),
    }
}
