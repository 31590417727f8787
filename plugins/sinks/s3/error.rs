//! Errors of S3 requests: whether a retry helps, and what the user can do.

use anyhow::{Error, anyhow};
use runner_core::Failure;

use super::Overwrite;
use super::bucket::Bucket;
use crate::shared::aws::{AwsError, Cause};

impl Bucket {
    pub(super) async fn put_result(
        &self,
        action: &str,
        key: &str,
        stored: Result<(), AwsError>,
    ) -> Result<(), Failure> {
        match stored {
            Ok(()) => Ok(()),
            Err(error) => Err(self.put_error(action, key, error).await),
        }
    }

    /// Classifies the error of a request for one object; after a denial it reloads the credentials.
    pub(super) async fn put_error(&self, action: &str, key: &str, error: AwsError) -> Failure {
        let (is_denied, is_from_proxy) = (error.is_denied(), error.is_from_proxy());
        if is_denied && self.has_stored() {
            self.reload_credentials().await;
        }
        let is_transient = error.is_transient()
            // Two writes of the same object at the same time.
            || error.status == 409
            // The object was deleted after the conditional write.
            || error.is("NoSuchKey")
            || (self.has_stored() && (is_denied || is_from_proxy || error.status == 307));
        let is_about_the_object = error.is("KeyTooLongError") || error.is("EntityTooLarge");
        let error = if is_from_proxy {
            let (status, location) = (error.status, self.access.location());
            anyhow!(error).context(format!(
                "HTTP status {status} without an S3 error code: most likely from a proxy or a load balancer before \
                 {location}, or from a server that is not S3"
            ))
        } else {
            self.explain(&error).unwrap_or_else(|| error.into_error(&self.access))
        };
        let error = self.about(action, key, error);
        if is_transient {
            // The error says by itself if S3 is unreachable.
            match Failure::from(error) {
                failure if failure.is_retryable() => failure,
                failure => Failure::transient(failure.into_error()),
            }
        } else if is_about_the_object {
            Failure::rejected(error)
        } else {
            Failure::fatal(error)
        }
    }

    pub(super) fn open_error(&self, error: AwsError) -> Failure {
        let action = || format!("opening s3://{}", self.config.bucket);
        let explained = self.explain(&error).map(Failure::fatal);
        explained.unwrap_or_else(|| error.into_open_failure(&self.access, &action()))
    }

    pub(super) fn about(&self, action: &str, key: &str, error: Error) -> Error {
        error.context(format!("{action} s3://{}/{key}", self.config.bucket))
    }

    /// Advice for an error whose own message is not enough.
    fn explain(&self, error: &AwsError) -> Option<Error> {
        let (bucket, region) = (&self.config.bucket, &self.access.region);
        let message = error.message().to_ascii_lowercase();
        if error.is("AccessControlListNotSupported") {
            return Some(anyhow!(
                "{error}; the bucket `{bucket}` has no ACLs (its objects belong to its owner anyway): leave out `acl`"
            ));
        }
        if message.contains("checksum") && self.access.is_other_server() && !error.is("BadDigest") {
            return Some(anyhow!(
                "{error}; {} does not know the checksums of newer clients: set AWS_REQUEST_CHECKSUM_CALCULATION=\
                 when_required, the default for servers other than AWS's own",
                self.access.location()
            ));
        }
        if error.is("NoSuchBucket") || (error.status == 404 && !error.is("NoSuchKey")) {
            let endpoint = self.access.endpoint.as_ref();
            let endpoint = endpoint.map(|url| format!(" --endpoint-url {url}")).unwrap_or_default();
            return Some(anyhow!(
                "there is no bucket `{bucket}` ({}): create it with `aws s3 mb s3://{bucket} --region \
                 {region}{endpoint}`, or set `bucket` to another one",
                self.access.location()
            ));
        }
        match &error.cause {
            Cause::WrongRegion(Some(right)) => Some(anyhow!(
                "the bucket `{bucket}` is in region {right}, not in {region}: set AWS_REGION={right} or `region = \
                 \"{right}\"`"
            )),
            Cause::WrongRegion(None) => Some(anyhow!(
                "the bucket `{bucket}` is not in region {region}: `aws s3api get-bucket-location --bucket {bucket}` \
                 prints its region; set AWS_REGION or the option `region`"
            )),
            // The error names the permission on the key.
            Cause::Denied if error.kms_right().is_some() => None,
            Cause::Denied if error.code.starts_with("KMS.") => Some(anyhow!(
                "{error}; the KMS key that encrypts the objects of `{bucket}` cannot be used: enable it, or choose another \
                 one for the bucket or in `ssekms_key_id`"
            )),
            Cause::Denied if error.is("AccessDenied") => {
                let extra = [
                    (self.config.acl.is_some(), ", s3:PutObjectAcl for `acl`"),
                    (!self.config.tags.is_empty(), ", s3:PutObjectTagging for `tags`"),
                ];
                let extra: String =
                    extra.iter().filter(|(is_set, _)| *is_set).map(|(_, text)| *text).collect();
                let compare = match self.config.overwrite.unwrap_or_default() {
                    Overwrite::Same => " and, to compare existing objects, s3:GetObject",
                    Overwrite::Always => "",
                };
                let owner = match self.config.expected_bucket_owner {
                    Some(_) => "; or the bucket does not belong to the account in `expected_bucket_owner`",
                    None => "",
                };
                Some(anyhow!(
                    "{error}; these credentials need s3:PutObject{extra}{compare} on {bucket}/{}*{owner}",
                    self.config.key.folder()
                ))
            }
            _ => None,
        }
    }
}
