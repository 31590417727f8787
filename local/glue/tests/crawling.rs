//! Crawlers and the tables they make.

use std::os::unix::fs::OpenOptionsExt as _;

use super::*;

const ROW: &str = r#"{"Index":"HSI","Date":"1986-12-31","Open":2568.3,"Adj Close":2568,"Volume":0}"#;

fn target(path: &str) -> Value {
    json!({ "Targets": { "S3Targets": [{ "Path": path }] } })
}

#[tokio::test]
async fn objects_of_one_folder_become_one_table_with_columns_in_order() {
    let scene = Scene::new();
    scene.write("lake/Stock-Market/a.json", ROW);
    scene.write(
        "lake/Stock-Market/b.json",
        r#"{"Index":"N225","Adj Close":1.5,"Note":null,"Tags":[1,2.5],"Who":{"Id":1}}"#,
    );
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
         who struct<id:bigint>"
    );
    let parameters = &tables[0]["Parameters"];
    assert_eq!((&parameters["classification"], &parameters["objectCount"]), (&json!("json"), &json!("2")));
    assert_eq!(parameters["UPDATED_BY_CRAWLER"], "c");
    assert_eq!(tables[0]["StorageDescriptor"]["Location"], "s3://lake/Stock-Market/");
    assert_eq!(
        tables[0]["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"],
        "org.openx.data.jsonserde.JsonSerDe"
    );
}

#[tokio::test]
async fn folders_named_by_a_value_become_partitions() {
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

    let ask = |expression: &str| json!({ "DatabaseName": "db", "TableName": "t", "Expression": expression });
    for (expression, found) in [
        ("year = '2024'", vec!["2024/01", "2024/02"]),
        ("Year='2024' AND month > '01'", vec!["2024/02"]),
        ("year IN ('2023', '2022') OR (month BETWEEN '02' AND '03')", vec!["2023/12", "2024/02"]),
        ("NOT (year <> '2023')", vec!["2023/12"]),
        ("month LIKE '0%'", vec!["2024/01", "2024/02"]),
        ("year = '1999'", vec![]),
        ("", vec!["2023/12", "2024/01", "2024/02"]),
    ] {
        let parts = scene.ask("GetPartitions", ask(expression)).await;
        let value = |part: &Value, at: usize| part["Values"][at].as_str().unwrap().to_owned();
        let parts = parts["Partitions"].as_array().unwrap().iter();
        let parts: Vec<String> = parts.map(|it| format!("{}/{}", value(it, 0), value(it, 1))).collect();
        assert_eq!(parts, found, "{expression}");
    }
    for (expression, reason) in [
        ("day = '1'", "day"),
        ("year = 2024", "write it in quotes"),
        ("length(year) = 4", "length"),
        ("1 = 1", "names no key"),
        ("year =", "partition keys (year, month)"),
    ] {
        let refused = scene.refusal("GetPartitions", ask(expression)).await;
        assert!(refused.starts_with("InvalidInputException: the Expression"), "{refused}");
        assert!(refused.contains(reason), "{expression}: {refused}");
    }
}

