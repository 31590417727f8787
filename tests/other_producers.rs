//! The stock consumer on a topic to which other programs write too.

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::BaseRecord;
use runner_needs::needs;

use crate::support::TestEnv;
use crate::support::cloud::Cloud;
use crate::support::flow::stock_cloud;
use crate::support::kafka::Broker;

/// The consumer with its crawler, and a topic with five records of the producer, after those of other programs.
fn consumer(broker: &Broker) -> (Cloud, TestEnv, String) {
    let topic = broker.create_topic("strangers", 1);
    let (cloud, env) = stock_cloud(broker, &topic, 5);
    broker.produce(&topic, 0, ["hello", "{\"Index\": \"NYA\", "]);
    // It claims the number of a record that the producer writes later.
    let headers = OwnedHeaders::new()
        .insert(Header { key: "runner-entry", value: Some("3") })
        .insert(Header { key: "runner-source", value: Some("producer/stocks") });
    broker.produce_record(BaseRecord::to(&topic).payload(&b"{\"x\":1}"[..]).headers(headers));
    env.run(["run", "producer.toml"]).assert_code(0);
    (cloud, env, topic)
}

fn assert_rows(env: &TestEnv, n_rows: &str) {
    let count = "SELECT count(*) FROM stockmarket_project";
    env.run(["query", "--database", "realtime-de-db", count, "--expect", n_rows]).assert_code(0);
}

#[needs(kafka)]
#[test]
fn stock_consumer_survives_records_of_other_programs() {
    let broker = Broker::shared();
    let (_cloud, mut env, topic) = consumer(broker);
    let rejected = format!("{topic}_rejected");
    env.run(["run", "consumer.toml"]).assert_code(0).assert_says(&["stockmarket_project"]);
    let letters = |at: usize| {
        let all = broker.read_all(&rejected);
        all[at..]
            .iter()
            .map(|letter| serde_json::from_str(letter.text()).expect("a letter"))
            .collect::<Vec<_>>()
    };
    let found: Vec<serde_json::Value> = letters(0);
    let mut reasons: Vec<String> =
        found.iter().map(|letter| format!("{} {}", letter["component"], letter["reason"])).collect();
    reasons.sort();
    assert_eq!(reasons.len(), 3, "{reasons:?}");
    assert!(reasons[0].contains("\"json\"") && reasons[0].contains("not JSON"), "{reasons:?}");
    assert!(
        reasons[2].contains("\"lake\"") && reasons[2].contains("exists with other content"),
        "{reasons:?}"
    );
    assert_rows(&env, "5");

    // By its place in the topic every record has an object of its own.
    env.set("STOCKS_GROUP", broker.name("lake"))
        .set("STOCKS_KEY", "stockmarket_project/{{ topic }}_{{ partition }}_{{ offset }}.json");
    env.run(["run", "consumer.toml"]).assert_code(0);
    assert_eq!(letters(3).len(), 2);
    assert_rows(&env, "11");
}
