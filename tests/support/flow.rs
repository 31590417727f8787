//! The stock flow: a CSV file, a topic, a bucket, the two pipeline files, and the oracle that knows the expected objects.

use std::path::Path;
use std::time::Duration;

use super::cloud::Cloud;
use super::kafka::Broker;
use super::oracle::{Oracle, Verdict};
use super::proxy::Proxy;
use super::s3::S3;
use super::stocks::stocks_csv;
use super::{Running, TestEnv, report};

pub const BUCKET: &str = "stocks";
pub const LONG: Duration = Duration::from_secs(300);

pub struct Flow<'a> {
    pub env: TestEnv,
    pub broker: &'a Broker,
    pub s3: S3,
    pub topic: String,
    pub group: String,
    pub oracle: Oracle,
}

/// The two pipeline files as they are, with generated rows, and an offline cloud.
pub fn stock_cloud(broker: &Broker, topic: &str, n_rows: usize) -> (Cloud, TestEnv) {
    let mut env = TestEnv::new();
    let cloud = Cloud::start(&env, &[]);
    cloud.configure(&mut env);
    for name in ["producer.toml", "consumer.toml"] {
        env.write(name, stock_pipeline(name));
    }
    let csv = env.write("stocks.csv", stocks_csv(n_rows, 7)).display().to_string();
    env.set("KAFKA_BOOTSTRAP_SERVERS", broker.bootstrap())
        .set("STOCKS_CSV", csv)
        .set("STOCKS_TOPIC", topic)
        .set("STOCKS_GROUP", broker.name("lake"))
        .set("STOCKS_RATE", "1000")
        .set("STOCKS_STOP", "at_end");
    (cloud, env)
}

impl Flow<'static> {
    /// Through Apache Kafka.
    pub fn new(n_rows: usize) -> Self {
        Flow::through(Broker::shared(), n_rows)
    }
}

impl<'a> Flow<'a> {
    pub fn through(broker: &'a Broker, n_rows: usize) -> Flow<'a> {
        let s3 = S3::start();
        s3.create_bucket(BUCKET);
        let mut env = TestEnv::new();
        s3.configure(&mut env);
        let csv = stocks_csv(n_rows, 7);
        let oracle = Oracle::new(expected_objects(&csv));
        let path = env.write("stocks.csv", csv);
        let (topic, group) = (broker.name("stocks"), broker.name("lake"));
        env.set("KAFKA_BOOTSTRAP_SERVERS", broker.bootstrap())
            .set("STOCKS_CSV", path.display().to_string())
            .set("STOCKS_TOPIC", &topic)
            .set("STOCKS_GROUP", &group)
            .set("STOCKS_BUCKET", BUCKET)
            .set("STOCKS_LIMIT", n_rows.to_string());
        env.write("producer.toml", stock_pipeline("producer.toml"));
        env.write("consumer.toml", without_crawler(&stock_pipeline("consumer.toml")));
        Flow { env, broker, s3, topic, group, oracle }
    }

    /// Uses a topic with `n_partitions` partitions instead of one that the producer creates.
    pub fn partitioned(mut self, n_partitions: i32) -> Self {
        self.topic = self.broker.create_topic("partitioned", n_partitions);
        self.env.set("STOCKS_TOPIC", &self.topic);
        self
    }

    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.env.set(name, value);
        self
    }

    /// Runs without a rate limit, and stops at the end of the topic.
    pub fn at_full_speed(&mut self) -> &mut Self {
        self.set("STOCKS_RATE", "10000000").set("STOCKS_STOP", "at_end")
    }

    /// Sets the session timeout of the consumer group.
    pub fn session(&mut self, time: Duration) -> &mut Self {
        let millis = time.as_millis();
        self.set("SESSION", &millis.to_string()).set("HEARTBEAT", &(millis / 5).to_string())
    }

