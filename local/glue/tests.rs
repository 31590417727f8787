//! Glue as its clients see it: calls in, answers out, over folders of a disk.

mod catalogue;
mod crawling;

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::Glue;
use crate::Catalogue;

struct Scene {
    glue: Glue,
    root: TempDir,
}

impl Scene {
    fn new() -> Scene {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("lake")).unwrap();
        Scene { glue: Glue::start(Catalogue::open(None).unwrap(), root.path().to_owned()), root }
    }

    fn write(&self, key: &str, text: &str) {
        let path = self.root.path().join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    async fn ask(&self, operation: &str, input: Value) -> Value {
        self.glue.call(operation, input).await.unwrap_or_else(|fault| panic!("{operation}: {fault}"))
    }

    async fn refusal(&self, operation: &str, input: Value) -> String {
        self.glue.call(operation, input).await.expect_err("a refusal").to_string()
    }

    async fn crawler(&self, input: Value) {
        let mut whole = json!({ "Name": "c", "Role": "r", "DatabaseName": "db" });
        whole.as_object_mut().unwrap().extend(input.as_object().unwrap().clone());
        self.ask("CreateCrawler", whole).await;
    }

    /// Crawls, and waits for the end: there is nothing but the state to wait by.
    async fn crawl(&self) -> Value {
        self.ask("StartCrawler", json!({ "Name": "c" })).await;
        self.until_ready().await
    }

    async fn until_ready(&self) -> Value {
        loop {
            let crawler = self.ask("GetCrawler", json!({ "Name": "c" })).await["Crawler"].clone();
            if crawler["State"] == "READY" {
                return crawler;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn tables(&self) -> Vec<Value> {
        let answer = self.ask("GetTables", json!({ "DatabaseName": "db" })).await;
        answer["TableList"].as_array().unwrap().clone()
    }
}

/// `name type, name type`, as a table has its columns.
fn columns(table: &Value) -> String {
    let columns = table["StorageDescriptor"]["Columns"].as_array().unwrap();
    let words =
        columns.iter().map(|it| format!("{} {}", it["Name"].as_str().unwrap(), it["Type"].as_str().unwrap()));
    words.collect::<Vec<_>>().join(", ")
}
