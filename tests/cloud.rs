//! The offline cloud, as a newcomer meets it: `demo`, `local`, `query`.

mod rows;

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use runner_needs::needs;

use crate::support::cloud::Cloud;
use crate::support::disk::SmallDisk;
use crate::support::stocks::stocks_csv;
use crate::support::{Outcome, Scene, report, wait_until};

const DATABASE: &str = "realtime-de-db";
const FOLDER: &str = "stockmarket_project";

/// The stock pipelines, copied into the scene.
fn write_stock_pipelines(scene: &Scene) {
    for name in ["producer.toml", "producer-http.toml", "consumer.toml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines").join(name);
        scene.write(name, std::fs::read(path).expect("a stock pipeline"));
    }
}

/// A cloud in which `n_rows` stock prices have gone all the way into a table.
fn cloud_with_table(scene: &mut Scene, n_rows: usize, arguments: &[&str]) -> Cloud {
    let cloud = Cloud::start(scene, arguments);
    cloud.surround(scene);
    fill(scene, n_rows);
    cloud
}

fn fill(scene: &mut Scene, n_rows: usize) {
    write_stock_pipelines(scene);
    scene.write("stocks.csv", stocks_csv(n_rows, 7));
    scene
        .set("STOCKS_CSV", scene.path("stocks.csv").display().to_string())
        .set("STOCKS_LIMIT", n_rows.to_string())
        .set("STOCKS_RATE", "1000000")
        .set("STOCKS_STOP", "at_end");
    scene.run(["run", "producer.toml"]).assert_code(0);
    scene.run(["run", "consumer.toml", "--report", "consumer.json"]).assert_code(0);
}

fn query(scene: &Scene, sql: &str, more: &[&str]) -> Outcome {
    let all = ["query", "--database", DATABASE, sql].into_iter().chain(more.iter().copied());
    scene.run(all)
}

