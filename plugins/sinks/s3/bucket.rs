//! The bucket: stores one object for each record.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result, anyhow, bail};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use runner_core::{Failure, Name, Record};
use tracing::warn;

use super::condition::Condition;
use super::incarnation::{Incarnations, KeyConflict, metadata};
use super::options::tagging;
use super::{Overwrite, S3Config, letter_overwrite};
use crate::shared::aws::{Access, AccessOptions, AwsError, Cause, ReloadingClient, arn_needs_aws, timeouts};

/// A bucket, and how objects are written to it.
pub(super) struct Bucket {
    pub(super) config: Arc<S3Config>,
    pub(super) connection: ReloadingClient<Client>,
    /// The tags of every object.
    tagging: Option<String>,
    /// Whether a later dead letter about the same record replaces the earlier one.
    replaces_dead_letters: bool,
    /// Whether conditional writes are known to work.
    pub(super) condition: Condition,
    /// Set by the first write that was stored, or refused since its object exists. From then on a denial is retried:
    /// the configuration was right before.
    has_stored: AtomicBool,
    /// The source that numbered the records of this run.
    first_source: OnceLock<Name>,
    /// The incarnations that numbered the records of this run.
    incarnations: Incarnations,
}

/// The content of the record's object.
pub(super) fn body_of(record: &Record) -> Result<Bytes> {
    record.to_bytes().context(
        "the record has no body (a tombstone), so it cannot be stored as an object; `tombstones = \"skip\"` filters such \
         records",
    )
}

impl Bucket {
    /// Loads the credentials; sends no request to the bucket.
    pub(super) async fn connect(
        config: Arc<S3Config>,
        options: AccessOptions,
        replaces_dead_letters: bool,
    ) -> Result<Bucket> {
        let access = Access::load("S3", &options).await?;
        if config.bucket.starts_with("arn:") && is_path_style(&access, &config) {
            bail!(arn_needs_aws(&config.bucket));
        }
        Ok(Bucket::new(access, options, config, replaces_dead_letters))
    }

    pub(super) fn new(
        access: Access,
        options: AccessOptions,
        config: Arc<S3Config>,
        replaces_dead_letters: bool,
    ) -> Bucket {
        let of_client = Arc::clone(&config);
        Bucket {
            tagging: tagging(&config.tags),
            condition: Condition::new(!access.is_other_server() || !is_conditional(&config)),
            connection: ReloadingClient::new(access, options, move |access| client(access, &of_client)),
            config,
            replaces_dead_letters,
            has_stored: AtomicBool::new(false),
            first_source: OnceLock::new(),
            incarnations: Incarnations::default(),
        }
    }

    pub(super) fn client(&self) -> Client {
        self.connection.client()
    }

    pub(super) fn access(&self) -> &Access {
        &self.connection.access
    }

    /// Checks that the bucket exists and that the credentials may use it, as far as possible without writing.
    pub(super) async fn check(&self) -> Result<(), Failure> {
        let (client, bucket) = (self.client(), &self.config.bucket);
        let owner = self.config.expected_bucket_owner.clone();
        let head = client.head_bucket().bucket(bucket).set_expected_bucket_owner(owner.clone());
        let Err(error) = head.send().await.map_err(AwsError::from) else { return Ok(()) };
        if error.is_transient() || error.cause == Cause::NoCredentials || error.status == 404 {
            return Err(self.open_error(error));
        }
        // The response to a HEAD request has no body, so it has no reason; the one to a list request has.
        // And some policies allow only to list the folder of the key.
        let list = client.list_objects_v2().bucket(bucket).prefix(self.config.key.folder()).max_keys(1);
        let list = list.set_expected_bucket_owner(owner).send().await;
        let Err(reason) = list.map_err(AwsError::from) else { return Ok(()) };
        if reason.is("AccessDenied") {
            warn!("s3://{bucket} cannot be checked ({reason}); continuing, because writing may be allowed");
            return Ok(());
        }
        Err(self.open_error(if reason.cause == Cause::Other { error } else { reason }))
    }

