//! The stock flow while its bucket, the connection to it, or its credentials fail.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use runner_needs::needs;

use crate::support::flow::{BUCKET, Flow, LONG};
use crate::support::proxy::{Fault, Network, Proxy};
use crate::support::s3::{Response, S3};
use crate::support::{Running, TestEnv, wait_until};

/// A flow with all records in a topic of two partitions, before its consumer starts.
fn flow_with_filled_topic(n_rows: usize) -> Flow<'static> {
    let mut flow = Flow::new(n_rows).partitioned(2);
    flow.set("STOCKS_RATE", "10000000");
    flow.edit(
        "consumer.toml",
        "name = \"consumer\"",
        "name = \"consumer\"\nretry = { initial = \"20ms\", max = \"1s\" }",
    );
    flow.produce().wait(LONG).assert_code(0);
    flow
}

/// Waits for the last commit, stops the consumer gracefully, and checks the result.
fn judge(mut flow: Flow<'_>, consumer: Running) -> Flow<'_> {
    let n_records = flow.oracle.n_records();
    wait_until("every object", LONG, || flow.n_objects() >= n_records);
    flow.listen();
    wait_until("the last commit", LONG, || flow.n_committed() >= n_records);
    consumer.stop();
    flow.assert_every_object();
    flow.assert_topic(1);
    flow.assert_report("consumer", "stopped", n_records);
    flow
}

#[needs(kafka)]
#[test]
fn s3_sink_retries_on_503_500_and_request_timeout() {
    let mut flow = flow_with_filled_topic(1_000);
    flow.s3.respond_with(|request| match (request.operation, request.n_before % 8) {
        ("PutObject", 1) => Response::Error("SlowDown"),
        ("PutObject", 3) => Response::Error("InternalError"),
        ("PutObject", 5) => Response::Error("ServiceUnavailable"),
        ("PutObject", 7) => Response::Error("RequestTimeout"),
        _ => Response::Normal,
    });
    let consumer = flow.consume();
    wait_until("half of the objects", LONG, || flow.n_objects() > 500);
    flow.listen();
    judge(flow, consumer);
}

#[needs(kafka)]
#[test]
fn lost_s3_responses_duplicate_and_reject_nothing() {
    let flow = run_with_faults(Fault::DropResponse);
    assert!(flow.s3.requests("GetObject") > 0, "objects stored without a response must be compared");
}

#[needs(kafka)]
#[test]
fn s3_connections_cut_mid_request_lose_nothing() {
    run_with_faults(Fault::CutRequest);
}

fn run_with_faults(fault: Fault) -> Flow<'static> {
    let mut flow = flow_with_filled_topic(1_000);
    let proxy = flow.proxied_bucket();
    let consumer = flow.consume();
    wait_until("the first objects", LONG, || flow.n_objects() > 100);
    proxy.inject_faults(fault, 0, 150);
    wait_until("faults in requests", LONG, || proxy.n_injected() >= 150);
    flow.listen();
    judge(flow, consumer)
}

#[needs(kafka)]
#[test]
fn unreachable_s3_is_waited_for() {
    run_with_network(Network::Refusing, 1_000);
}

#[needs(kafka)]
#[test]
fn unresponsive_s3_times_out_and_is_retried() {
    run_with_network(Network::Unresponsive, 500);
}

fn run_with_network(network: Network, n_rows: usize) {
    let mut flow = flow_with_filled_topic(n_rows);
    let proxy = flow.proxied_bucket();
    let consumer = flow.consume();
    wait_until("the first objects", LONG, || flow.n_objects() > n_rows / 10);
    proxy.set(network);
    wait_until("a warning about a retry", LONG, || consumer.has_logged("retrying in"));
    flow.listen();
    proxy.set(Network::Normal);
    judge(flow, consumer);
}

#[needs(kafka)]
#[test]
fn slow_connection_to_s3_loses_nothing() {
    let mut flow = flow_with_filled_topic(400);
    let proxy = flow.proxied_bucket();
    proxy.set(Network::Slow(2_000));
    let consumer = flow.consume();
    wait_until("the first objects", LONG, || flow.n_objects() > 50);
    flow.listen();
    judge(flow, consumer);
}

#[needs(kafka)]
#[test]
fn expired_credentials_are_retried_with_warning() {
    for code in ["ExpiredToken", "AccessDenied"] {
        let mut flow = flow_with_filled_topic(600);
        let is_expired = Arc::new(AtomicBool::new(false));
        let request = Arc::clone(&is_expired);
        flow.s3.respond_with(move |_| {
            if request.load(Ordering::Relaxed) {
                Response::Error(code)
            } else {
                Response::Delayed(Duration::from_millis(200))
            }
        });
        let consumer = flow.consume();
        wait_until("the first objects", LONG, || flow.n_objects() > 100);
        is_expired.store(true, Ordering::Relaxed);
        let refused = flow.s3.requests("PutObject");
        wait_until("a warning about a retry", LONG, || {
            consumer.has_logged(code) && consumer.has_logged("retrying in")
        });
        wait_until("more retries", LONG, || flow.s3.requests("PutObject") > refused + 200);
        flow.listen();
        is_expired.store(false, Ordering::Relaxed);
        judge(flow, consumer);
    }
}

