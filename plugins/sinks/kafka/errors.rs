//! Classifies errors of records, and explains them.

use std::sync::atomic::Ordering;

use anyhow::anyhow;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::producer::Producer as _;
use runner_core::{Failure, Record};

use super::delivery::FailedRecord;
use super::topics::rejection;
use super::{Connection, Kafka};
use crate::shared::kafka::{RefusedTopic, is_denied};

/// A record that was not written.
struct Unwritten<'a> {
    sink: &'a Kafka,
    opened: &'a Connection,
    record: &'a Record,
    topic: &'a str,
    /// The addresses of the cluster.
    at: &'a str,
    code: Code,
}

impl Kafka {
    /// The failure of a record with this error code.
    pub(super) fn classify(&self, opened: &Connection, record: &Record, code: Code) -> Failure {
        let topic = self.topics.render(record).unwrap_or_else(|_| self.options.topic.clone());
        let at = &self.options.bootstrap_servers;
        let unwritten = Unwritten { sink: self, opened, record, topic: &topic, at, code };
        match code {
            Code::MessageSizeTooLarge | Code::MessageBatchTooLarge if self.is_dead_letter => {
                unwritten.letter_too_large()
            }
            Code::MessageSizeTooLarge | Code::InvalidMessageSize | Code::MessageBatchTooLarge => {
                unwritten.record_too_large()
            }
            Code::InvalidMessage | Code::BadMessage | Code::InvalidRecord | Code::InvalidTimestamp => {
                unwritten.invalid_record()
            }
            // The failure of the other record names the cause. With transactions the retry fails, since the
            // transaction is aborted.
            Code::InvalidDifferentRecord => Failure::transient(anyhow!(
                "topic `{topic}` at {at} rejects another record of the same request"
            )),
            Code::PurgeQueue | Code::PurgeInflight if opened.deliveries().is_aborted() => {
                unwritten.no_acknowledgement()
            }
            Code::MessageTimedOut => unwritten.transaction_timed_out(),
            Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
                Failure::fatal(anyhow!("topic `{topic}` is gone from the cluster at {at}: it was deleted"))
            }
            code if is_refusal(code) && self.topics.single().is_none() => unwritten.refused_topic(),
            Code::InvalidTopic => Failure::fatal(anyhow!(
                "topic `{topic}` cannot be written to: {}",
                self.refused(String::new(), code).reason
            )),
            code if is_denied(code) && !self.has_succeeded.load(Ordering::Relaxed) => {
                Failure::fatal(anyhow!(
                    "the cluster at {at} does not let this user write to topic `{topic}` ({code}): \
                     grant the user Write on the topic"
                ))
            }
            _ => unwritten.other(),
        }
    }

    /// Notes the topics of a template that the brokers refuse to write to: their records are rejected, and those of
    /// other topics are written.
    pub(super) fn refuse_topics(&self, records: &[Record], failed: &[FailedRecord]) {
        if self.topics.single().is_some() {
            return;
        }
        for FailedRecord { index, error } in failed {
            if let Some(code) = error.code().filter(|&code| is_refusal(code))
                && let Ok(topic) = self.topics.render(&records[*index])
            {
                self.topics.refuse(topic.clone(), self.refused(topic, code));
            }
        }
    }

    /// Why nothing can be written to a topic that exists.
    fn refused(&self, topic: String, code: Code) -> RefusedTopic {
        let at = &self.options.bootstrap_servers;
        let reason = match code {
            Code::InvalidTopic => format!(
                "the cluster at {at} takes no records for it ({code}): it is a topic of Kafka itself, such as \
                 `__consumer_offsets`, or its name is not valid there. Write to another topic"
            ),
            _ => format!(
                "the cluster at {at} does not let this user write to it ({code}): grant the user Write on the topic"
            ),
        };
        RefusedTopic { name: format!("`{topic}`"), reason }
    }

    /// Why the brokers reject a record, and what to do.
    fn explain_rejection(&self, record: &Record, code: Code) -> String {
        match code {
            Code::InvalidTimestamp => format!(
                "its timestamp, {} ms after 1970, differs from the clock of the broker by more than the topic allows \
                 (`message.timestamp.before.max.ms`, `message.timestamp.after.max.ms`)",
                self.timestamp
                    .as_ref()
                    .map_or(record.timestamp, |field| field.get(record).ok())
                    .unwrap_or_default()
            ),
            code if self.is_keyless(record) => {
                format!("{code}; it has no key, and a compacted topic requires one (`key_field`)")
            }
            code => format!("{code}; the log of the broker contains the reason"),
        }
    }

    /// Whether the message of a record has no key.
    pub(super) fn is_keyless(&self, record: &Record) -> bool {
        let key = self.key.as_ref().and_then(|key| key.key(record).ok().flatten());
        key.is_none() && record.key.is_none()
    }
}

