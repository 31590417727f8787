//! The `kafka` source as a member of a consumer group, against Apache Kafka.

mod dry_run;
mod rolling;
mod topics;

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use rdkafka::producer::BaseRecord;
use runner_needs::needs;

use crate::support::kafka::{Broker, Reading};
use crate::support::{SOON, TestEnv, numbers, wait_until};

/// A stop must not move the group past a record that arrives while the consumer leaves.
#[needs(kafka)]
#[test]
fn stops_while_records_arrive_skip_none() {
    const PARTITIONS: usize = 3;
    let broker = Broker::shared();
    let topic = broker.create_topic("arriving", PARTITIONS as i32);
    let reading = Reading::new(broker, &topic, ["", "", ""]);
    let (payloads, is_over) = (numbers(0..200_000), AtomicBool::new(false));
    let n_records = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut n = 0;
            let records = payloads.iter().take_while(|_| !is_over.load(Ordering::Relaxed)).map(|payload| {
                // The pace: the consumer keeps up, so records arrive while it has no batch in flight.
                std::thread::sleep(Duration::from_micros(500));
                n += 1;
                BaseRecord::to(&topic).partition((n % PARTITIONS) as i32).payload(payload.as_bytes())
            });
            broker.produce_records(records);
            n
        });
        for _ in 0..20 {
            let run = reading.env.start(["run", "reads.toml"]);
            let size = || std::fs::metadata(reading.env.path("out.txt")).map_or(0, |it| it.len());
            let before = size();
            wait_until("more lines", SOON, || size() > before);
            run.stop();
        }
        is_over.store(true, Ordering::Relaxed);
        writer.join().expect("the writer")
    });
    let rest = reading.env.read("reads.toml").replace("group_id", "stop = \"at_end\"\ngroup_id");
    reading.env.write("reads.toml", rest);
    reading.env.run(["run", "reads.toml"]).assert_code(0);
    let mut read: Vec<usize> = reading.lines().iter().map(|line| line.parse().expect("a number")).collect();
    read.sort_unstable();
    let missing = (0..n_records).find(|n| read.binary_search(n).is_err());
    assert_eq!(missing, None, "the first missing of {n_records} records");
    assert_eq!(read.len(), n_records, "a stop in order repeats no record");
}

#[needs(kafka)]
#[test]
fn slow_sink_pauses_partitions_and_stays_in_group() {
    let broker = Broker::shared();
    let topic = broker.create_topic("slow", 1);
    broker.produce(&topic, 0, numbers(0..200));
    let options = "stop = \"at_end\"\n\
        librdkafka_options = { \"session.timeout.ms\" = 6000, \"max.poll.interval.ms\" = 6000 }";
    // One batch at a time; each takes longer than the group waits for a poll.
    let top = "batch = { max_records = 50, in_flight = \"50B\" }";
    let pace = "type = \"throttle\"\nrate = 7";
    let reading = Reading::new(broker, &topic, [top, options, pace]);
    let outcome = reading.env.run(["run", "--log-level", "debug", "reads.toml"]);
    outcome.assert_code(0).assert_says(&["pausing the partitions"]);
    assert!(!outcome.stderr.contains("joins again"), "{}", outcome.stderr);
    assert_eq!(reading.lines(), numbers(0..200), "each once, in order");
}

#[needs(kafka)]
#[test]
fn records_after_at_end_are_read_by_next_run() {
    let broker = Broker::shared();
    let topic = broker.create_topic("later", 2);
    broker.produce(&topic, 0, numbers(0..60));
    let pace = "type = \"throttle\"\nrate = 30";
    let reading = Reading::new(broker, &topic, ["batch.max_records = 5", "stop = \"at_end\"", pace]);
    let running = reading.env.start(["run", "reads.toml"]);
    wait_until("the first records", SOON, || !reading.lines().is_empty());
    broker.produce(&topic, 0, numbers(60..100));
    running.wait(SOON).assert_code(0);
    assert_eq!(reading.lines(), numbers(0..60));
    assert_eq!(broker.committed(&reading.group, &topic)[0], Some(60));
    reading.env.run(["run", "reads.toml"]).assert_code(0);
    assert_eq!(reading.lines(), numbers(0..100));
}

#[needs(kafka)]
#[test]
fn transaction_markers_are_neither_records_nor_gaps() {
    let broker = Broker::shared();
    let topic = broker.create_topic("transactions", 1);
    broker.produce_transaction(&topic, &["a", "b"], true);
    broker.produce_transaction(&topic, &["never"], false);
    let reading = Reading::new(broker, &topic, ["", "stop = \"at_end\"", ""]);
    reading.env.run(["run", "reads.toml"]).assert_code(0);
    assert_eq!(reading.lines(), ["a", "b"]);
    let (_, end) = broker.watermarks(&topic, 0);
    assert_eq!(broker.committed(&reading.group, &topic), [Some(end)]);
    broker.delete_records(&topic, 0, end);
    broker.produce_transaction(&topic, &["c"], true);
    reading.env.run(["run", "reads.toml"]).assert_code(0);
    assert_eq!(reading.lines(), ["a", "b", "c"]);
}

