//! Every record arrives once, whatever is killed: the stock pipelines through Apache Kafka and through the
//! embedded broker into the store of the offline cloud.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::cloud::Cloud;
use crate::support::flow::{Flow, LONG, stock_pipeline};
use crate::support::kafka::Broker;
use crate::support::oracle::Oracle;
use crate::support::stocks::{SplitMix, stocks_csv};
use crate::support::{Outcome, Running, Scene, wait_until};

/// All rows, through so many partitions.
fn everything_arrives(flow: Flow<'_>, n_partitions: i32) {
    let mut flow = flow.partitioned(n_partitions);
    let n_rows = flow.oracle.n_records();
    flow.hurry();
    flow.produce().wait(LONG).assert_code(0);
    assert_eq!(flow.broker.partitions(&flow.topic), Some(n_partitions as usize));
    flow.assert_topic(1);
    // An unoptimized store takes some hundred objects a second, and others want it meanwhile.
    flow.consume().wait(LONG * 4).assert_code(0);
    flow.assert_every_object();
    flow.assert_report("consumer", "completed", n_rows);
    assert_eq!(flow.n_committed(), n_rows);
}

/// As many as the public dataset has.
const ALL: usize = 104_224;

#[test]
fn all_rows_arrive_through_one_partition() {
    let Some(flow) = Flow::new(ALL) else { return };
    everything_arrives(flow, 1);
}

#[test]
fn all_rows_arrive_through_six_partitions() {
    let Some(flow) = Flow::new(ALL) else { return };
    everything_arrives(flow, 6);
}

/// `RUNNER_ALL_ROWS=1` takes as many here as through the real broker.
#[test]
fn all_rows_arrive_through_the_embedded_broker() {
    let n_rows = if std::env::var_os("RUNNER_ALL_ROWS").is_some() { ALL } else { 5_000 };
    everything_arrives(Flow::through(Broker::embedded(), n_rows), 1);
    everything_arrives(Flow::through(Broker::embedded(), n_rows), 6);
}

/// kill -9 or SIGTERM at either side or both, again and again; then each runs once more. What
/// `campaign.rs` does with the real broker.
#[test]
fn whoever_is_killed_the_embedded_broker_loses_nothing() {
    let mut flow = Flow::through(Broker::embedded(), 5_000);
    let seed =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos();
    eprintln!("seed {seed}");
    let mut random = SplitMix(seed as u64);
    flow.set("STOCKS_RATE", "1500");
    let (mut producer, mut consumer) = (flow.produce(), flow.consume());
    for _ in 0..8 {
        // Any moment is a good one to be killed at; this is no wait for anything.
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
        eprintln!("at last: {}", outcome.stderr);
        assert_in_order(&outcome);
    }
    flow.listen();
    flow.hurry();
    flow.produce().wait(LONG).assert_code(0);
    eprintln!("hurried: {}", flow.consume().wait(LONG).assert_code(0).stderr);
    flow.assert_topic(25);
    flow.assert_every_object();
}

fn end_and_start(running: Running, signal: Signal, start: impl Fn() -> Running) -> Running {
    running.signal(signal);
    let outcome = running.wait(LONG);
    // Shown if the test fails.
    eprintln!("{signal}: {}", outcome.stderr);
    if signal == Signal::SIGTERM {
        assert_in_order(&outcome);
    }
    start()
}

/// A process that has not come to its first line yet is simply gone.
#[track_caller]
fn assert_in_order(outcome: &Outcome) {
    if outcome.status.signal() != Some(Signal::SIGTERM as i32) {
        outcome.assert_code(0);
    }
}

#[test]
fn a_member_of_two_is_killed_under_load_and_nothing_is_missing() {
    let Some(flow) = Flow::new(15_000) else { return };
    one_of_two_is_killed(flow);
}

#[test]
fn a_member_of_two_is_killed_and_the_embedded_broker_hands_over_its_partitions() {
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
    // All may be stored while the partitions are still being handed over; nothing is committed before.
    wait_until("every commit", LONG, || flow.n_committed() == flow.oracle.n_records());
    second.signal(Signal::SIGTERM);
    second.wait(LONG).assert_code(0);
    flow.assert_every_object();
}

#[test]
fn the_setup_of_the_zookeeper_days_works_as_well() {
    let Some(old) = Broker::start_zookeeper_era() else { return };
    let Some(mut flow) = Flow::new(2_000) else { return };
    flow.hurry().set("KAFKA_BOOTSTRAP_SERVERS", old.bootstrap());
    flow.produce().wait(LONG).assert_code(0);
    flow.consume().wait(LONG).assert_code(0);
    flow.assert_every_object();
}

/// The source block is edited from a file to an API with other data: reading
/// starts afresh, and counting goes on.
#[test]
fn when_the_source_is_edited_the_numbers_go_on_and_nothing_collides() {
    let Some(flow) = Flow::new(300) else { return };
    the_source_is_edited(flow);
    the_source_is_edited(Flow::through(Broker::embedded(), 300));
}

fn the_source_is_edited(mut flow: Flow<'_>) {
    flow.hurry().set("STOCKS_LIMIT", "200");
    flow.produce().wait(LONG).assert_code(0);
    let prices: Vec<String> = (0..150).map(|n| format!("{{\"Index\":\"API\",\"Close\":{n}.25}}")).collect();
    let api = crate::support::Api::start(&format!("[{}]", prices.join(",")));
    flow.set("STOCKS_API", &api.url()).set("STOCKS_LIMIT", "100");
    flow.scene.write("producer.toml", stock_pipeline("producer-http.toml"));
    flow.produce().wait(LONG).assert_code(0);
    flow.consume().wait(LONG).assert_code(0);
    let rows = flow.oracle.records().iter().take(200).cloned();
    flow.oracle = Oracle::new(rows.chain(prices.into_iter().take(100)).collect());
    flow.assert_every_object();
}

/// Through Apache Kafka into the offline cloud, whose Glue and Athena are asked in the end.
#[test]
fn the_stock_files_run_as_they_are() {
    let Some(broker) = Broker::shared() else { return };
    let mut scene = Scene::new();
    let cloud = Cloud::start(&scene, &[]);
    cloud.surround(&mut scene);
    for name in ["producer.toml", "consumer.toml"] {
        scene.write(name, stock_pipeline(name));
    }
    let csv = scene.write("stocks.csv", stocks_csv(300, 7)).display().to_string();
    scene
        .set("KAFKA_BOOTSTRAP_SERVERS", broker.bootstrap())
        .set("STOCKS_CSV", csv)
        .set("STOCKS_TOPIC", broker.name("as-it-is"))
        .set("STOCKS_GROUP", broker.name("lake"))
        .set("STOCKS_RATE", "1000")
        .set("STOCKS_LIMIT", "300")
        .set("STOCKS_STOP", "at_end");
    scene.run(["run", "producer.toml"]).assert_code(0);
    scene.run(["run", "consumer.toml"]).assert_code(0).assert_says(&["stockmarket_project", "adj close"]);
    let count = "SELECT count(*) FROM stockmarket_project";
    scene.run(["query", "--database", "realtime-de-db", count, "--expect", "300"]).assert_code(0);
}
