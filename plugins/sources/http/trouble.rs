//! Trouble is why there is nothing to read, and whether another try may help.

use std::error::Error as StdError;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use anyhow::anyhow;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};
use runner_core::{Error, Unreachable};

use super::client::{Client, MAX_LOOK};

/// Why there is nothing to read.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It may pass; the API may have said after how long.
    Passing { error: Error, after: Option<Duration> },
    /// Most likely a mistake of the pipeline file on first contact, and a bad
    /// day of the API once it has answered well.
    Refused(Error),
    /// No try will help.
    Final(Error),
    /// There is no such thing (404), which on a page may mean: no such page.
    Missing(Error),
}

impl Trouble {
    /// One that may pass.
    pub(super) fn passing(error: Error) -> Self {
        Trouble::Passing { error, after: None }
    }
}

impl Client {
    /// What a status that is no success means, and what to do about it.
    pub(super) async fn refused(&self, title: &str, url: &Url, mut response: reqwest::Response) -> Trouble {
        let status = response.status();
        let after = retry_after(response.headers(), SystemTime::now());
        let mut said = Vec::new();
        while said.len() < MAX_LOOK
            && let Ok(Some(chunk)) = response.chunk().await
        {
            said.extend_from_slice(&chunk);
        }
        let said = match self.excerpt(&said) {
            said if said.is_empty() => String::new(),
            said => format!(". It said: {said}"),
        };
        let passing = |why: &str| Trouble::Passing { error: anyhow!("{title}: {why}{said}"), after };
        let advice = match status {
            StatusCode::TOO_MANY_REQUESTS => return passing(&asks_to_wait("it is asked too often", after)),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => return passing("it asks for another try"),
            _ if status.is_server_error() => {
                return passing(&asks_to_wait("the API has trouble of its own", after));
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if !self.is_home(url) => {
                "the credentials were not sent here, to another host than that of `endpoint`; \
                 if the API has moved, change `endpoint`"
            }
            StatusCode::FORBIDDEN if self.credentials.are_there() => {
                return Trouble::Refused(anyhow!(
                    "{title}: these credentials may not read it; {}{said}",
                    self.credentials.advice
                ));
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.credentials.advice,
            StatusCode::NOT_FOUND => return Trouble::Missing(anyhow!("{title}: check `endpoint`{said}")),
            StatusCode::METHOD_NOT_ALLOWED => "check `method`",
            StatusCode::NOT_ACCEPTABLE => "check `codec`, and the header `Accept` in `headers`",
            StatusCode::GONE => "what was asked for is there no more; check `endpoint`",
            _ if status.is_redirection() => "it names no place to go on to; check `endpoint`",
            _ => "check `endpoint`, `query`, `headers` and `body` against the documentation of the API",
        };
        let error = anyhow!("{title}: {advice}{said}");
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Trouble::Refused(error),
            _ => Trouble::Final(error),
        }
    }

    /// What it means that there was no answer at all.
    pub(super) fn not_answered(&self, method: &Method, url: &Url, error: reqwest::Error) -> Trouble {
        let shown = self.shown(method, url);
        if error.is_timeout() && !error.is_connect() {
            let message = format!("{shown} was not answered within `timeout`");
            // Of whom nothing has been heard, nobody knows whether he is there.
            return Trouble::passing(if self.has_answered.load(Ordering::Relaxed) {
                root(error).context(message)
            } else {
                let advice = "check `endpoint`, and that the API is up";
                root(error).context(Unreachable(format!("{message}; {advice}")))
            });
        }
        if !error.is_connect() {
            return Trouble::passing(root(error).context(format!("{shown} was not answered")));
        }
        if let Some(reason) = refused_certificate(&error) {
            return Trouble::Refused(anyhow!(
                "the certificate of {} is not trusted ({reason}): check `endpoint`, \
                 and that its authority is known to this machine",
                url.host_str().unwrap_or_default()
            ));
        }
        let place = format!(
            "{}:{}",
            url.host_str().unwrap_or_default(),
            url.port_or_known_default().unwrap_or_default()
        );
        let message = format!("{shown}: cannot reach {place}; check `endpoint`, and that the API is up");
        Trouble::passing(root(error).context(Unreachable(message)))
    }
}

fn asks_to_wait(why: &str, after: Option<Duration>) -> String {
    match after {
        Some(after) => format!("{why} and says to wait {} s", after.as_secs()),
        None => why.to_owned(),
    }
}

/// How long the API asks to wait, in seconds or until a date (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    // Measured by the API's own clock where it shows it: ours may be off.
    let date = headers.get(DATE).and_then(|date| date.to_str().ok());
    let now = date.and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(now);
    Some(until.duration_since(now).unwrap_or_default())
}

/// The library's error without its URL, which may hold an API key.
pub(super) fn root(error: reqwest::Error) -> Error {
    Error::new(error.without_url())
}

/// Why a server's certificate was refused, if that is what happened.
fn refused_certificate(error: &reqwest::Error) -> Option<String> {
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
    fn waiting_is_asked_for_in_seconds_or_until_a_date() {
        let now = SystemTime::UNIX_EPOCH;
        let ask = |pairs: &[_]| retry_after(&headers(pairs), now);
        assert_eq!(ask(&[(RETRY_AFTER, "120")]), Some(Duration::from_mins(2)));
        let date = (RETRY_AFTER, "Thu, 01 Jan 1970 00:02:00 GMT");
        assert_eq!(ask(std::slice::from_ref(&date)), Some(Duration::from_mins(2)));
        let clock = (DATE, "Thu, 01 Jan 1970 00:01:30 GMT");
        assert_eq!(ask(&[date, clock]), Some(Duration::from_secs(30)));
        assert_eq!(ask(&[(RETRY_AFTER, "soon")]), None);
        assert_eq!(ask(&[]), None);
    }
}
