//! Errors of requests: what failed, whether a retry may help, and what to do.

use std::error::Error as StdError;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use anyhow::anyhow;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};
use runner_core::{Error, Failure};

use super::client::{Client, MAX_EXCERPT_BYTES};

/// Why a request failed.
#[derive(Debug)]
pub(super) enum HttpError {
    /// May succeed on a retry: the API is unreachable, or the failure is transient.
    Retryable(Failure),
    /// Before the first success most likely an error of the pipeline file, afterwards a
    /// temporary failure of the API.
    FatalUntilSuccess(Error),
    /// No retry will help.
    Fatal(Error),
    /// 404, which may mark the end of numbered pages.
    NotFound(Error),
}

impl HttpError {
    /// An error that may succeed on a retry.
    pub(super) fn transient(error: Error) -> Self {
        HttpError::Retryable(Failure::transient(error))
    }
}

impl Client {
    /// The error for a status other than success.
    pub(super) async fn status_error(
        &self,
        title: &str,
        url: &Url,
        mut response: reqwest::Response,
    ) -> HttpError {
        let status = response.status();
        let after = retry_after(response.headers(), SystemTime::now());
        let mut body = Vec::new();
        while body.len() < MAX_EXCERPT_BYTES
            && let Ok(Some(chunk)) = response.chunk().await
        {
            body.extend_from_slice(&chunk);
        }
        let excerpt = match self.excerpt(&body) {
            excerpt if excerpt.is_empty() => String::new(),
            excerpt => format!(". Response body: {excerpt}"),
        };
        let transient = |why: &str| {
            let failure = Failure::transient(anyhow!("{title}: {why}{excerpt}"));
            HttpError::Retryable(failure.with_retry_after(after))
        };
        let advice = match status {
            StatusCode::TOO_MANY_REQUESTS => return transient(&with_retry_after("too many requests", after)),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => {
                return transient("the server asks to retry the request");
            }
            _ if status.is_server_error() => {
                return transient(&with_retry_after("server error", after));
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if !self.may_receive_credentials(url) => {
                "credentials are not sent to a host other than that of `endpoint`; \
                 if the API has moved, change `endpoint`"
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
            StatusCode::NOT_ACCEPTABLE => "check `codec`, and the header `Accept` in `headers`",
            StatusCode::GONE => "the resource no longer exists; check `endpoint`",
            _ if status.is_redirection() => "the redirect has no location; check `endpoint`",
            _ => "check `endpoint`, `query`, `headers` and `body` against the documentation of the API",
        };
        let error = anyhow!("{title}: {advice}{excerpt}");
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => HttpError::FatalUntilSuccess(error),
            _ => HttpError::Fatal(error),
        }
    }

    /// The error for a request without a response.
    pub(super) fn transport_error(&self, method: &Method, url: &Url, error: reqwest::Error) -> HttpError {
        let request = self.describe(method, url);
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
        if !error.is_connect() {
            return HttpError::transient(without_url(error).context(format!("{request} failed")));
        }
        if let Some(reason) = certificate_error(&error) {
            return HttpError::FatalUntilSuccess(anyhow!(
                "the certificate of {} is not trusted ({reason}): check `endpoint`, \
                 and that this machine trusts its certificate authority",
                url.host_str().unwrap_or_default()
            ));
        }
        let place = format!(
            "{}:{}",
            url.host_str().unwrap_or_default(),
            url.port_or_known_default().unwrap_or_default()
        );
        let message = format!("{request}: cannot reach {place}; check `endpoint`, and that the API is up");
        HttpError::Retryable(Failure::unreachable(without_url(error).context(message)))
    }
}

fn with_retry_after(why: &str, after: Option<Duration>) -> String {
    match after {
        Some(after) => format!("{why}; retry after {} s", after.as_secs()),
        None => why.to_owned(),
    }
}

/// The value of `Retry-After`, seconds or a date (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    // Relative to the server's clock, if it sends `Date`; the local clock may be wrong.
    let date = headers.get(DATE).and_then(|date| date.to_str().ok());
    let now = date.and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(now);
    Some(until.duration_since(now).unwrap_or_default())
}

/// The error without its URL, which may contain an API key.
pub(super) fn without_url(error: reqwest::Error) -> Error {
    Error::new(error.without_url())
}

/// Why the certificate of the server was rejected, if it was.
fn certificate_error(error: &reqwest::Error) -> Option<String> {
    let mut cause = error.source();
    while let Some(inner) = cause {
        // An `io::Error` hides what it wraps from `source`.
        let wrapped = inner.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
        let tls = inner
            .downcast_ref::<rustls::Error>()
            .or_else(|| wrapped.and_then(|error| error.downcast_ref::<rustls::Error>()));
        if let Some(rustls::Error::InvalidCertificate(reason)) = tls {
            return Some(format!("{reason:?}"));
        }
        cause = inner.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn headers(pairs: &[(reqwest::header::HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn retry_after_accepts_seconds_and_dates() {
        let now = SystemTime::UNIX_EPOCH;
        let delay = |pairs: &[_]| retry_after(&headers(pairs), now);
        assert_eq!(delay(&[(RETRY_AFTER, "120")]), Some(Duration::from_mins(2)));
        let date = (RETRY_AFTER, "Thu, 01 Jan 1970 00:02:00 GMT");
        assert_eq!(delay(std::slice::from_ref(&date)), Some(Duration::from_mins(2)));
        let clock = (DATE, "Thu, 01 Jan 1970 00:01:30 GMT");
        assert_eq!(delay(&[date, clock]), Some(Duration::from_secs(30)));
        assert_eq!(delay(&[(RETRY_AFTER, "soon")]), None);
        assert_eq!(delay(&[]), None);
    }
}