impl Unwritten<'_> {
    fn letter_too_large(&self) -> Failure {
        let Unwritten { topic, at, .. } = self;
        // With room for what the client adds to a record.
        let size = self.record.size();
        let needed = size.next_multiple_of(1 << 20) + (1 << 20);
        Failure::rejected(anyhow!(
            "the dead letter has {size} bytes, which is more than `max.message.bytes` of topic `{topic}` allows \
             ({}): raise it, for example kafka-configs.sh --bootstrap-server {at} --alter --entity-type topics \
             --entity-name {topic} --add-config max.message.bytes={needed}{}",
            self.opened.max_bytes,
            match self.sink.options.librdkafka_options.get("message.max.bytes") {
                Some(_) => ", and `message.max.bytes` in `librdkafka_options`, or leave that option out",
                None => "",
            }
        ))
    }

    fn record_too_large(&self) -> Failure {
        let (size, limit) = (self.record.size(), self.opened.max_bytes);
        let at_most = if size < limit { "fewer".into() } else { format!("{limit} at most") };
        Failure::rejected(anyhow!(
            "the record has {size} bytes and topic `{}` takes {at_most} \
             (`max.message.bytes` of the topic, `message.max.bytes` of the client)",
            self.topic
        ))
    }

    fn invalid_record(&self) -> Failure {
        let Unwritten { topic, record, .. } = self;
        let reason = self.sink.explain_rejection(record, self.code);
        if self.sink.transactions.is_none() {
            return Failure::rejected(anyhow!("topic `{topic}` rejects the record: {reason}"));
        }
        Failure::fatal(anyhow!(
            "topic `{topic}` rejects the record from {}: {reason}. A transaction commits all its records or \
             none, so it is aborted: filter such records before this sink, or set \
             `delivery = \"at_least_once\"` and write them to `[dead_letter]`",
            record.origin
        ))
    }

    fn no_acknowledgement(&self) -> Failure {
        let Unwritten { topic, at, .. } = self;
        let reason = self.opened.last_error().unwrap_or_else(|| {
            "no connection has failed, so there may be fewer in-sync replicas than `min.insync.replicas`, \
             or the network is slow"
                .into()
        });
        let waited = self.sink.retry.timeout.unwrap_or_default();
        let error = anyhow!(
            "the cluster at {at} has not acknowledged any record in flight for topic `{topic}` for \
             {waited:?} (`retry.timeout`): {reason}"
        );
        Failure::unreachable(error).after_retries()
    }

    fn transaction_timed_out(&self) -> Failure {
        let Unwritten { topic, at, .. } = self;
        let reason = self.opened.last_error().unwrap_or_else(|| "the network may be slow".into());
        let error = anyhow!(
            "the cluster at {at} has not acknowledged all records of a transaction for topic `{topic}` in time \
             (`transaction.timeout.ms` in `librdkafka_options`, and `retry.timeout`): {reason}; raise it, or \
             lower `in_flight` in `[batch]`, so that a transaction contains less"
        );
        Failure::unreachable(error).after_retries()
    }

    /// One of several topics is refused.
    fn refused_topic(&self) -> Failure {
        let refused = self.sink.refused(self.topic.to_owned(), self.code);
        if self.sink.transactions.is_none() {
            return Failure::rejected(rejection(&refused));
        }
        Failure::fatal(rejection(&refused).context(
            "a transaction commits all its records or none, so it is aborted: filter such records before this \
             sink, or set `delivery = \"at_least_once\"` and write them to `[dead_letter]`",
        ))
    }

    fn other(&self) -> Failure {
        let Unwritten { topic, at, code, .. } = self;
        if let Some((code, reason)) = self.opened.producer.client().fatal_error() {
            let advice = if is_denied(code) {
                ": grant the user Write on the topic; brokers before 2.8 also require IdempotentWrite on the cluster"
            } else {
                ""
            };
            let error = anyhow!("the Kafka client cannot continue: {reason} ({code}){advice}");
            return Failure::fatal(error);
        }
        if self.sink.transactions.is_some() {
            let error = anyhow!("writing to topic `{topic}` at {at}: {code}; its transaction is aborted");
            return Failure::fatal(error);
        }
        Failure::transient(anyhow!("writing to topic `{topic}` at {at}: {code}"))
    }
}

/// Whether the brokers refuse every record of this topic, and not those of others.
fn is_refusal(code: Code) -> bool {
    matches!(code, Code::InvalidTopic | Code::TopicAuthorizationFailed)
}
