//! Every record arrives once, whatever is killed: the stock pipelines through Apache Kafka and through the
//! embedded broker into the store of the offline cloud.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::kafka::Broker;
use crate::support::s3::S3;
use crate::support::stocks::{SplitMix, stocks_csv};
use crate::support::{Outcome, Running, Scene, report};

const BUCKET: &str = "stocks";
const LONG: Duration = Duration::from_secs(300);

/// The stock flow: a CSV file, a topic, a bucket, and the two pipeline files.
struct Flow {
    scene: Scene,
    broker: &'static Broker,
    s3: S3,
    topic: String,
    group: String,
    rows: Vec<String>,
}

impl Flow {
    /// Through Apache Kafka; `None` where it cannot run.
    fn new(n_rows: usize) -> Option<Flow> {
        Some(Flow::through(Broker::shared()?, n_rows))
    }

    fn through(broker: &'static Broker, n_rows: usize) -> Flow {
        let s3 = S3::start();
        s3.create_bucket(BUCKET);
        let mut scene = Scene::new();
        s3.surround(&mut scene);
        let csv = stocks_csv(n_rows, 7);
        let rows = expected_objects(&csv);
        let path = scene.write("stocks.csv", csv);
        let (topic, group) = (broker.name("stocks"), broker.name("lake"));
        scene
            .set("KAFKA_BOOTSTRAP_SERVERS", broker.bootstrap())
            .set("STOCKS_CSV", path.display().to_string())
            .set("STOCKS_TOPIC", &topic)
            .set("STOCKS_GROUP", &group)
            .set("STOCKS_BUCKET", BUCKET)
            .set("STOCKS_LIMIT", n_rows.to_string());
        scene.write("producer.toml", stock_pipeline("producer.toml"));
        scene.write("consumer.toml", without_crawler(&stock_pipeline("consumer.toml")));
        Flow { scene, broker, s3, topic, group, rows }
    }

    fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.scene.set(name, value);
        self
    }

    fn produce(&self) -> Running {
        self.scene.start(["run", "producer.toml", "--report", "producer.json"])
    }

    fn consume(&self) -> Running {
        self.scene.start(["run", "consumer.toml", "--report", "consumer.json"])
    }

    /// Fails the test unless the bucket holds every row as its object, and nothing else.
    #[track_caller]
    fn assert_every_object(&self) {
        let keys = self.s3.keys(BUCKET);
        assert_eq!(keys.len(), self.rows.len(), "objects");
        for (entry, expected) in self.rows.iter().enumerate() {
            let key = format!("stockmarket_project/stock_market_{entry}.json");
            assert_eq!(&self.s3.read(BUCKET, &key), expected, "{key}");
        }
    }

    /// Fails the test unless the topic holds every entry, equal however often it came.
    #[track_caller]
    fn assert_topic(&self, at_most_copies: usize) {
        let mut copies = vec![0; self.rows.len()];
        for stored in self.broker.read_all(&self.topic) {
            let entry: usize = stored.header("runner-entry").expect("an entry").parse().expect("a number");
            assert_eq!(stored.text(), self.rows[entry], "entry {entry}");
            assert_eq!(stored.header("runner-source"), Some("producer/stocks"));
            copies[entry] += 1;
        }
        let odd = copies.iter().position(|n| !(1..=at_most_copies).contains(n));
        assert_eq!(odd.map(|entry| (entry, copies[entry])), None, "an entry and how often it is there");
    }
}

fn stock_pipeline(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines").join(name);
    std::fs::read_to_string(path).expect("a stock pipeline")
}

/// The consumer without its crawler, whose tests are in `glue`.
fn without_crawler(pipeline: &str) -> String {
    let at = pipeline.find("# A sink behind a sink").expect("the crawler's block");
    // A member that was killed is waited for as long as its session lasts.
    let quick = "group_id = \"${STOCKS_GROUP:-stock-market-lake}\"";
    let session = format!("{quick}\nlibrdkafka_options = {{ \"session.timeout.ms\" = \"6000\" }}");
    assert!(pipeline.contains(quick));
    pipeline[..at].replace(quick, &session)
}

/// What becomes of each row, made without the runner: the generator writes
/// every number as JSON wants it.
fn expected_objects(csv: &str) -> Vec<String> {
    let mut lines = csv.lines();
    let names: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let object = |line: &str| {
        let cells = line.split(',').zip(&names).map(|(cell, name)| match *name {
            "Index" | "Date" => format!("\"{name}\":\"{cell}\""),
            _ => format!("\"{name}\":{cell}"),
        });
        format!("{{{}}}", cells.collect::<Vec<_>>().join(","))
    };
    lines.map(object).collect()
}

