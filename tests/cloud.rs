//! The offline cloud on the command line: `demo`, `local`, `query`.

mod athena_source;

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use runner_needs::needs;

use crate::support::cloud::Cloud;
use crate::support::disk::SmallDisk;
use crate::support::stocks::stocks_csv;
use crate::support::{Outcome, TestEnv, report, wait_until};

const DATABASE: &str = "realtime-de-db";
const FOLDER: &str = "stockmarket_project";

/// Copies the stock pipelines into the folder.
fn write_stock_pipelines(env: &TestEnv) {
    for name in ["producer.toml", "producer-http.toml", "consumer.toml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines").join(name);
        env.write(name, std::fs::read(path).expect("a stock pipeline"));
    }
}

/// A cloud with a table of `n_rows` stock prices.
fn cloud_with_table(env: &mut TestEnv, n_rows: usize, arguments: &[&str]) -> Cloud {
    let cloud = Cloud::start(env, arguments);
    cloud.configure(env);
    fill(env, n_rows);
    cloud
}

fn fill(env: &mut TestEnv, n_rows: usize) {
    write_stock_pipelines(env);
    env.write("stocks.csv", stocks_csv(n_rows, 7));
    env.set("STOCKS_CSV", env.path("stocks.csv").display().to_string())
        .set("STOCKS_LIMIT", n_rows.to_string())
        .set("STOCKS_RATE", "1000000")
        .set("STOCKS_STOP", "at_end");
    env.run(["run", "producer.toml"]).assert_code(0);
    env.run(["run", "consumer.toml", "--report", "consumer.json"]).assert_code(0);
}

fn query(env: &TestEnv, sql: &str, more: &[&str]) -> Outcome {
    let all = ["query", "--database", DATABASE, sql].into_iter().chain(more.iter().copied());
    env.run(all)
}

