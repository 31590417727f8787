//! Tests of the broker through an unmodified client.

use std::time::Duration;

use futures_util::future::join_all;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::Message as _;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

use super::Broker;

const TIMEOUT: Duration = Duration::from_secs(30);

fn broker() -> Broker {
    Broker::start(crate::listen::bind("Kafka", 0).unwrap()).unwrap()
}

fn client(broker: &Broker) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.address().to_string());
    config
}

fn admin(broker: &Broker) -> AdminClient<DefaultClientContext> {
    client(broker).create().unwrap()
}

async fn create(broker: &Broker, topic: &str) -> Result<(), RDKafkaErrorCode> {
    let topic = NewTopic::new(topic, 1, TopicReplication::Fixed(1));
    let created = admin(broker).create_topics([&topic], &AdminOptions::new()).await.unwrap();
    created.into_iter().next().unwrap().map(drop).map_err(|(_, code)| code)
}

/// Produces the numbers of `range` in order, in as few batches as the client makes of them.
async fn produce(broker: &Broker, topic: &str, range: std::ops::Range<usize>) {
    let mut config = client(broker);
    config.set("linger.ms", "50").set("enable.idempotence", "true");
    let producer: FutureProducer = config.create().unwrap();
    let bodies: Vec<String> = range.map(|n| n.to_string()).collect();
    let sent = bodies.iter().map(|body| {
        let record = FutureRecord::<(), _>::to(topic).payload(body).partition(0);
        producer.send_result(record).map_err(|(error, _)| error).unwrap()
    });
    for delivery in join_all(sent.collect::<Vec<_>>()).await {
        delivery.unwrap().map_err(|(error, _)| error).unwrap();
    }
}

fn assigned(broker: &Broker, topic: &str, offset: Offset) -> StreamConsumer {
    let mut config = client(broker);
    config.set("group.id", "no-group").set("enable.auto.commit", "false");
    config.set("fetch.wait.max.ms", "20000").set("socket.timeout.ms", "60000");
    let consumer: StreamConsumer = config.create().unwrap();
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, offset).unwrap();
    consumer.assign(&partitions).unwrap();
    consumer
}

