//! Against librdkafka's mock cluster.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use runner_core::testing::context;
use runner_core::{SourceConfig as _, Start};
use serde_json::json;

use super::config::KafkaSourceConfig;

#[tokio::test(flavor = "multi_thread")]
async fn kafka_source_returns_a_record_without_waiting_for_a_full_batch() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("prices", 1, 1).unwrap();
    let servers = cluster.bootstrap_servers();
    let options = json!({ "bootstrap_servers": servers, "topics": ["prices"], "group_id": "g" });
    let config: KafkaSourceConfig = serde_json::from_value(options).unwrap();
    let mut context = context();
    context.batch.timeout = Duration::from_secs(600);
    let mut source = config.build(&context).unwrap();
    source.open(&Start::default()).await.unwrap();
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
    for text in ["a", "b"] {
        producer.send(BaseRecord::<(), str>::to("prices").payload(text)).map_err(|(error, _)| error).unwrap();
        producer.flush(Duration::from_secs(10)).unwrap();
        let next = tokio::time::timeout(Duration::from_secs(60), source.next()).await;
        let next = next.expect("it does not wait for `batch.timeout`").unwrap();
        let runner_core::Next::Batch(batch) = next else { panic!("the topic has no end") };
        assert_eq!(batch.records()[0].to_bytes().unwrap(), text.as_bytes());
    }
    source.close().await.unwrap();
}