#[test]
fn demo_runs_whole_flow_and_checks_count() {
    let scene = Scene::new();
    let began = Instant::now();
    let outcome = scene.run(["demo", "--records", "2000", "--rate", "200", "--keep", "kept here"]);
    assert!(began.elapsed() < Duration::from_secs(60), "the demo took {:?}", began.elapsed());
    outcome.assert_code(0).assert_says(&[
        "sink broker (kafka): 2000 in, 2000 out",
        "sink lake (s3): 2000 in, 2000 out",
        "stockmarket_project",
        "The count is right: 2,000 records written, as many in the table.",
        "What to try next",
        "swap the source",
        "rewire a file",
        "STOCKS_BUCKET=NAME",
    ]);
    assert!(outcome.stdout.contains("average_close"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("│ HSI"), "{}", outcome.stdout);
    let objects = scene.path("kept here/cloud/s3/stock-market-local/stockmarket_project");
    assert_eq!(std::fs::read_dir(objects).expect("the objects").count(), 2_000);
}

#[test]
fn demo_with_http_source_checks_count() {
    let scene = Scene::new();
    let outcome = scene.run(["demo", "--records", "120", "--rate", "400", "--source", "http"]);
    outcome.assert_code(0).assert_says(&[
        "source stocks (http): ",
        "The count is right: 120 records written, as many in the table.",
    ]);
}

#[test]
fn demo_ignores_user_environment() {
    let mut scene = Scene::new();
    scene
        .set("AWS_PROFILE", "nobody")
        .set("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
        .set("AWS_USE_FIPS_ENDPOINT", "true")
        .set("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
        .set("KAFKA_SECURITY_PROTOCOL", "sasl_ssl")
        .set("STOCKS_CSV", "/nowhere.csv")
        .set("STOCKS_TOPIC", "another")
        .set("HTTP_PROXY", "http://127.0.0.1:1");
    scene.run(["demo", "--records", "20", "--rate", "400", "--source", "http"]).assert_code(0);
}

#[test]
fn demo_refuses_to_keep_into_nonempty_folder() {
    let scene = Scene::new();
    scene.write("kept/mine.txt", "mine");
    let outcome = scene.run(["demo", "--keep", "kept"]);
    outcome.assert_code(1).assert_says(&["--keep kept: the folder is not empty"]);
    assert_eq!(scene.read("kept/mine.txt"), "mine");
}

#[test]
fn producer_and_consumer_run_in_one_command() {
    let mut scene = Scene::new();
    let cloud = Cloud::start(&scene, &["--data", "data"]);
    cloud.surround(&mut scene);
    write_stock_pipelines(&scene);
    scene.write("stocks.csv", stocks_csv(200, 7));
    scene
        .set("STOCKS_CSV", scene.path("stocks.csv").display().to_string())
        .set("STOCKS_RATE", "100")
        .set("STOCKS_LIMIT", "200");
    let running = scene.start(["run", "--report", "report.json", "producer.toml", "consumer.toml"]);
    let bucket = Path::new("data/s3/stock-market-local").join(FOLDER);
    let n_objects = || std::fs::read_dir(scene.path(&bucket)).map_or(0, |objects| objects.count());
    wait_until("every object", Duration::from_secs(60), || n_objects() == 200);
    wait_until("the end of the producer", Duration::from_secs(60), || {
        running.has_said("`producer` has ended")
    });
    running.signal(Signal::SIGTERM);
    running.wait(Duration::from_secs(30)).assert_code(0);
    let report = report(scene.path("report.json"));
    assert_eq!(report["pipelines"][0]["status"], "completed");
    assert_eq!(report["pipelines"][1]["status"], "stopped");
    assert_eq!(report["pipelines"][1]["components"][1]["records_out"], 200);
    cloud.stop().assert_code(0);
}

#[test]
fn query_prints_table_csv_or_json() {
    let mut scene = Scene::new();
    let _cloud = cloud_with_table(&mut scene, 120, &[]);
    let sql = "SELECT index, count(*) AS n, min(date) AS first FROM stockmarket_project \
               WHERE index IN ('HSI', 'NYA') GROUP BY index ORDER BY index";
    let table = query(&scene, sql, &[]);
    table.assert_code(0).assert_says(&["scanned in"]);
    assert!(table.stdout.contains("│ HSI   ┆ 10 ┆ 1986-12-31 │"), "{}", table.stdout);
    let csv = query(&scene, sql, &["--format", "csv"]);
    assert_eq!(
        csv.stdout,
        "\"index\",\"n\",\"first\"\n\"HSI\",\"10\",\"1986-12-31\"\n\"NYA\",\"10\",\"1986-12-31\"\n"
    );
    let json = query(&scene, sql, &["--format", "json"]);
    let first = "{\"index\":\"HSI\",\"n\":10,\"first\":\"1986-12-31\"}\n";
    assert!(json.stdout.starts_with(first), "{}", json.stdout);
}

#[test]
fn query_expect_sets_exit_code() {
    let mut scene = Scene::new();
    let _cloud = cloud_with_table(&mut scene, 60, &[]);
    let sql = "SELECT count(*) FROM stockmarket_project";
    query(&scene, sql, &["--expect", "60"]).assert_code(0);
    let wrong = query(&scene, sql, &["--expect", "61"]);
    wrong.assert_code(1).assert_says(&["expected 61, and the answer is 60"]);
}

#[test]
fn query_refused_by_athena_shows_reason() {
    let mut scene = Scene::new();
    let _cloud = cloud_with_table(&mut scene, 30, &[]);
    for (sql, reason) in [
        ("SELEKT 1", "1:1"),
        ("SELECT * FROM nothing_here", "nothing_here"),
        ("SELECT nothing FROM stockmarket_project", "nothing"),
        ("SELECT * FROM stockmarket_project WHERE date < date '2020-01-01'", "varchar"),
        ("DELETE FROM stockmarket_project", "Modifying Hive table rows"),
    ] {
        let outcome = query(&scene, sql, &[]);
        outcome.assert_code(1).assert_says(&["error", reason]);
    }
    let inside = format!("s3://stock-market-local/{FOLDER}/results/");
    let outcome = query(&scene, "SELECT 1", &["--output-location", &inside]);
    outcome.assert_code(1).assert_says(&[FOLDER]);
}

#[test]
fn local_with_data_folder_keeps_objects_and_tables() {
    let mut scene = Scene::new();
    let cloud = cloud_with_table(&mut scene, 40, &["--data", "data"]);
    cloud.stop().assert_code(0);
    let cloud = Cloud::start(&scene, &["--data", "data"]);
    let mut again = Scene::new();
    cloud.surround(&mut again);
    query(&again, "SELECT count(*) FROM stockmarket_project", &["--expect", "40"]).assert_code(0);
}

#[test]
fn local_port_in_use_is_named() {
    let scene = Scene::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("bound").port().to_string();
    for option in ["--kafka-port", "--aws-port", "--api-port"] {
        let outcome = scene.run(["local", option, &port]);
        outcome.assert_code(1).assert_says(&[&format!("port {port} of 127.0.0.1 is taken")]);
    }
}

#[test]
fn local_unusable_data_folder_is_named() {
    let scene = Scene::new();
    scene.write("data", "a file in its place");
    let outcome = scene.run(["local", "--data", "data"]);
    outcome.assert_code(1).assert_says(&["the offline cloud cannot keep its data in data"]);
    // Read-only, for root too.
    scene.run(["local", "--data", "/proc/data"]).assert_code(1).assert_says(&["/proc/data"]);
    let _cloud = Cloud::start(&scene, &["--data", "used"]);
    let outcome = scene.run(["local", "--data", "used"]);
    outcome.assert_code(1).assert_says(&["another offline cloud keeps its data in used"]);
}

#[test]
#[needs(mount)]
fn local_on_full_disk_reports_it_and_recovers() {
    let mut scene = Scene::new();
    let disk = SmallDisk::mount(&scene.path("small"));
    let path = |name: &str| scene.path(name).display().to_string();
    let arguments = ["local", "--write-env", &path("cloud.env"), "--data", &path("small/data")];
    let cloud = scene.start_by(&disk.entrance(), arguments);
    wait_until("the variables of the cloud", Duration::from_secs(60), || scene.path("cloud.env").exists());
    let variables = scene.read("cloud.env");
    for (name, value) in variables.lines().filter_map(|line| line.split_once('=')) {
        scene.set(name, value);
    }
    let state = scene.path("state").display().to_string();
    scene.set("RUNNER_DATA_DIR", state).write("rows.csv", "a,b\n1,2\n");
    scene.write(
        "put.toml",
        "retry = { timeout = \"1s\" }\n[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n\
         [transforms.json]\ntype = \"to_json\"\ninputs = [\"rows\"]\n\
         [sinks.lake]\ntype = \"s3\"\ninputs = [\"json\"]\nbucket = \"stock-market-local\"\nkey = \"t/{{ entry }}\"\n",
    );
    scene.write(
        "crawl.toml",
        "retry = { connect = \"1s\" }\n[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n\
         [sinks.table]\ntype = \"glue_crawl\"\ninputs = [\"rows\"]\ndatabase = \"db\"\ncrawler = \"c\"\nrole = \"r\"\n\
         target = \"s3://stock-market-local/t/\"\n",
    );
    let full = "No space left on device";
    disk.fill_but(0);
    scene.run(["run", "put.toml"]).assert_code(1).assert_says(&["writing s3://stock-market-local/t/", full]);
    scene.run(["query", "SELECT 1"]).assert_code(1).assert_says(&["writing the result to s3://", full]);
    scene.run(["crawl", "crawl.toml"]).assert_code(69).assert_says(&["writing the catalogue of Glue", full]);
    disk.free();
    scene.run(["run", "put.toml"]).assert_code(0);
    scene.run(["crawl", "crawl.toml"]).assert_code(0);
    scene.run(["query", "--database", "db", "SELECT count(*) FROM t", "--expect", "1"]).assert_code(0);
    cloud.signal(Signal::SIGINT);
    cloud.wait(Duration::from_secs(30)).assert_code(0);
}

#[test]
fn stock_api_pages_are_read_by_cursor() {
    let mut scene = Scene::new();
    let cloud = Cloud::start(&scene, &[]);
    cloud.surround(&mut scene);
    scene.write(
        "pages.toml",
        "[sources.prices]\ntype = \"http\"\nendpoint = \"${STOCKS_API}/pages\"\nrecords = \"/prices\"\n\
         query = { limit = 500 }\npagination = { type = \"cursor\", cursor = \"/next\", param = \"cursor\" }\n\
         [sinks.end]\ntype = \"file\"\ninputs = [\"prices\"]\npath = \"prices.jsonl\"\n",
    );
    scene.run(["run", "pages.toml"]).assert_code(0);
    assert_eq!(scene.read("prices.jsonl").lines().count(), 3_000);
}

#[test]
fn local_listens_on_loopback_only_and_frees_ports() {
    let scene = Scene::new();
    let cloud = Cloud::start(&scene, &[]);
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
    wait_until("the ports are free", Duration::from_secs(5), || {
        [&broker, &aws, &api].iter().all(|address| std::net::TcpStream::connect(address).is_err())
    });
}