/// The stored objects are moved away with the bucket; the rest is stored in the new bucket.
#[needs(kafka)]
#[test]
fn removed_bucket_ends_run_without_committing_unstored_records() {
    let mut flow = flow_with_filled_topic(1_000);
    flow.s3.respond_with(|request| match request.operation {
        "PutObject" => Response::Delayed(Duration::from_millis(200)),
        _ => Response::Normal,
    });
    let consumer = flow.consume();
    wait_until("the first objects", LONG, || flow.n_objects() > 300);
    flow.s3.move_bucket(BUCKET, "removed");
    consumer.wait(LONG).assert_code(1).assert_says(&["there is no bucket `stocks`", "aws s3 mb"]);
    let committed = flow.broker.committed(&flow.group, &flow.topic);
    let removed = flow.s3.keys("removed");
    flow.oracle.observe_commits(committed, &removed);
    assert!(flow.n_committed() <= removed.len());

    flow.s3.create_bucket(BUCKET);
    flow.at_full_speed();
    flow.consume().wait(LONG).assert_code(0);
    for key in removed {
        let content = flow.s3.read("removed", &key);
        if let Some(again) = flow.s3.find(BUCKET, &key) {
            assert_eq!(again, content, "the object was stored again with other content");
        }
        flow.s3.put(BUCKET, &key, content);
    }
    flow.assert_every_object();
    flow.assert_topic(1);
}

/// A pipeline from CSV rows of a given size to objects, with a proxy before the bucket.
struct CsvToS3 {
    env: TestEnv,
    s3: S3,
    proxy: Proxy,
}

impl CsvToS3 {
    fn new(n_rows: usize, n_bytes: usize, retry: &str) -> CsvToS3 {
        let mut env = TestEnv::new();
        let s3 = S3::start();
        s3.create_bucket(BUCKET);
        s3.configure(&mut env);
        let proxy = Proxy::to(&s3.url());
        env.set("AWS_ENDPOINT_URL_S3", format!("http://{}", proxy.address()));
        let row = |n: usize| format!("{n},{}\n", "x".repeat(n_bytes));
        env.write("rows.csv", format!("n,text\n{}", (0..n_rows).map(row).collect::<String>()));
        env.write(
            "p.toml",
            format!(
                "retry = {{ initial = \"20ms\", max = \"200ms\", {retry} }}\n\
                 [sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n\
                 [sinks.lake]\ntype = \"s3\"\ninputs = [\"rows\"]\nbucket = \"{BUCKET}\"\n\
                 key = \"rows/{{{{ entry }}}}.csv\"\n"
            ),
        );
        CsvToS3 { env, s3, proxy }
    }

    fn start(&self) -> Running {
        self.env.start(["run", "p.toml"])
    }
}

/// How far a process has read a file that it has open.
fn bytes_read(pid: u32, path: &Path) -> Option<u64> {
    let mut open = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.map_while(Result::ok);
    let file = open.find(|file| std::fs::read_link(file.path()).is_ok_and(|target| target == path))?;
    let info = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{}", file.file_name().to_str()?)).ok()?;
    info.lines().find_map(|line| line.strip_prefix("pos:"))?.trim().parse().ok()
}

#[test]
fn s3_unreachable_past_retry_timeout_exits_69() {
    let it = CsvToS3::new(20_000, 10, "timeout = \"1s\"");
    let running = it.start();
    wait_until("the first objects", LONG, || it.s3.count(BUCKET) > 100);
    it.proxy.set(Network::Refusing);
    running
        .wait(LONG)
        .assert_code(69)
        .assert_says(&["writing s3://stocks/rows/", "cannot reach S3 at http://"]);
}

#[test]
fn put_timeout_grows_with_object_size() {
    let it = CsvToS3::new(1, 700_000, "timeout = \"1s\"");
    it.proxy.set(Network::Slow(20_000));
    it.start().wait(LONG).assert_code(0);
    assert_eq!(it.s3.count(BUCKET), 1);
    assert_eq!(it.s3.requests("PutObject"), 2, "the first object is written twice; an attempt timed out");
}

#[test]
fn blocked_s3_sink_stops_reading_at_in_flight_limit() {
    const N_ROWS: usize = 1_500;
    let it = CsvToS3::new(N_ROWS, 64 << 10, "timeout = \"0s\"");
    it.s3.respond_with(|request| match request.operation {
        // The first object is written twice, before any other.
        "PutObject" if request.n_before > 1 => Response::Error("SlowDown"),
        _ => Response::Normal,
    });
    let running = it.start();
    wait_until("a warning about a retry", LONG, || running.has_logged("retrying in"));
    let mut most = (0, 0);
    wait_until("many retries", LONG, || {
        let read = bytes_read(running.pid(), &it.env.path("rows.csv")).expect("it is being read");
        most = (most.0.max(running.rss_kib() >> 10), most.1.max(read >> 20));
        it.s3.requests("PutObject") > 4_000
    });
    // 32 MiB and one batch may be in flight; the reader holds one more batch, and its window is part of what it read.
    assert!((30..48).contains(&most.1), "{} of 96 MiB were read", most.1);
    assert!(most.0 < 128, "{} MiB of memory", most.0);
    assert_eq!(it.s3.count(BUCKET), 1);
    it.s3.respond_with(|_| Response::Normal);
    running.wait(LONG).assert_code(0);
    assert_eq!(it.s3.count(BUCKET), N_ROWS);
}
