//! Sends one request, follows redirects, and reads the response.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::anyhow;
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, LINK, LOCATION};
use reqwest::{Method, StatusCode, Url};
use runner_core::{ByteSize, Result};

use super::auth::Credentials;
use super::error::{HttpError, without_url};
use super::page_request::{PageRequest, Place};
use super::pagination::Pagination;
use super::redact::{HIDDEN, Redactor};
use super::url_parameters::{replace_values, set_parameter};

/// About as many as browsers and curl follow.
const MAX_REDIRECTS: usize = 10;

/// How many characters of a response a message shows.
const EXCERPT_CHARS: usize = 80;

/// How many bytes of a response are read for that.
pub(super) const MAX_EXCERPT_BYTES: usize = 16 << 10;

/// The maximum size of a response, which is kept in memory.
pub(super) const MAX_RESPONSE: usize = 256 << 20;

/// Connect timeout, for hosts that drop packets.
const CONNECT: Duration = Duration::from_secs(10);

/// Headers that are sent to every host; their values depend on no credentials.
const HEADERS_FOR_ALL_HOSTS: [&str; 7] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "content-type",
    "user-agent",
];

/// The parts of a request.
#[derive(Debug)]
pub(super) struct Client {
    /// `None` until the source is opened.
    pub(super) http: Option<reqwest::Client>,
    pub(super) method: Method,
    pub(super) parts: RequestParts,
    pub(super) credentials: Credentials,
    pub(super) redactor: Redactor,
    pub(super) max_response: usize,
    /// Whether the API has sent any response in this run.
    pub(super) has_answered: AtomicBool,
}

/// The parts of a request that templates may change from walk to walk.
#[derive(Clone, Debug)]
pub(super) struct RequestParts {
    /// With the parameters of `query`.
    pub(super) endpoint: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
}

/// A query parameter of the pipeline file.
struct SentParameter {
    name: String,
    value: String,
    /// Replaces the value in a saved link.
    mark: String,
}

/// A response with a success status.
#[derive(Debug)]
pub(super) struct Response {
    /// The request and the status, for messages.
    pub(super) title: String,
    pub(super) status: StatusCode,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Response {
    /// The content type; empty without one.
    pub(super) fn content_type(&self) -> &str {
        self.headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default()
    }

    /// The values of the headers `Link`.
    pub(super) fn links(&self) -> impl Iterator<Item = &str> {
        self.headers.get_all(LINK).iter().filter_map(|link| link.to_str().ok())
    }
}

/// Builds the HTTP client; opens no connection.
fn connect(timeout: Option<Duration>, is_plain: bool) -> Result<reqwest::Client> {
    // Fails if a provider is installed already, which is fine.
    drop(rustls::crypto::ring::default_provider().install_default());
    let builder = || {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("runner/", env!("CARGO_PKG_VERSION")))
            // `reqwest` removes only standard credential headers on a redirect to another host.
            // API keys in other headers and in the query would be lost or leaked.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(timeout.map_or(CONNECT, |timeout| timeout.min(CONNECT)));
        match timeout {
            Some(timeout) => builder.timeout(timeout),
            None => builder,
        }
    };
    builder().build().or_else(|error| {
        // Plain HTTP works without root certificates.
        if is_plain {
            Ok(builder().tls_certs_only([]).build()?)
        } else {
            Err(without_url(error).context("TLS"))
        }
    })
}

impl Client {
    /// Builds the HTTP client; sends no request.
    pub(super) fn open(&mut self, timeout: Option<Duration>) -> Result<()> {
        self.http = Some(connect(timeout, self.parts.endpoint.scheme() == "http")?);
        Ok(())
    }

