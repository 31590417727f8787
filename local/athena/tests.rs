//! Tests of Athena through its calls: SQL in, rows and files out, over folders of a disk.

mod calls;
mod tables;
mod trino;

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use super::Athena;

struct Scene {
    athena: Athena,
    glue: crate::glue::tests::Scene,
}

const STOCKS: [&str; 5] = [
    r#"{"Index":"HSI","Date":"1986-12-31","Open":2568.3,"High":2570.5,"Adj Close":2568.3,"Volume":0,"CloseUSD":333.8}"#,
    r#"{"Index":"HSI","Date":"1987-01-02","Open":2540.1,"High":2550.5,"Adj Close":2540.1,"Volume":10,"CloseUSD":330.2}"#,
    r#"{"Index":"NYA","Date":"1987-01-02","Open":1400.0,"High":1410.5,"Adj Close":1400.0,"Volume":20,"CloseUSD":1400.0}"#,
    r#"{"Index":"NYA","Date":"1987-01-05","Open":1420.5,"High":null,"Adj Close":1420.5,"Volume":30,"CloseUSD":1420.5}"#,
    r#"{"Index":"N225","Date":"1987-02-02","Open":18820.5,"High":18900.0,"Adj Close":18820.5,"Volume":40,"CloseUSD":188.2}"#,
];

impl Scene {
    fn new() -> Scene {
        let glue = crate::glue::tests::Scene::new();
        fs::create_dir(glue.root.path().join("results")).unwrap();
        let root = glue.root.path().to_owned();
        let athena = Athena::start(glue.catalogue.clone(), root, "s3://results/".into());
        Scene { athena, glue }
    }

    /// With the crawled table `db.stocks`.
    async fn with_stocks() -> Scene {
        let scene = Scene::new();
        for (n, row) in STOCKS.iter().enumerate() {
            scene.write(&format!("lake/stocks/{n}.json"), row);
        }
        scene.crawl("s3://lake/stocks/").await;
        scene
    }

    fn write(&self, key: &str, text: &str) {
        self.glue.write(key, text);
    }

    async fn crawl(&self, path: &str) {
        self.glue.crawl_target(path).await;
    }

    async fn ask(&self, operation: &str, input: Value) -> Value {
        self.athena.call(operation, input).await.unwrap_or_else(|fault| panic!("{operation}: {fault}"))
    }

    /// Starts a query and waits for its end.
    async fn execute(&self, sql: &str) -> Result<Value, String> {
        let input = json!({ "QueryString": sql, "QueryExecutionContext": { "Database": "db" } });
        let started = self.athena.call("StartQueryExecution", input).await;
        self.until_ended(&started.map_err(|fault| fault.to_string())?).await
    }

    async fn until_ended(&self, started: &Value) -> Result<Value, String> {
        loop {
            let answer = self.ask("GetQueryExecution", started.clone()).await;
            let execution = answer["QueryExecution"].clone();
            match execution["Status"]["State"].as_str().unwrap() {
                "SUCCEEDED" => return Ok(execution),
                "FAILED" => {
                    return Err(execution["Status"]["StateChangeReason"].as_str().unwrap().to_owned());
                }
                "CANCELLED" => return Err("CANCELLED".into()),
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }

    /// The rows of a query, the names in the first, fields between `|`, NULL as `∅`.
    async fn rows(&self, sql: &str) -> Result<Vec<String>, String> {
        let execution = self.execute(sql).await?;
        let results =
            self.ask("GetQueryResults", json!({ "QueryExecutionId": execution["QueryExecutionId"] })).await;
        let rows = results["ResultSet"]["Rows"].as_array().unwrap();
        Ok(rows.iter().map(row).collect())
    }
}

fn row(row: &Value) -> String {
    let values = row["Data"].as_array().unwrap().iter();
    values.map(|value| value["VarCharValue"].as_str().unwrap_or("∅")).collect::<Vec<_>>().join("|")
}

/// The cases of a text: SQL of one or more lines, `=>`, and in the rest of the line what the SQL returns.
fn cases(text: &str) -> Vec<(&str, &str)> {
    let case = regex::Regex::new(r"(?s)\s*(.*?)\s*=> ?([^\n]*)\n").unwrap();
    case.captures_iter(text).map(|case| case.extract().1.into()).collect()
}

/// Runs each case and compares its rows; reports all that differ.
async fn judge(scene: &Scene, text: &str) {
    let cases = cases(text);
    let mut wrong = Vec::new();
    for (sql, expected) in &cases {
        let rows = scene.rows(sql).await.map_or_else(|error| error, |rows| rows.join("\n"));
        let expected = expected.split(';').map(str::trim).collect::<Vec<_>>().join("\n");
        if rows != expected {
            wrong.push(format!("{sql}\n--- expected\n{expected}\n--- got\n{rows}\n"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ\n\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