#[needs(kafka)]
#[test]
fn missing_topic_is_waited_for() {
    let broker = Broker::shared();
    let topic = broker.name("not-yet");
    let reading = Reading::new(broker, &topic, ["retry.connect = \"60s\"", "", ""]);
    let running = reading.env.start(["run", "reads.toml"]);
    wait_until("a message about the missing topic", SOON, || {
        running.has_logged("waiting until it is created")
    });
    assert_eq!(broker.partitions(&topic), None, "a metadata request created the topic");
    broker.create_topic_named(&topic, 1);
    broker.produce(&topic, 0, ["a"]);
    wait_until("the record", SOON, || reading.lines() == ["a"]);
    running.stop();
}

#[needs(kafka)]
#[test]
fn missing_topic_past_retry_connect_ends_run() {
    let broker = Broker::shared();
    let topic = broker.name("never");
    let reading = Reading::new(broker, &topic, ["retry.connect = \"1s\"", "", ""]);
    reading.env.run(["run", "reads.toml"]).assert_code(1).assert_says(&[&topic, broker.bootstrap()]);
}

#[needs(kafka)]
#[test]
fn topic_deleted_during_run_ends_source() {
    let broker = Broker::shared();
    let topic = broker.create_topic("deleted", 1);
    broker.produce(&topic, 0, ["a"]);
    let options = "librdkafka_options = { \"topic.metadata.propagation.max.ms\" = 500 }";
    let reading = Reading::new(broker, &topic, ["", options, ""]);
    let running = reading.env.start(["run", "reads.toml"]);
    wait_until("the record", SOON, || reading.lines() == ["a"]);
    broker.delete_topic(&topic);
    running.wait(SOON).assert_code(1).assert_says(&[&topic, "is gone from the cluster"]);
}

#[needs(kafka)]
#[test]
fn from_start_with_active_group_members_is_refused() {
    let broker = Broker::shared();
    let topic = broker.create_topic("busy", 1);
    broker.produce(&topic, 0, ["a"]);
    let reading = Reading::new(broker, &topic, ["", "", ""]);
    let running = reading.env.start(["run", "reads.toml"]);
    wait_until("the record", SOON, || reading.lines() == ["a"]);
    reading.env.write("other.toml", reading.env.read("reads.toml").replace("out.txt", "other.txt"));
    let second = reading.env.run(["run", "--from-start", "other.toml"]);
    second.assert_code(1).assert_says(&[&reading.group, "stop them first"]);
    running.stop();
}

#[needs(kafka)]
#[test]
fn offset_reset_latest_reads_new_records_and_commits_start() {
    let broker = Broker::shared();
    let topic = broker.create_topic("latest", 1);
    broker.produce(&topic, 0, ["old"]);
    let reading = Reading::new(broker, &topic, ["", "auto_offset_reset = \"latest\"\nstop = \"at_end\"", ""]);
    reading.env.run(["run", "reads.toml"]).assert_code(0);
    assert!(reading.lines().is_empty());
    broker.produce(&topic, 0, ["new"]);
    reading.env.run(["run", "reads.toml"]).assert_code(0);
    assert_eq!(reading.lines(), ["new"], "the group must have committed the start offset");
}

#[needs(kafka)]
#[test]
fn offset_reset_latest_reads_added_partition_from_beginning() {
    let broker = Broker::shared();
    let topic = broker.create_topic("growing", 1);
    broker.produce(&topic, 0, ["old"]);
    let options = "auto_offset_reset = \"latest\"\n\
        librdkafka_options = { \"topic.metadata.refresh.interval.ms\" = 1000 }";
    let reading = Reading::new(broker, &topic, ["", options, ""]);
    let running = reading.env.start(["run", "reads.toml"]);
    wait_until("an assignment", SOON, || running.has_logged("/0 from offset 1"));
    broker.add_partitions(&topic, 2);
    // The consumer has not refreshed its metadata yet.
    broker.produce(&topic, 1, ["new"]);
    wait_until("the record", SOON, || reading.lines() == ["new"]);
    running.stop();
}

#[needs(kafka)]
#[test]
fn at_end_waits_for_partitions_of_killed_member() {
    let broker = Broker::shared();
    let topic = broker.create_topic("inherited", 2);
    for (partition, first) in [(0, 0), (1, 100)] {
        broker.produce(&topic, partition, numbers(first..first + 100));
    }
    let options = "stop = \"at_end\"\nlibrdkafka_options = { \"session.timeout.ms\" = 6000 }";
    let reading = Reading::new(broker, &topic, ["", options, ""]);
    let held = reading.env.read("reads.toml").replace("out.txt", "held.txt").replace(
        "[sinks.out]\ntype = \"file\"\ninputs = [\"topic\"]",
        "[transforms.held]\ntype = \"throttle\"\nrate = 1\nper = \"1h\"\ninputs = [\"topic\"]\n\
         [sinks.out]\ntype = \"file\"\ninputs = [\"held\"]",
    );
    reading.env.write("held.toml", format!("batch.in_flight = \"1B\"\n{held}"));
    let first = reading.env.start(["run", "held.toml"]);
    wait_until("both partitions for the first", SOON, || {
        first.has_logged("/0 from") && first.has_logged("/1 from")
    });
    let second = reading.env.start(["run", "reads.toml"]);
    wait_until("a partition for the second", SOON, || second.has_logged("reads "));
    first.signal(Signal::SIGKILL);
    second.wait(SOON).assert_code(0);
    let mut all: Vec<usize> = reading.lines().iter().map(|it| it.parse().expect("a number")).collect();
    all.sort_unstable();
    all.dedup();
    // One record passed the throttle of the first member.
    assert!(all.len() >= 199, "{} of 200", all.len());
}

