//! Errors of AWS services: their cause, and what the user can do about them.

use std::error::Error as StdError;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ConnectorError, ErrorMetadata, ProvideErrorMetadata, SdkError};
use runner_core::Failure;

use super::Access;
use super::role::RoleError;
use crate::shared::certificate;

/// Why a request failed.
#[derive(Debug)]
pub(crate) struct AwsError {
    pub(crate) cause: Cause,
    /// The error code of the service, such as `NoSuchBucket`; empty if the response has none.
    pub(crate) code: String,
    /// The HTTP status; 0 if there was no response.
    pub(crate) status: u16,
    message: String,
    /// The service that could not be reached, if it is not the one of the request.
    other_service: Option<String>,
}

/// The cause of a failed request, as far as it decides what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// There was no response.
    Unreachable,
    /// The service is throttling, overloaded or has an internal error.
    Transient,
    /// The service does not know the caller, or the caller lacks a permission.
    Denied,
    /// There are no credentials, or they have expired.
    NoCredentials,
    /// The request has to go to another region: this one, if the response names it.
    WrongRegion(Option<String>),
    /// The request or its subject is not valid.
    Other,
}

impl<E> From<SdkError<E, HttpResponse>> for AwsError
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        if let Some(credentials) = find::<CredentialsError>(&error) {
            if let Some(role) = find::<RoleError>(credentials) {
                return AwsError::of_role(role);
            }
            return AwsError::without_response(Cause::NoCredentials, no_credentials(credentials));
        }
        match &error {
            SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) => {
                AwsError::without_response(Cause::Unreachable, root_cause(&error))
            }
            SdkError::ServiceError(response) => {
                let code = response.err().code().unwrap_or_default();
                let message = response.err().message().unwrap_or_default();
                let status = response.raw().status().as_u16();
                let region = response.raw().headers().get("x-amz-bucket-region");
                AwsError::from_response(code, message, status, region)
            }
            SdkError::ResponseError(response) => {
                AwsError::from_response("", &root_cause(&error), response.raw().status().as_u16(), None)
            }
            _ => AwsError::without_response(Cause::Other, root_cause(&error)),
        }
    }
}

impl AwsError {
    pub(crate) fn from_response(code: &str, message: &str, status: u16, region: Option<&str>) -> AwsError {
        let cause = cause_of(code, message, status, region);
        AwsError { cause, code: code.to_owned(), status, message: message.to_owned(), other_service: None }
    }

    fn without_response(cause: Cause, message: String) -> AwsError {
        AwsError { cause, code: String::new(), status: 0, message, other_service: None }
    }

    /// The credentials of a role could not be had.
    fn of_role(role: &RoleError) -> AwsError {
        if find::<ConnectorError>(role).is_some() {
            let message = format!(
                "{}; this machine must reach it for `assume_role`: allow the connection, or set AWS_ENDPOINT_URL_STS, for \
                 example to a VPC endpoint",
                root_cause(role)
            );
            let other_service = Some(role.sts.clone());
            return AwsError { other_service, ..AwsError::without_response(Cause::Unreachable, message) };
        }
        let metadata = find::<ErrorMetadata>(role);
        let code = metadata.and_then(ErrorMetadata::code).unwrap_or_default();
        let cause = match metadata.and_then(ErrorMetadata::message) {
            Some(message) if !code.is_empty() => format!("{code}: {message}"),
            _ => root_cause(role),
        };
        AwsError::without_response(Cause::NoCredentials, role.explain(code, &cause))
    }

    /// The error of a server that refuses connections.
    #[cfg(test)]
    pub(crate) fn unreachable() -> AwsError {
        AwsError::without_response(Cause::Unreachable, "connection refused".into())
    }

    pub(crate) fn is(&self, code: &str) -> bool {
        self.code == code
    }

    /// The reason that the service gave.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The permission on a KMS key that is missing, such as `kms:Decrypt`, if the service names one.
    pub(crate) fn kms_right(&self) -> Option<&str> {
        // An ARN contains `:kms:` and then a region.
        let mut found = self.message.match_indices("kms:").map(|(at, _)| at);
        let start = found.find(|&at| !self.message[..at].ends_with(':'))?;
        let right = &self.message[start..];
        let n_name = right["kms:".len()..].find(|char: char| !char.is_ascii_alphabetic());
        let right = n_name.map_or(right, |n| &right[.."kms:".len() + n]);
        (right.len() > "kms:".len()).then_some(right)
    }

