//! Writes letters to the end of their topic again, byte by byte as they are.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, OwnedMessage};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use rdkafka::{ClientConfig, ClientContext, Message as _};
use runner_core::Result;

use super::super::topic::raise_queue_limit;
use super::retry::CLUSTER_TIMEOUT;
use crate::shared::kafka::ClientErrors;

/// How many bytes a message may have beside its payload, about.
const CLIENT_OVERHEAD: usize = 1 << 16;

/// Receives the delivery reports: `flush` succeeds also if a broker has refused a message.
#[derive(Default)]
struct Reports {
    errors: ClientErrors,
    failed: Mutex<Option<KafkaError>>,
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        ClientErrors::log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.errors.record(&error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, report: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = report {
            *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
        }
    }
}

/// Writes letters with their keys and headers, and waits until the brokers have stored them. Blocks.
pub(super) fn append(client: &ClientConfig, topic: &str, letters: &[OwnedMessage]) -> Result<()> {
    let largest = letters.iter().map(|letter| letter.payload().map_or(0, <[u8]>::len)).max().unwrap_or(0);
    let mut config = client.clone();
    if config.get("message.max.bytes").is_none() {
        config.set(
            "message.max.bytes",
            (largest + CLIENT_OVERHEAD).clamp(1_000_000, 1_000_000_000).to_string(),
        );
    }
    raise_queue_limit(&mut config, largest + CLIENT_OVERHEAD);
    let producer: BaseProducer<Reports> = config.create_with_context(Reports::default())?;
    let what = || format!("writing a dead letter to the end of topic `{topic}` again");
    let began = Instant::now();
    for letter in letters {
        let mut record = BaseRecord::<[u8], [u8]>::to(topic);
        (record.payload, record.key) = (letter.payload(), letter.key());
        record.headers = letter.headers().cloned();
        while let Err((error, refused)) = producer.send(record) {
            let is_full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
            if !is_full || began.elapsed() > CLUSTER_TIMEOUT {
                return Err(error).with_context(what);
            }
            producer.poll(Duration::from_millis(50));
            record = refused;
        }
        producer.poll(Duration::ZERO);
    }
    producer.flush(CLUSTER_TIMEOUT).with_context(what)?;
    let failed = producer.client().context().failed.lock().unwrap_or_else(PoisonError::into_inner).take();
    failed.map_or(Ok(()), |error| Err(error).with_context(what))
}
