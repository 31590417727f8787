//! A bucket takes objects, or says why it did not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Error, Result, anyhow};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::warn;

use super::{Overwrite, S3Config, letters};
use crate::shared::aws::{Access, Endpoint, Kind, Service, Trouble, timeouts};

/// A bucket, who writes to it, and how.
pub(super) struct Bucket {
    /// Another one once its keys have been refused.
    client: RwLock<Client>,
    access: Access,
    region: Option<String>,
    endpoint: Option<Endpoint>,
    force_path_style: Option<bool>,
    /// When the keys were looked for again.
    renewed: Mutex<Option<Instant>>,
    name: String,
    /// What all names of objects begin with.
    folder: String,
    content_type: String,
    owner: Option<String>,
    overwrite: Overwrite,
    /// Whether it takes dead letters, of which a later one about the same record replaces the one before.
    takes_letters: bool,
    /// Once something is stored, a denial is a mishap to wait out instead of a slip in the configuration.
    has_stored: AtomicBool,
}

/// How soon keys that are refused are looked for once more.
const RENEWAL: Duration = Duration::from_secs(1);

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
    pub(super) async fn connect(config: &S3Config, takes_letters: bool) -> Result<Bucket> {
        let access = Access::load(Service::S3, config.region.as_deref(), config.endpoint.as_ref()).await?;
        Ok(Bucket::with(access, config, takes_letters))
    }

    pub(super) fn with(access: Access, config: &S3Config, takes_letters: bool) -> Bucket {
        Bucket {
            client: RwLock::new(client(&access, config.force_path_style)),
            access,
            region: config.region.clone(),
            endpoint: config.endpoint.clone(),
            force_path_style: config.force_path_style,
            renewed: Mutex::default(),
            name: config.bucket.clone(),
            folder: config.key.folder().to_owned(),
            content_type: config.content_type.clone(),
            owner: config.expected_bucket_owner.clone(),
            overwrite: config.overwrite.unwrap_or_default(),
            takes_letters,
            has_stored: AtomicBool::new(false),
        }
    }

    fn client(&self) -> Client {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks for keys again: the SDK reads a profile once, and somebody may have written new ones into it.
    async fn renew(&self) {
        let Ok(mut renewed) = self.renewed.try_lock() else { return };
        if renewed.is_some_and(|at| at.elapsed() < RENEWAL) {
            return;
        }
        match Access::load(Service::S3, self.region.as_deref(), self.endpoint.as_ref()).await {
            Ok(access) => {
                let client = client(&access, self.force_path_style);
                *self.client.write().unwrap_or_else(PoisonError::into_inner) = client;
            }
            Err(error) => warn!("looking for AWS credentials again: {error:#}"),
        }
        *renewed = Some(Instant::now());
    }

    /// Whether the bucket is there and may be used, as far as that can be known before the first object.
    pub(super) async fn check(&self) -> Result<()> {
        let client = self.client();
        let head = client.head_bucket().bucket(&self.name).set_expected_bucket_owner(self.owner.clone());
        let Err(error) = head.send().await else { return Ok(()) };
        let trouble = Trouble::of(&error);
        if trouble.is_passing() || trouble.kind == Kind::NoCredentials || trouble.status == 404 {
            return Err(self.on_open(trouble));
        }
        // The answer to a HEAD has no body and so gives no reason; that to a list does. Besides,
        // some policies allow no more than a look at the folder in question.
        let list = client.list_objects_v2().bucket(&self.name).prefix(&self.folder).max_keys(1);
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
        let is_conditional = self.overwrite == Overwrite::Same;
        let Err(trouble) = self.write(key, &body, is_conditional).await else { return Ok(()) };
        if trouble.status == 412 && is_conditional {
            return self.compare(key, &body).await;
        }
        if trouble.status == 501 && is_conditional && !self.has_stored() {
            return Err(NotStored::Hopeless(anyhow!(trouble).context(format!(
                "S3 {} does not know conditional writes (If-None-Match); set `overwrite = \"always\"` to write \
                 without them",
                self.access.place()
            ))));
        }
        Err(self.not_stored("writing", key, trouble).await)
    }

    async fn write(&self, key: &str, body: &Bytes, is_conditional: bool) -> Result<(), Trouble> {
        let put = self
            .client()
            .put_object()
            .bucket(&self.name)
            .key(key)
            .content_type(&self.content_type)
            .set_expected_bucket_owner(self.owner.clone())
            .set_if_none_match(is_conditional.then(|| "*".into()))
            .body(ByteStream::from(body.clone()));
        let patience = aws_sdk_s3::config::Builder::new().timeout_config(timeouts(body.len()));
        put.customize().config_override(patience).send().await.map_err(|error| Trouble::of(&error))?;
        self.has_stored.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn has_stored(&self) -> bool {
        self.has_stored.load(Ordering::Relaxed)
    }

    /// Whether the object that is there already has the same content. An `ETag`
    /// would not do: it is no digest of the content under KMS, nor on every server.
    async fn compare(&self, key: &str, body: &Bytes) -> Result<(), NotStored> {
        let get = self.client().get_object().bucket(&self.name).key(key);
        // The content that is there; none if its length alone tells that it is another one.
        let there = match get.set_expected_bucket_owner(self.owner.clone()).send().await {
            // An answer in pieces does not say how long it is.
            Ok(object)
                if !self.takes_letters
                    && object.content_length().is_some_and(|n| usize::try_from(n) != Ok(body.len())) =>
            {
                None
            }
            Ok(object) => match object.body.collect().await {
                Ok(content) => Some(content.into_bytes()),
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
                return Err(self.not_stored(what, key, trouble).await);
            }
        };
        if there.as_ref() == Some(body) {
            self.has_stored.store(true, Ordering::Relaxed);
            return Ok(());
        }
        if let Some(there) = there.filter(|_| self.takes_letters) {
            letters::may_replace(&there, body).map_err(|error| {
                NotStored::Refused(error.context(format!("s3://{}/{key} is not written over", self.name)))
            })?;
            let Err(trouble) = self.write(key, body, false).await else { return Ok(()) };
            return Err(self.not_stored("writing", key, trouble).await);
        }
        Err(NotStored::Refused(anyhow!(
            "s3://{}/{key} exists with other content: choose another `key` (another folder, say), or set \
             `overwrite = \"always\"` to replace it, or `[dead_letter]` to put such records aside",
            self.name
        )))
    }

    async fn not_stored(&self, what: &str, key: &str, trouble: Trouble) -> NotStored {
        let is_denial = trouble.is_denial();
        if is_denial && self.has_stored() {
            self.renew().await;
        }
        let may_pass = trouble.is_passing()
            // A conflict is the answer to a write that met another one of the same object.
            || trouble.status == 409
            || (self.has_stored() && (is_denial || trouble.is_from_between() || trouble.status == 307));
        let is_about_the_object = trouble.is("KeyTooLongError") || trouble.is("EntityTooLarge");
        let error = if trouble.is_from_between() {
            let status = trouble.status;
            anyhow!(trouble).context(format!(
                "HTTP status {status} without an error code of S3, so most likely from something in between (a \
                 load balancer, a proxy); otherwise S3 is not {}",
                self.access.place()
            ))
        } else {
            self.explain(&trouble).unwrap_or_else(|| trouble.into_error(Service::S3, &self.access.place()))
        };
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
            Kind::Denied if trouble.is("AccessDenied") => {
                let compare = match self.overwrite {
                    Overwrite::Same => " and, to compare what is there already, s3:GetObject",
                    Overwrite::Always => "",
                };
                let owner = match self.owner {
                    Some(_) => {
                        "; or the bucket does not belong to the account of `expected_bucket_owner`, and then they \
                         may do nothing"
                    }
                    None => "",
                };
                Some(anyhow!(
                    "{trouble}; these credentials need s3:PutObject{compare} on {name}/{}*{owner}",
                    self.folder
                ))
            }
            _ => None,
        }
    }
}

fn client(access: &Access, force_path_style: Option<bool>) -> Client {
    let is_elsewhere = access.endpoint.is_some();
    let mut client = aws_sdk_s3::config::Builder::from(&access.config)
        .force_path_style(force_path_style.unwrap_or(is_elsewhere));
    client.set_endpoint_url(access.endpoint.clone());
    if is_elsewhere {
        // Many servers refuse the checksums that the SDK adds by default since 2025.
        let (request, response) =
            (access.config.request_checksum_calculation(), access.config.response_checksum_validation());
        client = client
            .request_checksum_calculation(request.unwrap_or(RequestChecksumCalculation::WhenRequired))
            .response_checksum_validation(response.unwrap_or(ResponseChecksumValidation::WhenRequired));
    }
    Client::from_conf(client.build())
}
