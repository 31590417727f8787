//! What a failed request means, and what to do.

use std::error::Error as StdError;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use anyhow::anyhow;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode, Url};
use runner_core::{Failure, HumanDuration};
use rustls::{AlertDescription, CertificateError, Error as TlsError, InvalidMessage};

use super::super::error::{HttpError, without_url};
use super::super::responses::{ResponseSummary, is_about_limit, is_limit_reached};
use super::retry_after;
use super::send::{COOKIE_ADVICE, Client};
use crate::shared::certificate::{AUTHORITY_AS_SERVER, OLD_VERSION, REPLACE_OLD_VERSION};

impl Client {
    /// The error for a status other than success in a response from `url`.
    pub(super) fn status_error(&self, answered: &ResponseSummary<'_>, url: &Url) -> HttpError {
        let ResponseSummary { title, status, .. } = *answered;
        let excerpt = self.response_body(answered.body);
        if let Some(error) = self.wait_error(answered, "") {
            return error;
        }
        let transient = |why: &str| HttpError::transient(anyhow!("{title}: {why}{excerpt}"));
        let advice = match status {
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => {
                return transient("the server asks to retry the request");
            }
            _ if status.is_server_error() => return transient("server error"),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if !self.may_receive_credentials(url) => {
                "credentials are not sent to a host other than that of `endpoint`; \
                 if the API has moved, change `endpoint`"
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if self.lost_cookie.load(Ordering::Relaxed) => {
                COOKIE_ADVICE
            }
            StatusCode::UNAUTHORIZED if asks_for_other_authentication(answered.headers) => {
                "the server asks for Digest, NTLM or Kerberos authentication, which is not supported; use a token or a \
                 key if the API has them"
            }
            StatusCode::FORBIDDEN if !self.credentials.is_set() && is_about_user_agent(answered.body) => {
                "the API asks who sends the request; set the header `User-Agent` in `headers` as its documentation says"
            }
            StatusCode::FORBIDDEN if self.credentials.is_set() => {
                return HttpError::FatalUntilSuccess(anyhow!(
                    "{title}: access denied with these credentials; {}{excerpt}",
                    self.credentials.advice
                ));
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.credentials.advice,
            StatusCode::NOT_FOUND => {
                return HttpError::NotFound(anyhow!("{title}: check `endpoint`{excerpt}"));
            }
            StatusCode::METHOD_NOT_ALLOWED => "check `method`",
            StatusCode::PAYMENT_REQUIRED => {
                "the plan or the credit of the account does not include this request"
            }
            StatusCode::NOT_ACCEPTABLE => "check `codec`, and the header `Accept` in `headers`",
            StatusCode::GONE => "the resource no longer exists; check `endpoint`",
            _ if status.is_redirection() => "the redirect has no location; check `endpoint`",
            _ => "check `endpoint`, `query`, `headers` and `body` against the documentation of the API",
        };
        let error = anyhow!("{title}: {advice}{excerpt}");
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => HttpError::FatalUntilSuccess(error),
            _ => HttpError::Refused(status, error),
        }
    }

    /// The error for a status other than success of a token endpoint.
    pub(super) fn token_error(&self, answered: &ResponseSummary<'_>) -> HttpError {
        let ResponseSummary { title, status, .. } = *answered;
        let excerpt = self.response_body(answered.body);
        if let Some(error) = self.wait_error(answered, "") {
            return error;
        }
        if status.is_server_error() {
            return HttpError::transient(anyhow!("{title}: the token endpoint has failed{excerpt}"));
        }
        let advice = match status {
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                "it gives no token; check `auth.client_id`, `auth.client_secret` and `auth.refresh_token` (which may have \
                 expired), `auth.scope`, `auth.audience`, and whether `auth.client_auth` must be \"basic\" or \"body\""
            }
            _ => "check `auth.token_url`",
        };
        HttpError::FatalUntilSuccess(anyhow!("{title}: {advice}{excerpt}"))
    }

