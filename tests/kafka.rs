//! The `kafka` source and sink against Apache Kafka.

mod ends;
mod refused;
mod templates;

use std::time::{Duration, Instant};

use rdkafka::producer::BaseRecord;
use runner_needs::needs;

use crate::support::kafka::{Broker, Reading, free_ports};
use crate::support::{SOON, TestEnv, report, wait_until};

/// A pipeline from three rows to a sink.
fn producer(sink: &str) -> TestEnv {
    let env = TestEnv::new();
    env.write("rows.csv", "Index,Close\nHSI,1.5\nNYA,2\nHSI,3.25\n");
    env.write(
        "producer.toml",
        format!(
            "retry.connect = \"2s\"\n[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n\
             [transforms.json]\ntype = \"to_json\"\ninputs = [\"rows\"]\n\
             [sinks.topic]\ntype = \"kafka\"\ninputs = [\"json\"]\n{sink}\n"
        ),
    );
    env
}

#[needs(kafka)]
#[test]
fn kafka_sink_warns_once_of_rows_without_names() {
    let broker = Broker::shared();
    let env = TestEnv::new();
    env.write("rows.csv", "Index,Close\nNYA,1\nHSI,2\n");
    env.write(
        "p.toml",
        format!(
            "[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n[sinks.topic]\ntype = \"kafka\"\ninputs = [\"rows\"]\n\
             bootstrap_servers = \"{}\"\ntopic = \"{}\"\n",
            broker.bootstrap(),
            broker.name("rows")
        ),
    );
    let outcome = env.run(["run", "p.toml"]);
    outcome.assert_code(0);
    assert_eq!(outcome.stderr.matches("`to_json` in front of this sink").count(), 1, "{}", outcome.stderr);
}

#[needs(kafka)]
#[test]
fn kafka_sink_writes_key_headers_and_entry() {
    let broker = Broker::shared();
    let topic = broker.name("made");
    let env = producer(&format!(
        "bootstrap_servers = \"{}\"\ntopic = \"{topic}\"\nkey_field = \"Index\"\ncreate_topic = {{ partitions = 2 }}\n\
         compression = \"zstd\"\nheaders = {{ kind = \"price\" }}",
        broker.bootstrap()
    ));
    env.run(["run", "producer.toml"]).assert_code(0);
    assert_eq!(broker.partitions(&topic), Some(2));
    let mut stored = broker.read_all(&topic);
    stored.sort_by_key(|it| it.header("runner-entry").map(str::to_owned));
    let texts: Vec<&str> = stored.iter().map(|it| it.text()).collect();
    let expected = [
        "{\"Index\":\"HSI\",\"Close\":1.5}",
        "{\"Index\":\"NYA\",\"Close\":2.0}",
        "{\"Index\":\"HSI\",\"Close\":3.25}",
    ];
    assert_eq!(texts, expected);
    for (n, it) in stored.iter().enumerate() {
        assert_eq!(it.header("runner-entry"), Some(n.to_string().as_str()));
        assert_eq!(it.header("runner-source"), Some("producer/rows"));
        assert_eq!(it.header("kind"), Some("price"));
    }
    let keys: Vec<_> = stored.iter().map(|it| it.key.clone()).collect();
    assert_eq!(keys, ["HSI", "NYA", "HSI"].map(|key| Some(key.as_bytes().to_vec())));
    assert_eq!(stored[0].partition, stored[2].partition, "the same key goes to the same partition");
}

#[needs(kafka)]
#[test]
fn kafka_source_resumes_after_commit_and_stops_at_end() {
    let broker = Broker::shared();
    let topic = broker.create_topic("resumed", 3);
    let env = Reading::new(broker, &topic, ["", "stop = \"at_end\"", ""]).env;
    for (round, n_expected) in [(0, 9), (1, 18), (2, 18)] {
        if round < 2 {
            for partition in 0..3 {
                broker.produce(&topic, partition, ["a", "b", "c"]);
            }
        }
        env.run(["run", "reads.toml", "--report", "report.json"]).assert_code(0);
        assert_eq!(env.lines("out.txt").len(), n_expected, "after round {round}");
    }
    assert_eq!(report(env.path("report.json"))["pipelines"][0]["components"][1]["records_out"], 0);
    env.run(["run", "reads.toml", "--from-start"]).assert_code(0);
    assert_eq!(env.lines("out.txt").len(), 36, "again from the earliest offset");
}

