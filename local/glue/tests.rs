//! Tests of Glue through its calls, over folders of a disk.

mod crawling;
mod lists;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::Glue;
use crate::Catalogue;

/// A Glue over a temporary folder with the bucket `lake`.
pub(crate) struct Scene {
    glue: Glue,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) root: TempDir,
}

impl Scene {
    pub(crate) fn new() -> Scene {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("lake")).unwrap();
        let catalogue = Catalogue::open(root.path()).unwrap();
        let glue = Glue::start(catalogue.clone(), root.path().to_owned());
        Scene { glue, catalogue, root }
    }

    pub(crate) fn write(&self, key: &str, text: &str) {
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

    /// All items of the list that is `list` in each page; pages have at most two.
    pub(crate) async fn pages(list: &str, mut input: Value, ask: impl AsyncFn(Value) -> Value) -> Vec<Value> {
        let mut items = Vec::new();
        input["MaxResults"] = json!(2);
        loop {
            let mut page = ask(input.clone()).await;
            let of_page = page.pointer_mut(list).and_then(Value::as_array_mut).unwrap();
            assert!(of_page.len() <= 2);
            items.append(of_page);
            input["NextToken"] = page["NextToken"].take();
            if input["NextToken"].is_null() {
                return items;
            }
        }
    }

    async fn crawler(&self, input: Value) {
        let mut whole = json!({ "Name": "c", "Role": "r", "DatabaseName": "db" });
        whole.as_object_mut().unwrap().extend(input.as_object().unwrap().clone());
        self.ask("CreateCrawler", whole).await;
    }

    async fn get_crawler(&self) -> Value {
        self.ask("GetCrawler", json!({ "Name": "c" })).await["Crawler"].clone()
    }

    /// Crawls, and waits until the crawler is READY.
    async fn crawl(&self) -> Value {
        self.ask("StartCrawler", json!({ "Name": "c" })).await;
        self.until_ready().await
    }

    async fn until_ready(&self) -> Value {
        loop {
            let crawler = self.get_crawler().await;
            if crawler["State"] == "READY" {
                return crawler;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Creates the tables of a target in the database `db`.
    pub(crate) async fn crawl_target(&self, path: &str) {
        self.crawler(target(path)).await;
        assert_eq!(self.crawl().await["LastCrawl"]["Status"], "SUCCEEDED");
        self.ask("DeleteCrawler", json!({ "Name": "c" })).await;
    }

    async fn tables(&self) -> Vec<Value> {
        let answer = self.ask("GetTables", json!({ "DatabaseName": "db" })).await;
        answer["TableList"].as_array().unwrap().clone()
    }
}

fn target(path: &str) -> Value {
    json!({ "Targets": { "S3Targets": [{ "Path": path }] } })
}

/// The columns of a table as `name type, name type`.
fn columns(table: &Value) -> String {
    let columns = table["StorageDescriptor"]["Columns"].as_array().unwrap();
    let words =
        columns.iter().map(|it| format!("{} {}", it["Name"].as_str().unwrap(), it["Type"].as_str().unwrap()));
    words.collect::<Vec<_>>().join(", ")
}
