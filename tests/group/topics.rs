//! Which topics the `kafka` source reads, and what happens when they change during a run.

use std::time::Duration;

use nix::sys::signal::Signal;
use rdkafka::producer::BaseRecord;
use runner_needs::needs;

use crate::support::kafka::{Broker, Reading};
use crate::support::{SOON, numbers, wait_until};

/// Deletes a topic and creates it again at once, with these records.
fn recreate(broker: &Broker, topic: &str, records: &[String]) {
    broker.delete_topic(topic);
    wait_until("the topic to be created again", SOON, || broker.try_create_topic(topic, 1));
    broker.produce(topic, 0, records);
}

fn new_records() -> Vec<String> {
    (0..80).map(|n| format!("new {n}")).collect()
}

#[needs(kafka)]
#[test]
fn topic_recreated_during_run_ends_run_and_is_read_from_its_beginning() {
    let broker = Broker::shared();
    let topic = broker.create_topic("recreated", 1);
    broker.produce(&topic, 0, numbers(0..50));
    let reading = Reading::new(broker, &topic, ["", "", ""]);
    let running = reading.env.start(["run", "reads.toml"]);
    wait_until("the old records", SOON, || reading.lines() == numbers(0..50));
    wait_until("the commit", SOON, || broker.committed(&reading.group, &topic) == [Some(50)]);
    recreate(broker, &topic, &new_records());
    let ended = running.wait(SOON);
    ended.assert_code(1).assert_says(&[&topic, "was deleted and created again", "start the pipeline again"]);
    assert_eq!(reading.lines(), numbers(0..50), "no new record before the gap is noticed");

    let pipeline = reading.env.read("reads.toml");
    reading.env.write("reads.toml", pipeline.replace("[sinks.out]", "stop = \"at_end\"\n[sinks.out]"));
    reading.env.run(["run", "reads.toml"]).assert_code(0);
    assert_eq!(reading.lines()[50..], new_records());
}

#[needs(kafka)]
#[test]
fn topic_recreated_before_a_stop_is_read_from_its_beginning() {
    let broker = Broker::shared();
    let topic = broker.create_topic("recreated", 1);
    broker.produce(&topic, 0, numbers(0..50));
    // Most records wait, so nothing is fetched while the topic is created again.
    let pace = "type = \"throttle\"\nrate = 20";
    let reading = Reading::new(broker, &topic, ["batch = { max_records = 1, in_flight = \"1B\" }", "", pace]);
    let running = reading.env.start(["run", "reads.toml"]);
    wait_until("the first records", SOON, || reading.lines().len() >= 10);
    recreate(broker, &topic, &new_records());
    running.signal(Signal::SIGTERM);
    running.wait(SOON).assert_code(1).assert_says(&["was deleted and created again"]);

    let pipeline = reading.env.read("reads.toml").replace("rate = 20", "rate = 10000");
    reading.env.write("reads.toml", pipeline.replace("[transforms", "stop = \"at_end\"\n[transforms"));
    reading.env.run(["run", "reads.toml"]).assert_code(0);
    let new: Vec<String> = reading.lines().into_iter().filter(|line| line.starts_with("new")).collect();
    assert_eq!(new, new_records());
}

#[needs(kafka)]
#[test]
fn pattern_reads_matching_topics_and_those_created_later() {
    let broker = Broker::shared();
    let prefix = broker.name("px");
    let topic = |name: &str| format!("{prefix}.{name}");
    let create = |name: &str| {
        broker.create_topic_named(&topic(name), 1);
        broker.produce(&topic(name), 0, [name]);
    };
    ["nya", "hsi"].into_iter().for_each(create);
    let other = format!("{prefix}-other");
    broker.create_topic_named(&other, 1);
    broker.produce(&other, 0, ["other"]);
    let options = "librdkafka_options = { \"topic.metadata.refresh.interval.ms\" = 500 }";
    let reading = Reading::new(broker, &format!("^{prefix}\\\\.\\\\w+$"), ["", options, ""]);
    let sorted = || {
        let mut lines = reading.lines();
        lines.sort();
        lines
    };
    let running = reading.env.start(["run", "reads.toml"]);
    wait_until("both topics", SOON, || sorted() == ["hsi", "nya"]);
    create("sse");
    wait_until("the new topic", SOON, || sorted() == ["hsi", "nya", "sse"]);
    running.stop().assert_says(&["new topics match `topics`"]);

    broker.produce(&topic("sse"), 0, ["last"]);
    reading.env.write("reads.toml", reading.env.read("reads.toml").replace(options, "stop = \"at_end\""));
    reading.env.run(["run", "reads.toml"]).assert_code(0);
    assert_eq!(sorted(), ["hsi", "last", "nya", "sse"]);
}

