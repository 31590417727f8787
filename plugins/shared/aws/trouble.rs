//! Trouble is an answer of AWS other than yes, or the lack of an answer: what it
//! means, and what to do about it.

use std::error::Error as StdError;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use runner_core::Unreachable;

use super::{Access, Service};

/// Why a request has failed.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) kind: Kind,
    /// The service's own word for it, such as `NoSuchBucket`; empty if it said none.
    pub(crate) code: String,
    /// The HTTP status; 0 if there was no answer.
    pub(crate) status: u16,
    message: String,
}

/// What a failed request calls for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No answer; asking again may help.
    Unreachable,
    /// An answer that asks for patience.
    Busy,
    /// Nobody knows who is asking, or whoever it is may not.
    Denied,
    /// There are no credentials at all, or none that are still good.
    NoCredentials,
    /// It has to be asked in this region, if it said in which.
    Elsewhere(Option<String>),
    /// Something else is wrong with the request or with what it is about.
    Refused,
}

impl Trouble {
    pub(crate) fn of<E>(error: &SdkError<E, HttpResponse>) -> Trouble
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        if let Some(credentials) = find::<CredentialsError>(error) {
            return Trouble {
                kind: Kind::NoCredentials,
                code: String::new(),
                status: 0,
                message: no_credentials(credentials),
            };
        }
        match error {
            SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) => {
                Trouble { kind: Kind::Unreachable, code: String::new(), status: 0, message: root(error) }
            }
            SdkError::ServiceError(answer) => {
                let code = answer.err().code().unwrap_or_default();
                let message = answer.err().message().unwrap_or_default();
                let status = answer.raw().status().as_u16();
                let region = answer.raw().headers().get("x-amz-bucket-region");
                Trouble::answered(code, message, status, region)
            }
            SdkError::ResponseError(answer) => {
                Trouble::answered("", &root(error), answer.raw().status().as_u16(), None)
            }
            _ => Trouble { kind: Kind::Refused, code: String::new(), status: 0, message: root(error) },
        }
    }

    fn answered(code: &str, message: &str, status: u16, region: Option<&str>) -> Trouble {
        let kind = kind_of(code, message, status, region);
        Trouble { kind, code: code.to_owned(), status, message: message.to_owned() }
    }

    /// As of a server that is not there.
    #[cfg(test)]
    pub(crate) fn unreachable() -> Trouble {
        let message = "connection refused".to_owned();
        Trouble { kind: Kind::Unreachable, code: String::new(), status: 0, message }
    }

    pub(crate) fn is(&self, code: &str) -> bool {
        self.code == code
    }

    /// Whether the same request may succeed a little later.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self.kind, Kind::Unreachable | Kind::Busy)
    }

    /// Whether it is about who asks, which somebody may put right while we wait.
    pub(crate) fn is_denial(&self) -> bool {
        matches!(self.kind, Kind::Denied | Kind::NoCredentials)
    }

    /// Whether an answer bears no error code of the service, as those of whatever stands before it.
    pub(crate) fn is_from_between(&self) -> bool {
        let is_settled =
            self.is_passing() || self.is_denial() || matches!(self.kind, Kind::Elsewhere(Some(_)));
        // `NotFound` is the SDK's own word for a 404 that says nothing.
        let is_mute = self.code.is_empty() || self.is("NotFound");
        is_mute && self.status != 0 && !is_settled
    }

    /// As an error: one that says whether it was the service that could not be reached.
    pub(crate) fn into_error(self, service: Service, place: &str) -> anyhow::Error {
        if self.kind == Kind::Unreachable {
            let message = format!("cannot reach {} {place}: {}", service.name, self.message);
            return anyhow::Error::new(Unreachable(message));
        }
        anyhow::Error::new(self)
    }

    /// As the error of a first contact: marked for another try where that may help.
    pub(crate) fn on_open(self, service: Service, access: &Access, what: &str) -> anyhow::Error {
        let place = access.place();
        match &self.kind {
            Kind::Unreachable => self.into_error(service, &place),
            Kind::Busy => {
                let message = format!("{} {place} is not ready: {self}", service.name);
                anyhow::Error::new(Unreachable(message))
            }
            _ => anyhow::Error::new(self).context(format!("{what} ({} {place})", service.name)),
        }
    }
}

