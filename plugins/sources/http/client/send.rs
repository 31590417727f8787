//! Sends one request, follows redirects, and reads the response.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::anyhow;
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, HeaderValue, LOCATION, SET_COOKIE, TRANSFER_ENCODING,
};
use reqwest::{Method, StatusCode, Url, Version};
use runner_core::Result;
use tracing::warn;

use super::super::error::HttpError;
use super::super::request::{Outgoing, RequestParts, set_parameter};
use super::super::responses::{BodyOptions, BodyText, Response, Responses, Verdict, body};
use super::auth::{Credentials, Signer};
use super::connect::connect;
use super::rate_limit::RateLimiter;
use super::redact::Redactor;
use super::redirect::{Redirects, is_same_host, over_tls};
use super::tls::Tls;

/// About as many as browsers and curl follow.
const MAX_REDIRECTS: usize = 10;

/// How many characters of a response a message shows.
const EXCERPT_CHARS: usize = 80;

/// How many bytes of a response are read for that.
const MAX_EXCERPT_BYTES: usize = 16 << 10;

/// How many bytes of a response with an error status are read.
const MAX_ERROR_BYTES: usize = 256 << 10;

/// What to do about a failure after a cookie that was not kept.
pub(super) const COOKIE_ADVICE: &str =
    "the API has set a cookie, which it may expect here; set `cookies = true`";

/// Headers that are sent to every host; their values depend on no credentials.
const HEADERS_FOR_ALL_HOSTS: &str = "\
    accept accept-charset accept-encoding accept-language cache-control content-type user-agent";

/// Sends the requests of a source.
#[derive(Debug)]
pub(crate) struct Client {
    /// `None` until the source is opened.
    pub(crate) http: Option<reqwest::Client>,
    pub(crate) method: Method,
    pub(crate) parts: RequestParts,
    pub(crate) credentials: Credentials,
    pub(crate) redactor: Redactor,
    pub(crate) redirects: Redirects,
    /// `None` without the option.
    pub(crate) responses: Option<Responses>,
    pub(crate) rate_limiter: Option<RateLimiter>,
    pub(crate) tls: Tls,
    pub(crate) keeps_cookies: bool,
    /// How the bodies of pages are read.
    pub(crate) body_options: Arc<BodyOptions>,
    /// How the list of `for_each` is read.
    pub(crate) list_body_options: Arc<BodyOptions>,
    /// Whether the API has sent any response in this run.
    pub(crate) has_answered: AtomicBool,
    /// Whether the API has set a cookie that was not kept.
    pub(crate) lost_cookie: AtomicBool,
    /// Whether an address was asked over TLS that the API named without.
    pub(crate) stayed_on_tls: AtomicBool,
    /// The only response, in a test of a pipeline.
    pub(crate) fixture: Option<Response>,
}

impl Client {
    /// Builds the HTTP client; sends no request.
    pub(crate) fn open(&mut self, timeout: Option<Duration>) -> Result<()> {
        if self.fixture.is_some() {
            return Ok(());
        }
        let token_url = match &self.credentials.signer {
            Some(Signer::OAuth2(oauth2)) => Some(&oauth2.token_url),
            _ => None,
        };
        self.http = Some(connect(&self.parts.endpoint, token_url, timeout, &self.tls, self.keeps_cookies)?);
        Ok(())
    }

    /// The HTTP client.
    pub(crate) fn http(&self) -> Result<&reqwest::Client, HttpError> {
        self.http.as_ref().ok_or_else(|| HttpError::Fatal(anyhow!("the source has not been opened")))
    }

