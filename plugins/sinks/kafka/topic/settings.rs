//! Settings of an existing topic.

use rdkafka::admin::ResourceSpecifier;

use super::{Topic, drop_in_background};

/// The setting of a topic that limits its batches, and so its records.
pub(super) const MAX_BYTES: &str = "max.message.bytes";
/// The default of `message.max.bytes` in Apache Kafka.
pub(super) const DEFAULT_MAX_BYTES: usize = 1_048_588;

/// `max.message.bytes` of a topic of dead letters that the sink creates. A letter is larger than its record, by a third
/// in base64 and up to twice in text; brokers take requests of up to 100 MiB (`socket.request.max.bytes`).
pub(super) const LETTER_MAX_BYTES: usize = 100_000_000;

/// The setting of a topic that says which records the cluster deletes.
pub(super) const CLEANUP: &str = "cleanup.policy";

/// Settings of an existing topic.
#[derive(Debug, Default)]
pub(in super::super) struct TopicSettings {
    /// `max.message.bytes`. The broker rejects a larger batch as a whole, including its smaller records.
    pub(in super::super) max_bytes: usize,
    /// `None` if it is not known.
    pub(in super::super) min_insync_replicas: Option<u32>,
    /// Whether the cluster keeps only the last record of each key; false if it is not known.
    pub(in super::super) is_compacted: bool,
    /// After how many milliseconds the cluster deletes a record, counted from the timestamp that its producer gave it;
    /// `None` if it does not, or if it is not known.
    pub(in super::super) retention: Option<i64>,
}

impl Topic {
    /// Settings of the topic, as far as this user may read them.
    pub(super) async fn settings(&self) -> TopicSettings {
        let described = async {
            let topic = ResourceSpecifier::Topic(&self.name);
            let admin = self.admin().ok()?;
            let found = admin.describe_configs([&topic], &self.admin_options()).await;
            drop_in_background(admin);
            found.ok()?.pop()?.ok()
        };
        // A user without DescribeConfigs may still write.
        let found = described.await;
        let get = |name| found.as_ref()?.get(name)?.value.as_deref();
        // The brokers refuse a letter that is too large, if the limit cannot be read.
        let unknown = if self.is_dead_letter { LETTER_MAX_BYTES } else { DEFAULT_MAX_BYTES };
        let deletes = get(CLEANUP).is_some_and(|it| it.contains("delete"))
            && get("message.timestamp.type") == Some("CreateTime");
        TopicSettings {
            max_bytes: get(MAX_BYTES).and_then(|it| it.parse().ok()).unwrap_or(unknown),
            min_insync_replicas: get("min.insync.replicas").and_then(|it| it.parse().ok()),
            is_compacted: get(CLEANUP).is_some_and(|it| it.contains("compact")),
            retention: get("retention.ms")
                .filter(|_| deletes)
                .and_then(|it| it.parse().ok())
                .filter(|it| *it >= 0),
        }
    }
}
