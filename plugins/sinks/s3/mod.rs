//! `s3`: writes every record as an object of its own.

mod bucket;
mod dead_letters;
mod error;
mod letters;

use std::num::NonZeroUsize;
use std::sync::Arc;

use anyhow::Context as _;
use runner_core::{
    BuildContext, Failure, LetterStore, OptionError, OptionErrors, Plugin, Record, RecordSink, Result, Sink,
    SinkConfig, async_trait, record_sink,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::bucket::Bucket;
use self::letters::FolderLetters;
use crate::shared::aws::{Endpoint, check_bucket_name};
use crate::shared::key_template::KeyTemplate;

runner_core::register! { Plugin::sink::<S3Config>("s3").example(
r#"type = "s3"
inputs = ["broker"]
bucket = "${STOCKS_BUCKET:?the bucket to write to}"
key = "stockmarket_project/stock_market_{{ entry }}.json"
"#) }

/// Writes every record as an object of its own to Amazon S3, or to a server with the same API.
///
/// Credentials, region and endpoint come from the same places as for every AWS tool: the environment,
/// the profile that `aws configure` writes, single sign-on, or the role of the machine.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct S3Config {
    /// The bucket to write to; it must exist.
    bucket: String,
    /// The key (name) of each object. `{{ entry }}` is the number that the first source gave to the
    /// record; `{{ topic }}`, `{{ partition }}` and `{{ offset }}` say where it was read; `{{ key }}`
    /// is its key. The template must not give two records the same name: it needs `{{ entry }}`, or
    /// topic, partition and offset together.
    key: KeyTemplate,
    /// The URL of a server other than AWS's own, such as `http://127.0.0.1:9000`. Default:
    /// `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL` or the profile.
    #[serde(default)]
    endpoint: Option<Endpoint>,
    /// The region of the bucket. Default: `AWS_REGION` or the profile.
    #[serde(default)]
    region: Option<String>,
    /// Whether requests have the bucket name in the path instead of the host name. Default: true if
    /// the endpoint is not AWS's own.
    #[serde(default)]
    force_path_style: Option<bool>,
    /// The maximum number of objects in flight.
    #[serde(default = "default_concurrency")]
    concurrency: NonZeroUsize,
    /// The media type (`Content-Type`) of the objects.
    #[serde(default = "default_content_type")]
    content_type: String,
    /// The number of the AWS account that must own the bucket; to another account nothing is written.
    #[serde(default)]
    expected_bucket_owner: Option<String>,
    /// What to do if the object exists. `same` (default) never replaces it: the record counts as stored
    /// if the bytes are the same, and is rejected otherwise. `always` replaces it. For dead letters the
    /// default also replaces an earlier letter about the same record.
    #[serde(default)]
    overwrite: Option<Overwrite>,
}

/// What to do if the object exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Overwrite {
    #[default]
    Same,
    Always,
}

fn default_concurrency() -> NonZeroUsize {
    const { NonZeroUsize::new(64).expect("not zero") }
}

fn default_content_type() -> String {
    "application/json".into()
}

impl SinkConfig for S3Config {
    fn build(self, context: &BuildContext) -> Result<Box<dyn Sink>> {
        let mut errors = Vec::new();
        if let Err(message) = check_bucket_name(&self.bucket) {
            errors.push(OptionError::new("bucket", message));
        }
        if self.key.is_by_entry_alone() && context.upstream.counting_sources.len() > 1 {
            let sources = context.upstream.counting_sources.join("`, `");
            let message = format!(
                "the sources `{sources}` each count from 0, so `{{{{ entry }}}}` alone could give two records the \
                 same key: use `{{{{ topic }}}}`, `{{{{ partition }}}}` and `{{{{ offset }}}}`, or give each source \
                 its own sink"
            );
            errors.push(OptionError::new("key", message));
        }
        OptionErrors::none_of(errors)?;
        Ok(record_sink(S3 {
            replaces_dead_letters: context.is_dead_letter && self.overwrite.is_none(),
            config: Arc::new(self),
            bucket: None,
        }))
    }
}

struct S3 {
    config: Arc<S3Config>,
    replaces_dead_letters: bool,
    /// Set by `open`.
    bucket: Option<Bucket>,
}

#[async_trait]
impl RecordSink for S3 {
    async fn open(&mut self) -> Result<(), Failure> {
        let bucket = Bucket::connect(Arc::clone(&self.config), self.replaces_dead_letters).await?;
        bucket.check().await?;
        self.bucket = Some(bucket);
        Ok(())
    }

    async fn put(&self, record: &Record) -> Result<(), Failure> {
        let bucket = self.bucket.as_ref().context("the sink has not been opened")?;
        bucket.put(record).await
    }

    fn max_in_flight(&self) -> usize {
        self.config.concurrency.get()
    }

    fn letter_store(&self) -> Option<Arc<dyn LetterStore>> {
        Some(Arc::new(FolderLetters::new(Arc::clone(&self.config))))
    }

    fn location(&self) -> Option<String> {
        Some(format!("s3://{}/{}", self.config.bucket, self.config.key.folder()))
    }
}

#[cfg(test)]
mod bucket_tests;

#[cfg(test)]
mod tests;
