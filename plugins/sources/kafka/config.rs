//! The options of the `kafka` source.

use std::time::Duration;

use rdkafka::ClientConfig;
use runner_core::{BuildContext, HumanDuration, OptionError, OptionErrors, Result, Source, SourceConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Kafka, Settings};
use crate::shared::kafka::{Access, LibrdkafkaOptions, Sasl, SecurityProtocol, Tls, check_topic};

/// Reads Kafka topics as a member of a consumer group. An offset is committed
/// only when its record and all before it in the partition are delivered.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KafkaSourceConfig {
    /// Addresses of brokers, with commas between them: `"broker-1:9092,broker-2:9092"`.
    bootstrap_servers: String,
    /// The topics to read.
    #[schemars(length(min = 1))]
    topics: Vec<String>,
    /// The consumer group, which keeps the position. Sources with the same
    /// group share the partitions.
    group_id: String,
    /// Where to begin in a partition that the group has never read.
    #[serde(default)]
    auto_offset_reset: Reset,
    /// When the source is through: `"at_end"` once everything has been read
    /// that was in the topics when it began.
    #[serde(default)]
    stop: Stop,
    /// Ends the run in order when no record has come for so long.
    idle_timeout: Option<HumanDuration>,
    /// How the connection is secured.
    #[serde(default)]
    security_protocol: SecurityProtocol,
    /// Certificates and keys, for `security_protocol` `ssl` and `sasl_ssl`.
    tls: Option<Tls>,
    /// Who to be for the broker, for `security_protocol` `sasl_plaintext` and `sasl_ssl`.
    sasl: Option<Sasl>,
    /// Settings of the client library librdkafka under its own names, such as
    /// `"session.timeout.ms"`. Those that carry the promise of delivery are refused.
    #[serde(default)]
    librdkafka_options: LibrdkafkaOptions,
}

/// Where to begin in a partition that the group has never read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reset {
    /// With the oldest record there is.
    #[default]
    Earliest,
    /// With the first record that comes from now on.
    Latest,
}

/// When the source is through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stop {
    /// It waits for more until it is stopped.
    #[default]
    Never,
    /// Once everything has been read that was there when it began.
    AtEnd,
}

const COMMITS: &str = "offsets are committed only when their records are delivered";
const EAGER: &str =
    "the source gives all of its partitions back when the group changes, so that nothing is lost";
const MEMORY: &str = "use `in_flight` in the `[batch]` table";
const REFUSED: [(&str, &str); 14] = [
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
    ("allow.auto.create.topics", "reading creates no topic"),
    ("consume.callback.max.messages", "the source takes records one by one"),
    ("queued.min.messages", MEMORY),
];

impl SourceConfig for KafkaSourceConfig {
    fn build(self, context: &BuildContext) -> Result<Box<dyn Source>> {
        let mut errors: Vec<_> =
            self.topics.iter().filter_map(|topic| check_topic("topics", topic).err()).collect();
        if self.topics.is_empty() {
            errors.push(OptionError::new("topics", "name at least one topic"));
        }
        if self.group_id.is_empty() {
            let message = "name the consumer group; it keeps the position";
            errors.push(OptionError::new("group_id", message));
        }
        let options = &self.librdkafka_options;
        if options.get("partition.assignment.strategy").is_some_and(|it| it.contains("cooperative")) {
            errors.push(OptionError::new("librdkafka_options.partition.assignment.strategy", EAGER));
        }
        let client = OptionErrors::with(errors, self.client(context))?;
        let session = options.get("session.timeout.ms").and_then(|millis| millis.parse().ok());
        let session = Duration::from_millis(session.unwrap_or(45_000));
        let settings = Settings {
            client,
            bootstrap_servers: self.bootstrap_servers,
            topics: self.topics,
            group_id: self.group_id,
            reset: self.auto_offset_reset,
            stop: self.stop,
            idle_timeout: self.idle_timeout.and_then(HumanDuration::unless_zero),
            drain: (session / 3).min(Duration::from_secs(10)),
            batch: context.batch,
            retry: context.retry,
            gauges: context.gauges.clone(),
            transactions: None,
        };
        Ok(Box::new(Kafka { settings, opened: None }))
    }
}

impl KafkaSourceConfig {
    /// The settings of the client library.
    fn client(&self, context: &BuildContext) -> Result<ClientConfig> {
        let access = Access {
            bootstrap_servers: &self.bootstrap_servers,
            security_protocol: self.security_protocol,
            tls: self.tls.as_ref(),
            sasl: self.sasl.as_ref(),
            librdkafka_options: &self.librdkafka_options,
            refused: &REFUSED,
        };
        access.config(context, |config| {
            // A flipped bit is to be an error, and not another record.
            config.set("check.crcs", "true");
            config.set("group.id", &self.group_id);
            // The client commits what has been stored, and only the committer stores.
            config.set("enable.auto.commit", "true").set("auto.commit.interval.ms", "1000");
            config.set("enable.auto.offset.store", "false");
            // Where to begin is settled at the assignment; a position that is
            // out of range later on is an error.
            config.set("auto.offset.reset", "error");
            config.set("statistics.interval.ms", "2000");
            // A quarter of what may be under way waits in the client, and one answer more.
            let kbytes = (context.batch.in_flight >> 12).clamp(1 << 10, 64 << 10);
            config.set("queued.max.messages.kbytes", kbytes.to_string());
            config.set("fetch.max.bytes", (kbytes << 10).to_string());
            // A full queue is asked again at once, not after the default of a second.
            config.set("fetch.queue.backoff.ms", "50");
        })
    }
}

#[cfg(test)]
mod tests {
    use runner_core::testing::context;

    use super::*;

    #[test]
    fn what_the_brokers_send_is_checked_unless_somebody_says_no() {
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