    /// Replaces a part of a pipeline file.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let pipeline = self.env.read(file);
        assert!(pipeline.contains(from), "{file} does not contain {from}");
        self.env.write(file, pipeline.replace(from, to));
    }

    /// Puts a proxy between the runner and the bucket.
    pub fn proxied_bucket(&mut self) -> Proxy {
        let proxy = Proxy::to(&self.s3.url());
        self.set("AWS_ENDPOINT_URL_S3", &format!("http://{}", proxy.address()));
        proxy
    }

    pub fn produce(&self) -> Running {
        self.start("producer.toml", "producer.json")
    }

    pub fn consume(&self) -> Running {
        self.consume_as("consumer")
    }

    /// Starts one of several members, each with its own report.
    pub fn consume_as(&self, name: &str) -> Running {
        self.start("consumer.toml", &format!("{name}.json"))
    }

    /// The long drain timeout lets slow machines write what is in flight.
    fn start(&self, file: &str, report: &str) -> Running {
        self.env.start(["run", file, "--report", report, "--drain-timeout", "4m"])
    }

    /// The sum of the committed offsets of all partitions.
    pub fn n_committed(&self) -> usize {
        let committed = self.broker.committed(&self.group, &self.topic);
        committed.into_iter().flatten().sum::<i64>().try_into().expect("offsets are not negative")
    }

    pub fn n_objects(&self) -> usize {
        self.s3.count(BUCKET)
    }

    /// Records for the oracle what has been acknowledged until now.
    pub fn listen(&mut self) {
        if self.broker.partitions(&self.topic).is_none() {
            return;
        }
        let committed = self.broker.committed(&self.group, &self.topic);
        self.oracle.observe_commits(committed, &self.s3.keys(BUCKET));
        let Some(next_entry) = self.next_entry() else { return };
        let n_partitions = self.broker.partitions(&self.topic).expect("it is there");
        let ends = (0..n_partitions).map(|it| self.broker.watermarks(&self.topic, it as i32).1);
        self.oracle.observe_checkpoint(next_entry, ends.collect());
    }

    /// The next entry of the producer's checkpoint, if there is one.
    fn next_entry(&self) -> Option<usize> {
        let checkpoint = self.checkpoint()?;
        let checkpoint: serde_json::Value = serde_json::from_slice(&std::fs::read(checkpoint).ok()?)
            .expect("a checkpoint is always complete JSON");
        Some(checkpoint["next_entry"].as_u64().expect("a number") as usize)
    }

    /// The file of the producer's checkpoint.
    pub fn checkpoint(&self) -> Option<std::path::PathBuf> {
        let folders = std::fs::read_dir(self.env.path("state")).ok()?;
        folders.map_while(Result::ok).map(|it| it.path().join("stocks.json")).find(|path| path.exists())
    }

    pub fn judge_objects(&self) -> Verdict {
        let read = |key: String| {
            let content = self.s3.read(BUCKET, &key);
            (key, content)
        };
        let objects: Vec<_> = self.s3.keys(BUCKET).into_iter().map(read).collect();
        self.oracle.judge_objects(&objects)
    }

    /// Fails the test unless the bucket has one object for every record, and no other object.
    #[track_caller]
    pub fn assert_every_object(&self) {
        self.judge_objects().assert_clean();
    }

    /// Fails the test unless the topic has every record, and every acknowledged record was stored.
    #[track_caller]
    pub fn assert_topic(&self, at_most_copies: usize) {
        self.oracle.judge_topic(&self.broker.read_all(&self.topic), at_most_copies).assert_clean();
    }

    /// Fails the test unless a report has this status and these counts.
    #[track_caller]
    pub fn assert_report(&self, name: &str, status: &str, n_records: usize) {
        self.verdict_on_report(name, status, n_records).assert_clean();
    }

    /// Fails the test if the counts of a report do not add up, whatever its status.
    #[track_caller]
    pub fn assert_sums(&self, name: &str) {
        self.oracle.judge_sums(&report(self.env.path(format!("{name}.json")))).assert_clean();
    }

    pub fn verdict_on_report(&self, name: &str, status: &str, n_records: usize) -> Verdict {
        self.oracle.judge_report(&report(self.env.path(format!("{name}.json"))), status, n_records)
    }
}

pub fn stock_pipeline(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines").join(name);
    std::fs::read_to_string(path).expect("a stock pipeline")
}

/// The consumer without its crawler, which has tests in `glue`.
fn without_crawler(pipeline: &str) -> String {
    let at = pipeline.find("[sinks.crawl]").expect("the crawler's block");
    // The group waits for a killed member until its session expires.
    let quick = "group_id = \"${STOCKS_GROUP:-stock-market-lake}\"";
    let session = format!(
        "{quick}\nlibrdkafka_options = {{ \"session.timeout.ms\" = \"${{SESSION:-6000}}\", \
         \"heartbeat.interval.ms\" = \"${{HEARTBEAT:-1000}}\" }}"
    );
    assert!(pipeline.contains(quick));
    pipeline[..at].replace(quick, &session)
}

/// The expected object of each row, made without the runner: the generator writes
/// every number in JSON form.
pub fn expected_objects(csv: &str) -> Vec<String> {
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