    /// The error for a response that may be another one later, for the reason `why`.
    pub(crate) fn retry_error(&self, answered: &ResponseSummary<'_>, why: &str) -> HttpError {
        let error = || {
            HttpError::transient(anyhow!("{}: {why}{}", answered.title, self.response_body(answered.body)))
        };
        self.wait_error(answered, why).unwrap_or_else(error)
    }

    /// The error for a response that asks to wait, or that is a rate limit; `why` is added to it.
    fn wait_error(&self, answered: &ResponseSummary<'_>, why: &str) -> Option<HttpError> {
        let ResponseSummary { title, status, headers, body } = *answered;
        let excerpt = self.response_body(body);
        let asked = retry_after::asked(status, headers, SystemTime::now());
        let is_limit = matches!(status.as_u16(), 418 | 429)
            // The last request that is allowed may be for something that does not exist.
            || status != StatusCode::NOT_FOUND && retry_after::is_exhausted(headers)
            || matches!(status.as_u16(), 402 | 403) && is_about_limit(&String::from_utf8_lossy(body))
            // Facebook and Stack Exchange report a rate limit with this status.
            || status == StatusCode::BAD_REQUEST && is_limit_reached(&String::from_utf8_lossy(body));
        let what = match status {
            _ if !why.is_empty() => why,
            _ if is_limit => "rate limit",
            _ if status.is_server_error() => "server error",
            _ => "the API asks to wait",
        };
        let Some(asked) = asked else {
            let advice = "too many requests; set `rate_limit` to what the API allows";
            let error = || HttpError::transient(anyhow!("{title}: {what}: {advice}{excerpt}"));
            return is_limit.then(error);
        };
        let after = HumanDuration::from_secs(asked.duration.as_secs());
        let header = asked.header;
        if asked.duration > retry_after::LONGEST && status == StatusCode::NOT_FOUND && why.is_empty() {
            return None;
        }
        if asked.duration > retry_after::LONGEST {
            return Some(HttpError::Fatal(anyhow!(
                "{title}: {what}; the API asks to wait {after} (`{header}`), more than the hour that is accepted; \
                 start again later, or send fewer requests with `rate_limit`{excerpt}"
            )));
        }
        let failure =
            Failure::transient(anyhow!("{title}: {what}; retry after {after} (`{header}`){excerpt}"));
        Some(HttpError::Retryable(failure.with_retry_after(Some(asked.duration))))
    }

    /// The beginning of a body, to be added to a message; empty for an empty body.
    pub(crate) fn response_body(&self, body: &[u8]) -> String {
        match self.excerpt(body) {
            excerpt if excerpt.is_empty() => String::new(),
            excerpt => format!(". Response body: {excerpt}"),
        }
    }

    /// The error for a request without a response.
    pub(super) fn transport_error(&self, method: &Method, url: &Url, error: reqwest::Error) -> HttpError {
        let request = self.describe(method, url);
        let place = format!(
            "{}:{}",
            url.host_str().unwrap_or_default(),
            url.port_or_known_default().unwrap_or_default()
        );
        if let Some(why) = tls_error(&error).and_then(tls_advice) {
            return HttpError::FatalUntilSuccess(anyhow!("{request}: {place} {why}"));
        }
        if error.is_timeout() && !error.is_connect() {
            let message = format!("{request} did not complete within `timeout`");
            // Before the first response the API may be unreachable.
            return HttpError::Retryable(if self.has_answered.load(Ordering::Relaxed) {
                Failure::transient(without_url(error).context(message))
            } else {
                let advice = "check `endpoint`, and that the API is up";
                Failure::unreachable(without_url(error).context(format!("{message}; {advice}")))
            });
        }
        if !error.is_connect() && is_not_http(&error) {
            let advice = match url.scheme() {
                "http" => "if it speaks TLS, write https:// in `endpoint`, else check the port",
                _ => "check `endpoint`",
            };
            let message = format!("{request}: {place} does not speak HTTP; {advice}");
            return HttpError::FatalUntilSuccess(without_url(error).context(message));
        }
        if !error.is_connect() {
            return HttpError::transient(without_url(error).context(format!("{request} failed")));
        }
        let advice = match tls_error(&error) {
            Some(TlsError::InvalidMessage(InvalidMessage::InvalidContentType)) => {
                "it does not speak TLS: if it is for http://, change `endpoint`, else check the port"
            }
            _ => "check `endpoint`, and that the API is up",
        };
        let message = format!("{request}: cannot reach {place}; {advice}");
        HttpError::Retryable(Failure::unreachable(without_url(error).context(message)))
    }
}