#[tokio::test]
async fn folders_of_different_records_become_tables_of_their_own() {
    let scene = Scene::new();
    scene.write("lake/raw/stocks/a.json", ROW);
    scene.write("lake/raw/people/a.json", r#"{"name":"x","age":3}"#);
    scene
        .crawler(json!({ "TablePrefix": "raw_", "Targets": { "S3Targets": [{ "Path": "s3://lake/raw" }] } }))
        .await;
    scene.crawl().await;
    let names: Vec<Value> = scene.tables().await.iter().map(|table| table["Name"].clone()).collect();
    assert_eq!(names, ["raw_people", "raw_stocks"]);
}

#[tokio::test]
async fn the_level_of_tables_is_the_one_that_was_asked_for() {
    let scene = Scene::new();
    scene.write("lake/raw/stocks/a.json", ROW);
    scene.write("lake/raw/people/a.json", r#"{"name":"x","age":3}"#);
    let mut input = target("s3://lake/raw/");
    let grouping = json!({ "TableGroupingPolicy": "CombineCompatibleSchemas", "TableLevelConfiguration": 2 });
    input["Configuration"] = json!(json!({ "Version": 1.0, "Grouping": grouping }).to_string());
    scene.crawler(input).await;
    scene.crawl().await;
    let tables = scene.tables().await;
    assert_eq!((tables.len(), &tables[0]["Name"]), (1, &json!("raw")));
    assert_eq!(tables[0]["PartitionKeys"][0]["Name"], "partition_0");
}

#[tokio::test]
async fn a_second_crawl_adds_columns_and_widens_types() {
    let scene = Scene::new();
    scene.write("lake/t/a.json", r#"{"a":1,"b":"x"}"#);
    scene.crawler(target("s3://lake/t/")).await;
    scene.crawl().await;
    scene.write("lake/t/a.json", r#"{"c":true,"a":1.5}"#);
    let first = scene.ask("GetCrawler", json!({ "Name": "c" })).await["Crawler"]["LastCrawl"].clone();
    let second = scene.crawl().await["LastCrawl"].clone();
    assert_ne!(first["MessagePrefix"], second["MessagePrefix"]);
    assert_eq!(columns(&scene.tables().await[0]), "a double, b string, c boolean");
    let history = scene.ask("ListCrawls", json!({ "CrawlerName": "c" })).await;
    assert_eq!(history["Crawls"].as_array().unwrap().len(), 2);
    assert_eq!(history["Crawls"][0]["State"], "COMPLETED");
}

#[tokio::test]
async fn csv_is_told_by_its_rows_and_its_header_by_its_names() {
    let scene = Scene::new();
    scene.write("lake/t/a.csv", "Index,Date,Open\nHSI,1986-12-31,2568.3\nHSI,1987-01-02,2540\n");
    scene.crawler(target("s3://lake/t/")).await;
    scene.crawl().await;
    let table = &scene.tables().await[0];
    assert_eq!(columns(table), "index string, date string, open double");
    assert_eq!(
        (&table["Parameters"]["classification"], &table["Parameters"]["skip.header.line.count"]),
        (&json!("csv"), &json!("1"))
    );

    scene.write("lake/t/a.csv", "HSI;1;x\nN225;2;y\n");
    scene.ask("DeleteTable", json!({ "DatabaseName": "db", "Name": "t" })).await;
    scene.crawl().await;
    let table = &scene.tables().await[0];
    assert_eq!(columns(table), "col0 string, col1 bigint, col2 string");
    assert_eq!(table["StorageDescriptor"]["SerdeInfo"]["Parameters"]["field.delim"], ";");
}

#[tokio::test]
async fn a_missing_bucket_fails_the_crawl_and_an_empty_folder_does_not() {
    let scene = Scene::new();
    scene.crawler(target("s3://nowhere/t/")).await;
    let last = scene.crawl().await["LastCrawl"].clone();
    assert_eq!(last["Status"], "FAILED");
    assert!(last["ErrorMessage"].as_str().unwrap().contains("`nowhere` does not exist"), "{last}");

    scene
        .ask(
            "UpdateCrawler",
            json!({ "Name": "c", "Targets": { "S3Targets": [{ "Path": "s3://lake/empty/" }] } }),
        )
        .await;
    assert_eq!(scene.crawl().await["LastCrawl"]["Status"], "SUCCEEDED");
    assert!(scene.tables().await.is_empty());
}

#[tokio::test]
async fn records_over_several_lines_make_no_table_as_nobody_could_read_it() {
    let scene = Scene::new();
    scene.write("lake/t/a.json", "{\n  \"open\": 1\n}\n");
    scene.crawler(target("s3://lake/t/")).await;
    assert_eq!(scene.crawl().await["LastCrawl"]["Status"], "SUCCEEDED");
    assert!(scene.tables().await.is_empty());
}

#[tokio::test]
async fn a_crawler_runs_once_at_a_time_and_can_be_stopped() {
    let scene = Scene::new();
    for n in 0..2000 {
        scene.write(&format!("lake/t/{n}.json"), ROW);
    }
    scene.crawler(target("s3://lake/t/")).await;
    let idle = scene.refusal("StopCrawler", json!({ "Name": "c" })).await;
    assert!(idle.starts_with("CrawlerNotRunningException"), "{idle}");
    scene.ask("StartCrawler", json!({ "Name": "c" })).await;
    let again = scene.refusal("StartCrawler", json!({ "Name": "c" })).await;
    assert!(again.starts_with("CrawlerRunningException"), "{again}");
    let deleted = scene.refusal("DeleteCrawler", json!({ "Name": "c" })).await;
    assert!(deleted.starts_with("CrawlerRunningException"), "{deleted}");
    scene.ask("StopCrawler", json!({ "Name": "c" })).await;
    assert_eq!(scene.until_ready().await["LastCrawl"]["Status"], "CANCELLED");
    scene.glue.stop().await;
}

/// From fcntl.h: opening a pipe for writing fails where nobody reads.
#[cfg(target_os = "linux")]
const O_NONBLOCK: i32 = 0o4000;

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_state_of_a_crawler_is_that_of_its_crawl() {
    let scene = Scene::new();
    scene.write("lake/t/a.json", ROW);
    // A file that is read for as long as nobody writes it.
    let slow = scene.root.path().join("lake/t/slow.json");
    assert!(std::process::Command::new("mkfifo").arg(&slow).status().unwrap().success());
    scene.crawler(target("s3://lake/t/")).await;
    let crawler = || async { scene.ask("GetCrawler", json!({ "Name": "c" })).await["Crawler"].clone() };
    let state = || async { crawler().await["State"].clone() };
    assert_eq!(state().await, "READY");
    scene.ask("StartCrawler", json!({ "Name": "c" })).await;
    assert_eq!(state().await, "RUNNING");
    // Can be opened like this once the crawl is at the file, and holds it there.
    let held = loop {
        let opened = fs::OpenOptions::new().write(true).custom_flags(O_NONBLOCK).open(&slow);
        if let Ok(held) = opened {
            break held;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    scene.ask("StopCrawler", json!({ "Name": "c" })).await;
    assert_eq!(state().await, "STOPPING");
    let again = scene.refusal("StopCrawler", json!({ "Name": "c" })).await;
    assert!(again.starts_with("CrawlerStoppingException"), "{again}");
    drop(held);
    let last = scene.until_ready().await["LastCrawl"].clone();
    assert_eq!(last["Status"], "CANCELLED");

    for (field, operator, value, n) in
        [("STATE", "EQ", "STOPPED", 1), ("STATE", "NE", "STOPPED", 0), ("CRAWL_ID", "EQ", "x", 0)]
    {
        let filter = json!({ "FieldName": field, "FilterOperator": operator, "FieldValue": value });
        let crawls = scene.ask("ListCrawls", json!({ "CrawlerName": "c", "Filters": [filter] })).await;
        assert_eq!(crawls["Crawls"].as_array().unwrap().len(), n, "{field} {operator} {value}");
    }
    let filter = json!({ "FieldName": "START_TIME", "FilterOperator": "GT", "FieldValue": "0" });
    let refused = scene.refusal("ListCrawls", json!({ "CrawlerName": "c", "Filters": [filter] })).await;
    assert!(refused.contains("not by START_TIME with GT"), "{refused}");
}

#[tokio::test]
async fn a_wrong_crawler_is_refused_when_it_is_made() {
    let scene = Scene::new();
    for (input, reason) in [
        (json!({ "Name": "c", "Role": "r", "Targets": {} }), "needs a target"),
        (
            json!({ "Name": "c", "Role": "r", "Targets": { "S3Targets": [{ "Path": "lake/x" }] } }),
            "no S3 path",
        ),
        (json!({ "Name": "c", "Role": "r", "Targets": { "JdbcTargets": [{}] } }), "JdbcTargets"),
        (
            json!({ "Name": "c", "Role": "r", "Schedule": "cron(0 3 * * *)",
                    "Targets": { "S3Targets": [{ "Path": "s3://lake/x" }] } }),
            "5 fields",
        ),
    ] {
        let refused = scene.refusal("CreateCrawler", input).await;
        assert!(refused.starts_with("InvalidInputException") && refused.contains(reason), "{refused}");
    }
}

#[tokio::test]
async fn a_schedule_is_set_paused_and_taken_away() {
    let scene = Scene::new();
    scene.crawler(target("s3://lake/t/")).await;
    let set = json!({ "CrawlerName": "c", "Schedule": "cron(0 3 * * ? *)" });
    scene.ask("UpdateCrawlerSchedule", set).await;
    scene.ask("StopCrawlerSchedule", json!({ "CrawlerName": "c" })).await;
    let crawler = scene.ask("GetCrawler", json!({ "Name": "c" })).await["Crawler"].clone();
    assert_eq!(
        crawler["Schedule"],
        json!({ "ScheduleExpression": "cron(0 3 * * ? *)", "State": "NOT_SCHEDULED" })
    );
    scene.ask("UpdateCrawler", json!({ "Name": "c", "Schedule": "" })).await;
    assert!(scene.ask("GetCrawler", json!({ "Name": "c" })).await["Crawler"]["Schedule"].is_null());
}

#[tokio::test]
async fn ten_thousand_objects_are_crawled_in_seconds() {
    let scene = Scene::new();
    for n in 0..10_000 {
        scene.write(&format!("lake/t/stock_market_{n}.json"), ROW);
    }
    scene.crawler(target("s3://lake/t/")).await;
    let started = std::time::Instant::now();
    scene.crawl().await;
    let seconds = started.elapsed().as_secs_f64();
    println!("crawled 10,000 objects in {seconds:.2} s");
    assert_eq!(scene.tables().await[0]["Parameters"]["recordCount"], "10000");
    assert!(seconds < if cfg!(debug_assertions) { 30.0 } else { 5.0 }, "{seconds}");
}
