//! The known differences between the embedded broker and Apache Kafka, each tested on both.
//!
//! The delivery tests cover on both what behaves alike.

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{
    BaseProducer, BaseRecord, DefaultProducerContext, NoCustomPartitioner, Producer as _,
};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use runner_needs::needs;
use tokio::runtime::Runtime;

use crate::support::kafka::Broker;

const TIMEOUT: Duration = Duration::from_secs(30);

type Producer = BaseProducer<DefaultProducerContext, NoCustomPartitioner>;

fn config(broker: &Broker) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.bootstrap());
    config
}

fn admin(broker: &Broker) -> AdminClient<DefaultClientContext> {
    config(broker).create().expect("an admin client")
}

fn consumer(broker: &Broker, settings: &[(&str, &str)]) -> BaseConsumer {
    let mut config = config(broker);
    config.set("group.id", broker.name("readers")).set("enable.auto.commit", "false");
    for (name, value) in settings {
        config.set(*name, *value);
    }
    config.create().expect("a consumer")
}

/// Writes `n` records in one batch, the nth with the timestamp 1,000 + n.
fn write_batch(producer: &Producer, topic: &str, n: i64) {
    for nth in 0..n {
        let body = format!("record {nth}");
        let record = BaseRecord::<(), str>::to(topic).partition(0).payload(&body).timestamp(1_000 + nth);
        producer.send(record).expect("room in the queue");
    }
    producer.flush(TIMEOUT).expect("an answer");
}

fn producer(broker: &Broker, settings: &[(&str, &str)]) -> Producer {
    let mut config = config(broker);
    config.set("linger.ms", "100");
    for (name, value) in settings {
        config.set(*name, *value);
    }
    config.create().expect("a producer")
}

/// Fails the test unless `observe` returns `kafka` on Apache Kafka and `embedded` on the embedded broker.
#[track_caller]
fn assert_differ(observe: impl Fn(&Broker) -> String, kafka: &str, embedded: &str) {
    assert_eq!(observe(Broker::embedded()), embedded, "the embedded broker");
    assert_eq!(observe(Broker::shared()), kafka, "Apache Kafka");
}

fn result_of<T, E: std::fmt::Debug>(answer: Result<T, E>) -> String {
    match answer {
        Ok(_) => "done".into(),
        Err(_) => "refused".into(),
    }
}

#[needs(kafka)]
#[test]
fn embedded_broker_creates_no_topic_by_itself() {
    let observe = |broker: &Broker| {
        let topic = broker.name("unmade");
        let consumer = consumer(broker, &[("allow.auto.create.topics", "true")]);
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            let metadata = consumer.fetch_metadata(Some(&topic), TIMEOUT).expect("metadata");
            if metadata.topics().iter().any(|topic| topic.error().is_none() && !topic.partitions().is_empty())
            {
                return "made".into();
            }
        }
        "missing".to_owned()
    };
    assert_differ(observe, "made", "missing");
}

#[needs(kafka)]
#[test]
fn embedded_broker_refuses_to_delete_records() {
    let observe = |broker: &Broker| {
        let topic = broker.create_topic("deleted", 1);
        write_batch(&producer(broker, &[]), &topic, 10);
        let mut upto = TopicPartitionList::new();
        upto.add_partition_offset(&topic, 0, Offset::Offset(5)).expect("an offset");
        let runtime = Runtime::new().expect("a runtime");
        let deleted = runtime.block_on(admin(broker).delete_records(&upto, &AdminOptions::new()));
        let is_refused = deleted.map_or(true, |list| list.elements().iter().any(|it| it.error().is_err()));
        if is_refused { "refused".to_owned() } else { "done".to_owned() }
    };
    assert_differ(observe, "done", "refused");
}

#[needs(kafka)]
#[test]
fn embedded_broker_refuses_to_add_partitions() {
    let observe = |broker: &Broker| {
        let topic = broker.create_topic("grown", 1);
        let runtime = Runtime::new().expect("a runtime");
        let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(5)));
        let grown =
            runtime.block_on(admin(broker).create_partitions([&NewPartitions::new(&topic, 3)], &options));
        result_of(grown.map_err(|error| error.to_string()).and_then(|all| {
            all.into_iter().collect::<Result<Vec<_>, _>>().map_err(|(_, code)| code.to_string())
        }))
    };
    assert_differ(observe, "done", "refused");
}

#[needs(kafka)]
#[test]
fn embedded_broker_has_no_retention() {
    let observe = |broker: &Broker| {
        let topic = broker.create_topic("kept", 1);
        let runtime = Runtime::new().expect("a runtime");
        let asked = [ResourceSpecifier::Topic(&topic)];
        let found = runtime.block_on(admin(broker).describe_configs(&asked, &AdminOptions::new()));
        let found = found.expect("an answer").remove(0).expect("the topic");
        let retention = found.entries.iter().find(|entry| entry.name == "retention.ms");
        retention.and_then(|entry| entry.value.clone()).unwrap_or_else(|| "none".into())
    };
    assert_differ(observe, "604800000", "none");
}

#[needs(kafka)]
#[test]
fn embedded_broker_finds_times_by_batch() {
    let observe = |broker: &Broker| {
        let topic = broker.create_topic("timed", 1);
        write_batch(&producer(broker, &[]), &topic, 10);
        let mut times = TopicPartitionList::new();
        times.add_partition_offset(&topic, 0, Offset::Offset(1_005)).expect("a time");
        let found = consumer(broker, &[]).offsets_for_times(times, TIMEOUT).expect("an answer");
        format!("{:?}", found.elements()[0].offset())
    };
    assert_differ(observe, "Offset(5)", "Offset(0)");
}
