//! A bucket takes objects, or says why it did not.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Error, Result, anyhow};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use tracing::warn;

use super::{Overwrite, S3Config};
use crate::shared::aws::{Access, Kind, Service, Trouble};

/// A bucket, who writes to it, and how.
pub(super) struct Bucket {
    client: Client,
    access: Access,
    name: String,
    content_type: String,
    owner: Option<String>,
    overwrite: Overwrite,
    /// Once something is stored, a denial is a mishap to wait out instead of a slip in the configuration.
    has_stored: AtomicBool,
}

/// Why an object was not stored.
#[derive(Debug)]
pub(super) enum NotStored {
    /// Another try may store it.
    Yet(Error),
    /// This one will never be; others may.
    Refused(Error),
    /// Nor will any other.
    Hopeless(Error),
}

impl Bucket {
    /// Finds out who asks and where; asks nothing of the bucket yet.
    pub(super) async fn connect(config: &S3Config) -> Result<Bucket> {
        let access = Access::load(Service::S3, config.region.as_deref(), config.endpoint.as_ref()).await?;
        let is_elsewhere = access.endpoint.is_some();
        let mut client = aws_sdk_s3::config::Builder::from(&access.config)
            .force_path_style(config.force_path_style.unwrap_or(is_elsewhere));
        client.set_endpoint_url(access.endpoint.clone());
        if is_elsewhere {
            // Many servers refuse the checksums that the SDK adds by default since 2025.
            let (request, response) =
                (access.config.request_checksum_calculation(), access.config.response_checksum_validation());
            client = client
                .request_checksum_calculation(request.unwrap_or(RequestChecksumCalculation::WhenRequired))
                .response_checksum_validation(response.unwrap_or(ResponseChecksumValidation::WhenRequired));
        }
        Ok(Bucket {
            client: Client::from_conf(client.build()),
            access,
            name: config.bucket.clone(),
            content_type: config.content_type.clone(),
            owner: config.expected_bucket_owner.clone(),
            overwrite: config.overwrite.unwrap_or_default(),
            has_stored: AtomicBool::new(false),
        })
    }

    /// Whether the bucket is there and may be used, as far as that can be known before the first object.
    pub(super) async fn check(&self, folder: &str) -> Result<()> {
        let head = self.client.head_bucket().bucket(&self.name).set_expected_bucket_owner(self.owner.clone());
        let Err(error) = head.send().await else { return Ok(()) };
        let trouble = Trouble::of(&error);
        if trouble.is_passing() || trouble.kind == Kind::NoCredentials || trouble.status == 404 {
            return Err(self.on_open(trouble));
        }
        // The answer to a HEAD has no body and so gives no reason; that to a list does. Besides,
        // some policies allow no more than a look at the folder in question.
        let list = self.client.list_objects_v2().bucket(&self.name).prefix(folder).max_keys(1);
        let Err(error) = list.set_expected_bucket_owner(self.owner.clone()).send().await else {
            return Ok(());
        };
        let reason = Trouble::of(&error);
        if reason.is("AccessDenied") {
            warn!(
                "s3://{} cannot be looked at ({reason}); going on, since writing to it may be allowed all the same",
                self.name
            );
            return Ok(());
        }
        Err(self.on_open(if reason.kind == Kind::Refused { trouble } else { reason }))
    }

    fn on_open(&self, trouble: Trouble) -> Error {
        match self.explain(&trouble) {
            Some(explained) => explained,
            None => trouble.on_open(Service::S3, &self.access, &format!("opening s3://{}", self.name)),
        }
    }

    /// Stores one object. `Ok` means that it is there with these bytes.
    pub(super) async fn put(&self, key: &str, body: Bytes) -> Result<(), NotStored> {
        let put = self
            .client
            .put_object()
            .bucket(&self.name)
            .key(key)
            .content_type(&self.content_type)
            .set_expected_bucket_owner(self.owner.clone())
            .set_if_none_match((self.overwrite == Overwrite::Same).then(|| "*".into()))
            .body(ByteStream::from(body.clone()));
        let Err(error) = put.send().await else {
            self.has_stored.store(true, Ordering::Relaxed);
            return Ok(());
        };
        let trouble = Trouble::of(&error);
        if trouble.status == 412 && self.overwrite == Overwrite::Same {
            return self.compare(key, &body).await;
        }
        if trouble.status == 501 && self.overwrite == Overwrite::Same {
            return Err(NotStored::Hopeless(anyhow!(trouble).context(format!(
                "S3 {} does not know conditional writes (If-None-Match); set `overwrite = \"always\"` to write \
                 without them",
                self.access.place()
            ))));
        }
        Err(self.not_stored("writing", key, trouble))
    }

