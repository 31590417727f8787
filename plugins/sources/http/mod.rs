//! `http`: polls an HTTP API, once or at an interval.

mod auth;
mod client;
mod decode;
mod error;
mod link;
mod page;
mod pagination;
mod parameter;
mod pointer;
mod position;
mod redact;
mod source;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use reqwest::Url;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use runner_core::{
    BuildContext, HumanDuration, Name, OptionError, OptionErrors, Plugin, Result, Secret, Source,
    SourceConfig,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use self::auth::{Auth, Credentials};
use self::client::{Client, MAX_RESPONSE};
use self::page::END_CHECK_DELAYS;
use self::pagination::Pagination;
use self::parameter::Parameter;
use self::pointer::Pointer;
use self::redact::Redactor;
use self::source::{Http, Settings};

runner_core::register! {
    Plugin::source::<HttpConfig>("http").example(r#"
type = "http"
endpoint = "https://api.example.com/v1/prices"
query = { symbol = "NYA" }
auth = { strategy = "bearer", token = "${API_TOKEN:?the token of the API}" }
records = "/data"
pagination = { type = "cursor", cursor = "/meta/next", param = "cursor" }
"#)
}

/// Polls an HTTP API, once or at an interval, and follows its pages.
///
/// Every element of a response becomes a record, byte for byte as the API wrote it;
/// `to_json` puts it on one line. With `pagination`, the next poll and the next run resume
/// after the last delivered record. If the API returns a different response to the same
/// request, that response is delivered from its beginning. Without `pagination`, every poll
/// and every run delivers the whole response.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HttpConfig {
    /// The URL of the API, `http://` or `https://`.
    endpoint: String,
    /// The HTTP method.
    #[serde(default)]
    method: Method,
    /// Headers to send in addition to those of `auth` and `codec`. Sent only to the host of
    /// `endpoint`, and never shown.
    #[serde(default)]
    headers: BTreeMap<String, Secret>,
    /// Query parameters to add to `endpoint`.
    #[serde(default)]
    query: BTreeMap<String, Parameter>,
    /// The request body. If it looks like JSON, `Content-Type` is `application/json`.
    body: Option<String>,
    /// Credentials: `{ strategy = "basic", user, password }`, `{ strategy = "bearer", token }`
    /// or `{ strategy = "api_key", in = "header", name, value }`, where `in` may also be `"query"`.
    /// Sent only to the host of `endpoint`, and never shown.
    auth: Option<Auth>,
    /// The time from one poll to the next. Without it the run ends after one poll of all pages.
    interval: Option<HumanDuration>,
    /// The timeout of one request, including the response body; `"0s"` is no timeout.
    #[serde(default = "thirty_seconds")]
    timeout: HumanDuration,
    /// The format of the responses.
    #[serde(default)]
    codec: Codec,
    /// The location of the records in a JSON response, as a JSON pointer such as
    /// `"/data/items"`: an array of records, or an object that is one record.
    #[serde(default)]
    records: Pointer,
    /// How to request the next page: `{ type = "cursor", cursor, param }` with the JSON pointer
    /// to the cursor and the query parameter for it, `{ type = "page", param, start = 1 }` until
    /// a page is empty, or `{ type = "link" }` for `Link` headers as in RFC 8288.
    pagination: Option<Pagination>,
}

/// An HTTP method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Method {
    #[default]
    Get,
    Post,
    Put,
    Patch,
}

/// The format of responses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Codec {
    /// One JSON value; `records` is the location of the records in it.
    #[default]
    Json,
    /// One JSON value per line, each a record.
    Ndjson,
    /// CSV with a header; column types are inferred from the first response with rows.
    Csv,
}

fn thirty_seconds() -> HumanDuration {
    HumanDuration::from_secs(30)
}

impl SourceConfig for HttpConfig {
    fn build(self, context: &BuildContext) -> Result<Box<dyn Source>> {
        Ok(Box::new(self.source(context)?))
    }
}

impl HttpConfig {
    fn source(self, context: &BuildContext) -> Result<Http> {
        let mut endpoint = OptionErrors::with(self.check().err(), self.endpoint())?;
        let credentials = Credentials::new(self.auth.as_ref())?;
        let source_name = Redactor::new(&[], &[], endpoint.path(), None).url(&without_query(&endpoint));
        for (name, value) in &self.query {
            endpoint.query_pairs_mut().append_pair(name, &value.0);
        }
        let redactor = self.redactor(&endpoint, &credentials);
        let headers = self.headers(&credentials)?;
        let method = self.method.into();
        let body = self.body.map(bytes::Bytes::from);
        let identity = identity(&method, &redactor.url(&endpoint), endpoint.query(), body.as_deref());
        let client = Client {
            http: None,
            method,
            endpoint,
            headers,
            body,
            credentials,
            redactor,
            max_response: MAX_RESPONSE,
            has_answered: AtomicBool::new(false),
        };
        let settings = Settings {
            timeout: self.timeout.unless_zero(),
            codec: self.codec,
            records: self.records,
            pagination: self.pagination,
            interval: self.interval.map(Into::into),
            end_check_delays: &END_CHECK_DELAYS,
            limits: context.batch,
            gauges: context.gauges.clone(),
            source_name: Name::new(&source_name),
            identity,
        };
        Ok(Http::new(client, settings))
    }