    /// Stores the object of a record. After `Ok` it is in the bucket with these bytes.
    pub(super) async fn put(&self, key: &str, body: &Bytes, record: &Record) -> Result<(), Failure> {
        if !self.condition.is_checked() {
            let check = self.condition.check().await;
            let about = || format!("writing s3://{}/{key}", self.config.bucket);
            if let Some(check) = check.map_err(|failure| failure.context(about()))? {
                return check.end(Box::pin(self.put_first(key, body, record)).await);
            }
        }
        if is_conditional(&self.config) {
            return self.put_if_none_exists(key, body, record).await;
        }
        let stored = Box::pin(self.put_object(key, body, record, false)).await;
        self.put_result("writing", key, stored).await
    }

    /// Writes an object unless it exists; an existing one must have the same bytes.
    pub(super) async fn put_if_none_exists(
        &self,
        key: &str,
        body: &Bytes,
        record: &Record,
    ) -> Result<(), Failure> {
        match Box::pin(self.put_object(key, body, record, true)).await {
            Ok(()) => Ok(()),
            Err(error) => Box::pin(self.not_written(error, key, body, record)).await,
        }
    }

    /// What becomes of a record whose object could not be written.
    async fn not_written(
        &self,
        error: AwsError,
        key: &str,
        body: &Bytes,
        record: &Record,
    ) -> Result<(), Failure> {
        if error.status != 412 {
            return Err(self.put_error("writing", key, error).await);
        }
        match self.existing(key).await {
            Ok(object) => {
                self.set_stored();
                Box::pin(self.compare(object, key, body, record)).await
            }
            Err(error) => {
                let action = if error.is_denied() { NEEDS_GET } else { "reading" };
                Err(self.put_error(action, key, error).await)
            }
        }
    }

    /// The key and the content of the record's object; an error rejects the record.
    pub(super) fn object(&self, record: &Record) -> Result<(String, Bytes)> {
        let body = body_of(record)?;
        self.incarnations.add(record);
        if self.config.overwrite == Some(Overwrite::Always)
            && let Some(reason) = self.incarnations.replaces(record)
        {
            warn!("{reason}");
        }
        let template = &self.config.key;
        if template.is_by_entry_alone()
            && let Some(entry) = &record.entry
        {
            let first = *self.first_source.get_or_init(|| entry.source);
            if first != entry.source {
                bail!(
                    "entry {} was numbered by `{}`, other records of this run by `{first}`; both count from 0, so \
                     `{{{{ entry }}}}` alone could give two records the same key: give each source its own topic and \
                     sink, or use `{{{{ topic }}}}`, `{{{{ partition }}}}` and `{{{{ offset }}}}` in `key`",
                    entry.text(),
                    entry.source
                );
            }
        }
        Ok((template.render(record)?, body))
    }

    pub(super) async fn put_object(
        &self,
        key: &str,
        body: &Bytes,
        record: &Record,
        is_conditional: bool,
    ) -> Result<(), AwsError> {
        let config = &*self.config;
        let put = self
            .client()
            .put_object()
            .bucket(&config.bucket)
            .key(key)
            .content_type(&config.content_type)
            .set_expected_bucket_owner(config.expected_bucket_owner.clone())
            .set_storage_class(config.storage_class.map(|it| it.as_str().into()))
            .set_server_side_encryption(config.server_side_encryption.map(|it| it.as_str().into()))
            .set_ssekms_key_id(config.ssekms_key_id.clone())
            .set_acl(config.acl.map(|it| it.as_str().into()))
            .set_tagging(self.tagging.clone())
            .set_if_none_match(is_conditional.then(|| "*".into()))
            .set_metadata(metadata(record))
            .body(ByteStream::from(body.clone()));
        if body.len() > SMALL {
            let timeouts = aws_sdk_s3::config::Builder::new().timeout_config(timeouts(body.len()));
            put.customize().config_override(timeouts).send().await?;
        } else {
            put.send().await?;
        }
        self.set_stored();
        Ok(())
    }

