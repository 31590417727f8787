//! A consumer group of three that is rolled under load: the pipelines as they are shipped, Apache Kafka, and S3 and Glue of
//! the offline cloud.

use std::collections::BTreeMap;
use std::path::PathBuf;

use runner_needs::needs;

use crate::support::cloud::Cloud;
use crate::support::flow::{expected_objects, stock_pipeline};
use crate::support::kafka::Broker;
use crate::support::stocks::stocks_csv;
use crate::support::{Running, SOON, TestEnv, report, wait_until};

const N_RECORDS: usize = 6_000;
const N_MEMBERS: usize = 3;
const N_ROLLS: usize = 5;

/// The files of the objects of the lake.
fn files(env: &TestEnv) -> impl Iterator<Item = PathBuf> {
    let folder = env.path("data/s3/stock-market-local/stockmarket_project");
    let files = std::fs::read_dir(folder).into_iter().flatten().map_while(Result::ok).map(|it| it.path());
    // The server writes a file under another name first.
    files.filter(|file| file.extension().is_some_and(|it| it == "json"))
}

/// The objects of the lake, by their names.
fn objects(env: &TestEnv) -> BTreeMap<String, String> {
    let object = |file: PathBuf| {
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        (name, std::fs::read_to_string(file).expect("an object"))
    };
    files(env).map(object).collect()
}

fn n_objects(env: &TestEnv) -> usize {
    files(env).count()
}

/// How the last crawl ended, if one has.
fn last_crawl(env: &TestEnv) -> Option<String> {
    let catalogue: serde_json::Value =
        serde_json::from_str(&env.read("data/catalogue.json")).expect("the catalogue");
    let status = catalogue.pointer("/crawlers/stock-market-crawler/LastCrawl/Status");
    status.and_then(|it| it.as_str()).map(str::to_owned)
}

#[needs(kafka)]
#[test]
fn rolled_group_loses_nothing_and_crawls_once_an_hour() {
    let broker = Broker::shared();
    let topic = broker.create_topic("rolled", 6);
    let mut env = TestEnv::new();
    let cloud = Cloud::start(&env, &["--data", "data"]);
    cloud.configure(&mut env);
    let csv = stocks_csv(N_RECORDS, 11);
    let expected = expected_objects(&csv);
    let path = env.write("stocks.csv", csv);
    env.set("KAFKA_BOOTSTRAP_SERVERS", broker.bootstrap())
        .set("STOCKS_CSV", path.display().to_string())
        .set("STOCKS_TOPIC", &topic)
        .set("STOCKS_GROUP", broker.name("rolled-lake"))
        .set("STOCKS_LIMIT", N_RECORDS.to_string())
        .set("STOCKS_RATE", "250");
    for file in ["producer.toml", "consumer.toml"] {
        env.write(file, stock_pipeline(file));
    }
    let producer = env.start(["run", "producer.toml"]);
    let start = |name: &str| env.start(["run", "consumer.toml", "--report", &format!("{name}.json")]);
    let mut members: Vec<Running> = (0..N_MEMBERS).map(|n| start(&format!("{n}-0"))).collect();
    let mut names: Vec<String> = (0..N_MEMBERS).map(|n| format!("{n}-0")).collect();
    wait_until("the first objects", SOON, || n_objects(&env) > 50);
    for roll in 1..=N_ROLLS {
        for n in 0..N_MEMBERS {
            members.remove(0).stop();
            names.push(format!("{n}-{roll}"));
            members.push(start(names.last().expect("just added")));
            let before = n_objects(&env);
            wait_until("more objects", SOON, || n_objects(&env) > (before + 20).min(N_RECORDS - 1));
        }
    }
    producer.wait(SOON).assert_code(0);
    wait_until("every object", SOON, || n_objects(&env) >= N_RECORDS);
    for member in members {
        member.stop();
    }

    let named = |(n, object): (usize, &String)| (format!("stock_market_{n}.json"), object.clone());
    let expected: BTreeMap<String, String> = expected.iter().enumerate().map(named).collect();
    assert!(objects(&env) == expected, "the objects differ from the rows");
    for name in names {
        let report = report(env.path(format!("{name}.json")));
        assert_eq!(report["pipelines"][0]["status"], "stopped", "{name}: {report}");
    }
    // The last crawl may still run.
    wait_until("the end of the crawl", SOON, || last_crawl(&env).is_some());
    assert_eq!(last_crawl(&env).as_deref(), Some("SUCCEEDED"));
    let log = cloud.stop().stderr;
    assert_eq!(log.matches("crawler `stock-market-crawler`: ").count(), 1, "{log}");
}
