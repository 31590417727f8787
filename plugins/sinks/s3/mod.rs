//! `s3`: writes every record as an object of its own.

mod bucket;
mod dead_letters;
mod error;

use std::num::NonZeroUsize;
use std::sync::Arc;

use anyhow::anyhow;
use runner_core::{
    BuildContext, Error, Failure, OptionError, OptionErrors, Plugin, Record, Result, Sink, SinkConfig,
    WriteError, async_trait,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::{JoinError, JoinSet};

use self::bucket::Bucket;
use self::error::PutError;
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
        if self.key.is_by_entry_alone() && context.numbered_by.len() > 1 {
            let sources = context.numbered_by.join("`, `");
            let message = format!(
                "the sources `{sources}` each count from 0, so `{{{{ entry }}}}` alone could give two records the \
                 same key: use `{{{{ topic }}}}`, `{{{{ partition }}}}` and `{{{{ offset }}}}`, or give each source \
                 its own sink"
            );
            errors.push(OptionError::new("key", message));
        }
        OptionErrors::none_of(errors)?;
        Ok(Box::new(S3 {
            slots: Arc::new(Semaphore::new(self.concurrency.get())),
            replaces_dead_letters: context.is_dead_letter && self.overwrite.is_none(),
            config: Arc::new(self),
            bucket: None,
            turn: Mutex::default(),
        }))
    }
}

struct S3 {
    config: Arc<S3Config>,
    replaces_dead_letters: bool,
    /// Set by `open`.
    bucket: Option<Arc<Bucket>>,
    /// Held by the write that starts its objects, so that batches start in the order in which they arrive.
    turn: Mutex<()>,
    /// One permit for each object in flight.
    slots: Arc<Semaphore>,
}

#[async_trait]
impl Sink for S3 {
    async fn open(&mut self) -> Result<()> {
        let bucket = Bucket::connect(Arc::clone(&self.config), self.replaces_dead_letters).await?;
        bucket.check().await?;
        self.bucket = Some(Arc::new(bucket));
        Ok(())
    }

    async fn write(&self, records: &[Record]) -> Result<(), WriteError> {
        let bucket = self.bucket.as_ref().ok_or_else(|| anyhow!("the sink has not been opened"))?;
        let mut outcome = WriteOutcome::new(records.len());
        let mut in_flight = JoinSet::new();
        let turn = self.turn.lock().await;
        for (index, record) in records.iter().enumerate() {
            let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(anyhow::Error::new)?;
            while let Some(put) = in_flight.try_join_next() {
                outcome.add(put);
            }
            if outcome.fatal.is_some() {
                break;
            }
            let (bucket, record) = (Arc::clone(bucket), record.clone());
            in_flight.spawn(async move {
                let put = bucket.put(&record).await;
                drop(slot);
                (index, put)
            });
        }
        drop(turn);
        while let Some(put) = in_flight.join_next().await {
            outcome.add(put);
        }
        outcome.into_result()
    }

    /// As many as objects, so that batches of one record fill all slots too; a write that waits
    /// for its turn costs nothing.
    fn concurrency(&self) -> usize {
        self.config.concurrency.get()
    }

    /// The next batch starts while the slowest objects of this one are in flight, and a
    /// graceful stop waits for two batches at most.
    fn max_in_flight_records(&self) -> usize {
        1024 + self.config.concurrency.get()
    }

    fn location(&self) -> Option<String> {
        Some(format!("s3://{}/{}", self.config.bucket, self.config.key.folder()))
    }
}

/// The results of the objects of one write.
struct WriteOutcome {
    is_stored: Vec<bool>,
    failures: Vec<Failure>,
    /// Why no further object is written; those in flight are waited for.
    fatal: Option<Error>,
}

impl WriteOutcome {
    fn new(n_records: usize) -> Self {
        WriteOutcome { is_stored: vec![false; n_records], failures: Vec::new(), fatal: None }
    }

    fn add(&mut self, put: Result<(usize, Result<(), PutError>), JoinError>) {
        match put {
            Ok((index, Ok(()))) => self.is_stored[index] = true,
            Ok((index, Err(PutError::Transient(error)))) => {
                self.failures.push(Failure { index, error, retry: true });
            }
            Ok((index, Err(PutError::Rejected(error)))) => {
                self.failures.push(Failure { index, error, retry: false });
            }
            Ok((_, Err(PutError::Fatal(error)))) => self.fatal = self.fatal.take().or(Some(error)),
            Err(error) => {
                let error = anyhow!("the task that writes an object failed: {error}");
                self.fatal = self.fatal.take().or(Some(error));
            }
        }
    }

    fn into_result(self) -> Result<(), WriteError> {
        let Some(error) = self.fatal else { return WriteError::unless_empty(self.failures) };
        let not_stored = (0..).zip(self.is_stored).filter(|(_, is_stored)| !is_stored);
        Err(WriteError::FatalFor { error, not_stored: not_stored.map(|(index, _)| index).collect() })
    }
}

#[cfg(test)]
mod bucket_tests;

#[cfg(test)]
mod tests;
