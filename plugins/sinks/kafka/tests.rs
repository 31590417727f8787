//! Against librdkafka's mock cluster, which can return errors.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use runner_core::testing::{context, record, records, write};
use runner_core::{Body, BuildContext, Class, EntryNumber, Headers, Name, SinkConfig as _};
use serde_json::{Value, json};

use super::topic::CreateTopic;
use super::*;

const TOPIC: &str = "stock_market";

fn cluster() -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, 1, 1).unwrap();
    cluster
}

async fn sink(cluster: &MockCluster<'_, DefaultProducerContext>, more: Value) -> Box<dyn Sink> {
    sink_with(cluster, more, |_| {}).await
}

async fn sink_with(
    cluster: &MockCluster<'_, DefaultProducerContext>,
    more: Value,
    change: impl FnOnce(&mut BuildContext),
) -> Box<dyn Sink> {
    let mut options = json!({
        "bootstrap_servers": cluster.bootstrap_servers(),
        "topic": TOPIC,
        "librdkafka_options": { "retry.backoff.ms": 1, "retry.backoff.max.ms": 2 },
    });
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let config: KafkaSinkConfig = serde_json::from_value(options).unwrap();
    let mut context = context();
    // The mock cluster does not respond to a request for the topic's limits.
    context.retry.connect = Some(Duration::from_millis(500));
    change(&mut context);
    let mut sink = config.build(&context).unwrap();
    sink.open().await.unwrap();
    sink
}

/// The failures of a write that has stored some of its records, or none.
#[track_caller]
fn failures(written: Result<(), WriteError>) -> Vec<(usize, Failure)> {
    match written {
        Err(WriteError::Records(mut failures)) => {
            failures.sort_by_key(|(index, _)| *index);
            failures
        }
        other => panic!("some records must fail, not {other:?}"),
    }
}

/// Key, payload, headers and timestamp of a record.
type StoredRecord = (Option<String>, Option<String>, Vec<(String, String)>, Option<i64>);