    /// The bucket has answered a write as it should: it stored the object, or has one of this name that can be read.
    pub(super) fn set_stored(&self) {
        self.has_stored.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_stored(&self) -> bool {
        self.has_stored.load(Ordering::Relaxed)
    }

    pub(super) async fn existing(&self, key: &str) -> Result<GetObjectOutput, AwsError> {
        let get = self.client().get_object().bucket(&self.config.bucket).key(key);
        Ok(get.set_expected_bucket_owner(self.config.expected_bucket_owner.clone()).send().await?)
    }

    /// Compares an existing object with the body of the record. Its `ETag` is not enough: with KMS
    /// and on some servers it is not a digest of the content.
    pub(super) async fn compare(
        &self,
        object: GetObjectOutput,
        key: &str,
        body: &Bytes,
        record: &Record,
    ) -> Result<(), Failure> {
        // A chunked response does not contain its length.
        let conflict =
            self.incarnations.conflict(record, object.metadata()).filter(|_| !self.replaces_dead_letters);
        let has_other_length = object.content_length().is_some_and(|n| usize::try_from(n) != Ok(body.len()));
        let mut problem = "exists with other content";
        if self.replaces_dead_letters || !has_other_length {
            let existing = object.body.collect().await;
            let existing = existing
                .map_err(|error| Failure::transient(self.about("reading", key, error.into())))?
                .into_bytes();
            if existing == body {
                match &conflict {
                    None => return Ok(()),
                    Some(KeyConflict::State(reason)) => {
                        self.incarnations.warn_of_same(reason, &format!("s3://{}/{key}", self.config.bucket));
                        return Ok(());
                    }
                    Some(KeyConflict::Source(_)) => {
                        problem = "is the object of another record, which has the same content";
                    }
                }
            }
            if self.replaces_dead_letters {
                letter_overwrite::check_replaces(&existing, body).map_err(|error| {
                    let bucket = &self.config.bucket;
                    Failure::rejected(error.context(format!("s3://{bucket}/{key} is not overwritten")))
                })?;
                let stored = self.put_object(key, body, record, false).await;
                return self.put_result("writing", key, stored).await;
            }
        }
        let bucket = &self.config.bucket;
        if let Some(KeyConflict::Source(reason) | KeyConflict::State(reason)) = conflict {
            return Err(Failure::rejected(anyhow!("s3://{bucket}/{key} {problem}: {reason}")));
        }
        Err(Failure::rejected(anyhow!(
            "s3://{bucket}/{key} exists with other content: choose another `key` (for example another folder), add \
             `[dead_letter]` to keep such records, or set `overwrite = \"always\"` to replace the object, whose content \
             is then lost"
        )))
    }
}

/// What reading an existing object is for, if it is denied.
const NEEDS_GET: &str =
    "the object exists, and comparing it needs s3:GetObject (or set `overwrite = \"always\"`): reading";

/// Objects up to this size use the timeouts of the client. To override them for a request takes CPU time.
const SMALL: usize = 64 << 10;

pub(super) fn is_conditional(config: &S3Config) -> bool {
    config.overwrite.unwrap_or_default() == Overwrite::Same
}

fn is_path_style(access: &Access, config: &S3Config) -> bool {
    config.force_path_style.unwrap_or(access.is_other_server())
}

fn client(access: &Access, config: &S3Config) -> Client {
    let mut client =
        aws_sdk_s3::config::Builder::from(&access.config).force_path_style(is_path_style(access, config));
    client.set_timeout_config(Some(timeouts(SMALL)));
    client.set_endpoint_url(access.endpoint.clone());
    if access.is_other_server() {
        // Many servers reject the checksums that the SDK adds by default since 2025. Its configuration
        // does not tell this default from the choice of the user.
        let is_asked_for = |variable, profile| {
            let setting = access.setting(variable, profile);
            setting.is_some_and(|setting| setting.eq_ignore_ascii_case("when_supported"))
        };
        if !is_asked_for("AWS_REQUEST_CHECKSUM_CALCULATION", "request_checksum_calculation") {
            client = client.request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
        }
        if !is_asked_for("AWS_RESPONSE_CHECKSUM_VALIDATION", "response_checksum_validation") {
            client = client.response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        }
    }
    Client::from_conf(client.build())
}
