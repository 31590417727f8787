//! `s3`: writes every record as an object of its own.

mod bucket;
mod condition;
mod content_check;
mod error;
mod incarnation;
mod letter_overwrite;
mod letter_store;
mod options;
mod table_rows;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use runner_core::{
    Body, BuildContext, Failure, LetterStore, OptionError, OptionErrors, Plugin, Record, RecordSink, Result,
    Sink, SinkConfig, async_trait, record_sink,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::bucket::{Bucket, body_of};
use self::content_check::{ContentCheck, unpacked_by_name};
use self::letter_store::FolderLetters;
use self::options::{Acl, Encryption, StorageClass, Tombstones, check_key_id, check_tags};
use self::table_rows::{TableRows, folder_of};
use crate::shared::aws::{AccessOptions, Endpoint, Role, RoleArn, check_bucket_name, is_aws};
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
///
/// The sink stores a body as it is, and a row that no `to_json` has converted as its CSV line. It
/// compresses nothing. If the `key` ends with `.json`, a CSV line is an error. If a `glue_crawl` follows,
/// the sink rejects records with which Athena could not read the table: a record must be one JSON object
/// on one line, without keys that differ only in case, without other characters than letters, digits, `_`,
/// `.`, `$` and blanks in keys inside of objects, without a field with the name of a folder such as
/// `year=2024`, and without an object or array in a column that has had numbers or booleans. No name in the
/// `key` below the table may begin with `_` or `.`. If none follows, the sink warns once of a record that is not what
/// the end of the `key` says, such as `.json` or `.gz`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-hints" = options::hints()))]
struct S3Config {
    /// The bucket to write to; it must exist.
    bucket: String,
    /// The key (name) of each object. `{{ entry }}` is the number that the first source gave to the
    /// record; `{{ topic }}`, `{{ partition }}` and `{{ offset }}` say where it was read; `{{ key }}`
    /// is its key; `{{ .NAME }}` is a field of it, as in `day={{ .Date }}/{{ entry }}.json`, and a record
    /// without that field is rejected. The template must not give two records the same name: it needs
    /// `{{ entry }}`, or topic, partition and offset together. A record that is delivered again gets the
    /// same name, so the time of the clock cannot be in it.
    key: KeyTemplate,
    /// The URL of a server other than AWS's own, such as `http://127.0.0.1:9000`, or of a VPC endpoint.
    /// Default: `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL` or the profile.
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
    /// The media type (`Content-Type`) of the objects. For CSV lines set `text/csv`.
    #[serde(default = "default_content_type")]
    content_type: String,
    /// The number of the AWS account that must own the bucket. If another account owns it, writes fail.
    #[serde(default)]
    expected_bucket_owner: Option<String>,
    /// What to do if the object exists. `same` (default) never replaces it: the record counts as stored
    /// if the bytes are the same, and is rejected otherwise. On a server other than AWS's own, the first
    /// object of a run is compared and written twice, and the run ends if the server does not refuse the
    /// second write. `always` replaces it, also by another record with the same key: if a pipeline has run
    /// with two folders of checkpoints, only the later record of an entry number is kept. The sink does not
    /// read the object before, so it warns only if both records are in one run. For dead letters the default
    /// also replaces an earlier letter about the same record.
    #[serde(default)]
    overwrite: Option<Overwrite>,
    /// The storage class of the objects. Default: that of the bucket, `STANDARD`. Athena does not read
    /// objects in `GLACIER` and `DEEP_ARCHIVE`. The classes for rare access bill at least 128 KB an object.
    #[serde(default)]
    storage_class: Option<StorageClass>,
    /// The encryption of the objects: `AES256` with keys of S3, `aws:kms` with a KMS key, `aws:kms:dsse`
    /// in two layers. Default: that of the bucket. With KMS the credentials need `kms:GenerateDataKey`
    /// and `kms:Decrypt` on the key.
    #[serde(default)]
    server_side_encryption: Option<Encryption>,
    /// The KMS key, by ID, ARN or alias (`alias/NAME`), for `server_side_encryption = "aws:kms"`.
    /// Default: the key of the bucket, else the key of AWS for S3.
    #[serde(default)]
    ssekms_key_id: Option<String>,
    /// The canned ACL of the objects, such as `bucket-owner-full-control` for a bucket of another account.
    /// Default: none, as for a bucket that has no ACLs.
    #[serde(default)]
    acl: Option<Acl>,
    /// The tags of the objects, at most 10, as in `{ team = "data" }`. The credentials need
    /// `s3:PutObjectTagging`.
    #[serde(default)]
    tags: BTreeMap<String, String>,
    /// The role with which the sink calls AWS, by ARN, such as a role of the account that owns the bucket.
    /// The credentials that were found must be allowed to assume it. Default: no role.
    #[serde(default)]
    assume_role: Option<RoleArn>,
    /// The external ID that the trust policy of the role requires. Default: none.
    #[serde(default)]
    external_id: Option<String>,
    /// What to do with a record without a body. `reject` (default) rejects it. `skip` filters it, and also a
    /// record with an empty body.
    #[serde(default)]
    tombstones: Tombstones,
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
        if let Err(message) = check_bucket_name(&self.bucket, self.is_path_style()) {
            errors.push(OptionError::new("bucket", message));
        }
        errors.extend(check_key_id(self.ssekms_key_id.as_deref(), self.server_side_encryption).err());
        errors.extend(check_tags(&self.tags).err());
        if self.key.is_by_entry_alone() && context.upstream.counting_sources.len() > 1 {
            let sources = context.upstream.counting_sources.join("`, `");
            let message = format!(
                "the sources `{sources}` each count from 0, so `{{{{ entry }}}}` alone could give two records the \
                 same key: use `{{{{ topic }}}}`, `{{{{ partition }}}}` and `{{{{ offset }}}}`, or give each source \
                 its own sink"
            );
            errors.push(OptionError::new("key", message));
        }
        if context.is_dead_letter && self.key.record_fields().next().is_some() {
            let message = "a dead letter has no fields of the record: take `{{ entry }}`, `{{ topic }}`, `{{ partition }}` or \
                           `{{ offset }}`";
            errors.push(OptionError::new("key", message));
        }
        if let Some(other) = options::other_content_type(self.key.ending(), &self.content_type) {
            let message = format!(
                "the objects are stored as `{}`, and `key` ends with `{}`: set `content_type = \"{other}\"`",
                self.content_type,
                self.key.ending()
            );
            context.warnings.add(OptionError::new("key", message));
        }
        let role = OptionErrors::with(errors, Role::of(self.assume_role.clone(), self.external_id.clone()))?;
        let (region, endpoint) = (self.region.clone(), self.endpoint.clone());
        Ok(record_sink(S3 {
            replaces_dead_letters: context.is_dead_letter && self.overwrite.is_none(),
            content_check: ContentCheck::new(
                &context.component,
                self.key.ending(),
                self.key.ends_as_json(),
                &self.content_type,
            ),
            config: Arc::new(self),
            access: AccessOptions { region, endpoint, role },
            table: None,
            component: context.component.clone(),
            bucket: None,
        }))
    }
}