#[needs(kafka)]
#[test]
fn limit_leaves_rest_to_next_run() {
    let broker = Broker::shared();
    let topic = broker.create_topic("limited", 1);
    let numbers: Vec<String> = (0..25).map(|n| n.to_string()).collect();
    broker.produce(&topic, 0, &numbers);
    let env = Reading::new(broker, &topic, ["", "", ""]).env;
    let limit = "[transforms.few]\ntype = \"limit\"\nrecords = 10\ninputs = [\"topic\"]\n[sinks.out]";
    let pipeline = env.read("reads.toml").replace("[sinks.out]", limit);
    env.write("reads.toml", pipeline.replace("inputs = [\"topic\"]\npath", "inputs = [\"few\"]\npath"));
    for n_expected in [10, 20] {
        env.run(["run", "reads.toml"]).assert_code(0);
        assert_eq!(env.lines("out.txt"), numbers[..n_expected]);
    }
}

#[needs(kafka)]
#[test]
fn topic_copy_keeps_tombstones_keys_headers_and_timestamps() {
    let broker = Broker::shared();
    let (from, to) = (broker.create_topic("from", 1), broker.create_topic("to", 1));
    let header = rdkafka::message::Header { key: "h", value: Some("v") };
    let headers = rdkafka::message::OwnedHeaders::new().insert(header);
    let full = BaseRecord::to(&from).key(&b"k1"[..]).payload(&b"\xff not json"[..]);
    broker.produce_record(full.headers(headers).timestamp(1_234_567_890_123).partition(0));
    broker.produce_record(BaseRecord::to(&from).key(&b"k2"[..]).partition(0));
    let env = Reading::new(broker, &from, ["", "stop = \"at_end\"", ""]).env;
    let pipeline = env.read("reads.toml");
    let at = pipeline.find("type = \"file\"").expect("the sink");
    let sink = format!(
        "type = \"kafka\"\ninputs = [\"topic\"]\nbootstrap_servers = \"{}\"\ntopic = \"{to}\"\n",
        broker.bootstrap()
    );
    env.write("reads.toml", pipeline[..at].to_owned() + sink.as_str());
    env.run(["run", "reads.toml"]).assert_code(0);
    let stored = broker.read_all(&to);
    assert_eq!(stored.len(), 2);
    assert_eq!(stored[0].payload.as_deref(), Some(&b"\xff not json"[..]));
    assert_eq!(stored[0].header("h"), Some("v"));
    assert_eq!(stored[0].timestamp, Some(1_234_567_890_123));
    assert_eq!((stored[1].key.as_deref(), &stored[1].payload), (Some(&b"k2"[..]), &None));
}

