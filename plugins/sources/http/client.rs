//! The client makes one request and sorts out what comes back.

use std::error::Error as StdError;
use std::time::{Duration, SystemTime};

use anyhow::anyhow;
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderValue, LINK, LOCATION, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};
use runner_core::{Error, Result, Unreachable};

use super::auth::Credentials;
use super::pagination::Pagination;
use super::position::Request;
use super::redact::Redactor;

/// As many as browsers and curl follow, roughly; more is a circle.
const MAX_REDIRECTS: usize = 10;

/// How much of an answer a message shows, in characters.
const SHOWN: usize = 80;

/// How much of a refusal is read for the message.
const MAX_REFUSAL: usize = 16 << 10;

/// All that a request is made of.
#[derive(Debug)]
pub(super) struct Client {
    /// Absent until the source is opened.
    pub(super) http: Option<reqwest::Client>,
    pub(super) method: Method,
    pub(super) endpoint: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
    pub(super) credentials: Credentials,
    pub(super) redactor: Redactor,
}

/// An answer that says it has succeeded.
#[derive(Debug)]
pub(super) struct Response {
    /// The request and the status, for messages.
    pub(super) title: String,
    pub(super) status: StatusCode,
    pub(super) url: Url,
    pub(super) content_type: String,
    pub(super) links: Vec<HeaderValue>,
    pub(super) body: Bytes,
}

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

/// Builds the client library's client; opens no connection.
fn connect(timeout: Option<Duration>, is_plain: bool) -> Result<reqwest::Client> {
    // Whoever comes second finds the provider installed, which is all that is wanted.
    drop(rustls::crypto::ring::default_provider().install_default());
    let builder = || {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("runner/", env!("CARGO_PKG_VERSION")))
            // Followed by hand: the library would send an API key on to another host.
            .redirect(reqwest::redirect::Policy::none());
        match timeout {
            Some(timeout) => builder.timeout(timeout),
            None => builder,
        }
    };
    builder().build().or_else(|error| {
        // A machine without certificates can still talk plain HTTP.
        if is_plain { Ok(builder().tls_certs_only([]).build()?) } else { Err(root(error).context("TLS")) }
    })
}

impl Client {
    /// Gets ready to ask; makes no request.
    pub(super) fn open(&mut self, timeout: Option<Duration>) -> Result<()> {
        self.http = Some(connect(timeout, self.endpoint.scheme() == "http")?);
        Ok(())
    }

    /// The URL of a request, without the API key.
    pub(super) fn url(&self, pagination: Option<&Pagination>, request: &Request) -> Result<Url> {
        let mut url = match request {
            Request::Link(link) => Url::parse(link)?,
            _ => self.endpoint.clone(),
        };
        match (pagination, request) {
            (Some(Pagination::Page { param, .. }), Request::Page(page)) => {
                set_parameter(&mut url, param, Some(&page.to_string()));
            }
            (Some(Pagination::Cursor { param, .. }), Request::Cursor(cursor)) => {
                set_parameter(&mut url, param, Some(cursor));
            }
            _ => {}
        }
        Ok(url)
    }

    /// The target of a link, to be saved: without the API key.
    pub(super) fn link(&self, response: &Response, target: &str) -> Result<Request> {
        let mut url = response.url.join(target)?;
        if let Some((name, _)) = &self.credentials.parameter {
            set_parameter(&mut url, name, None);
        }
        url.set_fragment(None);
        Ok(Request::Link(url.into()))
    }

    /// How a request is shown.
    pub(super) fn title(&self, pagination: Option<&Pagination>, request: &Request) -> String {
        let url = self.url(pagination, request).unwrap_or_else(|_| self.endpoint.clone());
        format!("{} {}", self.method, self.redactor.url(&url))
    }

