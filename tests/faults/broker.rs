//! The stock flow while its Kafka broker, or the way to it, fails.

use std::time::Duration;

use nix::sys::signal::Signal;
use runner_needs::needs;
use serde_json::Value;

use crate::support::flow::{Flow, LONG};
use crate::support::kafka::Broker;
use crate::support::proxy::{Fault, Proxy, Weather};
use crate::support::{Running, report, wait_until};

/// Requests that carry records are larger.
const SMALL: usize = 1_000;

const TOPIC: &str = "topic = \"${STOCKS_TOPIC:-stock_market}\"";

/// Sets an option of `[retry]` in a pipeline.
fn retry(flow: &Flow<'_>, pipeline: &str, option: &str) {
    let name = format!("name = \"{pipeline}\"");
    flow.edit(&format!("{pipeline}.toml"), &name, &format!("{name}\nretry.{option}"));
}

/// A flow whose pipelines reach the broker through a proxy alone.
fn behind<'a>(broker: &'a Broker, proxy: &Proxy, n_rows: usize) -> Flow<'a> {
    let mut flow = Flow::through(broker, n_rows).partitioned(2);
    flow.set("KAFKA_BOOTSTRAP_SERVERS", &proxy.address()).session(Duration::from_secs(6));
    flow
}

/// Waits until everything has arrived, ends the consumer in order, and has the oracle judge the bucket.
fn judge_bucket(flow: &mut Flow<'_>, producer: Running, consumer: Running) {
    producer.wait(LONG).assert_code(0);
    let n_records = flow.oracle.n_records();
    wait_until("every object", LONG, || flow.n_objects() >= n_records);
    wait_until("the last commit", LONG, || flow.n_committed() >= n_records);
    consumer.signal(Signal::SIGTERM);
    consumer.wait(LONG).assert_code(0);
    flow.listen();
    flow.assert_every_object();
}

/// The same, and more: a producer that was never killed has written every record once, whatever the
/// network did. Answers with its report.
fn judge(mut flow: Flow<'_>, producer: Running, consumer: Running) -> Value {
    judge_bucket(&mut flow, producer, consumer);
    flow.assert_topic(1);
    flow.assert_report("producer", "completed", flow.oracle.n_records());
    report(flow.scene.path("producer.json"))
}

#[test]
#[needs(java)]
fn broker_restart_under_load_duplicates_nothing() {
    let broker = Broker::start();
    let mut flow = Flow::through(&broker, 2_500).partitioned(2);
    flow.set("STOCKS_RATE", "200");
    // For ever.
    retry(&flow, "producer", "timeout = \"0s\"");
    let (producer, consumer) = (flow.produce(), flow.consume());
    wait_until("the first objects", LONG, || flow.n_objects() > 100);
    broker.stop();
    broker.restart();
    flow.listen();
    let enough = flow.oracle.n_records().min(flow.n_objects() + 100);
    wait_until("more objects", LONG, || flow.n_objects() >= enough);
    broker.kill();
    broker.restart();
    flow.listen();
    judge(flow, producer, consumer);
}

#[test]
#[needs(java)]
fn broker_down_at_start_is_waited_for() {
    let broker = Broker::start();
    let flow = Flow::through(&broker, 500).partitioned(2);
    for pipeline in ["producer", "consumer"] {
        retry(&flow, pipeline, "connect = \"5m\"");
    }
    broker.stop();
    let mut flow = flow;
    flow.set("STOCKS_RATE", "10000000");
    let (producer, consumer) = (flow.produce(), flow.consume());
    wait_until("both to find nobody", LONG, || {
        [&producer, &consumer].iter().all(|running| running.has_said("trying again"))
    });
    broker.restart();
    judge(flow, producer, consumer);
}

