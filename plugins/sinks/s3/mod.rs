//! `s3`: writes every record as an object of its own.

mod bucket;
mod letters;

use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};

use anyhow::{anyhow, bail};
use bytes::Bytes;
use runner_core::{
    BuildContext, Error, Failure, Name, OptionError, OptionErrors, Plugin, Record, Result, Sink, SinkConfig,
    WriteError, async_trait,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::{JoinError, JoinSet};

use self::bucket::{Bucket, NotStored};
use crate::shared::aws::{Endpoint, check_bucket_name};
use crate::shared::key_template::KeyTemplate;

runner_core::register! { Plugin::sink::<S3Config>("s3").example(
r#"type = "s3"
inputs = ["broker"]
bucket = "${STOCKS_BUCKET:?the bucket to write to}"
key = "stockmarket_project/stock_market_{{ entry }}.json"
"#) }

/// Writes every record as an object of its own to Amazon S3, or to a server that speaks its protocol.
///
/// Credentials, region and endpoint are found as by every AWS tool: in the environment, in the
/// profile that `aws configure` writes, from single sign-on, from the machine's role.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct S3Config {
    /// The bucket to write to; it must exist.
    bucket: String,
    /// The name of each object. `{{ entry }}` is the number that the record was given by its
    /// first source, `{{ topic }}`, `{{ partition }}` and `{{ offset }}` say where it was read,
    /// `{{ key }}` is its key. A template that could give two records the same name is refused:
    /// it needs `{{ entry }}`, or topic, partition and offset together.
    key: KeyTemplate,
    /// The address of a server other than AWS's own, such as `http://127.0.0.1:9000`; absent:
    /// what `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL` or the profile say.
    #[serde(default)]
    endpoint: Option<Endpoint>,
    /// The region of the bucket; absent: what `AWS_REGION` or the profile say.
    #[serde(default)]
    region: Option<String>,
    /// Whether the bucket's name stands in the path instead of the host name; absent: true with
    /// an endpoint other than AWS's own, however it was given.
    #[serde(default)]
    force_path_style: Option<bool>,
    /// How many objects may be under way at once, in all.
    #[serde(default = "default_concurrency")]
    concurrency: NonZeroUsize,
    /// The media type that the objects are stored with.
    #[serde(default = "default_content_type")]
    content_type: String,
    /// The number of the AWS account that must own the bucket; with any other nothing is written.
    #[serde(default)]
    expected_bucket_owner: Option<String>,
    /// What becomes of an object that is there already: `same` keeps it, and counts the record as
    /// stored if the bytes are the same, else rejects it; `always` writes over it. Absent: `same`; of
    /// dead letters a later one about the same record replaces the one before, and no other.
    #[serde(default)]
    overwrite: Option<Overwrite>,
}

/// What becomes of an object that is there already.
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
        if let Err(slip) = check_bucket_name(&self.bucket) {
            errors.push(OptionError::new("bucket", slip));
        }
        if self.key.is_by_entry_alone() && context.numbered_by.len() > 1 {
            let sources = context.numbered_by.join("`, `");
            let message = format!(
                "the sources `{sources}` each count from 0, so that `{{{{ entry }}}}` alone could name two records \
                 alike: name the objects by `{{{{ topic }}}}`, `{{{{ partition }}}}` and `{{{{ offset }}}}`, or give \
                 each source a sink of its own"
            );
            errors.push(OptionError::new("key", message));
        }
        OptionErrors::none_of(errors)?;
        Ok(Box::new(S3 {
            slots: Arc::new(Semaphore::new(self.concurrency.get())),
            takes_letters: context.is_dead_letter && self.overwrite.is_none(),
            config: self,
            bucket: None,
            turn: Mutex::default(),
            numbered_by: OnceLock::new(),
        }))
    }
}

struct S3 {
    config: S3Config,
    takes_letters: bool,
    /// There once it has been opened.
    bucket: Option<Arc<Bucket>>,
    /// Held by the batch that is starting objects, so that batches begin in the order they came.
    turn: Mutex<()>,
    /// One for each object that may be under way.
    slots: Arc<Semaphore>,
    /// Who has numbered the records of this run.
    numbered_by: OnceLock<Name>,
}

#[async_trait]
impl Sink for S3 {
    async fn open(&mut self) -> Result<()> {
        let bucket = Bucket::connect(&self.config, self.takes_letters).await?;
        bucket.check().await?;
        self.bucket = Some(Arc::new(bucket));
        Ok(())
    }

    async fn write(&self, records: &[Record]) -> Result<(), WriteError> {
        let bucket = self.bucket.as_ref().ok_or_else(|| anyhow!("the sink has not been opened"))?;
        let mut written = Written::of(records.len());
        let mut under_way = JoinSet::new();
        let turn = self.turn.lock().await;
        for (index, record) in records.iter().enumerate() {
            let (key, body) = match self.object(record) {
                Ok(object) => object,
                Err(error) => {
                    written.failures.push(Failure { index, error, retry: false });
                    continue;
                }
            };
            let slot = self.slots.clone().acquire_owned().await.map_err(anyhow::Error::new)?;
            while let Some(put) = under_way.try_join_next() {
                written.note(put);
            }
            if written.fatal.is_some() {
                break;
            }
            let bucket = Arc::clone(bucket);
            under_way.spawn(async move {
                let put = bucket.put(&key, body).await;
                drop(slot);
                (index, put)
            });
        }
        drop(turn);
        while let Some(put) = under_way.join_next().await {
            written.note(put);
        }
        written.into_result()
    }

    /// As many as there may be objects: batches of one record fill all slots, too,
    /// and those that wait for their turn cost nothing.
    fn concurrency(&self) -> usize {
        self.config.concurrency.get()
    }

