//! Objects that become a table: what Glue is asked for, and what is said about it.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::moto::Moto;
use crate::support::proxy::{Proxy, Weather};
use crate::support::{Outcome, Scene, wait_until};

/// A pipeline that stores rows in the bucket `lake` and crawls them, in surroundings of moto.
fn scene(moto: &Moto, rate: &str, options: &str) -> Scene {
    let mut scene = Scene::new();
    moto.surround(&mut scene);
    moto.create_bucket("lake");
    let rows: String = (0..100).map(|n| format!("HSI,1986-12-31,{n}\n")).collect();
    scene.write("stocks.csv", format!("Index,Date,Open\n{rows}"));
    scene.write(
        "lake.toml",
        format!(
            r#"
[sources.stocks]
type = "csv"
path = "stocks.csv"

[transforms.pace]
type = "throttle"
inputs = ["stocks"]
rate = {rate}

[transforms.json]
type = "to_json"
inputs = ["pace"]

[sinks.lake]
type = "s3"
inputs = ["json"]
bucket = "lake"
key = "stockmarket_project/stock_market_{{{{ entry }}}}.json"

[sinks.crawl]
type = "glue_crawl"
inputs = ["lake"]
database = "realtime-de-db"
crawler = "stock-market-crawler"
role = "AWSGlueServiceRole-stock-market"
{options}
"#
        ),
    );
    scene
}

/// A table over the objects, such as a crawler makes; moto's crawler makes none.
fn create_table(moto: &Moto, location: &str) {
    moto.glue(
        "CreateTable",
        &json!({ "DatabaseName": "realtime-de-db", "TableInput": {
            "Name": "stockmarket_project",
            "Parameters": { "UPDATED_BY_CRAWLER": "stock-market-crawler", "classification": "json" },
            "StorageDescriptor": {
                "Location": location,
                "Columns": [{ "Name": "index", "Type": "string" }, { "Name": "open", "Type": "int" }],
            },
        }}),
    );
}