    /// Sends a request, follows redirects, and reads the whole response.
    pub(crate) async fn request(&self, mut outgoing: Outgoing) -> Result<Response, HttpError> {
        if let Some(response) = &self.fixture {
            return Ok(response.clone());
        }
        self.check_link(&self.parts.endpoint, &outgoing.url, "the saved link").map_err(HttpError::Fatal)?;
        let title = self.describe(&outgoing.method, &outgoing.url);
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(&outgoing).await?;
            let status = response.status();
            // An address may have letters that are not escaped.
            let target = response.headers().get(LOCATION);
            let target = target.and_then(|target| std::str::from_utf8(target.as_bytes()).ok());
            let Some(target) = target.filter(|_| status.is_redirection()) else {
                return self.receive(outgoing, response).await;
            };
            let next = outgoing.url.join(target).map_err(|_| {
                HttpError::FatalUntilSuccess(anyhow!(
                    "{} was redirected to `{}`, which is not a valid URL",
                    self.describe(&outgoing.method, &outgoing.url),
                    self.redactor.text(target)
                ))
            })?;
            let next = self.on_tls(&title, &outgoing.url, &next, "a redirect").unwrap_or(next);
            outgoing = self.redirected(outgoing, next, status).map_err(HttpError::FatalUntilSuccess)?;
        }
        let advice = if self.lost_cookie.load(Ordering::Relaxed) {
            COOKIE_ADVICE
        } else {
            "check `endpoint` with a browser or curl"
        };
        let error = anyhow!(
            "{title} was redirected more than {MAX_REDIRECTS} times, last to {}: {advice}",
            self.redactor.url(&outgoing.url)
        );
        Err(HttpError::FatalUntilSuccess(error))
    }

    /// The request after a redirect to `next`, if it is allowed.
    fn redirected(&self, outgoing: Outgoing, next: Url, status: StatusCode) -> Result<Outgoing> {
        let Outgoing { mut method, url, headers, mut body } = outgoing;
        let title = || {
            format!(
                "{} returned {status}, a redirect to {}",
                self.describe(&method, &url),
                self.redactor.url(&next)
            )
        };
        if self.redirects == Redirects::None {
            anyhow::bail!("{}; set `endpoint` to that address, or allow redirects with `redirects`", title());
        }
        if let Err(why) = self.redirects.check(&self.parts.endpoint, &url, &next) {
            anyhow::bail!("{}: {why}", title());
        }
        // RFC 9110, 15.4: only 307 and 308 repeat the method and the body.
        let keeps_method = matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
        if !keeps_method && method != Method::GET && method != Method::HEAD {
            method = Method::GET;
            body = None;
        }
        if body.is_some() && !self.may_receive_credentials(&next) {
            anyhow::bail!(
                "{} returned {status}, a redirect to {}, and a body is sent only to the host of `endpoint`; \
                 set `endpoint` to that address",
                self.describe(&method, &url),
                self.redactor.url(&next)
            );
        }
        Ok(Outgoing { method, url: next, headers, body })
    }

    /// Sends one request; with a new token if the API rejects the token of OAuth 2.0.
    async fn send(&self, outgoing: &Outgoing) -> Result<reqwest::Response, HttpError> {
        let (response, used) = self.send_once(outgoing).await?;
        match (&self.credentials.signer, used) {
            (Some(Signer::OAuth2(oauth2)), Some(used)) if response.status() == StatusCode::UNAUTHORIZED => {
                oauth2.forget(&used).await;
                Ok(self.send_once(outgoing).await?.0)
            }
            _ => Ok(response),
        }
    }

    /// Sends one request. Also returns the token that was sent.
    async fn send_once(
        &self,
        outgoing: &Outgoing,
    ) -> Result<(reqwest::Response, Option<HeaderValue>), HttpError> {
        let Outgoing { method, url, headers: of_page, body } = outgoing;
        let mut url = url.clone();
        let mut headers = self.parts.headers.clone();
        for (name, value) in of_page {
            headers.insert(name, value.clone());
        }
        let mut token = None;
        if !headers.contains_key(ACCEPT_ENCODING) {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd"));
        }
        if let Some(limiter) = &self.rate_limiter {
            limiter.pass().await;
        }
        let is_home = self.may_receive_credentials(&url);
        if is_home {
            if let Some((name, value)) = &self.credentials.header {
                headers.insert(name, value.clone());
            }
            if let Some((name, value)) = &self.credentials.parameter {
                set_parameter(&mut url, name, Some(value.expose()));
            }
            match &self.credentials.signer {
                None => {}
                Some(Signer::OAuth2(oauth2)) => {
                    let header = oauth2.header(self).await?;
                    headers.insert(AUTHORIZATION, header.clone());
                    token = Some(header);
                }
                Some(Signer::Hmac(hmac)) => {
                    let now = std::time::SystemTime::now().into();
                    let signed = hmac.sign(method, &url, body.as_deref().unwrap_or_default(), now);
                    headers.extend(signed.map_err(HttpError::Fatal)?);
                }
            }
        } else {
            // Any header of the pipeline file may contain a secret.
            headers = headers
                .into_iter()
                .filter_map(|(name, value)| Some((name?, value)))
                .filter(|(name, _)| HEADERS_FOR_ALL_HOSTS.split(' ').any(|known| known == name.as_str()))
                .collect();
        }
        let mut request = self.http()?.request(method.clone(), url.clone()).headers(headers);
        if let Some(body) = body.as_ref().filter(|_| is_home) {
            request = request.body(body.clone());
        }
        let response = request.send().await.map_err(|error| self.transport_error(method, &url, error))?;
        self.has_answered.store(true, Ordering::Relaxed);
        if !self.keeps_cookies && response.headers().contains_key(SET_COOKIE) {
            self.lost_cookie.store(true, Ordering::Relaxed);
        }
        Ok((response, token))
    }

    /// Whether credentials may be sent to `url`: only to the host and port of `endpoint`, or
    /// to the same host after a redirect from HTTP to HTTPS.
    pub(super) fn may_receive_credentials(&self, url: &Url) -> bool {
        is_same_host(&self.parts.endpoint, url)
    }

    /// The address to ask in the place of an unencrypted one on the host of `endpoint`, unless it is the one that named
    /// it. Warns once in a run.
    pub(crate) fn on_tls(&self, title: &str, from: &Url, url: &Url, what: &str) -> Option<Url> {
        let secure = over_tls(&self.parts.endpoint, url).filter(|secure| secure != from)?;
        if !self.stayed_on_tls.swap(true, Ordering::Relaxed) {
            warn!(
                "{title}: {what} leads to {}, and `endpoint` uses https://; requesting the same address over https:// instead. \
                 The server is most likely behind a proxy and does not know that its clients use https://",
                self.redactor.url(url)
            );
        }
        Some(secure)
    }

    /// Checks that a link from a page at `from` to another page may be followed.
    pub(crate) fn check_link(&self, from: &Url, link: &Url, what: &str) -> Result<()> {
        let checked = self.redirects.check(&self.parts.endpoint, from, link);
        checked.map_err(|why| anyhow!("{what} leads to {}: {why}", self.redactor.url(link)))
    }

    async fn receive(&self, outgoing: Outgoing, response: reqwest::Response) -> Result<Response, HttpError> {
        let Outgoing { method, url, .. } = outgoing;
        let status = response.status();
        let headers = response.headers().clone();
        let title = format!("{} returned {status}", self.describe(&method, &url));
        let is_delimited = response.version() > Version::HTTP_11
            || headers.contains_key(CONTENT_LENGTH)
            || headers.contains_key(TRANSFER_ENCODING);
        let is_page = status.is_success() || status == StatusCode::NOT_MODIFIED;
        let BodyText { bytes: body, large, size } = if is_page {
            body::read(&title, response, &self.body_options).await?
        } else {
            body::read_beginning(response, MAX_ERROR_BYTES).await.into()
        };
        let mut response =
            Response { title, status, url, headers, body, large, size, is_delimited, is_empty: false };
        match self.responses.as_ref().and_then(|responses| responses.verdict(status, &response.body)) {
            Some((Verdict::Empty, _)) => response.is_empty = true,
            Some((Verdict::Fail, why)) => {
                let excerpt = self.response_body(&response.body);
                return Err(HttpError::Fatal(anyhow!("{}: {why}{excerpt}", response.title)));
            }
            Some((Verdict::Retry, why)) => return Err(self.retry_error(&response.summary(), &why)),
            None if !is_page => return Err(self.status_error(&response.summary(), &response.url)),
            None => {}
        }
        Ok(response)
    }

    /// The request for messages, redacted.
    pub(crate) fn describe(&self, method: &Method, url: &Url) -> String {
        format!("{method} {}", self.redactor.url(url))
    }

    /// The first characters of a response, on one line, quoted; empty for an empty response.
    pub(crate) fn excerpt(&self, body: &[u8]) -> String {
        let front = &body[..body.len().min(MAX_EXCERPT_BYTES)];
        let text = String::from_utf8_lossy(front);
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        // Redact before truncating, so that no part of a secret remains.
        let line = self.redactor.text(&line);
        match line.char_indices().nth(EXCERPT_CHARS) {
            _ if line.is_empty() => line,
            Some((end, _)) => format!("`{}…`", &line[..end]),
            None => format!("`{line}`"),
        }
    }
}
