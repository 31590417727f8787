//! The stock plugins with a server behind them keep the plugin contract: the suite that
//! `plugins/conformance_tests.rs` runs for the others.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use runner_core::testing::{build_sink, build_source, conformance, context, record, write};
use runner_core::{BuildContext, RetryLimits, Sink, Source, StopReason};
use runner_needs::needs;
use runner_plugins as _;
use tokio::runtime::Runtime;

use crate::support::TestEnv;
use crate::support::cloud::Cloud;
use crate::support::kafka::Broker;

/// Set where a test runs again with credentials: AWS plugins take them from the environment only.
const FOLDER: &str = "RUNNER_TEST_FOLDER";

/// Nothing listens there.
const UNREACHABLE: &str = "endpoint = \"http://127.0.0.1:1\"";

fn short_patience() -> BuildContext {
    let retry = RetryLimits { connect: Some(Duration::from_secs(5)), ..RetryLimits::default() };
    BuildContext { retry, ..context() }
}

fn runtime() -> Runtime {
    Runtime::new().expect("a runtime")
}

fn source(name: &str, options: &str) -> Box<dyn Source> {
    build_source(name, options, &short_patience())
}

fn sink(name: &str, options: &str) -> Box<dyn Sink> {
    build_sink(name, options, &short_patience())
}

#[needs(kafka)]
#[test]
fn kafka_source_resumes_from_every_commit_and_survives_cancelled_reads() {
    let broker = Broker::shared();
    let topic = broker.create_topic("conformance", 1);
    broker.produce(&topic, 0, ["a", "b", "c", "d"]);
    for check in ["resumes", "cancelled"] {
        let options = format!(
            "bootstrap_servers = \"{}\"\ntopics = [\"{topic}\"]\ngroup_id = \"{}\"\nstop = \"at_end\"",
            broker.bootstrap(),
            broker.name(check)
        );
        let kafka = async || source("kafka", &options);
        runtime().block_on(async {
            match check {
                "resumes" => conformance::source_resumes(kafka).await,
                _ => conformance::source_survives_cancelled_reads(kafka, Duration::ZERO).await,
            }
        });
    }
}

#[needs(kafka)]
#[test]
fn kafka_sink_stores_and_rejects_one() {
    let broker = Broker::shared();
    let kafka = |topic: &str| {
        let options = format!("bootstrap_servers = \"{}\"\ntopic = \"{topic}\"", broker.bootstrap());
        sink("kafka", &options)
    };
    let stored = |topic: &str| {
        let stored = tokio::task::block_in_place(|| broker.read_all(topic));
        stored.into_iter().filter_map(|it| it.payload).collect()
    };
    let topic = broker.create_topic("conformance", 2);
    let small = broker.create_topic_with("conformance", "max.message.bytes", "1000");
    runtime().block_on(async {
        let records = vec![record("a", 0), record("{\"b\":1}", 1)];
        conformance::sink_stores(kafka(&topic), records, async || stored(&topic)).await;
        let (good, too_large) = ([record("a", 0), record("c", 2)], record("b".repeat(2000), 1));
        conformance::sink_rejects_one(kafka(&small), good, too_large, async || stored(&small)).await;
    });
}

#[test]
fn aws_plugins_keep_the_contract() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        let mut env = TestEnv::new();
        let cloud = Cloud::start(&env, &["--data", "cloud"]);
        cloud.configure(&mut env);
        return run_again("aws_plugins_keep_the_contract", &env, &cloud);
    };
    runtime().block_on(async {
        let stored = |name: &str| {
            let folder = folder.join("cloud/s3/stock-market-local").join(name).join("test");
            let objects = std::fs::read_dir(folder).expect("the objects");
            objects.map(|it| std::fs::read(it.expect("an object").path()).expect("its content")).collect()
        };
        let s3 = |name: &str, options: &str| {
            let key = format!("{name}/{{{{ topic }}}}/{{{{ partition }}}}-{{{{ offset }}}}_{{{{ .n }}}}.json");
            sink("s3", &format!("bucket = \"stock-market-local\"\nkey = \"{key}\"\n{options}"))
        };
        let rows = || [record("{\"n\":1}", 0), record("{\"n\":2}", 1)];
        conformance::sink_stores(s3("prices", ""), rows().into(), async || stored("prices")).await;
        let nameless = record("{\"m\":3}", 2);
        conformance::sink_rejects_one(s3("some", ""), rows(), nameless, async || stored("some")).await;
        conformance::sink_is_unreachable(s3("none", UNREACHABLE)).await;

        let glue = |options: &str| {
            let target = "target = \"s3://stock-market-local/prices/\"\nrole = \"arn:aws:iam::123456789012:role/crawler\"";
            sink("glue_crawl", &format!("database = \"conformance\"\ncrawler = \"prices\"\n{target}\n{options}"))
        };
        let mut crawl = glue("");
        crawl.open().await.expect("a new crawler");
        write(&*crawl, rows()).await.expect("records to crawl");
        crawl.flush(StopReason::InputEnded).await.expect("a crawl");
        conformance::sink_is_unreachable(glue(UNREACHABLE)).await;

        let athena = |options: &str| {
            let query = "query = \"SELECT n FROM prices ORDER BY n\"\ndatabase = \"conformance\"";
            source("athena", &format!("{query}\noutput_location = \"s3://stock-market-local/results/\"\n{options}"))
        };
        // A run that begins after the last row starts the query again, so it does not resume from its end.
        conformance::source_survives_cancelled_reads(async || athena(""), Duration::ZERO).await;
        conformance::source_is_unreachable(athena(UNREACHABLE)).await;
    });
}

/// Runs this one test again in a process of its own, with the variables of `cloud`.
fn run_again(test: &str, env: &TestEnv, cloud: &Cloud) {
    let program = std::env::current_exe().expect("the test binary");
    let outcome = Command::new(program)
        .args([&format!("conformance::{test}"), "--exact", "--nocapture"])
        .envs(cloud.variables().iter().cloned())
        .env(FOLDER, env.path("."))
        .output()
        .expect("starting the test binary");
    let (stdout, stderr) =
        (String::from_utf8_lossy(&outcome.stdout), String::from_utf8_lossy(&outcome.stderr));
    assert!(stdout.contains("1 passed"), "{stdout}\n{stderr}");
}