    /// The URL of a request, without the API key.
    pub(super) fn url(&self, pagination: Option<&Pagination>, request: &PageRequest) -> Result<Url> {
        let mut url = match &request.place {
            Place::Link(link) => {
                let mut url = Url::parse(link)?;
                let sent = self.sent();
                replace_values(&mut url, |name, value| {
                    let known = sent.iter().find(|it| (&*it.name, &*it.mark) == (name, value))?;
                    Some(known.value.clone())
                });
                url
            }
            _ => self.parts.endpoint.clone(),
        };
        match (pagination, &request.place) {
            (Some(Pagination::Page { param, .. }), Place::Page(page)) => {
                set_parameter(&mut url, param, Some(&page.to_string()));
            }
            (Some(Pagination::Cursor { param, .. }), Place::Cursor(cursor)) => {
                set_parameter(&mut url, param, Some(cursor));
            }
            _ => {}
        }
        Ok(url)
    }

    /// The parameters that `endpoint` and `query` send.
    fn sent(&self) -> Vec<SentParameter> {
        let mut sent: Vec<SentParameter> = Vec::new();
        for (name, value) in self.parts.endpoint.query_pairs() {
            let mark = match sent.iter().filter(|it| it.name == name).count() {
                0 => HIDDEN.to_owned(),
                n => format!("{HIDDEN}{n}"),
            };
            sent.push(SentParameter { name: name.into_owned(), value: value.into_owned(), mark });
        }
        sent
    }

    /// The target of a link, to be saved: without the API key, and with marks for other values that were sent.
    pub(super) fn link(&self, response: &Response, target: &str) -> Result<Place> {
        let mut url = response.url.join(target)?;
        if let Some((name, _)) = &self.credentials.parameter {
            set_parameter(&mut url, name, None);
        }
        let sent = self.sent();
        replace_values(&mut url, |name, value| {
            Some(sent.iter().find(|it| (&*it.name, &*it.value) == (name, value))?.mark.clone())
        });
        url.set_fragment(None);
        Ok(Place::Link(url.into()))
    }