#[needs(kafka)]
#[test]
fn deleted_topic_of_a_pattern_is_left_out() {
    let broker = Broker::shared();
    let prefix = broker.name("day");
    let topic = |day: &str| format!("{prefix}.{day}");
    for day in ["1", "2"] {
        broker.create_topic_named(&topic(day), 1);
        broker.produce(&topic(day), 0, [day]);
    }
    let options = "librdkafka_options = { \"topic.metadata.refresh.interval.ms\" = 500 }";
    let reading = Reading::new(broker, &format!("^{prefix}\\\\.\\\\d+$"), ["", options, ""]);
    let running = reading.env.start(["run", "reads.toml"]);
    wait_until("both topics", SOON, || reading.lines().len() == 2);
    wait_until("the commit", SOON, || broker.committed(&reading.group, &topic("1")) == [Some(1)]);
    broker.delete_topic(&topic("1"));
    wait_until("the warning", SOON, || running.has_logged(&format!("deleted topics: {}", topic("1"))));
    broker.produce(&topic("2"), 0, ["later"]);
    wait_until("the other topic", SOON, || reading.lines().len() == 3);
    running.stop();
    assert_eq!(reading.lines()[2], "later");
}

#[needs(kafka)]
#[test]
fn start_time_reads_from_first_record_of_that_time_and_resumes() {
    let broker = Broker::shared();
    let topic = broker.create_topic("times", 2);
    let minute = |n: i64| 1_704_067_200_000 + n * 60_000;
    for n in 0..10 {
        let body = n.to_string();
        let record = BaseRecord::<[u8], [u8]>::to(&topic).partition(0).payload(body.as_bytes());
        broker.produce_record(record.timestamp(minute(n)));
    }
    let options = "start = \"2024-01-01T01:06:00+01:00\"\nstop = \"at_end\"";
    let reading = Reading::new(broker, &topic, ["", options, ""]);
    reading.env.run(["run", "reads.toml"]).assert_code(0);
    assert_eq!(reading.lines(), numbers(6..10));
    // Partition 1 was empty: its start is its end at that time.
    broker.produce_record(BaseRecord::to(&topic).partition(1).payload(&b"old"[..]).timestamp(minute(0)));
    broker.produce_record(BaseRecord::to(&topic).partition(0).payload(&b"10"[..]).timestamp(minute(10)));
    let again = reading.env.run(["run", "reads.toml"]);
    again.assert_code(0).assert_says(&[
        "WARN",
        "`start` is not used where the group has an offset",
        &reading.group,
    ]);
    let mut lines = reading.lines();
    lines.sort_unstable();
    assert_eq!(lines, ["10", "6", "7", "8", "9", "old"]);
}

#[needs(kafka)]
#[test]
fn offset_reset_latest_warns_of_skipped_records() {
    let broker = Broker::shared();
    let topic = broker.create_topic("latest", 1);
    broker.produce(&topic, 0, numbers(0..7));
    let reading = Reading::new(broker, &topic, ["", "auto_offset_reset = \"latest\"\nstop = \"at_end\"", ""]);
    let first = reading.env.run(["run", "reads.toml"]);
    first.assert_code(0).assert_says(&["WARN", "skips 7 records", "up to offset 7", &reading.group]);
    let second = reading.env.run(["run", "reads.toml"]);
    second.assert_code(0);
    assert!(!second.stderr.contains("skips"), "{}", second.stderr);
}

#[needs(kafka)]
#[test]
fn group_instance_id_restarts_without_a_rebalance_and_fences_its_double() {
    let broker = Broker::shared();
    let topic = broker.create_topic("static", 1);
    broker.produce(&topic, 0, ["a"]);
    let reading = Reading::new(broker, &topic, ["", "group_instance_id = \"pod-0\"", ""]);
    let running = reading.env.start(["run", "reads.toml"]);
    wait_until("the record", SOON, || reading.lines() == ["a"]);
    running.stop();
    assert_eq!(broker.n_members(&reading.group), 1, "a named member does not leave the group");

    let first = reading.env.start(["run", "reads.toml"]);
    wait_until("an assignment", SOON, || first.has_logged("/0 from offset 1"));
    reading.env.write("other.toml", reading.env.read("reads.toml").replace("out.txt", "other.txt"));
    let second = reading.env.start(["run", "other.toml"]);
    first.wait(SOON + Duration::from_secs(60)).assert_code(1).assert_says(&["fenced"]);
    second.stop();
}

#[test]
fn invalid_start_time_and_pattern_are_refused() {
    let env = crate::support::TestEnv::new();
    env.write(
        "reads.toml",
        "[sources.topic]\ntype = \"kafka\"\nbootstrap_servers = \"h:1\"\ntopics = [\"^px(\"]\ngroup_id = \"g\"\n\
         start = \"yesterday\"\n\
         [sinks.out]\ntype = \"file\"\ninputs = [\"topic\"]\npath = \"out.txt\"\n",
    );
    env.run(["validate", "reads.toml"]).assert_code(78).assert_says(&["reads.toml:6:", "RFC 3339"]);
    env.write("reads.toml", env.read("reads.toml").replace("start = \"yesterday\"\n", ""));
    let refused = env.run(["validate", "reads.toml"]);
    refused.assert_code(78).assert_says(&["reads.toml:4:", "`^px(` is not a valid regular expression"]);
}
