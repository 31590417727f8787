//! `http`: polls an HTTP API, once or at an interval.

mod answer;
mod auth;
mod client;
mod codec;
mod decode;
mod error;
mod link;
mod next_page;
mod page;
mod page_request;
mod pagination;
mod parameter;
mod pointer;
mod position;
mod redact;
mod request_options;
mod source;
#[cfg(test)]
mod tests;
mod url_parameters;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use runner_core::{
    BuildContext, HumanDuration, Name, OptionErrors, Plugin, Result, Secret, Source, SourceConfig,
};
use schemars::JsonSchema;
use serde::Deserialize;

use self::auth::{Auth, Credentials};
use self::client::{Client, MAX_RESPONSE, RequestParts};
use self::codec::Codec;
use self::page::END_CHECK_DELAYS;
use self::pagination::Pagination;
use self::parameter::Parameter;
use self::pointer::Pointer;
use self::redact::Redactor;
use self::request_options::{Method, identity, without_query};
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
        for (name, value) in
            self.query.iter().flat_map(|(name, values)| values.0.iter().map(move |it| (name, it)))
        {
            endpoint.query_pairs_mut().append_pair(name, value);
        }
        let redactor = self.redactor(&endpoint, &credentials);
        let headers = self.headers(&credentials)?;
        let method = self.method.into();
        let body = self.body.map(bytes::Bytes::from);
        let identity = identity(&method, &redactor.url(&endpoint), endpoint.query(), body.as_deref());
        let client = Client {
            http: None,
            method,
            parts: RequestParts { endpoint, headers, body },
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
}
