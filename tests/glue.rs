//! The `glue_crawl` sink against moto: database, crawler, tables, messages.

use std::time::Duration;

use nix::sys::signal::Signal;
use runner_needs::needs;
use serde_json::json;

use crate::support::moto::Moto;
use crate::support::proxy::{Network, Proxy};
use crate::support::{Outcome, TestEnv, wait_until};

/// A pipeline that stores rows in the bucket `lake` of moto and crawls them.
fn env(moto: &Moto, rate: &str, options: &str) -> TestEnv {
    let mut env = TestEnv::new();
    moto.configure(&mut env);
    moto.create_bucket("lake");
    let rows: String = (0..100).map(|n| format!("HSI,1986-12-31,{n}\n")).collect();
    env.write("stocks.csv", format!("Index,Date,Open\n{rows}"));
    env.write(
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
    env
}

/// Creates a table over the objects, as a real crawler does; the crawler of moto creates none.
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

#[needs(moto)]
#[test]
fn glue_crawl_creates_database_and_crawler_and_explains_missing_table() {
    let moto = Moto::start();
    let env = env(&moto, "1000", "schedule = \"cron(0 3 * * ? *)\"");
    env.run(["run", "lake.toml"]).assert_code(0).assert_says(&[
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

#[needs(moto)]
#[test]
fn glue_crawl_reports_table_with_columns() {
    let moto = Moto::start();
    let env = env(&moto, "1000", "every = \"0s\"");
    moto.glue("CreateDatabase", &json!({ "DatabaseInput": { "Name": "realtime-de-db" } }));
    create_table(&moto, "s3://lake/stockmarket_project/");
    env.run(["run", "lake.toml"]).assert_code(0).assert_says(&[
        "table `realtime-de-db.stockmarket_project` over s3://lake/stockmarket_project/: index string, open int",
    ]);
}

#[needs(moto)]
#[test]
fn glue_crawl_ignores_table_of_other_location() {
    let moto = Moto::start();
    let env = env(&moto, "1000", "every = \"0s\"");
    moto.glue("CreateDatabase", &json!({ "DatabaseInput": { "Name": "realtime-de-db" } }));
    create_table(&moto, "s3://lake/stockmarket_project_old/");
    env.run(["run", "lake.toml"]).assert_code(0).assert_says(&["has found no table"]);
}

#[needs(moto)]
#[test]
fn existing_crawler_with_other_settings_is_reported_and_unchanged() {
    let moto = Moto::start();
    let env = env(&moto, "1000", "");
    moto.glue(
        "CreateCrawler",
        &json!({
            "Name": "stock-market-crawler", "Role": "somebody", "DatabaseName": "realtime-de-db",
            "Targets": { "S3Targets": [{ "Path": "s3://lake/other/" }] },
        }),
    );
    env.run(["run", "lake.toml"]).assert_code(1).assert_says(&[
        "its target is `s3://lake/other/`, the pipeline file has `s3://lake/stockmarket_project/`",
        "its role is `somebody`",
        "update = true",
    ]);
    let answer = moto.glue("GetCrawler", &json!({ "Name": "stock-market-crawler" }));
    assert_eq!(answer["Crawler"]["Role"], "somebody");
}

#[needs(moto)]
#[test]
fn crawl_verb_starts_crawler_without_reading_records() {
    let moto = Moto::start();
    let env = env(&moto, "1000", "");
    let outcome = env.run(["crawl", "lake.toml"]);
    outcome.assert_code(0).assert_says(&["crawler `stock-market-crawler` has started", "has found no table"]);
    let answer = moto.glue("ListCrawls", &json!({ "CrawlerName": "stock-market-crawler" }));
    assert_eq!(answer["Crawls"].as_array().map(Vec::len), Some(1));
}

#[needs(moto)]
#[test]
fn stopped_crawl_verb_exits_by_the_signal() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let moto = Moto::start();
        moto.set_crawl_time(600);
        let env = env(&moto, "1000", "");
        let crawl = env.start(["crawl", "lake.toml"]);
        let is_running = || {
            let answer = moto.glue("GetCrawlers", &json!({}));
            answer["Crawlers"][0]["State"] == "RUNNING"
        };
        wait_until("a running crawler", Duration::from_secs(60), is_running);
        crawl.signal(signal);
        crawl.wait(Duration::from_secs(30)).assert_code(code).assert_says(&["goes on in Glue"]);
    }
}

#[needs(moto)]
#[test]
fn signal_starts_last_crawl_without_waiting() {
    let moto = Moto::start();
    moto.set_crawl_time(600);
    let env = env(&moto, "5", "");
    let run = env.start(["run", "lake.toml", "--report", "report.json"]);
    let is_stored = || moto.exists("lake", "stockmarket_project/stock_market_0.json");
    wait_until("the first object", Duration::from_secs(60), is_stored);
    run.signal(Signal::SIGTERM);
    let outcome = run.wait(Duration::from_secs(30));
    outcome.assert_code(0).assert_says(&["has started and continues in Glue"]);
    let answer = moto.glue("GetCrawler", &json!({ "Name": "stock-market-crawler" }));
    assert_eq!(answer["Crawler"]["State"], "RUNNING");
}

#[needs(moto)]
#[test]
fn runs_that_are_stopped_one_after_the_other_start_one_crawl() {
    let moto = Moto::start();
    let env = env(&moto, "10", "");
    let is_stored = |row: usize| moto.exists("lake", &format!("stockmarket_project/stock_market_{row}.json"));
    for run in 0..3 {
        let first = (0..100).find(|&row| !is_stored(row)).expect("a row is left");
        let is_first = run == 0;
        let run = env.start(["run", "lake.toml"]);
        wait_until("an object of this run", Duration::from_secs(60), || is_stored(first));
        run.signal(Signal::SIGTERM);
        let outcome = run.wait(Duration::from_secs(30));
        outcome.assert_code(0);
        if !is_first {
            outcome.assert_says(&[
                "is not started",
                "the next crawl is due",
                "`runner crawl` starts one at once",
            ]);
        }
    }
    let answer = moto.glue("ListCrawls", &json!({ "CrawlerName": "stock-market-crawler" }));
    assert_eq!(answer["Crawls"].as_array().map(Vec::len), Some(1));
}

/// The outcome of a run whose connection to Glue changes to `network` after the first object, and which gets SIGTERM
fn ending_under(weather: Network, is_stopped: bool) -> Outcome {
    let moto = Moto::start();
    let mut env = env(&moto, "50", "timeout = \"1s\"");
    let proxy = Proxy::to(&moto.url());
    env.set("AWS_ENDPOINT_URL_GLUE", format!("http://{}", proxy.address()));
    let run = env.start(["run", "lake.toml"]);
    let is_stored = || moto.exists("lake", "stockmarket_project/stock_market_0.json");
    wait_until("the first object", Duration::from_secs(60), is_stored);
    proxy.set(weather);
    if is_stopped {
        run.signal(Signal::SIGTERM);
    }
    run.wait(Duration::from_secs(120))
}

#[needs(moto)]
#[test]
fn glue_unreachable_past_retry_timeout_exits_69() {
    let outcome = ending_under(Network::Refusing, false);
    outcome.assert_code(69).assert_says(&["cannot reach Glue at http://127.0.0.1"]);
}

#[needs(moto)]
#[test]
fn stopped_run_waits_briefly_for_unresponsive_glue() {
    let outcome = ending_under(Network::Unresponsive, true);
    outcome.assert_code(0).assert_says(&["has not responded within 5s", "start it with `runner crawl`"]);
}

#[test]
fn glue_crawl_without_s3_sink_needs_target() {
    let env = TestEnv::new();
    env.write(
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
    env.run(["validate", "lake.toml"]).assert_code(78).assert_says(&["`target`", "s3://bucket/folder/"]);
}