    /// The next batch begins while the slowest objects of this one finish, and a
    /// stop waits for no more than two.
    fn max_in_flight_records(&self) -> usize {
        1024 + self.config.concurrency.get()
    }

    fn location(&self) -> Option<String> {
        Some(format!("s3://{}/{}", self.config.bucket, self.config.key.folder()))
    }
}

impl S3 {
    /// The name and the content of the record's object; an error rejects the record.
    fn object(&self, record: &Record) -> Result<(String, Bytes)> {
        let body = record.to_bytes().ok_or_else(|| {
            anyhow!(
                "the record has no body (a tombstone), and an object without content is no record of anything"
            )
        })?;
        if self.config.key.is_by_entry_alone()
            && let Some(entry) = record.entry
        {
            let first = *self.numbered_by.get_or_init(|| entry.source);
            if first != entry.source {
                bail!(
                    "entry {} was numbered by `{}`, others of this run by `{first}`: each counts from 0, so that \
                     `{{{{ entry }}}}` alone could name two records alike; give each a topic and a sink of its own, \
                     or name the objects by `{{{{ topic }}}}`, `{{{{ partition }}}}` and `{{{{ offset }}}}`",
                    entry.number,
                    entry.source
                );
            }
        }
        Ok((self.config.key.render(record)?, body))
    }
}

/// What has become of the objects of one write.
struct Written {
    is_stored: Vec<bool>,
    failures: Vec<Failure>,
    /// Why no other object will be written any more; those under way are waited for.
    fatal: Option<Error>,
}

impl Written {
    fn of(n_records: usize) -> Self {
        Written { is_stored: vec![false; n_records], failures: Vec::new(), fatal: None }
    }

    fn note(&mut self, put: Result<(usize, Result<(), NotStored>), JoinError>) {
        match put {
            Ok((index, Ok(()))) => self.is_stored[index] = true,
            Ok((index, Err(NotStored::Yet(error)))) => {
                self.failures.push(Failure { index, error, retry: true });
            }
            Ok((index, Err(NotStored::Refused(error)))) => {
                self.failures.push(Failure { index, error, retry: false });
            }
            Ok((_, Err(NotStored::Hopeless(error)))) => self.fatal = self.fatal.take().or(Some(error)),
            Err(error) => {
                let error = anyhow!("writing an object broke off: {error}");
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
mod answers;

#[cfg(test)]
mod tests {
    use super::*;
    use runner_core::testing::{context, record};
    use runner_core::{Body, EntryNumber};

    pub(super) fn config(key: &str) -> S3Config {
        serde_json::from_value(serde_json::json!({ "bucket": "lake", "key": key })).unwrap()
    }

    pub(super) fn sink(key: &str) -> S3 {
        S3 {
            config: config(key),
            takes_letters: false,
            bucket: None,
            turn: Mutex::default(),
            slots: Arc::new(Semaphore::new(1)),
            numbered_by: OnceLock::new(),
        }
    }

    pub(super) fn numbered(number: u64, source: &str) -> Record {
        let mut record = record("{}", number);
        record.entry = Some(EntryNumber { number, source: Name::new(source) });
        record
    }

    #[test]
    fn its_folder_is_where_a_crawler_looks() {
        let sink = config("stockmarket_project/stock_market_{{ entry }}.json").build(&context()).unwrap();
        assert_eq!(sink.location().unwrap(), "s3://lake/stockmarket_project/");
    }

    #[test]
    fn a_url_is_not_a_bucket() {
        let mut config = config("{{ entry }}");
        config.bucket = "s3://lake/".into();
        let error = config.build(&context()).err().unwrap();
        assert_eq!(error.downcast_ref::<OptionError>().unwrap().option, "bucket");
    }

    #[test]
    fn an_object_is_the_very_bytes_of_the_record() {
        let record = numbered(3, "producer/stocks");
        let Body::Bytes(received) = &record.body else { unreachable!("made from bytes") };
        let (key, body) = sink("a/{{ entry }}.json").object(&record).unwrap();
        assert_eq!(key, "a/3.json");
        assert_eq!(body.as_ptr(), received.as_ptr());
    }

    #[test]
    fn a_record_without_a_body_is_rejected() {
        let mut tombstone = numbered(0, "producer/stocks");
        tombstone.body = Body::Tombstone;
        assert!(sink("{{ entry }}").object(&tombstone).unwrap_err().to_string().contains("no body"));
    }

    #[test]
    fn two_sources_that_count_are_refused_where_the_number_alone_is_the_name() {
        let context = BuildContext { numbered_by: vec!["news".into(), "stocks".into()], ..context() };
        let error = config("a/{{ entry }}.json").build(&context).err().unwrap();
        let OptionError { option, message } = error.downcast_ref().unwrap();
        assert_eq!(option, "key");
        assert!(message.contains("`news`, `stocks` each count from 0") && message.contains("`{{ offset }}`"));

        config("a/{{ topic }}/{{ partition }}-{{ offset }}.json").build(&context).unwrap();
        let one = BuildContext { numbered_by: vec!["stocks".into()], ..context };
        config("a/{{ entry }}.json").build(&one).unwrap();
    }

    #[test]
    fn entry_numbers_of_two_sources_are_not_mixed() {
        let by_entry = sink("{{ entry }}");
        by_entry.object(&numbered(0, "producer/stocks")).unwrap();
        let error = by_entry.object(&numbered(5, "other/stocks")).unwrap_err().to_string();
        assert!(error.contains("`producer/stocks`") && error.contains("`other/stocks`"), "{error}");

        let by_origin = sink("{{ topic }}/{{ partition }}/{{ offset }}");
        by_origin.object(&numbered(0, "producer/stocks")).unwrap();
        by_origin.object(&numbered(5, "other/stocks")).unwrap();
    }
}
