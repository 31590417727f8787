//! The options of the `kafka` source. `topics` are names and patterns of names, `start_time` is where a new group begins.

mod start_time;
mod topics;

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use runner_core::{BuildContext, HumanDuration, OptionError, OptionErrors, Result, Source, SourceConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::start_time::StartTime;
pub(super) use self::topics::Topics;
use super::{DEBUG_TOPIC_IDS, Kafka, Settings};
use crate::shared::kafka::with_connection_options;

with_connection_options! {
    /// Reads Kafka topics as a member of a consumer group. The offset of a record is committed
    /// only after this record and all before it in the partition are delivered.
    #[schemars(extend("x-hints" = {
        "bootstrap_servers": "write all addresses as one text: `\"broker-1:9092,broker-2:9092\"`",
        "auto_offset_reset": "to start at a time, set `start = \"2024-01-31T00:00:00Z\"` instead",
        "decoding": "a body is read as it is; the transform `to_json` checks that it is JSON",
        "topic": "a source reads a list: `topics = [\"stock_market\"]`",
    }))]
    pub(super) struct KafkaSourceConfig {
        /// The topics to read. A name that begins with `^` is a regular expression: `"^px\\..*"` reads
        /// all topics whose names begin with `px.`, also those that are created during the run.
        #[schemars(length(min = 1))]
        topics: Vec<String>,
        /// The consumer group, which stores the offsets. Sources with the same group share the
        /// partitions.
        group_id: String,
        /// The name of this member of the group, unique in it: a member that restarts within
        /// `session.timeout.ms` gets its partitions back without a rebalance. Default: the group names
        /// its members.
        group_instance_id: Option<String>,
        /// Where to start in a partition for which the group has not committed an offset, unless
        /// `start` is set. `"latest"` skips the records that are there, and logs how many.
        #[serde(default)]
        auto_offset_reset: Reset,
        /// Where to start in a partition for which the group has not committed an offset: at the first
        /// record with this timestamp or a later one, such as `"2024-01-01T00:00:00Z"`. If there is
        /// none, at the end.
        start: Option<StartTime>,
        /// When the source ends: `"at_end"` after all records that were in the topics at its start.
        #[serde(default)]
        stop: Stop,
        /// Ends the run with success after this time without a record. It does not count while the cluster does not
        /// respond.
        idle_timeout: Option<HumanDuration>,
    }
    /// Settings of the client library librdkafka under its own names, for example
    /// `"session.timeout.ms"`. Settings of the delivery guarantee are rejected.
    librdkafka_options
}

/// Where to start in a partition for which the group has not committed an offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reset {
    /// At the oldest record.
    #[default]
    Earliest,
    /// At the end: only records that are written from now on.
    Latest,
}

/// When the source ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stop {
    /// Never: it waits for more records until the user stops the pipeline.
    #[default]
    Never,
    /// After all records that were in the topics at its start.
    AtEnd,
}

/// How often the client requests the partitions of its topics, and new topics that match a pattern.
const REFRESH_MILLIS: u64 = 30_000;

const COMMITS: &str = "offsets are committed only after their records are delivered";
const EAGER: &str = "the source gives up all of its partitions in a rebalance, so that no record is lost";
const MEMORY: &str = "use `in_flight` in the `[batch]` table";
const RESERVED: [(&str, &str); 14] = [
    ("group.id", "use the option `group_id`"),
    ("auto.offset.reset", "use the option `auto_offset_reset`"),
    ("enable.auto.commit", COMMITS),
    ("auto.commit.enable", COMMITS),
    ("enable.auto.offset.store", COMMITS),
    ("offset.store.method", COMMITS),
    ("offset.store.path", COMMITS),
    ("group.protocol", EAGER),
    ("group.remote.assignor", EAGER),
    ("queued.max.messages.kbytes", MEMORY),
    ("enable.partition.eof", "use the option `stop`"),
    ("allow.auto.create.topics", "the source does not create topics"),
    ("consume.callback.max.messages", "the source takes records one by one"),
    ("queued.min.messages", MEMORY),
];