#[test]
fn demo_runs_whole_flow_and_checks_count() {
    let mut env = TestEnv::new();
    let began = Instant::now();
    let outcome = env.run(["demo", "--records", "2000", "--rate", "200", "--keep", "kept here"]);
    assert!(began.elapsed() < Duration::from_secs(60), "the demo took {:?}", began.elapsed());
    outcome.assert_code(0).assert_says(&[
        "sink broker (kafka): 2000 in, 2000 out",
        "sink lake (s3): 2000 in, 2000 out",
        "stockmarket_project",
        "The counts match: 2,000 records written, 2,000 rows in the table.",
        "Next steps",
        "swap the source",
        "edit a pipeline",
        "STOCKS_BUCKET=NAME",
    ]);
    assert!(outcome.stdout.contains("average_close"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("│ HSI"), "{}", outcome.stdout);
    let objects = env.path("kept here/cloud/s3/stock-market-local/stockmarket_project");
    assert_eq!(std::fs::read_dir(objects).expect("the objects").count(), 2_000);
    env.set("STOCKS_DAILY_API", "http://127.0.0.1:1/query");
    env.run(["test", "kept here/pipelines/apis/local.toml"]).assert_code(0);
}

#[test]
fn demo_shows_the_same_prices_from_the_file_and_from_the_api() {
    let env = TestEnv::new();
    let demo = |source| env.run(["demo", "--records", "600", "--rate", "2000", "--source", source]);
    let (csv, http) = (demo("csv"), demo("http"));
    csv.assert_code(0).assert_says(&["source stocks (csv): "]);
    http.assert_code(0).assert_says(&[
        "source stocks (http): ",
        "an API like Alpha Vantage",
        "The counts match: 600 records written, 600 rows in the table.",
    ]);
    assert!(http.stdout.contains("│ IXIC  ┆  100 "), "{}", http.stdout);
    assert_eq!(csv.stdout, http.stdout);
}

#[test]
fn demo_ignores_user_environment() {
    let mut env = TestEnv::new();
    env.set("AWS_PROFILE", "nobody")
        .set("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
        .set("AWS_USE_FIPS_ENDPOINT", "true")
        .set("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
        .set("KAFKA_SECURITY_PROTOCOL", "sasl_ssl")
        .set("STOCKS_CSV", "/nowhere.csv")
        .set("STOCKS_TOPIC", "another")
        .set("HTTP_PROXY", "http://127.0.0.1:1");
    env.run(["demo", "--records", "20", "--rate", "400", "--source", "http"]).assert_code(0);
}

#[test]
fn demo_refuses_to_keep_into_nonempty_folder() {
    let env = TestEnv::new();
    env.write("kept/mine.txt", "mine");
    let outcome = env.run(["demo", "--keep", "kept"]);
    outcome.assert_code(1).assert_says(&["--keep kept: the directory is not empty"]);
    assert_eq!(env.read("kept/mine.txt"), "mine");
}

#[test]
fn producer_and_consumer_run_in_one_command() {
    let mut env = TestEnv::new();
    let cloud = Cloud::start(&env, &["--data", "data"]);
    cloud.configure(&mut env);
    write_stock_pipelines(&env);
    env.write("stocks.csv", stocks_csv(200, 7));
    env.set("STOCKS_CSV", env.path("stocks.csv").display().to_string())
        .set("STOCKS_RATE", "100")
        .set("STOCKS_LIMIT", "200");
    let running = env.start(["run", "--report", "report.json", "producer.toml", "consumer.toml"]);
    let bucket = Path::new("data/s3/stock-market-local").join(FOLDER);
    let n_objects = || std::fs::read_dir(env.path(&bucket)).map_or(0, |objects| objects.count());
    wait_until("every object", Duration::from_secs(60), || n_objects() == 200);
    wait_until("the exit of the producer", Duration::from_secs(60), || {
        running.has_logged("`producer` ended")
    });
    running.stop();
    let report = report(env.path("report.json"));
    assert_eq!(report["pipelines"][0]["status"], "completed");
    assert_eq!(report["pipelines"][1]["status"], "stopped");
    assert_eq!(report["pipelines"][1]["components"][1]["records_out"], 200);
    cloud.stop().assert_code(0);
}

#[test]
fn query_prints_table_csv_or_json() {
    let mut env = TestEnv::new();
    let _cloud = cloud_with_table(&mut env, 120, &[]);
    let sql = "SELECT index, count(*) AS n, min(date) AS first FROM stockmarket_project \
               WHERE index IN ('HSI', 'NYA') GROUP BY index ORDER BY index";
    let table = query(&env, sql, &[]);
    table.assert_code(0).assert_says(&["scanned in"]);
    assert!(table.stdout.contains("│ HSI   ┆ 10 ┆ 1986-12-31 │"), "{}", table.stdout);
    let csv = query(&env, sql, &["--format", "csv"]);
    assert_eq!(
        csv.stdout,
        "\"index\",\"n\",\"first\"\n\"HSI\",\"10\",\"1986-12-31\"\n\"NYA\",\"10\",\"1986-12-31\"\n"
    );
    let json = query(&env, sql, &["--format", "json"]);
    let first = "{\"index\":\"HSI\",\"n\":10,\"first\":\"1986-12-31\"}\n";
    assert!(json.stdout.starts_with(first), "{}", json.stdout);
}

#[test]
fn query_expect_sets_exit_code() {
    let mut env = TestEnv::new();
    let _cloud = cloud_with_table(&mut env, 60, &[]);
    let sql = "SELECT count(*) FROM stockmarket_project";
    query(&env, sql, &["--expect", "60"]).assert_code(0);
    let wrong = query(&env, sql, &["--expect", "61"]);
    wrong.assert_code(1).assert_says(&["expected 61, but the result is 60"]);
}

#[test]
fn query_refused_by_athena_shows_reason() {
    let mut env = TestEnv::new();
    let _cloud = cloud_with_table(&mut env, 30, &[]);
    for (sql, reason) in [
        ("SELEKT 1", "1:1"),
        ("SELECT * FROM nothing_here", "nothing_here"),
        ("SELECT nothing FROM stockmarket_project", "nothing"),
        ("SELECT * FROM stockmarket_project WHERE date < date '2020-01-01'", "varchar"),
        ("DELETE FROM stockmarket_project", "Modifying Hive table rows"),
    ] {
        let outcome = query(&env, sql, &[]);
        outcome.assert_code(1).assert_says(&["error", reason]);
    }
    let inside = format!("s3://stock-market-local/{FOLDER}/results/");
    let outcome = query(&env, "SELECT 1", &["--output-location", &inside]);
    outcome.assert_code(1).assert_says(&[FOLDER]);
}

#[test]
fn local_with_data_folder_keeps_objects_and_tables() {
    let mut env = TestEnv::new();
    let cloud = cloud_with_table(&mut env, 40, &["--data", "data"]);
    cloud.stop().assert_code(0);
    let cloud = Cloud::start(&env, &["--data", "data"]);
    let mut again = TestEnv::new();
    cloud.configure(&mut again);
    query(&again, "SELECT count(*) FROM stockmarket_project", &["--expect", "40"]).assert_code(0);
}

#[test]
fn local_port_in_use_is_named() {
    let env = TestEnv::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("bound").port().to_string();
    for option in ["--kafka-port", "--aws-port", "--api-port"] {
        let outcome = env.run(["local", option, &port]);
        outcome.assert_code(1).assert_says(&[&format!("port {port} of 127.0.0.1 is taken")]);
    }
}

#[test]
fn local_unusable_data_folder_is_named() {
    let env = TestEnv::new();
    env.write("data", "a file instead of a folder");
    let outcome = env.run(["local", "--data", "data"]);
    outcome.assert_code(1).assert_says(&["the offline cloud cannot keep its data in data"]);
    // Read-only, even for root.
    env.run(["local", "--data", "/proc/data"]).assert_code(1).assert_says(&["/proc/data"]);
    let _cloud = Cloud::start(&env, &["--data", "used"]);
    let outcome = env.run(["local", "--data", "used"]);
    outcome.assert_code(1).assert_says(&["another offline cloud keeps its data in used"]);
}

#[needs(mount)]
#[test]
fn local_on_full_disk_reports_it_and_recovers() {
    let mut env = TestEnv::new();
    let disk = SmallDisk::mount(&env.path("small"));
    let path = |name: &str| env.path(name).display().to_string();
    let arguments = ["local", "--write-env", &path("cloud.env"), "--data", &path("small/data")];
    let cloud = env.start_via(&disk.nsenter_command(), arguments);
    wait_until("the variables of the cloud", Duration::from_secs(60), || env.path("cloud.env").exists());
    let variables = env.read("cloud.env");
    for (name, value) in variables.lines().filter_map(|line| line.split_once('=')) {
        env.set(name, value);
    }
    let state = env.path("state").display().to_string();
    env.set("RUNNER_DATA_DIR", state).write("rows.csv", "a,b\n1,2\n");
    env.write(
        "put.toml",
        "retry = { timeout = \"1s\" }\n[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n\
         [transforms.json]\ntype = \"to_json\"\ninputs = [\"rows\"]\n\
         [sinks.lake]\ntype = \"s3\"\ninputs = [\"json\"]\nbucket = \"stock-market-local\"\nkey = \"t/{{ entry }}\"\n",
    );
    env.write(
        "crawl.toml",
        "retry = { connect = \"1s\" }\n[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n\
         [sinks.table]\ntype = \"glue_crawl\"\ninputs = [\"rows\"]\ndatabase = \"db\"\ncrawler = \"c\"\nrole = \"r\"\n\
         target = \"s3://stock-market-local/t/\"\n",
    );
    let full = "No space left on device";
    disk.fill_except(0);
    env.run(["run", "put.toml"]).assert_code(1).assert_says(&["writing s3://stock-market-local/t/", full]);
    env.run(["query", "SELECT 1"]).assert_code(1).assert_says(&["writing the result to s3://", full]);
    env.run(["crawl", "crawl.toml"]).assert_code(69).assert_says(&["writing the catalogue of Glue", full]);
    disk.free();
    env.run(["run", "put.toml"]).assert_code(0);
    env.run(["crawl", "crawl.toml"]).assert_code(0);
    env.run(["query", "--database", "db", "SELECT count(*) FROM t", "--expect", "1"]).assert_code(0);
    cloud.signal(Signal::SIGINT);
    cloud.wait(Duration::from_secs(30)).assert_code(0);
}

#[test]
fn stock_api_pages_are_read_by_cursor() {
    let mut env = TestEnv::new();
    let cloud = Cloud::start(&env, &[]);
    cloud.configure(&mut env);
    env.write(
        "pages.toml",
        "[sources.prices]\ntype = \"http\"\nendpoint = \"${STOCKS_API}/pages\"\nrecords = \"/prices\"\n\
         query = { limit = 500 }\npagination = { type = \"cursor\", cursor = \"/next\", param = \"cursor\" }\n\
         [sinks.end]\ntype = \"file\"\ninputs = [\"prices\"]\npath = \"prices.jsonl\"\n",
    );
    env.run(["run", "pages.toml"]).assert_code(0);
    assert_eq!(env.read("prices.jsonl").lines().count(), 3_000);
}

#[test]
fn local_listens_on_loopback_only_and_frees_ports() {
    let env = TestEnv::new();
    let cloud = Cloud::start(&env, &[]);
    let broker = cloud.get("KAFKA_BOOTSTRAP_SERVERS").to_owned();
    let host = |name: &str| {
        let url = cloud.get(name).trim_start_matches("http://").to_owned();
        url.split('/').next().expect("an address").to_owned()
    };
    let (aws, api) = (host("AWS_ENDPOINT_URL"), host("STOCKS_API"));
    for address in [&broker, &aws, &api] {
        assert!(address.starts_with("127.0.0.1:"), "{address}");
        std::net::TcpStream::connect(address).expect("an answer");
    }
    let rss = cloud.rss_kib();
    assert!(rss < 150 * 1024, "an idle cloud takes {rss} KiB");
    cloud.stop().assert_code(0);
    wait_until("free ports", Duration::from_secs(5), || {
        [&broker, &aws, &api].iter().all(|address| std::net::TcpStream::connect(address).is_err())
    });
}