async fn numbers(consumer: &StreamConsumer, n: usize) -> Vec<usize> {
    let mut numbers = Vec::new();
    while numbers.len() < n {
        let message = timeout(TIMEOUT, consumer.recv()).await.expect("a record in time").unwrap();
        numbers.push(std::str::from_utf8(message.payload().unwrap()).unwrap().parse().unwrap());
    }
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn consumer_inside_a_batch_gets_exactly_the_rest() {
    let broker = broker();
    create(&broker, "t").await.unwrap();
    produce(&broker, "t", 0..5_000).await;
    // Batches of one record, which must not be skipped either.
    for n in 5_000..5_010 {
        produce(&broker, "t", n..n + 1).await;
    }
    for begin in [1, 2_345, 4_999, 5_003] {
        let consumer = assigned(&broker, "t", Offset::Offset(begin as i64));
        assert_eq!(numbers(&consumer, 5_010 - begin).await, (begin..5_010).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_topic_starts_empty_again() {
    let broker = broker();
    create(&broker, "t").await.unwrap();
    produce(&broker, "t", 0..10).await;
    admin(&broker).delete_topics(&["t"], &AdminOptions::new()).await.unwrap();
    create(&broker, "t").await.unwrap();
    produce(&broker, "t", 100..103).await;
    let consumer = assigned(&broker, "t", Offset::Beginning);
    assert_eq!(numbers(&consumer, 3).await, [100, 101, 102]);
    assert_eq!(consumer.fetch_watermarks("t", 0, TIMEOUT).unwrap(), (0, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_consumer_gets_a_record_at_once() {
    let broker = broker();
    create(&broker, "t").await.unwrap();
    let consumer = assigned(&broker, "t", Offset::Beginning);
    for n in 0..3 {
        produce(&broker, "t", n..n + 1).await;
        let produced = Instant::now();
        assert_eq!(numbers(&consumer, 1).await, [n]);
        assert!(produced.elapsed() < Duration::from_secs(5), "{:?}", produced.elapsed());
    }
    timeout(Duration::from_secs(5), broker.stop())
        .await
        .expect("the end of the broker while a consumer waits");
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_request_ends_only_its_connection() {
    let broker = broker();
    for invalid in
        [&b"\x7f\xff\xff\xffGET / HTTP/1.1"[..], b"\xff\xff\xff\xff", b"\x00\x00\x00\x04\x7f\x7f\x7f\x7f"]
    {
        let mut socket = tokio::net::TcpStream::connect(broker.address()).await.unwrap();
        socket.write_all(invalid).await.unwrap();
        let mut answer = Vec::new();
        drop(timeout(TIMEOUT, socket.read_to_end(&mut answer)).await.expect("the end of the connection"));
        assert_eq!(answer, b"");
    }
    // Leaves in the middle of a request.
    let mut socket = tokio::net::TcpStream::connect(broker.address()).await.unwrap();
    socket.write_all(b"\x00\x00\x01\x00half").await.unwrap();
    drop(socket);
    assert_eq!(create(&broker, "t").await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_with_acks_0_are_stored_and_not_answered() {
    let broker = broker();
    create(&broker, "t").await.unwrap();
    let mut config = client(&broker);
    config.set("acks", "0").set("linger.ms", "0").set("enable.idempotence", "false");
    let producer: FutureProducer = config.create().unwrap();
    // The client would take an unexpected answer for that of the next request.
    for n in 0..20 {
        let body = n.to_string();
        let record = FutureRecord::<(), _>::to("t").payload(&body).partition(0);
        producer.send(record, TIMEOUT).await.unwrap();
    }
    assert_eq!(numbers(&assigned(&broker, "t", Offset::Beginning), 20).await, (0..20).collect::<Vec<_>>());
    let metadata = producer.client().fetch_metadata(Some("t"), TIMEOUT).unwrap();
    assert_eq!(metadata.topics()[0].partitions().len(), 1);
    broker.stop().await;
}

/// Sends the numbers of `range` in a transaction that stays open, together with `offset` of the group `g`.
async fn send_in_transaction(
    producer: &FutureProducer,
    group: &StreamConsumer,
    range: std::ops::Range<usize>,
    offset: i64,
) {
    producer.begin_transaction().unwrap();
    for n in range {
        let body = n.to_string();
        producer.send(FutureRecord::<(), _>::to("t").payload(&body).partition(0), TIMEOUT).await.unwrap();
    }
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset("in", 0, Offset::Offset(offset)).unwrap();
    producer.send_offsets_to_transaction(&offsets, &group.group_metadata().unwrap(), TIMEOUT).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_committed_transactions_are_read_with_their_offsets() {
    let broker = broker();
    for topic in ["t", "in"] {
        create(&broker, topic).await.unwrap();
    }
    let mut config = client(&broker);
    let all: StreamConsumer =
        config.set("group.id", "g").set("isolation.level", "read_uncommitted").create().unwrap();
    let transactional =
        || client(&broker).set("transactional.id", "writer").create::<FutureProducer>().unwrap();
    let producer = transactional();
    producer.init_transactions(TIMEOUT).unwrap();
    send_in_transaction(&producer, &all, 0..3, 7).await;
    producer.abort_transaction(TIMEOUT).unwrap();
    send_in_transaction(&producer, &all, 3..6, 8).await;
    producer.commit_transaction(TIMEOUT).unwrap();
    // The producer is replaced while its transaction is open.
    send_in_transaction(&producer, &all, 6..9, 9).await;
    let next = transactional();
    next.init_transactions(TIMEOUT).unwrap();
    send_in_transaction(&next, &all, 9..12, 10).await;
    next.commit_transaction(TIMEOUT).unwrap();
    assert!(producer.commit_transaction(TIMEOUT).is_err());
    assert_eq!(numbers(&assigned(&broker, "t", Offset::Beginning), 6).await, [3, 4, 5, 9, 10, 11]);
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset("t", 0, Offset::Beginning).unwrap();
    all.assign(&partitions).unwrap();
    assert_eq!(numbers(&all, 12).await, (0..12).collect::<Vec<_>>());
    let mut committed = TopicPartitionList::new();
    committed.add_partition("in", 0);
    let committed = all.committed_offsets(committed, TIMEOUT).unwrap();
    assert_eq!(committed.elements()[0].offset(), Offset::Offset(10));
}
