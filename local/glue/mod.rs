//! Glue: databases, tables and crawlers over the folders of buckets.

mod crawl;
mod crawlers;
mod cron;
mod databases;
mod expression;
mod partitions;
mod runs;
mod schedules;
mod tables;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use chrono::Utc;
use serde_json::Value;
use tokio_util::task::TaskTracker;

use self::runs::Runs;
use crate::request::Requests;
use crate::{Catalogue, Fault};

/// The account that everything here belongs to.
pub(crate) const ACCOUNT: &str = "000000000000";

const GLUE: Requests = Requests { invalid: "InvalidInputException", page: 100 };

/// A Glue whose crawlers read the folders of buckets from the disk.
pub struct Glue {
    catalogue: Arc<Catalogue>,
    runs: Arc<Runs>,
    tasks: TaskTracker,
}

impl Glue {
    /// Starts the clock of the schedules; buckets are the folders in `objects_root`.
    pub fn start(catalogue: Arc<Catalogue>, objects_root: PathBuf) -> Glue {
        let tasks = TaskTracker::new();
        let runs = Arc::new(Runs::new(catalogue.clone(), objects_root, tasks.clone()));
        tasks.spawn(schedules::keep(catalogue.clone(), runs.clone(), Utc::now()));
        Glue { catalogue, runs, tasks }
    }

    /// Ends the crawls that run and waits for them.
    pub async fn stop(&self) {
        self.runs.cancel_all();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Answers one call; `operation` is named as in `X-Amz-Target`, without `AWSGlue.`.
    pub async fn call(&self, operation: &str, input: Value) -> Result<Value, Fault> {
        let (catalogue, runs, operation) = (self.catalogue.clone(), self.runs.clone(), operation.to_owned());
        // The catalogue goes to the disk with every change.
        let answer = tokio::task::spawn_blocking(move || answer(&catalogue, &runs, &operation, input));
        answer.await.map_err(|error| Fault::new("InternalServiceException", error.to_string()))?
    }
}

fn exists(message: impl Into<String>) -> Fault {
    Fault::new("AlreadyExistsException", message)
}

fn answer(catalogue: &Catalogue, runs: &Arc<Runs>, operation: &str, input: Value) -> Result<Value, Fault> {
    match operation {
        "CreateDatabase" | "UpdateDatabase" | "GetDatabase" | "GetDatabases" | "DeleteDatabase" => {
            databases::call(catalogue, operation, input)
        }
        "CreateTable" | "UpdateTable" | "GetTable" | "GetTables" | "DeleteTable" | "BatchDeleteTable" => {
            tables::call(catalogue, operation, input)
        }
        "CreatePartition" | "BatchCreatePartition" | "GetPartition" | "GetPartitions" | "DeletePartition" => {
            partitions::call(catalogue, operation, input)
        }
        "CreateCrawler" | "UpdateCrawler" | "GetCrawler" | "GetCrawlers" | "ListCrawlers"
        | "DeleteCrawler" => {
            let answer = crawlers::call(catalogue, runs, operation, input);
            runs.schedules_changed();
            answer
        }
        "StartCrawler" | "StopCrawler" | "ListCrawls" | "GetCrawlerMetrics" => {
            runs::call(catalogue, runs, operation, input)
        }
        "UpdateCrawlerSchedule" | "StartCrawlerSchedule" | "StopCrawlerSchedule" => {
            let answer = schedules::call(catalogue, operation, input);
            runs.schedules_changed();
            answer
        }
        _ => Err(Fault::new(
            "UnknownOperationException",
            format!(
                "the offline Glue has no operation {operation}: it keeps databases, tables, partitions and crawlers"
            ),
        )),
    }
}
