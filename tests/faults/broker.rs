//! The stock flow while its Kafka broker, or the way to it, fails.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::flow::{Flow, LONG};
use crate::support::kafka::Broker;
use crate::support::proxy::{Fault, Proxy, Weather};
use crate::support::{Running, wait_until};

/// Requests that carry records are larger.
const SMALL: usize = 1_000;

/// A flow whose pipelines reach the broker through a proxy alone.
fn behind<'a>(broker: &'a Broker, proxy: &Proxy, n_rows: usize) -> Flow<'a> {
    let mut flow = Flow::through(broker, n_rows).partitioned(2);
    flow.set("KAFKA_BOOTSTRAP_SERVERS", &proxy.address()).session(Duration::from_secs(6));
    flow
}

/// Waits until everything has arrived, ends the consumer in order, and has the oracle judge: a
/// producer that was never killed has written every record once, whatever the network did.
fn judge(mut flow: Flow<'_>, producer: Running, consumer: Running) {
    producer.wait(LONG).assert_code(0);
    let n_records = flow.oracle.n_records();
    wait_until("every object", LONG, || flow.n_objects() >= n_records);
    wait_until("the last commit", LONG, || flow.n_committed() >= n_records);
    consumer.signal(Signal::SIGTERM);
    consumer.wait(LONG).assert_code(0);
    flow.listen();
    flow.assert_every_object();
    flow.assert_topic(1);
    flow.assert_report("producer", "completed", n_records);
}

#[test]
fn a_broker_that_restarts_under_load_costs_nothing() {
    let Some(broker) = Broker::start() else { return };
    let mut flow = Flow::through(&broker, 2_500).partitioned(2);
    flow.set("STOCKS_RATE", "200");
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
fn a_broker_that_is_down_at_the_start_is_waited_for() {
    let Some(broker) = Broker::start() else { return };
    let flow = Flow::through(&broker, 500).partitioned(2);
    for file in ["producer.toml", "consumer.toml"] {
        let name = file.trim_end_matches(".toml");
        flow.edit(file, &format!("name = \"{name}\""), &format!("name = \"{name}\"\nretry.connect = \"5m\""));
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
fn a_slow_way_to_the_broker_delays_and_loses_nothing() {
    let proxy = Proxy::start();
    let Some(broker) = Broker::start_behind(&proxy) else { return };
    let mut flow = behind(&broker, &proxy, 400);
    flow.set("STOCKS_RATE", "10000000");
    proxy.set(Weather::Trickle(20_000));
    let (producer, consumer) = (flow.produce(), flow.consume());
    judge(flow, producer, consumer);
}

#[test]
fn connections_to_the_broker_that_are_cut_in_mid_request_cost_nothing() {
    spoiled(Fault::CutRequest);
}

#[test]
fn answers_of_the_broker_that_are_lost_double_nothing() {
    spoiled(Fault::DropAnswer);
}

/// Requests with records are spoiled first, then requests of any kind.
fn spoiled(fault: Fault) {
    let proxy = Proxy::start();
    let Some(broker) = Broker::start_behind(&proxy) else { return };
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
fn a_broker_that_falls_silent_is_waited_for() {
    let proxy = Proxy::start();
    let Some(broker) = Broker::start_behind(&proxy) else { return };
    let mut flow = behind(&broker, &proxy, 2_500);
    flow.set("STOCKS_RATE", "800").session(Duration::from_secs(2));
    // Clients wait for an answer for a minute otherwise.
    let topic = "topic = \"${STOCKS_TOPIC:-stock_market}\"";
    flow.edit(
        "producer.toml",
        topic,
        &format!("{topic}\nlibrdkafka_options = {{ \"socket.timeout.ms\" = \"2000\" }}"),
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