    /// Whether the same request may succeed a little later.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self.cause, Cause::Unreachable | Cause::Transient)
    }

    /// Whether it is about the credentials, which the user may correct while the run waits.
    pub(crate) fn is_denied(&self) -> bool {
        matches!(self.cause, Cause::Denied | Cause::NoCredentials)
    }

    /// Whether the response has no error code of AWS, as the responses of proxies and load balancers.
    pub(crate) fn is_from_proxy(&self) -> bool {
        let is_explained =
            self.is_transient() || self.is_denied() || matches!(self.cause, Cause::WrongRegion(Some(_)));
        // The SDK sets `NotFound` for a 404 without a code.
        let has_no_code = self.code.is_empty() || self.is("NotFound");
        has_no_code && self.status != 0 && !is_explained
    }

    /// The error for the engine; a [`Failure`] inside says whether the service could not be reached.
    pub(crate) fn into_error(self, access: &Access) -> anyhow::Error {
        if self.cause == Cause::Unreachable {
            let place = self.other_service.unwrap_or_else(|| access.location());
            let mut message = format!("cannot reach {place}: {}", self.message);
            if let Some(advice) = certificate::advice(&message) {
                message = format!("{message}; {advice}");
            }
            return Failure::unreachable(anyhow::Error::msg(message)).into();
        }
        anyhow::Error::new(self)
    }

    /// The failure of a first contact. A service that is not ready counts as unreachable, so that the
    /// engine retries for `retry.connect`.
    pub(crate) fn into_open_failure(self, access: &Access, action: &str) -> Failure {
        match &self.cause {
            Cause::Unreachable => self.into_error(access).into(),
            Cause::Transient => {
                let message = format!("{} is not ready: {self}", access.location());
                Failure::unreachable(anyhow::Error::msg(message))
            }
            _ => Failure::fatal(self).context(format!("{action} ({})", access.location())),
        }
    }
}

/// Codes of transient errors that come with the HTTP status of another error.
const TRANSIENT: [&str; 15] = [
    "BadDigest",
    "BandwidthLimitExceeded",
    "ConcurrentModificationException",
    "IncompleteBody",
    "InternalError",
    "InternalServiceException",
    "LimitExceededException",
    "OperationTimeoutException",
    "PriorRequestNotComplete",
    "RequestLimitExceeded",
    "RequestTimeout",
    "RequestTimeoutException",
    "SchedulerTransitioningException",
    "SlowDown",
    "TooManyRequestsException",
];

/// Codes about the credentials under HTTP status 400.
const DENIED: [&str; 7] = [
    "AccessDeniedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidSignatureException",
    "InvalidToken",
    "UnrecognizedClientException",
];

fn cause_of(code: &str, message: &str, status: u16, region: Option<&str>) -> Cause {
    match code {
        "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
            return Cause::WrongRegion(region.map(Into::into).or_else(|| expected_region(message)));
        }
        _ if TRANSIENT.contains(&code) || code.contains("Throttl") => return Cause::Transient,
        // `KMS.DisabledException` and the like: the key of the bucket, which its owner may enable again.
        _ if DENIED.contains(&code) || code.starts_with("KMS.") => return Cause::Denied,
        // Its status is 501, but a retry does not help.
        "NotImplemented" => return Cause::Other,
        _ => {}
    }
    match status {
        301 | 307 | 308 => Cause::WrongRegion(region.map(Into::into)),
        401 | 403 => Cause::Denied,
        408 | 429 | 500 | 502..=599 => Cause::Transient,
        _ => Cause::Other,
    }
}

/// From "the region 'us-east-1' is wrong; expecting 'eu-west-1'".
fn expected_region(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("expecting '")?;
    let (region, _) = rest.split_once('\'')?;
    Some(region.to_owned())
}

/// What the user can do about an error code; empty where the message of the service is enough.
fn advice(code: &str) -> &'static str {
    match code {
        "InvalidAccessKeyId" | "UnrecognizedClientException" => {
            "; the access key is not known there: check AWS_ACCESS_KEY_ID and AWS_PROFILE, or run `aws configure`"
        }
        "SignatureDoesNotMatch" | "InvalidSignatureException" => {
            "; the secret key does not belong to the access key: check AWS_SECRET_ACCESS_KEY, or run `aws configure`"
        }
        "ExpiredToken" | "ExpiredTokenException" | "InvalidToken" => {
            "; the session has expired: log in again, for example with `aws sso login`"
        }
        "RequestTimeTooSkewed" => "; the clock of this machine is wrong",
        _ => "",
    }
}