/// Reads the first `n` records of the topic.
fn read(cluster: &MockCluster<'_, DefaultProducerContext>, n: usize) -> Vec<StoredRecord> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers()).set("group.id", "reads");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(TOPIC, 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let read = |_| {
        let message = consumer.poll(Duration::from_secs(10)).expect("one more record").unwrap();
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        let headers = headers.map(|it| (it.key.to_owned(), it.value.map(text).unwrap_or_default()));
        (
            message.key().map(text),
            message.payload().map(text),
            headers.collect(),
            message.timestamp().to_millis(),
        )
    };
    (0..n).map(read).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_sink_writes_key_headers_timestamp_and_entry_number() {
    let cluster = cluster();
    let sink = sink(&cluster, json!({ "headers": { "origin": "stocks", "x": "new" } })).await;
    let mut full = record(r#"{"Index":"NYA"}"#, 7);
    full.key = Some("NYA".into());
    full.timestamp = Some(1_600_000_000_000);
    full.entry = Some(EntryNumber::new(1_234, Name::new("producer/stocks")).part(5));
    full.headers = Headers::new(vec![
        runner_core::Header { name: "a".into(), value: Some("1".into()) },
        runner_core::Header { name: "x".into(), value: Some("old".into()) },
        runner_core::Header { name: "runner-entry".into(), value: Some("9".into()) },
    ]);
    let mut tombstone = record("", 8);
    tombstone.key = Some("DJI".into());
    tombstone.body = Body::Tombstone;
    write(&*sink, [full, tombstone]).await.unwrap();

    let stored = read(&cluster, 2);
    let (key, payload, headers, timestamp) = &stored[0];
    assert_eq!((key.as_deref(), payload.as_deref()), (Some("NYA"), Some(r#"{"Index":"NYA"}"#)));
    assert_eq!(*timestamp, Some(1_600_000_000_000));
    let headers: Vec<_> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    let expected = [
        ("a", "1"),
        ("origin", "stocks"),
        ("x", "new"),
        ("runner-entry", "1234-5"),
        ("runner-source", "producer/stocks"),
    ];
    assert_eq!(headers, expected);
    assert_eq!((stored[1].0.as_deref(), &stored[1].1), (Some("DJI"), &None));
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_sink_keeps_the_order_of_overlapping_writes() {
    let cluster = cluster();
    let sink = sink(&cluster, json!({})).await;
    let batches: Vec<_> = (0..100).map(|batch| records((0..50).map(|n| format!("{batch}/{n}")))).collect();
    let writes = batches.iter().map(|batch| sink.write(batch));
    futures_util::future::try_join_all(writes).await.unwrap();

    let stored = read(&cluster, 5_000).into_iter().map(|(_, payload, ..)| payload.unwrap());
    let written = batches.iter().flat_map(runner_core::Batch::records);
    let written = written.map(|record| String::from_utf8(record.to_bytes().unwrap().to_vec()).unwrap());
    assert!(stored.eq(written), "the records are stored in another order");
    batches.into_iter().for_each(runner_core::Batch::ack);
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_sink_fails_only_the_invalid_records_of_a_batch() {
    let cluster = cluster();
    let sink = sink(&cluster, json!({ "key_field": "k" })).await;
    let large = format!(r#"{{"k":1,"fill":"{}"}}"#, "x".repeat(1 << 21));
    let batch = [record(r#"{"k":"a"}"#, 0), record("{}", 1), record(large, 2), record(r#"{"k":"b"}"#, 3)];
    let failures = failures(write(&*sink, batch).await);
    let found: Vec<_> = failures.iter().map(|(index, it)| (*index, it.class(), it.to_string())).collect();
    assert_eq!((found[0].0, found[0].1, found[1].0, found[1].1), (1, Class::Rejected, 2, Class::Rejected));
    assert!(found[0].2.contains("`k`"), "{}", found[0].2);
    assert!(found[1].2.contains("2097169 bytes") && found[1].2.contains("1048588"), "{}", found[1].2);
    let keys: Vec<_> = read(&cluster, 2).into_iter().map(|(key, ..)| key.unwrap()).collect();
    assert_eq!(keys, ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_sink_rejects_only_the_invalid_record_of_a_rejected_request() {
    let (rejected, success) =
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_RECORD, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR);
    let cluster = cluster();
    let sink = sink(&cluster, json!({})).await;
    let mut batch = [record("a", 0), record("b", 1), record("c", 2)];
    batch[0].key = Some("k".into());
    batch[2].key = Some("k".into());
    cluster.request_errors(
        rdkafka::types::RDKafkaApiKey::Produce,
        &[rejected, success, rejected, rejected, success],
    );
    let failures = failures(write(&*sink, batch).await);
    let found: Vec<_> = failures.iter().map(|(index, it)| (*index, it.class())).collect();
    assert_eq!(found, [(1, Class::Rejected)]);
    let error = failures[0].1.to_string();
    assert!(error.contains("it has no key, and a compacted topic requires one (`key_field`)"), "{error}");
    let stored: Vec<_> = read(&cluster, 2).into_iter().map(|(_, payload, ..)| payload.unwrap()).collect();
    assert_eq!(stored, ["a", "c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_sink_retries_records_that_were_rejected_with_another_write() {
    let cluster = cluster();
    let sink = sink(&cluster, json!({})).await;
    let (rejected, other_rejected, success) = (
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_RECORD,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR__INVALID_DIFFERENT_RECORD,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR,
    );
    cluster.request_errors(
        rdkafka::types::RDKafkaApiKey::Produce,
        &[rejected, success, success, other_rejected],
    );
    for text in ["a", "b"] {
        write(&*sink, [record(text, 0), record(text, 1)]).await.unwrap();
    }
    assert_eq!(read(&cluster, 4).len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_sink_retries_a_denial_only_after_the_first_success() {
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    let produce = rdkafka::types::RDKafkaApiKey::Produce;
    let cluster = cluster();
    let sink = sink(&cluster, json!({})).await;
    let write = async || write(&*sink, [record("a", 0)]).await;
    cluster.request_errors(produce, &[denied]);
    let first = failures(write().await).remove(0).1;
    assert_eq!(first.class(), Class::Fatal, "nothing was stored yet");
    assert!(first.to_string().contains("grant the user Write"), "{first}");

    write().await.unwrap();
    cluster.request_errors(produce, &[denied]);
    assert_eq!(failures(write().await)[0].1.class(), Class::Transient);
    write().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_sink_rejects_records_of_a_denied_template_topic() {
    let produce = rdkafka::types::RDKafkaApiKey::Produce;
    for (refused, reason) in [
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, "grant the user Write"),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, "a topic of Kafka itself"),
    ] {
        let cluster = cluster();
        cluster.create_topic("other", 1, 1).unwrap();
        let sink = sink(&cluster, json!({ "topic": "{{ .t }}" })).await;
        let to = |topic: &str| write(&*sink, [record(format!(r#"{{"t":"{topic}"}}"#), 0)]);
        to(TOPIC).await.unwrap();
        cluster.request_errors(produce, &[refused]);
        for _ in 0..2 {
            let failure = failures(to("other").await).remove(0).1;
            assert_eq!(failure.class(), Class::Rejected, "{failure}");
            assert!(failure.to_string().contains(reason), "{failure}");
        }
        to(TOPIC).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_sink_ends_at_a_topic_that_takes_no_records() {
    let cluster = cluster();
    let sink = sink(&cluster, json!({})).await;
    let write = async || write(&*sink, [record("a", 0)]).await;
    write().await.unwrap();
    let invalid = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION;
    cluster.request_errors(rdkafka::types::RDKafkaApiKey::Produce, &[invalid]);
    let failure = failures(write().await).remove(0).1;
    assert_eq!(failure.class(), Class::Fatal);
    assert!(failure.to_string().contains("takes no records"), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_sink_frees_the_slot_of_a_cancelled_write() {
    let cluster = cluster();
    let sink = sink(&cluster, json!({})).await;
    let write = || write(&*sink, [record("a", 0)]);
    for _ in 0..CONCURRENCY * 2 {
        let cancelled = tokio::time::timeout(Duration::from_micros(50), write()).await;
        drop(cancelled);
    }
    tokio::time::timeout(Duration::from_secs(20), write()).await.expect("a free slot").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_sink_fails_queued_and_waiting_records_after_the_retry_timeout() {
    let cluster = cluster();
    let timeout = Duration::from_secs(8);
    let sink = sink_with(&cluster, json!({}), |context| {
        context.retry.timeout = Some(timeout);
        context.batch.in_flight = 1;
    });
    let sink = sink.await;
    write(&*sink, [record("a", 0)]).await.unwrap();
    cluster.broker_down(1).unwrap();
    // More than the queue of the client holds.
    let batch: Vec<_> = (0..10_000).map(|n| record("x".repeat(1_000), n)).collect();
    let write = async || {
        let written = tokio::time::timeout(Duration::from_secs(60), write(&*sink, batch.clone())).await;
        failures(written.expect("a result"))
    };
    let failed = write().await;
    assert_eq!(failed.len(), batch.len());
    for (_, failure) in &failed {
        assert_eq!((failure.class(), failure.is_retryable()), (Class::Unreachable, false));
        assert!(failure.to_string().contains("8s (`retry.timeout`)"), "{failure}");
    }
    let again = std::time::Instant::now();
    assert!(write().await.iter().all(|(_, failure)| !failure.is_retryable()));
    assert!(again.elapsed() < timeout, "the second write fails at once: {:?}", again.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_sink_names_missing_in_sync_replicas_after_the_retry_timeout() {
    let cluster = cluster();
    let sink = sink_with(&cluster, json!({}), |context| context.retry.timeout = Some(Duration::from_secs(2)));
    let sink = sink.await;
    let not_enough = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS;
    cluster.request_errors(rdkafka::types::RDKafkaApiKey::Produce, &vec![not_enough; 100_000]);
    let (_, failure) = failures(write(&*sink, [record("a", 0)]).await).remove(0);
    assert_eq!((failure.class(), failure.is_retryable()), (Class::Unreachable, false));
    assert!(failure.to_string().contains("`min.insync.replicas`"), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_sink_reports_a_fatal_client_error_not_as_unreachable() {
    let cluster = cluster();
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
    cluster.request_errors(rdkafka::types::RDKafkaApiKey::InitProducerId, &[denied; 8]);
    let sink = sink(&cluster, json!({})).await;
    let (_, failure) = failures(write(&*sink, [record("a", 0)]).await).remove(0);
    assert_eq!(failure.class(), Class::Fatal);
    let message = failure.to_string();
    assert!(message.contains("cannot continue") && message.contains("grant the user Write"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_sink_open_without_a_broker_is_unreachable() {
    let options = json!({ "bootstrap_servers": "127.0.0.1:1", "topic": TOPIC });
    let config: KafkaSinkConfig = serde_json::from_value(options).unwrap();
    let mut context = context();
    context.retry.connect = Some(Duration::from_millis(300));
    let error = config.build(&context).unwrap().open().await.unwrap_err();
    assert_eq!(error.class(), Class::Unreachable);
    assert!(error.to_string().contains("127.0.0.1:1"), "{error:#}");
    assert!(error.to_string().contains("refused"), "{error:#}");
}

#[test]
fn create_topic_accepts_a_boolean_or_a_table() {
    let read = |toml: Value| serde_json::from_value::<CreateTopic>(toml);
    assert_eq!(read(json!(false)).unwrap(), CreateTopic::No);
    assert_eq!(read(json!("true")).unwrap(), CreateTopic::default());
    assert!(matches!(read(json!({ "partitions": 6 })).unwrap(), CreateTopic::Yes(_)));
    assert!(read(json!({ "partitions": 0 })).is_err());
    assert!(read(json!({ "partition": 6 })).is_err());
}

#[test]
fn options_that_lose_letters_and_fixed_placeholders_are_refused() {
    let build = |more: Value, is_dead_letter: bool| {
        let mut options = json!({ "bootstrap_servers": "127.0.0.1:1", "topic": TOPIC });
        options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let config: KafkaSinkConfig = serde_json::from_value(options).unwrap();
        config.build(&BuildContext { is_dead_letter, ..context() })
    };
    let compact = json!({ "create_topic": { "config": { "cleanup.policy": "compact,delete" } } });
    let template = json!({ "topic": "{{ .component }}_dlq" });
    for (more, part) in [(compact, "keep only the last"), (template, "`runner dlq` reads one topic")] {
        assert!(build(more.clone(), false).is_ok());
        let error = build(more, true).err().expect(part);
        assert!(format!("{error:#}").contains(part), "{error:#}");
    }
    for headers in [json!({ "idx": "{{ .Index }}" }), json!({ "runner-entry": "5" })] {
        assert!(build(json!({ "headers": headers }), false).is_err());
    }
    assert!(build(json!({ "headers": { "idx": "NYA" } }), false).is_ok());
}
