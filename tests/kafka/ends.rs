//! When a `kafka` source ends by itself.

use std::time::{Duration, Instant};

use runner_needs::needs;

use crate::support::kafka::{Broker, Reading};
use crate::support::wait_until;

#[needs(kafka)]
#[test]
fn empty_topic_with_at_end_ends_at_once() {
    let broker = Broker::shared();
    let topic = broker.create_topic("empty", 2);
    let env = Reading::new(broker, &topic, ["", "stop = \"at_end\"", ""]).env;
    env.run(["run", "reads.toml"]).assert_code(0);
    assert_eq!(env.lines("out.txt").len(), 0);
}

#[needs(kafka)]
#[test]
fn idle_timeout_ends_run() {
    let broker = Broker::shared();
    let topic = broker.create_topic("silent", 1);
    broker.produce(&topic, 0, ["a"]);
    let env = Reading::new(broker, &topic, ["", "idle_timeout = \"1s\"", ""]).env;
    env.run(["run", "reads.toml"]).assert_code(0).assert_says(&["no record within `idle_timeout`"]);
    assert_eq!(env.lines("out.txt"), ["a"]);
}

#[needs(kafka)]
#[test]
fn slow_sink_is_not_an_idle_topic() {
    let broker = Broker::shared();
    let topic = broker.create_topic("slow", 1);
    let numbers: Vec<String> = (0..90).map(|n| n.to_string()).collect();
    broker.produce(&topic, 0, &numbers);
    let env = Reading::new(broker, &topic, ["", "idle_timeout = \"1s\"", ""]).env;
    let pace = "[transforms.pace]\ntype = \"throttle\"\ninputs = [\"topic\"]\nrate = 15\n";
    let text = env.read("reads.toml").replace("inputs = [\"topic\"]", "inputs = [\"pace\"]");
    env.write("reads.toml", format!("batch = {{ max_records = 1, in_flight = \"1B\" }}\n{text}{pace}"));
    env.run(["run", "reads.toml"]).assert_code(0).assert_says(&["no record within `idle_timeout`"]);
    assert_eq!(env.lines("out.txt"), numbers);
}

#[needs(java)]
#[test]
fn unreachable_broker_is_not_an_idle_topic() {
    const LONG: Duration = Duration::from_secs(60);
    let broker = Broker::start();
    let topic = broker.create_topic("read", 1);
    broker.produce(&topic, 0, ["a"]);
    let env = Reading::new(&broker, &topic, ["", "idle_timeout = \"4s\"", ""]).env;
    let running = env.start(["run", "reads.toml"]);
    wait_until("the first record", LONG, || env.path("out.txt").exists() && env.lines("out.txt").len() == 1);
    broker.stop();
    let stopped = Instant::now();
    wait_until("longer than the timeout", LONG, || stopped.elapsed() > Duration::from_secs(6));
    broker.restart();
    broker.produce(&topic, 0, ["b"]);
    running.wait(LONG).assert_code(0).assert_says(&["the Kafka cluster responds again", "no record within"]);
    assert_eq!(env.lines("out.txt"), ["a", "b"]);
}
