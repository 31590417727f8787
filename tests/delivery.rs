//! Every record arrives once, also under kills: the stock pipelines through Apache Kafka and through the
//! embedded broker into the S3 store of the offline cloud.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use nix::sys::signal::Signal;
use runner_needs::needs;

use crate::support::flow::{Flow, LONG, stock_cloud, stock_pipeline};
use crate::support::kafka::Broker;
use crate::support::oracle::Oracle;
use crate::support::stocks::SplitMix;
use crate::support::{Outcome, Running, wait_until};

/// Checks that all rows arrive through `n_partitions` partitions.
fn everything_arrives(flow: Flow<'_>, n_partitions: i32) {
    let mut flow = flow.partitioned(n_partitions);
    let n_rows = flow.oracle.n_records();
    flow.at_full_speed();
    flow.produce().wait(LONG).assert_code(0);
    assert_eq!(flow.broker.partitions(&flow.topic), Some(n_partitions as usize));
    flow.assert_topic(1);
    // An unoptimized store accepts some hundred objects a second, and other tests run at the same time.
    flow.consume().wait(LONG * 4).assert_code(0);
    flow.assert_every_object();
    flow.assert_report("consumer", "completed", n_rows);
    assert_eq!(flow.n_committed(), n_rows);
}

/// The number of rows in the public dataset.
const ALL: usize = 104_224;

/// All rows with `RUNNER_ALL_ROWS=1` or `RUNNER_LONG=1`, else `few`.
fn all_or(few: usize) -> usize {
    let is_long = ["RUNNER_ALL_ROWS", "RUNNER_LONG"].iter().any(|name| std::env::var_os(name).is_some());
    if is_long { ALL } else { few }
}

#[needs(kafka)]
#[test]
fn all_rows_arrive_through_one_partition() {
    let flow = Flow::new(all_or(20_000));
    everything_arrives(flow, 1);
}

#[needs(kafka)]
#[test]
fn all_rows_arrive_through_six_partitions() {
    let flow = Flow::new(ALL);
    everything_arrives(flow, 6);
}

#[test]
fn all_rows_arrive_through_embedded_broker() {
    let n_rows = all_or(5_000);
    everything_arrives(Flow::through(Broker::embedded(), n_rows), 1);
    everything_arrives(Flow::through(Broker::embedded(), n_rows), 6);
}

/// Repeats kill -9 or SIGTERM on producer, consumer or both; then each runs once more. `campaign.rs` does the
/// same with Apache Kafka.
#[test]
fn kills_with_embedded_broker_lose_nothing() {
    let mut flow = Flow::through(Broker::embedded(), 5_000);
    let seed =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos();
    eprintln!("seed {seed}");
    let mut random = SplitMix(seed as u64);
    flow.set("STOCKS_RATE", "1500");
    let (mut producer, mut consumer) = (flow.produce(), flow.consume());
    for _ in 0..8 {
        // A random time for a kill; this does not wait for a condition.
        std::thread::sleep(Duration::from_millis(100 + random.next() % 600));
        let signal = if random.next().is_multiple_of(2) { Signal::SIGKILL } else { Signal::SIGTERM };
        let whom = random.next() % 3;
        if whom != 1 {
            producer = end_and_start(producer, signal, || flow.produce());
        }
        if whom != 0 {
            consumer = end_and_start(consumer, signal, || flow.consume());
        }
        flow.listen();
    }
    for running in [producer, consumer] {
        running.signal(Signal::SIGTERM);
        let outcome = running.wait(LONG);
        eprintln!("last stop: {}", outcome.stderr);
        assert_stopped_gracefully(&outcome);
    }
    flow.listen();
    flow.at_full_speed();
    flow.produce().wait(LONG).assert_code(0);
    eprintln!("at full speed: {}", flow.consume().wait(LONG).assert_code(0).stderr);
    flow.assert_topic(25);
    flow.assert_every_object();
}

