//! The tests in a pipeline file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

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
