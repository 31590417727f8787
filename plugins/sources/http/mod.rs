//! `http`: asks an HTTP API, once or again and again.

mod answer;
mod auth;
mod client;
mod fetch;
mod link;
mod pagination;
mod parameter;
mod pointer;
mod position;
mod redact;
mod source;
#[cfg(test)]
mod tests;
mod trouble;

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
use self::client::{Client, MAX_ANSWER};
use self::fetch::DOUBTS;
use self::pagination::Pagination;
use self::parameter::Parameter;
use self::pointer::Pointer;
use self::redact::Redactor;
use self::source::{Http, Setup};

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

/// Asks an HTTP API, once or again and again, page by page where it has pages.
///
/// Every element of the answer becomes a record, byte for byte as the API wrote
/// it; `to_json` puts it on one line. What has been delivered is not delivered
/// again: after a restart, and at the next poll, reading goes on behind it. An API
/// that answers the same request with something else has that answer delivered
/// from its start. An API without pages has its whole answer delivered at every
/// poll and in every run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HttpConfig {
    /// The URL to ask, `http://` or `https://`.
    endpoint: String,
    /// The method of the request.
    #[serde(default)]
    method: Method,
    /// Headers to send, beside those that `auth` and `codec` bring along.
    /// Sent to the host of `endpoint` alone, and never shown.
    #[serde(default)]
    headers: BTreeMap<String, Secret>,
    /// Parameters to add to the query of `endpoint`.
    #[serde(default)]
    query: BTreeMap<String, Parameter>,
    /// The body to send, as it is; what looks like JSON is announced as JSON.
    body: Option<String>,
    /// Who asks: `{ strategy = "basic", user, password }`, `{ strategy = "bearer", token }`
    /// or `{ strategy = "api_key", in = "header", name, value }`, where `in` may be `"query"` too.
    /// Sent to the host of `endpoint` alone, and never shown.
    auth: Option<Auth>,
    /// How long from one poll to the next. Without it the API is asked once,
    /// all its pages, and the run ends.
    interval: Option<HumanDuration>,
    /// How long one request may take, its answer included; `"0s"` is as long as it takes.
    #[serde(default = "thirty_seconds")]
    timeout: HumanDuration,
    /// What the answers are written in.
    #[serde(default)]
    codec: Codec,
    /// Where in a JSON answer the records are, as a JSON pointer such as
    /// `"/data/items"`: an array of records, or one object that is the record.
    #[serde(default)]
    records: Pointer,
    /// How the API hands out more than fits into one answer: `{ type = "cursor", cursor, param }`
    /// with the JSON pointer to the cursor and the parameter that takes it,
    /// `{ type = "page", param, start = 1 }` until a page is empty, or `{ type = "link" }`
    /// for `Link` headers as in RFC 8288.
    pagination: Option<Pagination>,
}

/// The method of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Method {
    #[default]
    Get,
    Post,
    Put,
    Patch,
}

/// What answers are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Codec {
    /// One JSON text; `records` says where in it the records are.
    #[default]
    Json,
    /// One JSON text a line, each a record.
    Ndjson,
    /// CSV with a header; the first answer settles the types of the columns.
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
        let stream = Redactor::new(&[], &[], endpoint.path(), None).url(&without_query(&endpoint));
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
            max_answer: MAX_ANSWER,
            has_answered: AtomicBool::new(false),
        };
        let setup = Setup {
            timeout: self.timeout.unless_zero(),
            codec: self.codec,
            records: self.records,
            pagination: self.pagination,
            interval: self.interval.map(Into::into),
            doubts: &DOUBTS,
            limits: context.batch,
            gauges: context.gauges.clone(),
            stream: Name::new(&stream),
            identity,
        };
        Ok(Http::new(client, setup))
    }

    /// Finds options that do not go together.
    fn check(&self) -> Result<()> {
        if self.codec != Codec::Json {
            let alone = "goes with codec = \"json\" alone";
            if !self.records.is_whole() {
                return Err(OptionError::new("records", format!("a JSON pointer {alone}")));
            }
            if matches!(self.pagination, Some(Pagination::Cursor { .. })) {
                let message = format!("a cursor inside the answer {alone}; take type = \"page\" or \"link\"");
                return Err(OptionError::new("pagination", message));
            }
        }
        if self.interval.is_some_and(|interval| interval.unless_zero().is_none()) {
            let message = "without a pause the API would be asked without end; leave it out to ask once";
            return Err(OptionError::new("interval", message));
        }
        Ok(())
    }

    fn endpoint(&self) -> Result<Url> {
        let wrong = |message: String| OptionError::new("endpoint", message);
        let mut url = Url::parse(self.endpoint.trim()).map_err(|error| {
            wrong(format!("it is not a URL such as https://api.example.com/prices: {error}"))
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong(format!(
                "`{}` is not spoken here: it begins with http:// or https://",
                url.scheme()
            )));
        }
        if !url.username().is_empty() || url.password().is_some() {
            // Not an error of the option: that would show the line, and the password in it.
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
                return Err(OptionError::new(option, "this cannot be the name of a header"));
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

    /// What it is called in a pipeline file.
    fn name(self) -> &'static str {
        match self {
            Codec::Json => "json",
            Codec::Ndjson => "ndjson",
            Codec::Csv => "csv",
        }
    }
}