fn end_and_start(running: Running, signal: Signal, start: impl Fn() -> Running) -> Running {
    running.signal(signal);
    let outcome = running.wait(LONG);
    // Shown if the test fails.
    eprintln!("{signal}: {}", outcome.stderr);
    if signal == Signal::SIGTERM {
        assert_stopped_gracefully(&outcome);
    }
    start()
}

/// SIGTERM ends a process that has not yet installed its signal handler.
#[track_caller]
fn assert_stopped_gracefully(outcome: &Outcome) {
    if outcome.status.signal() != Some(Signal::SIGTERM as i32) {
        outcome.assert_code(0);
    }
}

#[needs(kafka)]
#[test]
fn killed_group_member_loses_nothing() {
    let flow = Flow::new(15_000);
    one_of_two_is_killed(flow);
}

#[test]
fn killed_group_member_with_embedded_broker_loses_nothing() {
    one_of_two_is_killed(Flow::through(Broker::embedded(), 5_000));
}

fn one_of_two_is_killed(flow: Flow<'_>) {
    let mut flow = flow.partitioned(6);
    flow.set("STOCKS_RATE", "10000000");
    flow.produce().wait(LONG).assert_code(0);
    let (first, second) = (flow.consume(), flow.consume());
    wait_until("the first objects", LONG, || flow.n_objects() > 500);
    first.signal(Signal::SIGKILL);
    drop(first);
    // All objects may be stored before the rebalance ends; the commits follow only after it.
    wait_until("every commit", LONG, || flow.n_committed() == flow.oracle.n_records());
    second.stop();
    flow.assert_every_object();
}

#[needs(java)]
#[test]
fn stock_flow_runs_with_kafka_3_9_and_zookeeper() {
    let old = Broker::start_zookeeper_era();
    let mut flow = Flow::new(2_000);
    flow.at_full_speed().set("KAFKA_BOOTSTRAP_SERVERS", old.bootstrap());
    flow.produce().wait(LONG).assert_code(0);
    flow.consume().wait(LONG).assert_code(0);
    flow.assert_every_object();
}

/// The source block is replaced by an API with other data: reading
/// starts from the beginning, and entry numbers continue.
#[needs(kafka)]
#[test]
fn replaced_source_continues_entry_numbers_without_collision() {
    let flow = Flow::new(300);
    the_source_is_edited(flow);
    the_source_is_edited(Flow::through(Broker::embedded(), 300));
}

fn the_source_is_edited(mut flow: Flow<'_>) {
    flow.at_full_speed().set("STOCKS_LIMIT", "200");
    flow.produce().wait(LONG).assert_code(0);
    let prices: Vec<String> = (0..150).map(|n| format!("{{\"Index\":\"API\",\"Close\":{n}.25}}")).collect();
    let api = crate::support::Api::start(&format!("[{}]", prices.join(",")));
    flow.set("STOCKS_API", &api.url()).set("STOCKS_LIMIT", "100");
    flow.env.write("producer.toml", stock_pipeline("producer-http.toml"));
    flow.produce().wait(LONG).assert_code(0);
    flow.consume().wait(LONG).assert_code(0);
    let rows = flow.oracle.records().iter().take(200).cloned();
    flow.oracle = Oracle::new(rows.chain(prices.into_iter().take(100)).collect());
    flow.assert_every_object();
}

/// Through Apache Kafka into the offline cloud, then a query through its Glue and Athena.
#[needs(kafka)]
#[test]
fn stock_pipeline_files_run_unchanged() {
    let broker = Broker::shared();
    let (_cloud, mut env) = stock_cloud(broker, &broker.name("as-it-is"), 300);
    env.set("STOCKS_LIMIT", "300");
    env.run(["run", "producer.toml"]).assert_code(0);
    env.run(["run", "consumer.toml"]).assert_code(0).assert_says(&["stockmarket_project", "adj close"]);
    let count = "SELECT count(*) FROM stockmarket_project";
    env.run(["query", "--database", "realtime-de-db", count, "--expect", "300"]).assert_code(0);
}
