//! The tests in a pipeline file.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::record::{Body, Header, Headers, Name, Origin, Record};

/// A test of the pipeline, for `runner test`: it sends the inputs through the pipeline and compares the outputs.
///
/// A test opens no source and no sink. Only the components after the inputs run, and `throttle` does not wait.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestCase {
    /// What the test checks, in a few words. Names are unique in a file.
    pub name: String,
    /// The inputs.
    #[schemars(length(min = 1))]
    pub inputs: Vec<TestInput>,
    /// The expected outputs.
    #[schemars(length(min = 1))]
    pub outputs: Vec<TestOutput>,
}

/// An input of a test: one of `records`, `file`, `csv` and `answer`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestInput {
    /// A source or transform. The records leave it; it does not run itself, unless it is a source
    /// that is given `csv` or `answer`.
    pub at: String,
    /// The records, each as it would be written: JSON, or a line of text.
    pub records: Option<Vec<String>>,
    /// A file with one record per line, relative to the pipeline file.
    pub file: Option<String>,
    /// For a `csv` source: a file that it reads with its own options, in place of `path`.
    pub csv: Option<String>,
    /// For an `http` source: a file with the body of a response. It goes through `records`, `remap` and `add`.
    pub answer: Option<String>,
    /// With `answer`, for a source with `for_each`: the element of the request, as in `{ symbol = "NYA" }`.
    #[serde(default)]
    pub element: BTreeMap<String, String>,
    /// The key in Kafka of each of the `records`, which `remap` reads as `%key`.
    pub key: Option<String>,
    /// The time of each of the `records` in Kafka, as in `"2024-01-31T09:30:00Z"`; `%timestamp` in `remap`.
    pub timestamp: Option<String>,
    /// The headers in Kafka of each of the `records`; `%headers` in `remap`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

/// An expected output of a test.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestOutput {
    /// A transform, whose output is compared, or a sink, whose input is compared.
    pub at: String,
    /// The records, in order. JSON is compared as JSON: the order of keys and spaces do not matter.
    pub records: Option<Vec<String>>,
    /// A file with the records, one per line, relative to the pipeline file.
    pub file: Option<String>,
    /// How many records there are.
    pub count: Option<u64>,
    /// How many records are rejected on the way to here, by this component or by those before it.
    pub rejected: Option<u64>,
}

impl TestInput {
    /// A record with this body, and with `key`, `timestamp` and `headers`.
    pub fn record(&self, body: Bytes) -> Record {
        let header = |(name, value): (&String, &String)| Header {
            name: name.as_str().into(),
            value: Some(value.clone().into()),
        };
        let origin = Origin { source: Name::new(&self.at), partition: 0, offset: 0 };
        let mut record = Record::new(Body::Bytes(body), origin);
        record.key = self.key.clone().map(Into::into);
        record.timestamp = self.milliseconds();
        record.headers = Headers::new(self.headers.iter().map(header).collect());
        record
    }

    /// `timestamp` in milliseconds since 1970 UTC; `None` if it is absent or not valid.
    pub(crate) fn milliseconds(&self) -> Option<i64> {
        let time = humantime::parse_rfc3339(self.timestamp.as_ref()?).ok()?;
        i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
    }

    /// The first of `key`, `timestamp` and `headers` that is given.
    pub(crate) fn first_of_kafka(&self) -> Option<&'static str> {
        let all = [
            ("key", self.key.is_some()),
            ("timestamp", self.timestamp.is_some()),
            ("headers", !self.headers.is_empty()),
        ];
        all.into_iter().find(|(_, is_given)| *is_given).map(|(name, _)| name)
    }

    /// Which of `records`, `file`, `csv` and `answer` are given.
    pub(crate) fn given(&self) -> Vec<&'static str> {
        let all = [
            ("records", self.records.is_some()),
            ("file", self.file.is_some()),
            ("csv", self.csv.is_some()),
            ("answer", self.answer.is_some()),
        ];
        all.into_iter().filter(|(_, is_given)| *is_given).map(|(name, _)| name).collect()
    }
}