/// All rows, through so many partitions.
fn everything_arrives(mut flow: Flow, n_partitions: i32) {
    let n_rows = flow.rows.len();
    flow.topic = flow.broker.create_topic("all", n_partitions);
    let topic = flow.topic.clone();
    flow.set("STOCKS_TOPIC", &topic).set("STOCKS_RATE", "10000000").set("STOCKS_STOP", "at_end");
    flow.produce().wait(LONG).assert_code(0);
    assert_eq!(flow.broker.partitions(&flow.topic), Some(n_partitions as usize));
    flow.assert_topic(1);
    flow.consume().wait(LONG * 2).assert_code(0);
    flow.assert_every_object();
    let told = report(flow.scene.path("consumer.json"));
    assert_eq!(told["pipelines"][0]["status"], "completed");
    for component in told["pipelines"][0]["components"].as_array().expect("components") {
        assert_eq!(component["records_in"], n_rows, "{component}");
        assert_eq!(component["records_out"], n_rows, "{component}");
    }
    let committed: i64 = flow.broker.committed(&flow.group, &flow.topic).into_iter().flatten().sum();
    assert_eq!(committed, n_rows as i64);
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

#[test]
fn all_rows_arrive_through_the_embedded_broker() {
    everything_arrives(Flow::through(Broker::embedded(), 5_000), 1);
    everything_arrives(Flow::through(Broker::embedded(), 5_000), 6);
}

#[test]
fn whoever_is_killed_nothing_is_missing_and_nothing_is_wrong() {
    let Some(flow) = Flow::new(20_000) else { return };
    somebody_is_killed(flow, 20);
}

#[test]
fn whoever_is_killed_the_embedded_broker_loses_nothing() {
    somebody_is_killed(Flow::through(Broker::embedded(), 5_000), 8);
}

/// kill -9 or SIGTERM at either side or both, so many times; then each runs once more.
fn somebody_is_killed(mut flow: Flow, n_times: usize) {
    let seed =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos();
    eprintln!("seed {seed}");
    let mut random = SplitMix(seed as u64);
    flow.set("STOCKS_RATE", "1500");
    let (mut producer, mut consumer) = (flow.produce(), flow.consume());
    for _ in 0..n_times {
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
    }
    for running in [producer, consumer] {
        running.signal(Signal::SIGTERM);
        assert_in_order(&running.wait(LONG));
    }
    flow.set("STOCKS_RATE", "10000000").set("STOCKS_STOP", "at_end");
    flow.produce().wait(LONG).assert_code(0);
    flow.consume().wait(LONG).assert_code(0);
    flow.assert_topic(25);
    flow.assert_every_object();
}

fn end_and_start(running: Running, signal: Signal, start: impl Fn() -> Running) -> Running {
    running.signal(signal);
    let outcome = running.wait(LONG);
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

fn one_of_two_is_killed(mut flow: Flow) {
    flow.topic = flow.broker.create_topic("shared", 6);
    let topic = flow.topic.clone();
    flow.set("STOCKS_TOPIC", &topic).set("STOCKS_RATE", "10000000");
    flow.produce().wait(LONG).assert_code(0);
    let (first, second) = (flow.consume(), flow.consume());
    crate::support::wait_until("the first objects", LONG, || flow.s3.count(BUCKET) > 500);
    first.signal(Signal::SIGKILL);
    drop(first);
    // All may be stored while the partitions are still being handed over; nothing is committed before.
    let n_rows = i64::try_from(flow.rows.len()).expect("a number of rows");
    crate::support::wait_until("every commit", LONG, || {
        flow.broker.committed(&flow.group, &flow.topic).iter().flatten().sum::<i64>() == n_rows
    });
    second.signal(Signal::SIGTERM);
    second.wait(LONG).assert_code(0);
    flow.assert_every_object();
}

#[test]
fn the_setup_of_the_zookeeper_days_works_as_well() {
    let Some(old) = Broker::start_zookeeper_era() else { return };
    let Some(mut flow) = Flow::new(2_000) else { return };
    flow.set("KAFKA_BOOTSTRAP_SERVERS", old.bootstrap())
        .set("STOCKS_RATE", "10000000")
        .set("STOCKS_STOP", "at_end");
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

fn the_source_is_edited(mut flow: Flow) {
    flow.set("STOCKS_RATE", "10000000").set("STOCKS_STOP", "at_end").set("STOCKS_LIMIT", "200");
    flow.produce().wait(LONG).assert_code(0);
    let prices: Vec<String> = (0..150).map(|n| format!("{{\"Index\":\"API\",\"Close\":{n}.25}}")).collect();
    let api = crate::support::Api::start(&format!("[{}]", prices.join(",")));
    flow.set("STOCKS_API", &api.url()).set("STOCKS_LIMIT", "100");
    flow.scene.write("producer.toml", stock_pipeline("producer-http.toml"));
    flow.produce().wait(LONG).assert_code(0);
    flow.consume().wait(LONG).assert_code(0);
    flow.rows.truncate(200);
    flow.rows.extend(prices.into_iter().take(100));
    flow.assert_every_object();
}
