//! Errors of S3 requests: whether a retry helps, and what the user can do.

use anyhow::{Error, anyhow};
use runner_core::Failure;

use super::bucket::{Bucket, is_conditional};
use super::{Overwrite, S3Config};
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
            self.connection.reload().await;
        }
        let is_transient = error.is_transient()
            // Two writes of the same object at the same time.
            || error.status == 409
            // The object was deleted after the conditional write.
            || error.is("NoSuchKey")
            || (self.has_stored() && (is_denied || is_from_proxy || error.status == 307));
        let is_about_the_object = error.is("KeyTooLongError") || error.is("EntityTooLarge");
        let unsupported = if self.has_stored() { None } else { unsupported(&error, &self.config) };
        let error = if let Some(options) = unsupported {
            let location = self.access().location();
            return Failure::fatal(self.about(
                action,
                key,
                anyhow!(error).context(format!("{location} does not support {options}")),
            ));
        } else if is_from_proxy {
            let (status, location) = (error.status, self.access().location());
            anyhow!(error).context(format!(
                "HTTP status {status} without an S3 error code: most likely from a proxy or a load balancer before \
                 {location}, or from a server that is not S3"
            ))
        } else {
            self.explain(&error).unwrap_or_else(|| error.into_error(self.access()))
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
        explained.unwrap_or_else(|| error.into_open_failure(self.access(), &action()))
    }

    pub(super) fn about(&self, action: &str, key: &str, error: Error) -> Error {
        error.context(format!("{action} s3://{}/{key}", self.config.bucket))
    }

    /// Advice for an error whose own message is not enough.
    fn explain(&self, error: &AwsError) -> Option<Error> {
        let (bucket, region) = (&self.config.bucket, &self.access().region);
        let message = error.message().to_ascii_lowercase();
        if error.is("AccessControlListNotSupported") {
            return Some(anyhow!(
                "{error}; the bucket `{bucket}` has no ACLs (its objects belong to its owner anyway): leave out `acl`"
            ));
        }
        if message.contains("required") && message.contains("checksum") && self.access().is_other_server() {
            return Some(anyhow!(
                "{error}; the bucket needs a checksum with every object, as buckets with Object Lock do, and to servers \
                 other than AWS's own none is sent by default: set AWS_REQUEST_CHECKSUM_CALCULATION=when_supported"
            ));
        }
        if message.contains("checksum") && self.access().is_other_server() && !error.is("BadDigest") {
            return Some(anyhow!(
                "{error}; {} does not know the checksums of newer clients: set AWS_REQUEST_CHECKSUM_CALCULATION=\
                 when_required, the default for servers other than AWS's own",
                self.access().location()
            ));
        }
        if error.is("NoSuchBucket") || (error.status == 404 && !error.is("NoSuchKey")) {
            let endpoint = self.access().endpoint.as_ref();
            let endpoint = endpoint.map(|url| format!(" --endpoint-url {url}")).unwrap_or_default();
            return Some(anyhow!(
                "there is no bucket `{bucket}` ({}): create it with `aws s3 mb s3://{bucket} --region \
                 {region}{endpoint}`, or set `bucket` to another one",
                self.access().location()
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

/// What a server of another maker does not support of a write, with the way out; `None` for other errors.
fn unsupported(error: &AwsError, config: &S3Config) -> Option<String> {
    let message = error.message().to_ascii_lowercase();
    let options = [
        (
            "if-none-match",
            is_conditional(config),
            "conditional writes (If-None-Match): set `overwrite = \"always\"`",
        ),
        ("tagging", !config.tags.is_empty(), "`tags`: leave them out"),
        ("acl", config.acl.is_some(), "`acl`: leave it out"),
        ("storage", config.storage_class.is_some(), "`storage_class`: leave it out"),
        ("encryption", config.server_side_encryption.is_some(), "`server_side_encryption`: leave it out"),
    ];
    let is_named = |name: &str| message.contains(name);
    let is_refused = error.status == 501
        || (error.status == 400
            && (message.contains("a header you provided implies") || is_named("if-none-match")));
    if !is_refused {
        return None;
    }
    let used = || options.iter().filter(|(_, is_used, _)| *is_used);
    if let Some((_, _, advice)) = used().find(|(name, ..)| is_named(name)) {
        return Some((*advice).to_owned());
    }
    let all: Vec<&str> = used().map(|(.., advice)| *advice).collect();
    match &*all {
        [] => None,
        [one] => Some((*one).to_owned()),
        several => Some(format!("one of these, and does not say which: {}", several.join("; "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16, message: &str, options: serde_json::Value) -> Option<String> {
        let mut all = serde_json::json!({ "bucket": "lake", "key": "{{ entry }}" });
        all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        let config = serde_json::from_value(all).unwrap();
        unsupported(&AwsError::from_response("NotImplemented", message, status, None), &config)
    }

    #[test]
    fn option_that_a_server_does_not_support_is_named() {
        let generic = "A header you provided implies functionality that is not implemented";
        let tags = || serde_json::json!({ "tags": { "team": "data" } });
        assert!(said(501, generic, serde_json::json!({})).unwrap().contains("`overwrite = \"always\"`"));
        let both = said(501, generic, tags()).unwrap();
        assert!(both.contains("`overwrite = \"always\"`; `tags`"), "{both}");
        let named = said(501, "Header 'x-amz-tagging' is not implemented", tags()).unwrap();
        assert!(named.starts_with("`tags`"), "{named}");
        let alone = serde_json::json!({ "overwrite": "always", "acl": "private" });
        assert!(said(501, generic, alone).unwrap().starts_with("`acl`"));
        assert_eq!(said(501, generic, serde_json::json!({ "overwrite": "always" })), None);
        assert_eq!(said(400, "Unsupported header 'x-amz-sdk-checksum-algorithm'", tags()), None);
        assert_eq!(said(503, generic, tags()), None);
    }
}