/// Codes that ask for patience under statuses that do not say so.
const BUSY: [&str; 8] = [
    "BadDigest",
    "ConcurrentModificationException",
    "IncompleteBody",
    "InternalError",
    "InternalServiceException",
    "OperationTimeoutException",
    "RequestTimeout",
    "SlowDown",
];

/// Codes that are about who asks, under status 400.
const DENIED: [&str; 7] = [
    "AccessDeniedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidSignatureException",
    "InvalidToken",
    "UnrecognizedClientException",
];

fn kind_of(code: &str, message: &str, status: u16, region: Option<&str>) -> Kind {
    match code {
        "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
            return Kind::Elsewhere(region.map(Into::into).or_else(|| expected_region(message)));
        }
        _ if BUSY.contains(&code) || code.contains("Throttl") => return Kind::Busy,
        _ if DENIED.contains(&code) => return Kind::Denied,
        // Nobody will have implemented it a minute later.
        "NotImplemented" => return Kind::Refused,
        _ => {}
    }
    match status {
        301 | 307 | 308 => Kind::Elsewhere(region.map(Into::into)),
        401 | 403 => Kind::Denied,
        408 | 429 | 500 | 502..=599 => Kind::Busy,
        _ => Kind::Refused,
    }
}

/// From "the region 'us-east-1' is wrong; expecting 'eu-west-1'".
fn expected_region(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("expecting '")?;
    let (region, _) = rest.split_once('\'')?;
    Some(region.to_owned())
}

/// What whoever reads it can do about this answer; empty where the answer says it all.
fn advice(code: &str) -> &'static str {
    match code {
        "InvalidAccessKeyId" | "UnrecognizedClientException" => {
            "; the access key is not known there: look at AWS_ACCESS_KEY_ID and AWS_PROFILE, or run `aws configure`"
        }
        "SignatureDoesNotMatch" | "InvalidSignatureException" => {
            "; the secret key does not belong to the access key: look at AWS_SECRET_ACCESS_KEY, or run `aws configure`"
        }
        "ExpiredToken" | "ExpiredTokenException" | "InvalidToken" => {
            "; the session is over: log in again, for example by `aws sso login`"
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
            format!(
                "the AWS credentials cannot be used: {}; logging in again (`aws sso login`) may help",
                root(other)
            )
        }
    }
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// The innermost cause: the layers of the SDK around it say "dispatch failure".
fn root(error: &(dyn StdError + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&*self.code, &*self.message) {
            ("", "") => write!(f, "HTTP status {}", self.status)?,
            ("", message) => f.write_str(message)?,
            (code, "") => f.write_str(code)?,
            (code, message) => write!(f, "{code}: {message}")?,
        }
        f.write_str(advice(&self.code))
    }
}

impl StdError for Trouble {}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(code: &str, status: u16) -> Kind {
        Trouble::answered(code, "", status, None).kind
    }

    #[test]
    fn answers_that_ask_for_patience_are_told_from_those_that_do_not() {
        for (code, status) in
            [("SlowDown", 503), ("RequestTimeout", 400), ("ThrottlingException", 400), ("", 502)]
        {
            assert_eq!(kind(code, status), Kind::Busy, "{code}");
        }
        for (code, status) in [("NotImplemented", 501), ("NoSuchBucket", 404), ("InvalidRequest", 400)] {
            assert_eq!(kind(code, status), Kind::Refused, "{code}");
        }
        for (code, status) in [("AccessDenied", 403), ("ExpiredToken", 400), ("AccessDeniedException", 400)] {
            assert_eq!(kind(code, status), Kind::Denied, "{code}");
        }
    }

    #[test]
    fn a_wrong_region_answers_with_the_right_one() {
        let here = Trouble::answered("PermanentRedirect", "", 301, Some("eu-west-1")).kind;
        assert_eq!(here, Kind::Elsewhere(Some("eu-west-1".into())));
        let message = "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-central-1'";
        let there = Trouble::answered("AuthorizationHeaderMalformed", message, 400, None).kind;
        assert_eq!(there, Kind::Elsewhere(Some("eu-central-1".into())));
    }

    #[test]
    fn missing_credentials_say_where_to_put_them() {
        let text = no_credentials(&CredentialsError::not_loaded("nothing"));
        assert!(text.contains("aws configure") && text.contains("AWS_PROFILE"), "{text}");
    }
}
