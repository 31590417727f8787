//! The options at the top of a pipeline file.

use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::build_context::{BatchLimits, RetryLimits};
use crate::units::{ByteSize, HumanDuration};

/// A pipeline: sources, transforms and sinks, wired by their `inputs`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Top {
    /// The name of the pipeline in logs and checkpoints; the file's stem if absent.
    pub(crate) name: Option<String>,
    /// Where checkpoints lie: a folder, in which every pipeline has its own. If
    /// absent, `RUNNER_DATA_DIR`, else the user's state folder.
    pub(crate) data_dir: Option<String>,
    /// The size of a batch between components, and the bytes under way.
    #[serde(default)]
    pub(crate) batch: BatchConfig,
    /// How often and how long what fails is tried again.
    #[serde(default)]
    pub(crate) retry: RetryConfig,
    // These are read one by one; here they only make the list of options complete.
    #[schemars(skip)]
    #[serde(rename = "sources")]
    _sources: Option<IgnoredAny>,
    #[schemars(skip)]
    #[serde(rename = "transforms")]
    _transforms: Option<IgnoredAny>,
    #[schemars(skip)]
    #[serde(rename = "sinks")]
    _sinks: Option<IgnoredAny>,
    #[schemars(skip)]
    #[serde(rename = "dead_letter")]
    _dead_letter: Option<IgnoredAny>,
}

impl Top {
    /// The options that make no sense, alone or together, each with the names it may be shown at.
    pub(crate) fn check(&self) -> Vec<(&'static [&'static str], String)> {
        let mut wrong: Vec<(&'static [&'static str], String)> = Vec::new();
        if self.batch.in_flight.0 == 0 {
            let message = "nothing could be under way: write a size such as \"32MiB\"";
            wrong.push((&["batch.in_flight"], message.into()));
        }
        let RetryConfig { initial, max, .. } = &self.retry;
        if initial > max {
            let message = format!(
                "the first pause, `retry.initial` ({initial}), is longer than the longest, `retry.max` ({max})"
            );
            wrong.push((&["retry.initial", "retry.max"], message));
        }
        wrong
    }
}

/// The size of a batch between components, and the bytes under way.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BatchConfig {
    /// Records in one batch.
    max_records: NonZeroUsize,
    /// Bytes in one batch.
    max_bytes: ByteSize,
    /// How long a source waits for a batch to fill.
    timeout: HumanDuration,
    /// Bytes of records under way in the pipeline, client queues included; one
    /// batch more is always let in.
    in_flight: ByteSize,
}

impl Default for BatchConfig {
    fn default() -> Self {
        let BatchLimits { max_records, max_bytes, timeout, in_flight } = BatchLimits::default();
        BatchConfig {
            max_records: NonZeroUsize::new(max_records).unwrap_or(NonZeroUsize::MIN),
            max_bytes: ByteSize(max_bytes as u64),
            timeout: HumanDuration(timeout),
            in_flight: ByteSize(in_flight as u64),
        }
    }
}

impl From<BatchConfig> for BatchLimits {
    fn from(config: BatchConfig) -> Self {
        BatchLimits {
            max_records: config.max_records.get(),
            max_bytes: config.max_bytes.as_usize(),
            timeout: config.timeout.into(),
            in_flight: config.in_flight.as_usize(),
        }
    }
}

/// How often and how long what fails is tried again. `"0s"` for the last two is for ever.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RetryConfig {
    /// The first pause; each further one is twice as long.
    initial: HumanDuration,
    /// The longest pause.
    max: HumanDuration,
    /// How long one write or poll is tried; of the `kafka` sink, how long nothing that is
    /// under way may be acknowledged.
    timeout: HumanDuration,
    /// How long first contact with a service may take.
    connect: HumanDuration,
}

impl Default for RetryConfig {
    fn default() -> Self {
        let RetryLimits { initial, max, timeout, connect } = RetryLimits::default();
        RetryConfig {
            initial: HumanDuration(initial),
            max: HumanDuration(max),
            timeout: HumanDuration(timeout.unwrap_or_default()),
            connect: HumanDuration(connect.unwrap_or_default()),
        }
    }
}

impl From<RetryConfig> for RetryLimits {
    fn from(config: RetryConfig) -> Self {
        RetryLimits {
            initial: config.initial.into(),
            max: config.max.into(),
            timeout: config.timeout.unless_zero(),
            connect: config.connect.unless_zero(),
        }
    }
}