    /// Whether `former` is the identity of this source in an earlier release, which kept the values
    /// of most parameters in identities; `own` is its present identity.
    pub(super) fn is_former_identity(&self, own: &str, former: &str) -> bool {
        let split = |identity: &'_ str| -> Option<(String, String, String)> {
            let (method, rest) = identity.split_once(' ')?;
            let (url, body) = rest.split_once(' ').unwrap_or((rest, ""));
            let (base, query) = url.split_once('?')?;
            Some((format!("{method} {base}"), query.to_owned(), body.to_owned()))
        };
        let (Some((own_base, _, own_body)), Some((base, query, body))) = (split(own), split(former)) else {
            return false;
        };
        let pieces: Vec<&str> = self.parts.endpoint.query().unwrap_or_default().split('&').collect();
        let former_pieces: Vec<&str> = query.split('&').collect();
        let is_same = |(piece, former): (&&str, &&str)| {
            let name = piece.split('=').next().unwrap_or_default();
            piece == former || **former == format!("{name}={HIDDEN}")
        };
        (own_base, own_body) == (base, body)
            && pieces.len() == former_pieces.len()
            && pieces.iter().zip(&former_pieces).all(is_same)
    }

    /// Sends a request, follows redirects, and reads the whole response.
    pub(super) async fn request(
        &self,
        pagination: Option<&Pagination>,
        request: &PageRequest,
    ) -> Result<Response, HttpError> {
        let mut url = self.url(pagination, request).map_err(HttpError::Fatal)?;
        let mut method = self.method.clone();
        let title = self.describe(&method, &url);
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(&method, &url).await?;
            let status = response.status();
            let target = response.headers().get(LOCATION).and_then(|target| target.to_str().ok());
            let Some(target) = target.filter(|_| status.is_redirection()) else {
                return self.receive(&method, url, response).await;
            };
            let next = url.join(target).map_err(|_| {
                HttpError::FatalUntilSuccess(anyhow!(
                    "{} was redirected to `{}`, which is not a valid URL",
                    self.describe(&method, &url),
                    self.redactor.text(target)
                ))
            })?;
            // RFC 9110, 15.4: only 307 and 308 repeat the method and the body.
            if !matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT)
                && method != Method::HEAD
            {
                method = Method::GET;
            }
            url = next;
        }
        let error = anyhow!(
            "{title} was redirected more than {MAX_REDIRECTS} times, last to {}: check `endpoint` with a browser or curl",
            self.redactor.url(&url)
        );
        Err(HttpError::FatalUntilSuccess(error))
    }

    async fn send(&self, method: &Method, url: &Url) -> Result<reqwest::Response, HttpError> {
        let is_home = self.may_receive_credentials(url);
        let mut requested = url.clone();
        let mut headers = self.parts.headers.clone();
        if is_home {
            if let Some((name, value)) = &self.credentials.header {
                headers.insert(name, value.clone());
            }
            if let Some((name, value)) = &self.credentials.parameter {
                set_parameter(&mut requested, name, Some(value.expose()));
            }
        } else {
            // Any header of the pipeline file may contain a secret.
            headers = headers
                .into_iter()
                .filter_map(|(name, value)| Some((name?, value)))
                .filter(|(name, _)| HEADERS_FOR_ALL_HOSTS.contains(&name.as_str()))
                .collect();
        }
        let Some(http) = &self.http else {
            return Err(HttpError::Fatal(anyhow!("the source has not been opened")));
        };
        let mut request = http.request(method.clone(), requested).headers(headers);
        // The body is sent only with the original method.
        if let Some(body) = self.parts.body.as_ref().filter(|_| *method == self.method) {
            request = request.body(body.clone());
        }
        let response = request.send().await.map_err(|error| self.transport_error(method, url, error))?;
        self.has_answered.store(true, Ordering::Relaxed);
        Ok(response)
    }

    /// Whether credentials may be sent to `url`: only to the host and port of `endpoint`, or
    /// to the same host after a redirect from HTTP to HTTPS.
    pub(super) fn may_receive_credentials(&self, url: &Url) -> bool {
        let home = &self.parts.endpoint;
        let is_same_port =
            url.scheme() == home.scheme() && url.port_or_known_default() == home.port_or_known_default();
        let is_upgrade = (home.scheme(), url.scheme()) == ("http", "https")
            && home.port_or_known_default() == Some(80)
            && url.port_or_known_default() == Some(443);
        url.host_str() == home.host_str() && (is_same_port || is_upgrade)
    }

    async fn receive(
        &self,
        method: &Method,
        url: Url,
        mut response: reqwest::Response,
    ) -> Result<Response, HttpError> {
        let status = response.status();
        let title = format!("{} returned {status}", self.describe(method, &url));
        if !status.is_success() {
            return Err(self.status_error(&title, &url, response).await);
        }
        let headers = response.headers().clone();
        let too_large = || {
            HttpError::Fatal(anyhow!(
                "{title}: the response is larger than {}, the maximum; request smaller responses with `pagination` \
                 or a parameter in `query`",
                ByteSize(self.max_response as u64)
            ))
        };
        if response.content_length().is_some_and(|length| length > self.max_response as u64) {
            return Err(too_large());
        }
        let mut body = Vec::with_capacity(response.content_length().unwrap_or(0).min(64 << 20) as usize);
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > self.max_response => return Err(too_large()),
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => {
                    let why = if error.is_timeout() { "exceeded `timeout`" } else { "was interrupted" };
                    let message = format!("{title}: reading the response {why} after {} bytes", body.len());
                    return Err(HttpError::transient(without_url(error).context(message)));
                }
            }
        }
        Ok(Response { title, status, url, headers, body: body.into() })
    }

    /// The request for messages, redacted.
    pub(super) fn describe(&self, method: &Method, url: &Url) -> String {
        format!("{method} {}", self.redactor.url(url))
    }

    /// The first characters of a response, on one line, quoted; empty for an empty response.
    pub(super) fn excerpt(&self, body: &[u8]) -> String {
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