/// Whether a server asks for credentials only in forms that the source does not send.
fn asks_for_other_authentication(headers: &HeaderMap) -> bool {
    let mut asked = headers.get_all(WWW_AUTHENTICATE).iter().peekable();
    let is_other = |challenge: &HeaderValue| {
        let challenge = String::from_utf8_lossy(challenge.as_bytes()).to_ascii_lowercase();
        ["digest", "ntlm", "negotiate"].iter().any(|other| challenge.starts_with(other))
            && !challenge.contains("basic ")
    };
    asked.peek().is_some() && asked.all(is_other)
}

/// Whether a response refuses a client that does not say who it is, as those of SEC and GitHub do.
fn is_about_user_agent(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body).to_ascii_lowercase();
    ["user agent", "user-agent"].iter().any(|name| text.contains(name))
}

/// Whether what a server sent is not HTTP. The client library has only a text for it.
fn is_not_http(error: &(dyn StdError + 'static)) -> bool {
    error.to_string() == "invalid HTTP version parsed" || error.source().is_some_and(is_not_http)
}

/// The error of TLS in the causes of an error.
fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a TlsError> {
    if let Some(found) = error.downcast_ref::<TlsError>() {
        return Some(found);
    }
    // An `io::Error` hides what it wraps from `source`.
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
    let wrapped = wrapped.and_then(|wrapped| tls_error(wrapped));
    wrapped.or_else(|| tls_error(error.source()?))
}

/// What to do about an error of TLS that no retry mends, as the end of a sentence that begins with the server.
fn tls_advice(error: &TlsError) -> Option<String> {
    let certificate = match error {
        TlsError::InvalidCertificate(certificate) => certificate,
        TlsError::AlertReceived(
            alert @ (AlertDescription::CertificateRequired
            | AlertDescription::HandshakeFailure
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied),
        ) => {
            return Some(format!(
                "refuses the connection ({alert:?}); if it asks for a client certificate, set `tls.crt_file` and `tls.key_file`"
            ));
        }
        _ => return None,
    };
    Some(match certificate {
        CertificateError::UnknownIssuer => "has a certificate of an authority that this machine does not trust \
             (UnknownIssuer); set `tls.ca_file` to the certificate of that authority, or the variable SSL_CERT_FILE"
            .to_owned(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "has a certificate for another host name, or without a `subjectAltName`; check the host of `endpoint`, or set \
             `tls.verify_hostname = false` with `tls.ca_file`"
                .to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "has a certificate that has expired; it must be renewed there; check the clock of this machine".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "has a certificate that is not valid yet; check the clock of this machine".to_owned()
        }
        other => {
            let other = format!("{other:?}");
            if other.contains(AUTHORITY_AS_SERVER) {
                "has a CA certificate (CA:TRUE), as `openssl req -x509` makes it; \
                 set `tls.ca_file` to a PEM file with this certificate"
                    .to_owned()
            } else if other.contains(OLD_VERSION) {
                format!("has a certificate of an old version: {REPLACE_OLD_VERSION}")
            } else {
                format!(
                    "has a certificate that is not trusted ({other}); check `endpoint`, and set `tls.ca_file` if the \
                     certificate is of a private authority"
                )
            }
        }
    })
}
