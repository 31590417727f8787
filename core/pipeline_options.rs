//! The options at the top of a pipeline file.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::test_case::TestCase;
use crate::units::{ByteSize, HumanDuration, as_limit, as_size, as_time};

/// A pipeline: sources, transforms and sinks, wired by their `inputs`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PipelineOptions {
    /// The name of the pipeline in logs and checkpoints. Default: the file's stem.
    pub(crate) name: Option<String>,
    /// The folder of the checkpoints; every pipeline has its own folder in it. Default:
    /// `RUNNER_DATA_DIR`, else the user's state folder.
    pub(crate) data_dir: Option<String>,
    /// The size of a batch between components, and the bytes in flight.
    #[serde(default)]
    pub(crate) batch: BatchLimits,
    /// How often and how long a failed operation is retried.
    #[serde(default)]
    pub(crate) retry: RetryLimits,
    /// Tests of the pipeline, for `runner test`.
    #[serde(default)]
    pub(crate) tests: Vec<TestCase>,
}

impl PipelineOptions {
    /// The options whose values are not valid, alone or together, each with the names it may be
    /// shown at.
    pub(crate) fn check(&self) -> Vec<(&'static [&'static str], String)> {
        let mut errors: Vec<(&'static [&'static str], String)> = Vec::new();
        if self.batch.in_flight == 0 {
            let message = "it must be greater than 0, for example \"32MiB\"";
            errors.push((&["batch.in_flight"], message.into()));
        }
        let RetryLimits { initial, max, .. } = self.retry;
        if initial > max {
            let message = "the first pause, `retry.initial`, is longer than the longest pause, `retry.max`";
            errors.push((&["retry.initial", "retry.max"], message.into()));
        }
        errors
    }
}

/// The size of a batch between components, and the bytes in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BatchLimits {
    /// Records in one batch.
    #[schemars(range(min = 1))]
    pub max_records: usize,
    /// Bytes in one batch.
    #[serde(with = "as_size")]
    #[schemars(with = "ByteSize")]
    pub max_bytes: usize,
    /// How long a source may wait for a batch to fill. No built-in source waits: a batch becomes larger
    /// only while the next component is busy.
    #[serde(with = "as_time")]
    #[schemars(with = "HumanDuration")]
    pub timeout: Duration,
    /// Bytes of the bodies of records in flight, as they were read, client queues included. One
    /// more batch is always accepted.
    #[serde(with = "as_size")]
    #[schemars(with = "ByteSize")]
    pub in_flight: usize,
}

impl Default for BatchLimits {
    fn default() -> Self {
        BatchLimits {
            max_records: 1024,
            max_bytes: 1 << 20,
            timeout: Duration::from_millis(50),
            in_flight: 32 << 20,
        }
    }
}

/// How often and how long a failed operation is retried. For `timeout` and `connect`, `"0s"` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryLimits {
    /// The first pause; each further one is twice as long.
    #[serde(with = "as_time")]
    #[schemars(with = "HumanDuration")]
    pub initial: Duration,
    /// The longest pause.
    #[serde(with = "as_time")]
    #[schemars(with = "HumanDuration")]
    pub max: Duration,
    /// How long one write or poll is retried. For the `kafka` sink: the maximum time
    /// without any acknowledgement.
    #[serde(with = "as_limit")]
    #[schemars(with = "HumanDuration")]
    pub timeout: Option<Duration>,
    /// How long the first contact with a service is retried.
    #[serde(with = "as_limit")]
    #[schemars(with = "HumanDuration")]
    pub connect: Option<Duration>,
}

impl Default for RetryLimits {
    fn default() -> Self {
        RetryLimits {
            initial: Duration::from_millis(100),
            max: Duration::from_secs(30),
            timeout: Some(Duration::from_secs(300)),
            connect: Some(Duration::from_secs(30)),
        }
    }
}