impl SourceConfig for KafkaSourceConfig {
    fn build(self, context: &BuildContext) -> Result<Box<dyn Source>> {
        let (topics, mut errors) = Topics::new(self.topics.clone());
        if self.group_id.is_empty() {
            let message = "name the consumer group; it stores the offsets";
            errors.push(OptionError::new("group_id", message));
        }
        let options = &self.librdkafka_options;
        if options.get("partition.assignment.strategy").is_some_and(|it| it.contains("cooperative")) {
            errors.push(OptionError::new("librdkafka_options.partition.assignment.strategy", EAGER));
        }
        let client = OptionErrors::with(errors, self.client(context))?;
        let refresh = client.get("topic.metadata.refresh.interval.ms").and_then(|millis| millis.parse().ok());
        let refresh = Duration::from_millis(refresh.unwrap_or(REFRESH_MILLIS));
        let session = options.get("session.timeout.ms").and_then(|millis| millis.parse().ok());
        let session = Duration::from_millis(session.unwrap_or(45_000));
        let settings = Settings {
            client,
            bootstrap_servers: self.bootstrap_servers,
            topics,
            group_id: self.group_id,
            reset: self.auto_offset_reset,
            start: self.start.map(StartTime::millis),
            refresh,
            stop: self.stop,
            idle_timeout: self.idle_timeout.and_then(HumanDuration::unless_zero),
            drain: (session / 3).min(Duration::from_secs(10)),
            batch: context.batch,
            retry: context.retry,
            gauges: context.gauges.clone(),
            transactions: None,
            dry_run: None,
        };
        Ok(Box::new(Kafka { settings, opened: None }))
    }
}

impl KafkaSourceConfig {
    /// The settings of the client library.
    fn client(&self, context: &BuildContext) -> Result<ClientConfig> {
        let mut client = self.connection(&RESERVED).client_config(context, |config| {
            // A damaged record must be an error.
            config.set("check.crcs", "true");
            config.set("group.id", &self.group_id);
            // The client commits the stored offsets, and only the committer stores them.
            config.set("enable.auto.commit", "true").set("auto.commit.interval.ms", "1000");
            config.set("enable.auto.offset.store", "false");
            // The source sets the start offsets at the assignment; an offset that is
            // out of range later is an error.
            config.set("auto.offset.reset", "error");
            config.set("statistics.interval.ms", "2000");
            // The client queues a quarter of the bytes that may be in flight, and one response more.
            let kbytes = (context.batch.in_flight >> 12).clamp(1 << 10, 64 << 10);
            config.set("queued.max.messages.kbytes", kbytes.to_string());
            config.set("fetch.max.bytes", (kbytes << 10).to_string());
            // Fetches again soon after the queue was full; the default is a second.
            config.set("fetch.queue.backoff.ms", "50");
            // New partitions, and topics that were created again, are found within this time. The default of the
            // library is 5 minutes.
            config.set("topic.metadata.refresh.interval.ms", REFRESH_MILLIS.to_string());
            if let Some(instance) = &self.group_instance_id {
                config.set("group.instance.id", instance);
            }
        })?;
        let debug = client.get("debug").map(|given| format!("{given},{DEBUG_TOPIC_IDS}"));
        client.set("debug", debug.unwrap_or_else(|| DEBUG_TOPIC_IDS.into()));
        client.set_log_level(RDKafkaLogLevel::Debug);
        Ok(client)
    }
}

#[cfg(test)]
mod tests {
    use runner_core::testing::context;

    use super::*;

    #[test]
    fn new_partitions_are_found_within_seconds_by_default() {
        let refresh = |options: serde_json::Value| {
            let config: KafkaSourceConfig = serde_json::from_value(serde_json::json!({
                "bootstrap_servers": "h:1", "topics": ["t"], "group_id": "g", "librdkafka_options": options,
            }))
            .unwrap();
            let client = config.client(&context()).unwrap();
            client.get("topic.metadata.refresh.interval.ms").unwrap().parse::<u64>().unwrap()
        };
        assert!((1_000..=30_000).contains(&refresh(serde_json::json!({}))));
        let given = refresh(serde_json::json!({ "topic.metadata.refresh.interval.ms": 60_000 }));
        assert_eq!(given, 60_000);
    }

    #[test]
    fn checksums_are_checked_unless_the_user_disables_them() {
        let checks = |options: serde_json::Value| {
            let config: KafkaSourceConfig = serde_json::from_value(serde_json::json!({
                "bootstrap_servers": "h:1", "topics": ["t"], "group_id": "g", "librdkafka_options": options,
            }))
            .unwrap();
            config.client(&context()).unwrap().get("check.crcs").map(str::to_owned)
        };
        assert_eq!(checks(serde_json::json!({})).as_deref(), Some("true"));
        assert_eq!(checks(serde_json::json!({ "check.crcs": false })).as_deref(), Some("false"));
    }
}