#[test]
#[needs(java)]
fn slow_connection_to_broker_loses_nothing() {
    let proxy = Proxy::start();
    let broker = Broker::start_behind(&proxy);
    let mut flow = behind(&broker, &proxy, 2_000);
    flow.set("STOCKS_RATE", "10000000");
    // What is read last waits behind the rest for much longer than that: as long as some of it arrives, it may.
    let patience = Duration::from_secs(4);
    retry(&flow, "producer", &format!("timeout = \"{}s\"", patience.as_secs()));
    flow.edit("producer.toml", TOPIC, &format!("{TOPIC}\nlibrdkafka_options = {{ \"batch.size\" = 10000 }}"));
    proxy.set(Weather::Trickle(20_000));
    let (producer, consumer) = (flow.produce(), flow.consume());
    let took = judge(flow, producer, consumer)["pipelines"][0]["duration_ms"].as_u64().expect("milliseconds");
    assert!(took > 2 * patience.as_millis() as u64, "not slow enough to show anything: {took} ms");
}

#[test]
#[needs(java)]
fn broker_down_past_retry_timeout_exits_69_and_next_run_resumes() {
    let broker = Broker::start();
    let mut flow = Flow::through(&broker, 2_500).partitioned(2);
    flow.set("STOCKS_RATE", "400");
    retry(&flow, "producer", "timeout = \"3s\"");
    let (producer, consumer) = (flow.produce(), flow.consume());
    wait_until("the first objects", LONG, || flow.n_objects() > 100);
    broker.kill();
    let ended = producer.wait(LONG);
    ended.assert_code(69).assert_says(&[
        "has acknowledged nothing",
        "for 3s (`retry.timeout`)",
        "Connection refused",
    ]);
    broker.restart();
    flow.listen();
    flow.assert_sums("producer");
    let producer = flow.produce();
    judge_bucket(&mut flow, producer, consumer);
    // What was under way when the client gave up may have been stored.
    flow.assert_topic(2);
}

#[test]
#[needs(java)]
fn broker_connections_cut_mid_request_duplicate_nothing() {
    spoiled(Fault::CutRequest);
}

#[test]
#[needs(java)]
fn lost_broker_responses_duplicate_nothing() {
    spoiled(Fault::DropAnswer);
}

/// Requests with records are spoiled first, then requests of any kind.
fn spoiled(fault: Fault) {
    let proxy = Proxy::start();
    let broker = Broker::start_behind(&proxy);
    let mut flow = behind(&broker, &proxy, 2_500);
    flow.set("STOCKS_RATE", "800");
    proxy.strike(fault, SMALL, 10);
    let (producer, consumer) = (flow.produce(), flow.consume());
    wait_until("spoiled records", LONG, || proxy.n_struck() >= 10);
    flow.listen();
    proxy.strike(fault, 0, 30);
    wait_until("spoiled requests", LONG, || proxy.n_struck() >= 40);
    flow.listen();
    judge(flow, producer, consumer);
}

#[test]
#[needs(java)]
fn unresponsive_broker_is_waited_for() {
    let proxy = Proxy::start();
    let broker = Broker::start_behind(&proxy);
    let mut flow = behind(&broker, &proxy, 2_500);
    flow.set("STOCKS_RATE", "800").session(Duration::from_secs(2));
    // Clients wait for an answer for a minute otherwise.
    flow.edit(
        "producer.toml",
        TOPIC,
        &format!("{TOPIC}\nlibrdkafka_options = {{ \"socket.timeout.ms\" = \"2000\" }}"),
    );
    flow.edit(
        "consumer.toml",
        "librdkafka_options = {",
        "librdkafka_options = { \"socket.timeout.ms\" = \"2000\",",
    );
    let (producer, consumer) = (flow.produce(), flow.consume());
    wait_until("the first objects", LONG, || flow.n_objects() > 100);
    proxy.set(Weather::Silent);
    wait_until("the group to give the member up", LONG, || broker.n_members(&flow.group) == 0);
    flow.listen();
    proxy.set(Weather::Fair);
    judge(flow, producer, consumer);
}