    /// Makes a request, follows redirects, and reads the whole answer.
    pub(super) async fn ask(
        &self,
        pagination: Option<&Pagination>,
        request: &Request,
    ) -> Result<Response, Trouble> {
        let mut url = self.url(pagination, request).map_err(Trouble::Final)?;
        let mut method = self.method.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(&method, &url).await?;
            let status = response.status();
            let target = response.headers().get(LOCATION).and_then(|target| target.to_str().ok());
            let Some(target) = target.filter(|_| status.is_redirection()) else {
                return self.receive(&method, url, response).await;
            };
            let next = url.join(target).map_err(|_| {
                Trouble::Refused(anyhow!(
                    "{} was redirected to `{target}`, which is no URL",
                    self.shown(&method, &url)
                ))
            })?;
            // As every client does (RFC 9110, 15.4): what was sent is not sent on
            // unless the status says so.
            if !matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT)
                && method != Method::HEAD
            {
                method = Method::GET;
            }
            url = next;
        }
        let error = anyhow!(
            "{} was redirected more than {MAX_REDIRECTS} times, last to {}: check `endpoint` with a browser or curl",
            self.title(pagination, request),
            self.redactor.url(&url)
        );
        Err(Trouble::Refused(error))
    }

    async fn send(&self, method: &Method, url: &Url) -> Result<reqwest::Response, Trouble> {
        let is_home = self.is_home(url);
        let mut asked = url.clone();
        let mut headers = self.headers.clone();
        if is_home {
            if let Some((name, value)) = &self.credentials.header {
                headers.insert(name, value.clone());
            }
            if let Some((name, value)) = &self.credentials.parameter {
                set_parameter(&mut asked, name, Some(value.expose()));
            }
        } else {
            // What a header of the pipeline file says may be as secret as `auth`.
            let harmless = ["accept", "accept-language", "content-type", "user-agent"];
            headers = headers
                .into_iter()
                .filter_map(|(name, value)| Some((name?, value)))
                .filter(|(name, _)| harmless.contains(&name.as_str()))
                .collect();
        }
        let Some(http) = &self.http else {
            return Err(Trouble::Final(anyhow!("the source has not been opened")));
        };
        let mut request = http.request(method.clone(), asked).headers(headers);
        // A body goes where the method of the pipeline file goes.
        if let Some(body) = self.body.as_ref().filter(|_| *method == self.method) {
            request = request.body(body.clone());
        }
        request.send().await.map_err(|error| self.not_answered(method, url, error))
    }

    /// Whether credentials may go there: the endpoint's own host and port, or
    /// the same host once it has moved from HTTP to HTTPS.
    fn is_home(&self, url: &Url) -> bool {
        let home = &self.endpoint;
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
    ) -> Result<Response, Trouble> {
        let status = response.status();
        let title = format!("{} answered {status}", self.shown(method, &url));
        if !status.is_success() {
            return Err(self.refused(&title, &url, response).await);
        }
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let links = response.headers().get_all(LINK).iter().cloned().collect();
        let mut body = Vec::with_capacity(response.content_length().unwrap_or(0).min(64 << 20) as usize);
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => {
                    let why = if error.is_timeout() { "took longer than `timeout`" } else { "was cut off" };
                    let message = format!("{title}, and the answer {why} after {} bytes", body.len());
                    return Err(Trouble::passing(root(error).context(message)));
                }
            }
        }
        Ok(Response { title, status, url, content_type, links, body: body.into() })
    }

    async fn refused(&self, title: &str, url: &Url, mut response: reqwest::Response) -> Trouble {
        let status = response.status();
        let after = retry_after(response.headers(), SystemTime::now());
        let mut said = Vec::new();
        while said.len() < MAX_REFUSAL
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
            StatusCode::UNAUTHORIZED => self.credentials.advice,
            StatusCode::FORBIDDEN => {
                return Trouble::Refused(anyhow!(
                    "{title}: these credentials may not read it; {}{said}",
                    self.credentials.advice
                ));
            }
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

    fn not_answered(&self, method: &Method, url: &Url, error: reqwest::Error) -> Trouble {
        let shown = self.shown(method, url);
        if error.is_timeout() {
            let error = root(error).context(format!("{shown} was not answered within `timeout`"));
            return Trouble::passing(error);
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

    fn shown(&self, method: &Method, url: &Url) -> String {
        format!("{method} {}", self.redactor.url(url))
    }

    /// The first characters of an answer, on one line, in quotes; nothing of nothing.
    pub(super) fn excerpt(&self, body: &[u8]) -> String {
        let front = &body[..body.len().min(MAX_REFUSAL)];
        let text = String::from_utf8_lossy(front);
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        // Hidden before it is cut: half a secret is a secret as well.
        let line = self.redactor.text(&line);
        match line.char_indices().nth(SHOWN) {
            _ if line.is_empty() => line,
            Some((end, _)) => format!("`{}…`", &line[..end]),
            None => format!("`{line}`"),
        }
    }
}

fn asks_to_wait(why: &str, after: Option<Duration>) -> String {
    match after {
        Some(after) => format!("{why} and says to wait {} s", after.as_secs()),
        None => why.to_owned(),
    }
}

/// Replaces a query parameter and leaves the others byte for byte.
pub(super) fn set_parameter(url: &mut Url, name: &str, value: Option<&str>) {
    let is_other = |piece: &&str| {
        !piece.is_empty() && url::form_urlencoded::parse(piece.as_bytes()).all(|(known, _)| known != name)
    };
    let kept: Vec<&str> = url.query().unwrap_or_default().split('&').filter(is_other).collect();
    let kept = (!kept.is_empty()).then(|| kept.join("&"));
    url.set_query(kept.as_deref());
    if let Some(value) = value {
        url.query_pairs_mut().append_pair(name, value);
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
fn root(error: reqwest::Error) -> Error {
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

    fn headers(pairs: &[(reqwest::header::HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn waiting_is_asked_for_in_seconds_or_until_a_date() {
        let now = SystemTime::UNIX_EPOCH;
        let ask = |pairs: &[_]| retry_after(&headers(pairs), now);
        assert_eq!(ask(&[(RETRY_AFTER, "120")]), Some(Duration::from_secs(120)));
        let date = (RETRY_AFTER, "Thu, 01 Jan 1970 00:02:00 GMT");
        assert_eq!(ask(std::slice::from_ref(&date)), Some(Duration::from_secs(120)));
        let clock = (DATE, "Thu, 01 Jan 1970 00:01:30 GMT");
        assert_eq!(ask(&[date, clock]), Some(Duration::from_secs(30)));
        assert_eq!(ask(&[(RETRY_AFTER, "soon")]), None);
        assert_eq!(ask(&[]), None);
    }

    #[test]
    fn a_parameter_is_replaced_and_the_others_stay_as_they_are() {
        let mut url = Url::parse("http://a/?q=x%20y&page=1&page=2&flag").unwrap();
        set_parameter(&mut url, "page", Some("3 4"));
        assert_eq!(url.query(), Some("q=x%20y&flag&page=3+4"));
        set_parameter(&mut url, "q", None);
        set_parameter(&mut url, "flag", None);
        set_parameter(&mut url, "page", None);
        assert_eq!(url.as_str(), "http://a/");
    }
}
