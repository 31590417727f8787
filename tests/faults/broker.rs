//! The stock flow while its Kafka broker, or the connection to it, fails.

use std::time::Duration;

use runner_needs::needs;
use serde_json::Value;

use crate::support::flow::{Flow, LONG};
use crate::support::kafka::Broker;
use crate::support::proxy::{Fault, Network, Proxy};
use crate::support::{Running, report, wait_until};

/// Requests that carry records are larger.
const SMALL: usize = 1_000;

const TOPIC: &str = "topic = \"${STOCKS_TOPIC:-stock_market}\"";

/// Sets an option of `[retry]` in a pipeline.
fn retry(flow: &Flow<'_>, pipeline: &str, option: &str) {
    let name = format!("name = \"{pipeline}\"");
    flow.edit(&format!("{pipeline}.toml"), &name, &format!("{name}\nretry.{option}"));
}

/// A flow whose pipelines reach the broker only through a proxy.
fn flow_with_proxy<'a>(broker: &'a Broker, proxy: &Proxy, n_rows: usize) -> Flow<'a> {
    let mut flow = Flow::through(broker, n_rows).partitioned(2);
    flow.set("KAFKA_BOOTSTRAP_SERVERS", &proxy.address()).session(Duration::from_secs(6));
    flow
}

/// Waits for the last commit, stops the consumer gracefully, and checks the bucket.
fn judge_bucket(flow: &mut Flow<'_>, producer: Running, consumer: Running) {
    producer.wait(LONG).assert_code(0);
    let n_records = flow.oracle.n_records();
    wait_until("every object", LONG, || flow.n_objects() >= n_records);
    wait_until("the last commit", LONG, || flow.n_committed() >= n_records);
    consumer.stop();
    flow.listen();
    flow.assert_every_object();
}

/// Checks the topic too: a producer that was never killed writes every record once, whatever the
/// network does. Returns its report.
fn judge(mut flow: Flow<'_>, producer: Running, consumer: Running) -> Value {
    judge_bucket(&mut flow, producer, consumer);
    flow.assert_topic(1);
    flow.assert_report("producer", "completed", flow.oracle.n_records());
    report(flow.env.path("producer.json"))
}

#[needs(java)]
#[test]
fn broker_restart_under_load_duplicates_nothing() {
    let broker = Broker::start();
    let mut flow = Flow::through(&broker, 2_500).partitioned(2);
    flow.set("STOCKS_RATE", "200");
    // Without a limit.
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

#[needs(java)]
#[test]
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
    wait_until("a retry of both", LONG, || {
        [&producer, &consumer].iter().all(|running| running.has_logged("retrying in"))
    });
    broker.restart();
    judge(flow, producer, consumer);
}

#[needs(java)]
#[test]
fn slow_connection_to_broker_loses_nothing() {
    let proxy = Proxy::start();
    let broker = Broker::start_with_proxy(&proxy);
    let mut flow = flow_with_proxy(&broker, &proxy, 2_000);
    flow.set("STOCKS_RATE", "10000000");
    // The last records wait much longer than this; the timeout counts from the last acknowledgement.
    let timeout = Duration::from_secs(4);
    retry(&flow, "producer", &format!("timeout = \"{}s\"", timeout.as_secs()));
    flow.edit("producer.toml", TOPIC, &format!("{TOPIC}\nlibrdkafka_options = {{ \"batch.size\" = 10000 }}"));
    proxy.set(Network::Slow(20_000));
    let (producer, consumer) = (flow.produce(), flow.consume());
    let took = judge(flow, producer, consumer)["pipelines"][0]["duration_ms"].as_u64().expect("milliseconds");
    assert!(took > 2 * timeout.as_millis() as u64, "the connection was not slow enough: {took} ms");
}

#[needs(java)]
#[test]
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
        "has not acknowledged any record in flight",
        "for 3s (`retry.timeout`)",
        "Connection refused",
    ]);
    broker.restart();
    flow.listen();
    flow.assert_sums("producer");
    let producer = flow.produce();
    judge_bucket(&mut flow, producer, consumer);
    // Records in flight when the client gave up may have been stored.
    flow.assert_topic(2);
}

#[needs(java)]
#[test]
fn broker_connections_cut_mid_request_duplicate_nothing() {
    run_with_faults(Fault::CutRequest);
}

#[needs(java)]
#[test]
fn lost_broker_responses_duplicate_nothing() {
    run_with_faults(Fault::DropResponse);
}

/// Injects faults into requests with records first, then into requests of any kind.
fn run_with_faults(fault: Fault) {
    let proxy = Proxy::start();
    let broker = Broker::start_with_proxy(&proxy);
    let mut flow = flow_with_proxy(&broker, &proxy, 2_500);
    flow.set("STOCKS_RATE", "800");
    proxy.inject_faults(fault, SMALL, 10);
    let (producer, consumer) = (flow.produce(), flow.consume());
    wait_until("faults in requests with records", LONG, || proxy.n_injected() >= 10);
    flow.listen();
    proxy.inject_faults(fault, 0, 30);
    wait_until("faults in requests", LONG, || proxy.n_injected() >= 40);
    flow.listen();
    judge(flow, producer, consumer);
}

#[needs(java)]
#[test]
fn unresponsive_broker_is_waited_for() {
    let proxy = Proxy::start();
    let broker = Broker::start_with_proxy(&proxy);
    let mut flow = flow_with_proxy(&broker, &proxy, 2_500);
    flow.set("STOCKS_RATE", "800").session(Duration::from_secs(2));
    // The default of the clients is one minute.
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
    proxy.set(Network::Unresponsive);
    wait_until("the session of the member to expire", LONG, || broker.n_members(&flow.group) == 0);
    flow.listen();
    proxy.set(Network::Normal);
    judge(flow, producer, consumer);
}