    /// Whether the object that is there already has the same content. An `ETag`
    /// would not do: it is no digest of the content under KMS, nor on every server.
    async fn compare(&self, key: &str, body: &Bytes) -> Result<(), NotStored> {
        let get = self.client.get_object().bucket(&self.name).key(key);
        let is_same = match get.set_expected_bucket_owner(self.owner.clone()).send().await {
            Ok(object) if object.content_length() != i64::try_from(body.len()).ok() => false,
            Ok(object) => match object.body.collect().await {
                Ok(content) => content.into_bytes() == *body,
                Err(error) => return Err(NotStored::Yet(self.about("reading", key, Error::new(error)))),
            },
            Err(error) => {
                let trouble = Trouble::of(&error);
                // It was deleted between the two questions.
                if trouble.is("NoSuchKey") {
                    return Err(NotStored::Yet(self.about("reading", key, anyhow!(trouble))));
                }
                let may_not = trouble.is_denial();
                let what = if may_not {
                    "there is an object already; to see whether it is the same, which needs s3:GetObject \
                     (or set `overwrite = \"always\"`), reading"
                } else {
                    "reading"
                };
                return Err(self.not_stored(what, key, trouble));
            }
        };
        if is_same {
            self.has_stored.store(true, Ordering::Relaxed);
            return Ok(());
        }
        Err(NotStored::Refused(anyhow!(
            "s3://{}/{key} exists with other content: choose another `key` (another folder, say), or set \
             `overwrite = \"always\"` to replace it, or `[dead_letter]` to put such records aside",
            self.name
        )))
    }

    fn not_stored(&self, what: &str, key: &str, trouble: Trouble) -> NotStored {
        let may_pass = trouble.is_passing()
            // A conflict is the answer to a write that met another one of the same object.
            || trouble.status == 409
            || (trouble.is_denial() && self.has_stored.load(Ordering::Relaxed));
        let is_about_the_object = trouble.is("KeyTooLongError") || trouble.is("EntityTooLarge");
        let error = self.explain(&trouble).unwrap_or_else(|| anyhow!(trouble));
        let error = self.about(what, key, error);
        if may_pass {
            NotStored::Yet(error)
        } else if is_about_the_object {
            NotStored::Refused(error)
        } else {
            NotStored::Hopeless(error)
        }
    }

    fn about(&self, what: &str, key: &str, error: Error) -> Error {
        error.context(format!("{what} s3://{}/{key}", self.name))
    }

    /// What to do, where the service's own words do not say it.
    fn explain(&self, trouble: &Trouble) -> Option<Error> {
        let (name, region) = (&self.name, &self.access.region);
        if trouble.is("NoSuchBucket") || (trouble.status == 404 && !trouble.is("NoSuchKey")) {
            let at =
                self.access.endpoint.as_ref().map(|url| format!(" --endpoint-url {url}")).unwrap_or_default();
            return Some(anyhow!(
                "there is no bucket `{name}` ({}): create it by `aws s3 mb s3://{name} --region {region}{at}`, \
                 or set `bucket` to another",
                self.access.place()
            ));
        }
        match &trouble.kind {
            Kind::Elsewhere(Some(right)) => Some(anyhow!(
                "the bucket `{name}` lies in region {right}, and {region} was asked: set AWS_REGION={right}, or \
                 `region = \"{right}\"`"
            )),
            Kind::Elsewhere(None) => Some(anyhow!(
                "the bucket `{name}` does not lie in region {region}: `aws s3api get-bucket-location --bucket \
                 {name}` says where; set AWS_REGION or the option `region`"
            )),
            Kind::Denied if self.owner.is_some() && trouble.is("AccessDenied") => Some(anyhow!(
                "{trouble}; either these credentials may not write here, or the bucket `{name}` does not belong to \
                 the account of `expected_bucket_owner`"
            )),
            _ => None,
        }
    }
}