    /// Checks combinations of options.
    fn check(&self) -> Result<()> {
        if self.codec != Codec::Json {
            let required = "requires codec = \"json\"";
            if !self.records.is_root() {
                return Err(OptionError::new("records", format!("a JSON pointer {required}")));
            }
            if matches!(self.pagination, Some(Pagination::Cursor { .. })) {
                let message = format!("type = \"cursor\" {required}; use type = \"page\" or \"link\"");
                return Err(OptionError::new("pagination", message));
            }
        }
        if self.interval.is_some_and(|interval| interval.unless_zero().is_none()) {
            let message = "must be greater than 0; omit it to poll once";
            return Err(OptionError::new("interval", message));
        }
        Ok(())
    }

    fn endpoint(&self) -> Result<Url> {
        let invalid = |message: String| OptionError::new("endpoint", message);
        let mut url = Url::parse(self.endpoint.trim()).map_err(|error| {
            invalid(format!("not a valid URL such as https://api.example.com/prices: {error}"))
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            let message = format!("unsupported scheme `{}`: use http:// or https://", url.scheme());
            return Err(invalid(message));
        }
        if !url.username().is_empty() || url.password().is_some() {
            // Not an `OptionError`, which would show the line with the password.
            anyhow::bail!(
                "`endpoint` holds a user and a password: set `auth = {{ strategy = \"basic\", … }}` instead"
            );
        }
        url.set_fragment(None);
        Ok(url)
    }

    /// Knows all that requests send in `auth`, `headers`, `query` and `body`.
    fn redactor(&self, endpoint: &Url, credentials: &Credentials) -> Redactor {
        let page = match &self.pagination {
            Some(Pagination::Page { param, .. }) => Some(param.as_str()),
            _ => None,
        };
        let headers = || self.headers.values().map(Secret::expose);
        let passwords: Vec<String> = headers().filter_map(auth::password).collect();
        let secrets = credentials.secrets.iter().map(Secret::expose).chain(headers());
        let secrets: Vec<&str> = secrets.chain(passwords.iter().map(String::as_str)).collect();
        let query = self.query.values().map(|value| value.0.as_str());
        let others: Vec<&str> = query.chain(self.body.as_deref()).collect();
        Redactor::new(&secrets, &others, endpoint.path(), page)
    }

    fn headers(&self, credentials: &Credentials) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(self.codec.accepts()));
        if self.body.as_ref().is_some_and(|body| body.trim_start().starts_with(['{', '['])) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, value) in &self.headers {
            let option = format!("headers.{name}");
            let Ok(header) = HeaderName::try_from(name) else {
                return Err(OptionError::new(option, "not a valid header name"));
            };
            if credentials.header.as_ref().is_some_and(|(taken, _)| *taken == header) {
                let message = if header == AUTHORIZATION {
                    "`auth` sets it as well"
                } else {
                    "`auth` names it as well"
                };
                return Err(OptionError::new(option, format!("{message}; keep one of the two")));
            }
            headers.insert(header, auth::header_value(&option, value.expose())?);
        }
        Ok(headers)
    }
}

/// What tells this source from others: the request, with hashes for values, which may be secrets.
fn identity(method: &reqwest::Method, url: &str, query: Option<&str>, body: Option<&[u8]>) -> String {
    let query = query.map(|query| format!("#{:08x}", xxh3_64(query.as_bytes()) as u32)).unwrap_or_default();
    let body = body.map(|body| format!(" {:08x}", xxh3_64(body) as u32)).unwrap_or_default();
    format!("{method} {url}{query}{body}")
}

fn without_query(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_query(None);
    url
}

impl From<Method> for reqwest::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
        }
    }
}

impl Codec {
    fn accepts(self) -> &'static str {
        match self {
            Codec::Json => "application/json, */*;q=0.1",
            Codec::Ndjson => "application/x-ndjson, application/jsonl, application/json;q=0.5, */*;q=0.1",
            Codec::Csv => "text/csv, */*;q=0.1",
        }
    }

    /// The name in a pipeline file.
    fn name(self) -> &'static str {
        match self {
            Codec::Json => "json",
            Codec::Ndjson => "ndjson",
            Codec::Csv => "csv",
        }
    }
}