#[needs(kafka)]
#[test]
fn rebalance_does_not_end_at_end_run() {
    let broker = Broker::shared();
    let topic = broker.create_topic("changing", 4);
    for partition in 0..4 {
        let first = partition as usize * 100;
        broker.produce(&topic, partition, numbers(first..first + 100));
    }
    let top = "batch = { max_records = 5, in_flight = \"50B\" }";
    let pace = "type = \"throttle\"\nrate = 50";
    let reading = Reading::new(broker, &topic, [top, "stop = \"at_end\"", pace]);
    reading.env.write("other.toml", reading.env.read("reads.toml").replace("out.txt", "other.txt"));
    let first = reading.env.start(["run", "reads.toml"]);
    wait_until("the first records", SOON, || !reading.lines().is_empty());
    let second = reading.env.start(["run", "other.toml"]);
    first.wait(SOON).assert_code(0);
    second.wait(SOON).assert_code(0);
    let other = reading.env.read("other.txt");
    assert!(!other.is_empty(), "the second must get partitions");
    let mut all: Vec<usize> = reading
        .lines()
        .iter()
        .map(String::as_str)
        .chain(other.lines())
        .map(|it| it.parse().expect("a number"))
        .collect();
    all.sort_unstable();
    assert_eq!(all, (0..400).collect::<Vec<_>>(), "each once");
}

/// Writes a record with a header that rdkafka cannot write.
fn produce_with_header(broker: &Broker, topic: &str, body: &str, header: &[u8]) {
    let mut kcat = Command::new("kcat")
        .args(["-P", "-b", broker.bootstrap(), "-t", topic, "-p", "0", "-H"])
        .arg(OsStr::from_bytes(header))
        .stdin(Stdio::piped())
        .spawn()
        .expect("kcat");
    kcat.stdin.take().expect("piped").write_all(body.as_bytes()).expect("it reads");
    assert!(kcat.wait().expect("it ends").success());
}

#[needs(kafka, kcat)]
#[test]
fn record_with_non_utf8_header_name_is_rejected() {
    let broker = Broker::shared();
    let topic = broker.create_topic("headers", 1);
    broker.produce(&topic, 0, ["before"]);
    produce_with_header(broker, &topic, "bad", b"na\xffme=value");
    produce_with_header(broker, &topic, "after", b"name=value");
    let reading = Reading::new(broker, &topic, ["", "stop = \"at_end\"", ""]);
    let place = format!("{topic}/0/1");
    let stopped = reading.env.run(["run", "reads.toml"]);
    stopped.assert_code(65).assert_says(&[&place, "a header whose name is not UTF-8", "[dead_letter]"]);
    assert!(!stopped.stderr.contains("panicked"), "the client library panicked: {}", stopped.stderr);
    assert_eq!(reading.lines(), ["before"]);
    assert_eq!(broker.committed(&reading.group, &topic), [Some(1)]);

    let dead_letter = "\n[dead_letter]\ntype = \"file\"\npath = \"dead.jsonl\"\n";
    reading.env.write("reads.toml", reading.env.read("reads.toml") + dead_letter);
    reading.env.run(["run", "reads.toml"]).assert_code(0);
    assert_eq!(reading.lines(), ["before", "after"]);
    let shown = reading.env.run(["dlq", "show", "dead.jsonl"]);
    shown.assert_code(0);
    assert!(shown.stdout.contains("bad") && shown.stdout.contains(&place), "{}", shown.stdout);
    assert_eq!(broker.committed(&reading.group, &topic), [Some(3)]);
}

#[test]
fn cooperative_assignors_are_refused() {
    let env = TestEnv::new();
    env.write(
        "reads.toml",
        "[sources.topic]\ntype = \"kafka\"\nbootstrap_servers = \"h:1\"\ntopics = [\"t\"]\ngroup_id = \"g\"\n\
         librdkafka_options = { \"partition.assignment.strategy\" = \"cooperative-sticky\" }\n\
         [sinks.out]\ntype = \"file\"\ninputs = [\"topic\"]\npath = \"out.txt\"\n",
    );
    env.run(["validate", "reads.toml"]).assert_code(78).assert_says(&[
        "reads.toml:6:",
        "partition.assignment.strategy",
        "gives up all of its partitions in a rebalance",
    ]);
}