impl S3Config {
    /// Whether the options say that requests have the bucket name in the path.
    fn is_path_style(&self) -> bool {
        let is_other_server = self.endpoint.as_ref().is_some_and(|endpoint| !is_aws(endpoint.as_str()));
        self.force_path_style.unwrap_or(is_other_server)
    }
}

struct S3 {
    config: Arc<S3Config>,
    access: AccessOptions,
    replaces_dead_letters: bool,
    content_check: ContentCheck,
    /// What the table can hold that a crawler makes of the objects.
    table: Option<TableRows>,
    /// The name of the sink.
    component: String,
    /// Set by `open`.
    bucket: Option<Bucket>,
}

#[async_trait]
impl RecordSink for S3 {
    async fn open(&mut self) -> Result<(), Failure> {
        let config = Arc::clone(&self.config);
        let bucket = Bucket::connect(config, self.access.clone(), self.replaces_dead_letters).await?;
        bucket.check().await?;
        self.bucket = Some(bucket);
        Ok(())
    }

    async fn put(&self, record: &Record) -> Result<(), Failure> {
        let bucket = self.bucket.as_ref().context("the sink has not been opened")?;
        self.check_is_not_csv(record)?;
        let (key, body) = bucket.object(record).map_err(Failure::rejected)?;
        match &self.table {
            Some(table) => table.check_object(&key, &body).map_err(Failure::rejected)?,
            None => self.content_check.check(record, &body),
        }
        bucket.put(&key, &body, record).await
    }