#[test]
fn unreachable_broker_is_retried_then_exits_69() {
    let [port] = free_ports();
    let address = format!("127.0.0.1:{port}");
    let env = producer(&format!("bootstrap_servers = \"{address}\"\ntopic = \"t\""));
    let started = Instant::now();
    env.run(["run", "producer.toml"]).assert_code(69).assert_says(&[
        &address,
        "no Kafka broker responds",
        "gave up",
    ]);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[needs(java)]
#[test]
fn unreachable_advertised_listener_is_shown_with_both_addresses() {
    let [port] = free_ports();
    let told = format!("127.0.0.1:{port}");
    let listener = format!("PLAINTEXT://{told}");
    let broker = Broker::start_with(&[("advertised.listeners", &listener)]);
    let env = producer(&format!("bootstrap_servers = \"{}\"\ntopic = \"t\"", broker.bootstrap()));
    env.run(["run", "producer.toml"]).assert_code(69).assert_says(&[
        broker.bootstrap(),
        &told,
        "advertised.listeners",
    ]);
}

#[needs(kafka)]
#[test]
fn missing_topic_without_create_topic_ends_run() {
    let broker = Broker::shared();
    let topic = broker.name("missing");
    let env = producer(&format!(
        "bootstrap_servers = \"{}\"\ntopic = \"{topic}\"\ncreate_topic = false",
        broker.bootstrap()
    ));
    env.run(["run", "producer.toml"]).assert_code(1).assert_says(&[&topic, "create_topic"]);
    assert_eq!(broker.partitions(&topic), None);
}

#[needs(kafka)]
#[test]
fn setting_of_a_new_topic_that_the_cluster_refuses_is_named() {
    let broker = Broker::shared();
    let topic = broker.name("settings");
    let config = "{ \"cleanup.policy\" = \"delete\", \"retention.ms\" = \"7d\", \"retentoin.bytes\" = 5 }";
    let env = producer(&format!(
        "bootstrap_servers = \"{}\"\ntopic = \"{topic}\"\ncreate_topic = {{ config = {config} }}",
        broker.bootstrap()
    ));
    let refused = "does not accept `retention.ms`, `retentoin.bytes` in `create_topic.config`";
    env.run(["run", "producer.toml"]).assert_code(1).assert_says(&[&topic, refused]);
    assert_eq!(broker.partitions(&topic), None);
}

#[needs(kafka)]
#[test]
fn position_past_retention_at_start_is_an_error() {
    let broker = Broker::shared();
    let topic = broker.create_topic("overtaken", 1);
    broker.produce(&topic, 0, ["0", "1", "2"]);
    let env = Reading::new(broker, &topic, ["", "stop = \"at_end\"", ""]).env;
    env.run(["run", "reads.toml"]).assert_code(0);
    broker.produce(&topic, 0, ["3", "4", "5", "6"]);
    broker.delete_records(&topic, 0, 5);
    env.run(["run", "reads.toml"]).assert_code(1).assert_says(&[
        "at offset 3",
        "the oldest record there is 5",
        "--from-start",
    ]);
    assert_eq!(env.lines("out.txt").len(), 3);
}

#[needs(kafka)]
#[test]
fn two_members_share_partitions_and_one_takes_over() {
    let broker = Broker::shared();
    let topic = broker.create_topic("shared", 4);
    let env = Reading::new(broker, &topic, ["", "", ""]).env;
    let pipeline = env.read("reads.toml");
    env.write("other.toml", pipeline.replace("out.txt", "other.txt"));
    let mut n_written = 0;
    let mut write = || {
        for partition in 0..4 {
            let values: Vec<String> = (n_written..n_written + 5).map(|n| n.to_string()).collect();
            broker.produce(&topic, partition, &values);
            n_written += 5;
        }
        n_written
    };
    let all = || {
        let text = env.read("out.txt") + env.read("other.txt").as_str();
        let mut numbers: Vec<usize> = text.lines().map(|line| line.parse().expect("a number")).collect();
        numbers.sort_unstable();
        numbers
    };
    let first = env.start(["run", "reads.toml"]);
    let n = write();
    wait_until("the first to read all", SOON, || all().len() == n);
    let second = env.start(["run", "other.toml"]);
    wait_until("partitions for the second", SOON, || second.has_logged(" from offset "));
    let n = write();
    wait_until("both to read all", SOON, || all().len() == n);
    assert!(!env.read("other.txt").is_empty());
    first.stop();
    let n = write();
    wait_until("the second to read all", SOON, || all().len() == n);
    second.stop();
    assert_eq!(all(), (0..n).collect::<Vec<_>>(), "each once");
}

#[needs(java)]
#[test]
fn broker_restart_duplicates_nothing_from_csv_producer() {
    let broker = Broker::start();
    let topic = broker.create_topic("restarted", 1);
    let rows: Vec<String> = (0..3000).map(|n| n.to_string()).collect();
    let env = producer(&format!("bootstrap_servers = \"{}\"\ntopic = \"{topic}\"", broker.bootstrap()));
    env.write("rows.csv", format!("n\n{}\n", rows.join("\n")));
    let pace = "[transforms.pace]\ntype = \"throttle\"\nrate = 1000\ninputs = [\"rows\"]\n[transforms.json]";
    let pipeline = env.read("producer.toml").replace("[transforms.json]", pace);
    env.write(
        "producer.toml",
        pipeline.replace("inputs = [\"rows\"]\n[sinks", "inputs = [\"pace\"]\n[sinks"),
    );
    let running = env.start(["run", "producer.toml"]);
    wait_until("the first records", SOON, || !broker.read_all(&topic).is_empty());
    broker.stop();
    broker.restart();
    let n_stored = broker.read_all(&topic).len();
    wait_until("records after the restart", SOON, || broker.read_all(&topic).len() > n_stored);
    broker.kill();
    broker.restart();
    running.wait(SOON).assert_code(0);
    let stored = broker.read_all(&topic);
    let numbers: Vec<String> =
        stored.iter().map(|it| it.header("runner-entry").expect("one").to_owned()).collect();
    assert!(numbers == rows, "each once, in order, not {} of them", numbers.len());
}

#[test]
fn librdkafka_options_that_break_delivery_are_refused() {
    for (option, named) in [
        ("librdkafka_options = { \"enable.idempotence\" = \"false\" }", "enable.idempotence"),
        ("librdkafka_options = { acks = \"0\" }", "acks"),
    ] {
        let env = producer(&format!("bootstrap_servers = \"h:1\"\ntopic = \"t\"\n{option}"));
        env.run(["validate", "producer.toml"]).assert_code(78).assert_says(&[named, "producer.toml:"]);
    }
}

#[needs(kafka)]
#[test]
fn topic_deleted_during_run_ends_sink_and_is_not_recreated() {
    let broker = Broker::shared();
    let topic = broker.name("deleted");
    let env = producer(&format!(
        "bootstrap_servers = \"{}\"\ntopic = \"{topic}\"\n\
         librdkafka_options = {{ \"topic.metadata.propagation.max.ms\" = 500 }}",
        broker.bootstrap()
    ));
    env.write("rows.csv", format!("n\n{}", "1\n".repeat(10_000)));
    let pace = "[transforms.pace]\ntype = \"throttle\"\nrate = 100\ninputs = [\"rows\"]\n[transforms.json]";
    let pipeline = env.read("producer.toml").replace("[transforms.json]", pace);
    let pipeline = pipeline.replace("inputs = [\"rows\"]\n[sinks", "inputs = [\"pace\"]\n[sinks");
    env.write("producer.toml", pipeline);
    let running = env.start(["run", "producer.toml"]);
    wait_until("the topic and its first records", SOON, || {
        broker.partitions(&topic).is_some() && !broker.read_all(&topic).is_empty()
    });
    broker.delete_topic(&topic);
    running.wait(SOON).assert_code(1).assert_says(&[&topic, "is gone from the cluster"]);
    assert_eq!(broker.partitions(&topic), None, "the topic was created again");
}

#[needs(kafka)]
#[test]
fn record_larger_than_in_flight_limit_is_written() {
    let broker = Broker::shared();
    let topic = broker.create_topic_with("large", "max.message.bytes", "12000000");
    let env = producer(&format!("bootstrap_servers = \"{}\"\ntopic = \"{topic}\"", broker.bootstrap()));
    let large = "x".repeat(6_000_000);
    env.write("rows.csv", format!("Index,Close\nHSI,1.5\n{large},2\nNYA,3.25\n"));
    let pipeline = env.read("producer.toml");
    env.write("producer.toml", format!("batch.in_flight = \"1MiB\"\n{pipeline}"));
    env.run(["run", "producer.toml"]).assert_code(0);
    let lengths: Vec<usize> = broker.read_all(&topic).iter().map(|it| it.text().len()).collect();
    let around = "{\"Index\":\"\",\"Close\":2.0}".len();
    assert_eq!(lengths, [around + 3, around + 6_000_000, around + 4]);
}

#[needs(kafka)]
#[test]
fn oversized_request_rejects_only_oversized_record() {
    let broker = Broker::shared();
    let topic = broker.create_topic_with("small", "max.message.bytes", "100000");
    // As if the limit of the topic was lowered after the sink had read it.
    let env = producer(&format!(
        "bootstrap_servers = \"{}\"\ntopic = \"{topic}\"\n\
         librdkafka_options = {{ \"message.max.bytes\" = 10000000, \"batch.size\" = 1000000 }}",
        broker.bootstrap()
    ));
    let row = |n: usize| match n {
        700 => format!("{},{n}\n", "x".repeat(200_000)),
        n => format!("{},{n}\n", "x".repeat(500)),
    };
    let rows: String = (0..1000).map(row).collect();
    env.write("rows.csv", format!("Index,Close\n{rows}"));
    let pipeline = env.read("producer.toml");
    let dead = "[dead_letter]\ntype = \"file\"\npath = \"dead.jsonl\"\n";
    env.write("producer.toml", format!("{pipeline}{dead}"));
    env.run(["run", "producer.toml"]).assert_code(0);
    let mut entries: Vec<usize> = broker
        .read_all(&topic)
        .iter()
        .map(|it| it.header("runner-entry").expect("a number").parse().expect("a number"))
        .collect();
    entries.sort_unstable();
    assert_eq!(entries, (0..1000).filter(|n| *n != 700).collect::<Vec<_>>());
    let dead = env.read("dead.jsonl");
    assert_eq!(dead.lines().count(), 1);
    assert!(dead.contains("\"entry\":700") && dead.contains("takes fewer"), "{}", &dead[..500]);
}