#[test]
fn database_and_crawler_are_made_and_a_crawl_without_a_table_is_explained() {
    let Some(moto) = Moto::start() else { return };
    let scene = scene(&moto, "1000", "schedule = \"cron(0 3 * * ? *)\"");
    scene.run(["run", "lake.toml"]).assert_code(0).assert_says(&[
        "created the database `realtime-de-db`",
        "crawler `stock-market-crawler` has found no table",
        "s3:GetObject",
    ]);
    let answer = moto.glue("GetCrawler", &json!({ "Name": "stock-market-crawler" }));
    let crawler = &answer["Crawler"];
    assert_eq!(crawler["Role"], "AWSGlueServiceRole-stock-market");
    assert_eq!(crawler["DatabaseName"], "realtime-de-db");
    assert_eq!(
        crawler["Targets"]["S3Targets"],
        json!([{ "Path": "s3://lake/stockmarket_project/", "SampleSize": 100 }])
    );
    assert_eq!(crawler["Schedule"]["ScheduleExpression"], "cron(0 3 * * ? *)");
    assert_eq!(crawler["LastCrawl"]["Status"], "COMPLETED");
    let configuration = crawler["Configuration"].as_str().expect("a configuration");
    assert!(configuration.contains(r#""TableGroupingPolicy":"CombineCompatibleSchemas""#), "{configuration}");
    assert!(configuration.contains(r#""TableLevelConfiguration":2"#), "{configuration}");
}

#[test]
fn the_table_is_reported_with_its_columns() {
    let Some(moto) = Moto::start() else { return };
    let scene = scene(&moto, "1000", "every = \"0s\"");
    moto.glue("CreateDatabase", &json!({ "DatabaseInput": { "Name": "realtime-de-db" } }));
    create_table(&moto, "s3://lake/stockmarket_project/");
    scene.run(["run", "lake.toml"]).assert_code(0).assert_says(&[
        "table `realtime-de-db.stockmarket_project` over s3://lake/stockmarket_project/: index string, open int",
    ]);
}

#[test]
fn a_table_elsewhere_is_not_reported() {
    let Some(moto) = Moto::start() else { return };
    let scene = scene(&moto, "1000", "every = \"0s\"");
    moto.glue("CreateDatabase", &json!({ "DatabaseInput": { "Name": "realtime-de-db" } }));
    create_table(&moto, "s3://lake/stockmarket_project_old/");
    scene.run(["run", "lake.toml"]).assert_code(0).assert_says(&["has found no table"]);
}

#[test]
fn another_crawler_of_that_name_is_shown_and_left_alone() {
    let Some(moto) = Moto::start() else { return };
    let scene = scene(&moto, "1000", "");
    moto.glue(
        "CreateCrawler",
        &json!({
            "Name": "stock-market-crawler", "Role": "somebody", "DatabaseName": "realtime-de-db",
            "Targets": { "S3Targets": [{ "Path": "s3://lake/other/" }] },
        }),
    );
    scene.run(["run", "lake.toml"]).assert_code(1).assert_says(&[
        "its target is `s3://lake/other/`, the pipeline file has `s3://lake/stockmarket_project/`",
        "its role is `somebody`",
        "update = true",
    ]);
    let answer = moto.glue("GetCrawler", &json!({ "Name": "stock-market-crawler" }));
    assert_eq!(answer["Crawler"]["Role"], "somebody");
}

#[test]
fn a_crawl_by_hand_reads_and_writes_no_record() {
    let Some(moto) = Moto::start() else { return };
    let scene = scene(&moto, "1000", "");
    let outcome = scene.run(["crawl", "lake.toml"]);
    outcome.assert_code(0).assert_says(&["crawler `stock-market-crawler` has started", "has found no table"]);
    let answer = moto.glue("ListCrawls", &json!({ "CrawlerName": "stock-market-crawler" }));
    assert_eq!(answer["Crawls"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_signal_starts_the_last_crawl_and_does_not_wait_for_it() {
    let Some(moto) = Moto::start() else { return };
    let scene = scene(&moto, "5", "");
    moto.set_crawl_time(600);
    let run = scene.start(["run", "lake.toml", "--report", "report.json"]);
    let is_stored = || moto.exists("lake", "stockmarket_project/stock_market_0.json");
    wait_until("the first object", Duration::from_secs(60), is_stored);
    run.signal(Signal::SIGTERM);
    let outcome = run.wait(Duration::from_secs(30));
    outcome.assert_code(0).assert_says(&["has started and continues in Glue"]);
    let answer = moto.glue("GetCrawler", &json!({ "Name": "stock-market-crawler" }));
    assert_eq!(answer["Crawler"]["State"], "RUNNING");
}

/// What becomes of a run whose way to Glue is so once the first object was stored; it is stopped if `is_stopped`.
fn ending_under(weather: Weather, is_stopped: bool) -> Option<Outcome> {
    let moto = Moto::start()?;
    let mut scene = scene(&moto, "50", "timeout = \"1s\"");
    let proxy = Proxy::to(&moto.url());
    scene.set("AWS_ENDPOINT_URL_GLUE", format!("http://{}", proxy.address()));
    let run = scene.start(["run", "lake.toml"]);
    let is_stored = || moto.exists("lake", "stockmarket_project/stock_market_0.json");
    wait_until("the first object", Duration::from_secs(60), is_stored);
    proxy.set(weather);
    if is_stopped {
        run.signal(Signal::SIGTERM);
    }
    Some(run.wait(Duration::from_secs(120)))
}

#[test]
fn a_glue_that_nobody_reaches_any_more_ends_the_run_as_one_that_was_never_there() {
    let Some(outcome) = ending_under(Weather::Refusing, false) else { return };
    outcome.assert_code(69).assert_says(&["cannot reach Glue at http://127.0.0.1"]);
}

#[test]
fn a_run_that_is_stopped_does_not_wait_long_for_a_silent_glue() {
    let Some(outcome) = ending_under(Weather::Silent, true) else { return };
    outcome.assert_code(0).assert_says(&["has not responded within 5s", "start it with `runner crawl`"]);
}

#[test]
fn a_crawler_behind_nothing_that_stores_in_s3_needs_a_target() {
    let scene = Scene::new();
    scene.write(
        "lake.toml",
        r#"
[sources.stocks]
type = "csv"
path = "stocks.csv"

[sinks.out]
type = "null"
inputs = ["stocks"]

[sinks.crawl]
type = "glue_crawl"
inputs = ["out"]
database = "d"
crawler = "c"
role = "r"
"#,
    );
    scene.run(["validate", "lake.toml"]).assert_code(78).assert_says(&["`target`", "s3://bucket/folder/"]);
}