fn no_credentials(error: &CredentialsError) -> String {
    match error {
        CredentialsError::CredentialsNotLoaded(_) => {
            "there are no AWS credentials: run `aws configure`, or set AWS_PROFILE, \
             or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                .into()
        }
        other => {
            let text = chain(other).map(ToString::to_string).collect::<Vec<_>>().join(": ");
            let lower = text.to_lowercase();
            let advice = if lower.contains("assumerole")
                || lower.contains("assume role")
                || lower.contains("sts:")
            {
                "; the role must exist and trust this identity, which needs sts:AssumeRole on it (and, if the role \
                 demands one, the right `external_id`)"
            } else if lower.contains("sso") {
                "; try to log in again (`aws sso login`)"
            } else {
                ""
            };
            let of_service = find::<ErrorMetadata>(other).and_then(|it| Some((it.code()?, it.message()?)));
            let cause = match of_service {
                Some((code, message)) => format!("{code}: {message}"),
                None => root_cause(other),
            };
            format!("the AWS credentials cannot be used: {cause}{advice}")
        }
    }
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// The innermost error: the layers of the SDK around it are only "dispatch failure".
fn root_cause(error: &(dyn StdError + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

impl fmt::Display for AwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&*self.code, &*self.message) {
            ("", "") => write!(f, "HTTP status {}", self.status)?,
            ("", message) => f.write_str(message)?,
            (code, "") => f.write_str(code)?,
            (code, message) => write!(f, "{code}: {message}")?,
        }
        if let Some(right) = self.kms_right() {
            write!(f, "; these credentials need {right} on that KMS key")?;
        }
        f.write_str(advice(&self.code))
    }
}

impl StdError for AwsError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(code: &str, status: u16) -> Cause {
        AwsError::from_response(code, "", status, None).cause
    }

    #[test]
    fn unknown_authority_of_a_certificate_names_the_variable() {
        let access = Access::to_test_server("S3", "https://127.0.0.1:9".into());
        let error = |message: &str| {
            let error =
                AwsError { cause: Cause::Unreachable, ..AwsError::from_response("", message, 0, None) };
            error.into_error(&access).to_string()
        };
        assert!(error("invalid peer certificate: UnknownIssuer").contains("SSL_CERT_FILE"));
        assert!(!error("connection refused").contains("SSL_CERT_FILE"));
    }

    #[test]
    fn cause_follows_from_code_and_status() {
        for (code, status) in [
            ("SlowDown", 503),
            ("RequestTimeout", 400),
            ("ThrottlingException", 400),
            ("TooManyRequestsException", 400),
            ("RequestLimitExceeded", 400),
            ("LimitExceededException", 400),
            ("SchedulerTransitioningException", 400),
            ("KMS.ThrottlingException", 400),
            ("", 502),
        ] {
            assert_eq!(cause(code, status), Cause::Transient, "{code}");
        }
        for (code, status) in [("NotImplemented", 501), ("NoSuchBucket", 404), ("InvalidRequest", 400)] {
            assert_eq!(cause(code, status), Cause::Other, "{code}");
        }
        for (code, status) in [
            ("AccessDenied", 403),
            ("ExpiredToken", 400),
            ("AccessDeniedException", 400),
            ("KMS.DisabledException", 400),
        ] {
            assert_eq!(cause(code, status), Cause::Denied, "{code}");
        }
    }

    #[test]
    fn wrong_region_names_the_right_one() {
        let redirect = AwsError::from_response("PermanentRedirect", "", 301, Some("eu-west-1")).cause;
        assert_eq!(redirect, Cause::WrongRegion(Some("eu-west-1".into())));
        let message = "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-central-1'";
        let malformed = AwsError::from_response("AuthorizationHeaderMalformed", message, 400, None).cause;
        assert_eq!(malformed, Cause::WrongRegion(Some("eu-central-1".into())));
    }

    #[test]
    fn missing_right_on_a_kms_key_is_named() {
        let message = "User: arn:aws:iam::1:user/u is not authorized to perform: kms:GenerateDataKey on resource: \
                       arn:aws:kms:eu-west-1:1:key/k because no identity-based policy allows it";
        let error = AwsError::from_response("AccessDenied", message, 403, None);
        assert_eq!(error.kms_right(), Some("kms:GenerateDataKey"));
        assert!(
            error.to_string().ends_with("these credentials need kms:GenerateDataKey on that KMS key"),
            "{error}"
        );
        let other = AwsError::from_response("AccessDenied", "an arn:aws:kms:: key", 403, None);
        assert_eq!(other.kms_right(), None);
    }

    #[test]
    fn region_in_the_arn_of_a_kms_key_is_not_a_right() {
        let key = "arn:aws:kms:eu-west-1:1:key/k";
        let disabled =
            AwsError::from_response("KMS.DisabledException", &format!("{key} is disabled."), 400, None);
        assert_eq!(disabled.kms_right(), None);
        assert_eq!(disabled.to_string(), format!("KMS.DisabledException: {key} is disabled."));
        let denied =
            AwsError::from_response("AccessDenied", &format!("{key}: kms:Decrypt denied"), 403, None);
        assert_eq!(denied.kms_right(), Some("kms:Decrypt"));
    }

    #[test]
    fn missing_credentials_error_says_where_to_set_them() {
        let text = no_credentials(&CredentialsError::not_loaded("nothing"));
        assert!(text.contains("aws configure") && text.contains("AWS_PROFILE"), "{text}");
    }
}
