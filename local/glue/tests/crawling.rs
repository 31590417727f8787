//! Crawlers and the tables they make.

use std::os::unix::fs::OpenOptionsExt as _;

use super::*;

const ROW: &str = r#"{"Index":"HSI","Date":"1986-12-31","Open":2568.3,"Adj Close":2568,"Volume":0}"#;

#[tokio::test]
async fn objects_of_one_folder_are_one_table() {
    let scene = Scene::new();
    scene.write("lake/Stock-Market/a.json", ROW);
    scene.write(
        "lake/Stock-Market/b.json",
        r#"{"Index":"N225","Adj Close":1.5,"Note":null,"Tags":[1,2.5],"Who":{"Id":1}}"#,
    );
    scene.write("lake/Stock-Market/c.json", r#"{"who":{"Name":null},"Mixed":[1,{"a":1}],"Empty":[]}"#);
    scene.write("lake/Stock-Market/_SUCCESS", "no data");
    scene.crawler(target("s3://lake/Stock-Market/")).await;
    let crawler = scene.crawl().await;
    assert_eq!(crawler["LastCrawl"]["Status"], "SUCCEEDED", "{crawler}");
    let tables = scene.tables().await;
    assert_eq!(tables.len(), 1);
    assert_eq!(tables[0]["Name"], "stock_market");
    assert_eq!(
        columns(&tables[0]),
        "index string, date string, open double, adj close double, volume bigint, note string, tags array<double>, \
         who struct<id:bigint,name:string>, mixed array<string>, empty array<string>"
    );
    assert_eq!(tables[0]["Parameters"]["classification"], "json");
    assert_eq!(tables[0]["Parameters"]["UPDATED_BY_CRAWLER"], "c");
    let storage = &tables[0]["StorageDescriptor"];
    assert_eq!(storage["Location"], "s3://lake/Stock-Market/");
    assert_eq!(storage["SerdeInfo"]["SerializationLibrary"], "org.openx.data.jsonserde.JsonSerDe");
}

#[tokio::test]
async fn folders_with_values_are_partitions() {
    let scene = Scene::new();
    for (year, month) in [("2023", "12"), ("2024", "01"), ("2024", "02")] {
        scene.write(&format!("lake/t/Year={year}/month={month}/a.json"), ROW);
    }
    scene.crawler(target("s3://lake/t/")).await;
    scene.crawl().await;
    let table = &scene.tables().await[0];
    assert_eq!(
        table["PartitionKeys"],
        json!([{ "Name": "year", "Type": "string" }, { "Name": "month", "Type": "string" }])
    );
    let parts = scene.ask("GetPartitions", json!({ "DatabaseName": "db", "TableName": "t" })).await;
    let parts = parts["Partitions"].as_array().unwrap();
    assert_eq!(parts.len(), 3);
    assert_eq!(parts[2]["Values"], json!(["2024", "02"]));
    assert_eq!(parts[2]["StorageDescriptor"]["Location"], "s3://lake/t/Year=2024/month=02/");

    scene.ask("DeleteTable", json!({ "DatabaseName": "db", "Name": "T" })).await;
    assert!(scene.tables().await.is_empty());
}

#[tokio::test]
async fn folders_are_tables_at_the_table_level_and_partitions_below() {
    let scene = Scene::new();
    scene.write("lake/raw/stocks/a.json", ROW);
    scene.write("lake/raw/people/a.json", r#"{"name":"x","age":3}"#);
    let grouping = json!({ "Grouping": { "TableLevelConfiguration": 3 } }).to_string();
    let targets = json!({ "S3Targets": [{ "Path": "s3://lake/raw" }] });
    scene.crawler(json!({ "TablePrefix": "raw_", "Configuration": grouping, "Targets": targets })).await;
    scene.crawl().await;
    let names: Vec<Value> = scene.tables().await.iter().map(|table| table["Name"].clone()).collect();
    assert_eq!(names, ["raw_people", "raw_stocks"]);

    scene.ask("UpdateCrawler", json!({ "Name": "c", "TablePrefix": "", "Configuration": "" })).await;
    scene.crawl().await;
    let table = &scene.tables().await[0];
    assert_eq!((&table["Name"], &table["PartitionKeys"][0]["Name"]), (&json!("raw"), &json!("partition_0")));
}

#[tokio::test]
async fn second_crawl_adds_columns_and_widens_types() {
    let scene = Scene::new();
    scene.write("lake/t/a.json", r#"{"a":1,"b":"x"}"#);
    scene.crawler(target("s3://lake/t/")).await;
    scene.crawl().await;
    scene.write("lake/t/a.json", r#"{"c":true,"a":1.5}"#);
    let first = scene.get_crawler().await;
    let second = scene.crawl().await;
    assert_ne!(first["LastCrawl"]["MessagePrefix"], second["LastCrawl"]["MessagePrefix"]);
    assert_eq!(columns(&scene.tables().await[0]), "a double, b string, c boolean");
}

#[tokio::test]
async fn missing_bucket_fails_the_crawl_but_empty_folder_does_not() {
    let scene = Scene::new();
    scene.crawler(target("s3://nowhere/t/")).await;
    let last = scene.crawl().await["LastCrawl"].clone();
    assert_eq!(last["Status"], "FAILED");
    assert!(last["ErrorMessage"].as_str().unwrap().contains("`nowhere` does not exist"), "{last}");

    let empty = target("s3://lake/empty/")["Targets"].take();
    scene.ask("UpdateCrawler", json!({ "Name": "c", "Targets": empty })).await;
    assert_eq!(scene.crawl().await["LastCrawl"]["Status"], "SUCCEEDED");
    assert!(scene.tables().await.is_empty());
}

#[tokio::test]
async fn records_over_several_lines_make_no_table() {
    let scene = Scene::new();
    scene.write("lake/t/a.json", "{\n  \"open\": 1\n}\n");
    scene.crawler(target("s3://lake/t/")).await;
    assert_eq!(scene.crawl().await["LastCrawl"]["Status"], "SUCCEEDED");
    assert!(scene.tables().await.is_empty());
}

/// From fcntl.h: opening a pipe for writing fails if it has no reader.
#[cfg(target_os = "linux")]
const O_NONBLOCK: i32 = 0o4000;

#[cfg(target_os = "linux")]
#[tokio::test]
async fn crawler_runs_once_at_a_time_and_has_the_state_of_its_crawl() {
    let scene = Scene::new();
    scene.write("lake/t/a.json", ROW);
    // Reading a pipe blocks until it is written.
    let slow = scene.root.path().join("lake/t/slow.json");
    assert!(std::process::Command::new("mkfifo").arg(&slow).status().unwrap().success());
    scene.crawler(target("s3://lake/t/")).await;
    let state = || async { scene.get_crawler().await["State"].clone() };
    let refused = async |operation| scene.refusal(operation, json!({ "Name": "c" })).await;
    assert_eq!(state().await, "READY");
    assert!(refused("StopCrawler").await.starts_with("CrawlerNotRunningException"));
    scene.ask("StartCrawler", json!({ "Name": "c" })).await;
    assert_eq!(state().await, "RUNNING");
    for operation in ["StartCrawler", "UpdateCrawler", "DeleteCrawler"] {
        assert!(refused(operation).await.starts_with("CrawlerRunningException"), "{operation}");
    }
    // Can be opened once the crawl reads the pipe, and blocks it there.
    let held = loop {
        let opened = fs::OpenOptions::new().write(true).custom_flags(O_NONBLOCK).open(&slow);
        if let Ok(held) = opened {
            break held;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    scene.ask("StopCrawler", json!({ "Name": "c" })).await;
    assert_eq!(state().await, "STOPPING");
    assert!(refused("StopCrawler").await.starts_with("CrawlerStoppingException"));
    drop(held);
    assert_eq!(scene.until_ready().await["LastCrawl"]["Status"], "CANCELLED");
    scene.glue.stop().await;
}

#[tokio::test]
async fn wrong_crawler_is_refused() {
    let scene = Scene::new();
    let wrong = target("lake/x")["Targets"].take();
    for (targets, reason) in [(json!({}), "needs a target"), (wrong, "not an S3 path")] {
        let input = json!({ "Name": "c", "Role": "r", "Targets": targets });
        let refused = scene.refusal("CreateCrawler", input).await;
        assert!(refused.starts_with("InvalidInputException") && refused.contains(reason), "{refused}");
    }
}

#[tokio::test]
async fn schedule_is_stored_and_removed() {
    let scene = Scene::new();
    let mut input = target("s3://lake/t/");
    input["Schedule"] = json!("cron(0 3 * * ? *)");
    scene.crawler(input).await;
    let schedule = async || scene.get_crawler().await["Schedule"].clone();
    assert_eq!(schedule().await, json!({ "ScheduleExpression": "cron(0 3 * * ? *)", "State": "SCHEDULED" }));
    scene.ask("UpdateCrawler", json!({ "Name": "c", "Schedule": "" })).await;
    assert!(schedule().await.is_null());
}