    fn skips(&self, record: &Record) -> bool {
        let is_empty = || match &record.body {
            Body::Tombstone => true,
            Body::Bytes(bytes) | Body::ParsedBytes(bytes, _) => bytes.is_empty(),
            Body::Value(_) | Body::Row(_) => false,
        };
        self.config.tombstones == Tombstones::Skip && is_empty()
    }

    fn max_in_flight(&self) -> usize {
        self.config.concurrency.get()
    }

    fn letter_store(&self) -> Option<Arc<dyn LetterStore>> {
        Some(Arc::new(FolderLetters::new(Arc::clone(&self.config), self.access.clone())))
    }

    fn destination(&self, record: &Record) -> Result<Option<String>> {
        if self.skips(record) {
            return Ok(None);
        }
        self.check_is_not_csv(record)?;
        let body = body_of(record)?;
        let key = self.config.key.render(record)?;
        if let Some(table) = &self.table {
            table.check_object(&key, &body)?;
        }
        Ok(Some(format!("s3://{}/{key}", self.config.bucket)))
    }

    /// None for an access point: a crawler cannot read its ARN.
    fn location(&self) -> Option<String> {
        let S3Config { bucket, key, .. } = &*self.config;
        (!bucket.starts_with("arn:")).then(|| format!("s3://{bucket}/{}", key.folder()))
    }

    fn set_crawled(&mut self, target: &str) -> Result<()> {
        if let Some(class) = self.config.storage_class.filter(|class| class.is_archive()) {
            let message = format!(
                "a crawler makes a table of {target}, and Athena does not read objects in {}: take `GLACIER_IR`, or \
                 leave the class to a lifecycle rule of the bucket",
                class.as_str()
            );
            return Err(OptionError::new("storage_class", message));
        }
        if let Some(ending) = unpacked_by_name(self.config.key.ending()) {
            let message = format!(
                "a crawler makes a table of {target}, and Athena unpacks objects whose names end with `{ending}`. This sink \
                 stores each record as plain JSON: end the key with `.json`"
            );
            return Err(OptionError::new("key", message));
        }
        if self.config.key.is_hidden(folder_of(target)) {
            let message = format!(
                "a crawler makes a table of {target}, and Athena skips objects and folders whose names begin with `_` or \
                 `.`: begin them with another character"
            );
            return Err(OptionError::new("key", message));
        }
        let n_folders = folder_of(target).matches('/').count();
        let partitions = self.config.key.partitions(n_folders);
        let both = self.config.key.record_fields().find(|field| partitions.contains(&field.to_lowercase()));
        if let Some(field) = both {
            let message = format!(
                "the folder `{}=` and the field `{field}` would be two columns of one name in the table of {target}, which \
                 Athena refuses: give the folder another name, as in `by_{0}={{{{ .{field} }}}}`",
                field.to_lowercase()
            );
            return Err(OptionError::new("key", message));
        }
        self.table = Some(TableRows::new(&self.component, target, partitions));
        Ok(())
    }
}

impl S3 {
    /// A CSV line where JSON is expected is a mistake in the pipeline file, not a bad record.
    fn check_is_not_csv(&self, record: &Record) -> Result<(), Failure> {
        let is_row = matches!(record.body, Body::Row(_));
        if !is_row || (self.table.is_none() && !self.config.key.ends_as_json()) {
            return Ok(());
        }
        let (why, otherwise) = match &self.table {
            Some(table) => (format!("a crawler reads the objects in {} as JSON", table.target()), ""),
            None => {
                ("`key` ends as the name of JSON".into(), ", or end `key` with `.csv` to store CSV lines")
            }
        };
        Err(Failure::fatal(anyhow!(
            "the record is a row of a CSV file, and {why}: put the transform `to_json` before this sink{otherwise}"
        )))
    }
}

#[cfg(test)]
mod bucket_tests;

#[cfg(test)]
mod tests;
