//! `http`: polls an HTTP API, once or at an interval.
//!
//! This file holds the options, and `build` checks them and makes the source. A poll runs through the folders in this order:
//!
//! 1. `source` begins a poll at its interval, and walks the pages of one element after another.
//! 2. `elements` lists what `for_each` names.
//! 3. `request` fills in the variables of the request, and `client` sends it with credentials and within limits.
//! 4. `responses` reads the response and finds the items in it, with the places and checks of `json`.
//! 5. `pages` detects pages that repeat, and finds the request for the next page.
//! 6. `records` makes records of the items, and emits those that are new by the rules of `incremental`.
//! 7. `source` gives each record the position after it.
//!
//! `HttpSource`, the state of a source, is in `source`; each folder adds the methods of its step. Apart from these methods
//! and small types such as `Element` and `Page`, dependencies point in one direction: from `source` to `elements`, `pages` and
//! `records`, from these to `client`, from there to `request` and `responses`, and from all to `json`. `incremental` uses `json`
//! alone.

mod build;
mod client;
mod elements;
mod error;
mod incremental;
mod json;
mod pages;
mod records;
mod request;
mod responses;
mod source;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use runner_core::{BuildContext, ByteSize, HumanDuration, Plugin, Result, Secret, Source, SourceConfig};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use self::client::{Auth, Method, RateLimit, Redirects, TlsOptions};
use self::elements::ForEach;
use self::incremental::{Incremental, Unchanged};
use self::json::Pointer;
use self::pages::Pagination;
use self::records::RemapConfig;
use self::request::QueryValues;
use self::responses::{Codec, Responses};
use crate::shared::csv::{DialectOptions, TextEncoding};

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
/// Every element of the array at `records`, a row, becomes a record, byte for byte as the API wrote it,
/// unless `remap` changes it. At the next poll and in the next run the source skips rows that it has
/// delivered: by their content, or with `incremental` by a field such as a date. `for_each` requests
/// several symbols, one after another; all records are numbered together.
///
/// A walk requests all pages once. `endpoint` (its path and query), `query`, `headers`, `body` and `add`
/// may contain variables, which the source encodes for their place: `{{ symbol }}`, or another field of
/// `for_each`; `{{ since }}`, the newest delivered value minus `incremental.lag`; `{{ now }}`, the time when
/// the walk began; `{{ from }}` and `{{ to }}`, the bounds of a time span of `incremental.step`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-hints" = {
    "endpoint": "to request several symbols, put `{{ symbol }}` into one URL and list them in \
                 `for_each = { symbol = [\"NYA\", \"IXIC\"] }`",
    "url": "the URL is `endpoint`",
    "urls": "one URL is `endpoint`; to request several symbols, put `{{ symbol }}` into it and list them in `for_each`",
    "uri": "the URL is `endpoint`",
    "params": "query parameters are `query`",
    "parameters": "query parameters are `query`",
    "verb": "the HTTP method is `method`",
    "scrape_interval_secs": "the time between polls is `interval`, as in `interval = \"1m\"`",
    "scrape_timeout_secs": "the timeout is `timeout`, as in `timeout = \"30s\"`",
    "decoding": "the format of the responses is `codec`: \"json\", \"ndjson\" or \"csv\"",
    "token": "a token belongs into `auth = { strategy = \"bearer\", token = \"…\" }`",
    "api_key": "a key belongs into `auth = { strategy = \"api_key\", in = \"header\", name = \"…\", value = \"…\" }`",
    "next": "the place of the next page's URL belongs into `pagination = { type = \"next_url\", next = \"/next\" }`",
}))]
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
    /// Query parameters to add to `endpoint`. A list repeats the parameter.
    #[serde(default)]
    query: BTreeMap<String, QueryValues>,
    /// The request body. Without a header `Content-Type` it is sent as `application/json` if it looks like
    /// JSON, and as `application/x-www-form-urlencoded` if it looks like a form, `a=1&b=2`. The values of
    /// variables are encoded for JSON and forms, and stand as they are in other text.
    body: Option<String>,
    /// Credentials: `{ strategy = "basic", user, password }`, `{ strategy = "bearer", token }`,
    /// `{ strategy = "api_key", in = "header", name, value }`, where `in` may also be `"query"`,
    /// `{ strategy = "oauth2", token_url, client_id, client_secret }` for client credentials or a refresh token, or
    /// `{ strategy = "hmac", secret, message, headers }` for signed requests.
    /// Sent only to the host of `endpoint` and to `token_url`, and never shown.
    auth: Option<Auth>,
    /// The time from one poll to the next. Without it the run ends after one poll of all pages.
    interval: Option<HumanDuration>,
    /// The timeout of one request, including the response body; `"0s"` is no timeout.
    #[serde(default = "thirty_seconds")]
    timeout: HumanDuration,
    /// The format of the responses. Gzip and zstd are recognized by the bytes of a response.
    #[serde(default)]
    codec: Codec,
    /// With `codec = "csv"`: how the rows are written, with options of the `csv` source, as in
    /// `{ delimiter = ";", decimal = ",", null_values = ["N/D"] }`.
    csv: Option<DialectOptions>,
    /// The encoding of the responses, such as `"windows-1252"`, in place of the one that they declare; a byte
    /// order mark takes precedence. Default: the charset of the content type, else UTF-8.
    encoding: Option<TextEncoding>,
    /// The location of the records in a JSON response, as a JSON pointer such as
    /// `"/data/items"`: an array of records, or an object that is one record.
    #[serde(default)]
    records: Pointer,
    /// How to request the next page: `{ type = "cursor", cursor, param }` with the JSON pointer
    /// to the cursor and the query parameter for it, `{ type = "page", param, start = 1 }` or
    /// `{ type = "offset", param, limit_param, limit }` until a page is empty,
    /// `{ type = "next_url", next }` with the JSON pointer to the URL of the next page,
    /// or `{ type = "link" }` for `Link` headers as in RFC 8288. With any of them `last`, `total` and
    /// `has_more`, JSON pointers, and `max_pages` end a walk earlier. Every poll reads all pages.
    pagination: Option<Pagination>,
    /// The elements to request, one walk each, in their order: `{ symbol = ["NYA", "IXIC"] }` (of
    /// several lists every combination), a list of tables such as `[{ symbol = "^nya", index = "NYA" }]`,
    /// `{ file = "symbols.csv" }` with a header, or `{ endpoint, records, fields = { symbol = "/id" } }`,
    /// which is requested before each poll with the same `auth` and `headers`, and with a `pagination` of its
    /// own, as that of the source. Each element has a position, identified by the values that its request
    /// contains. If an element fails, the source tries it again after the others.
    for_each: Option<ForEach>,
    /// Delivers only rows that are newer than the rows delivered before:
    /// `{ cursor, start, format, lag, by, key, compare, order, hold, step }`.
    incremental: Option<Incremental>,
    /// Without `incremental`: `"skip"` (default) skips the rows that the last delivered walk of the element
    /// contained, compared as they are after `remap` and `add`; `"deliver"` delivers every response. The source
    /// keeps hashes of 1,000,000 rows.
    #[serde(default)]
    unchanged: Unchanged,
    /// A program in VRL that makes records of each element of the response: a text,
    /// `{ file = "shape.vrl" }`, or a table with `on = "answer"`, where it gets all elements at once. An
    /// array becomes one record per element, null or an empty array none. `%symbol` is a field of
    /// `for_each`. An error rejects the element.
    remap: Option<RemapConfig>,
    /// Fields to add to every record, after `remap`, such as `{ Index = "{{ symbol }}" }`.
    #[serde(default)]
    add: Map<String, Value>,
    /// Responses that are not what their status says: `{ retry = ["/Note"], empty = [{ status = 404 }],
    /// fail = [{ at = "/code", is = 429 }, { text = "Invalid key" }, { missing = "/items" }] }`. A text is a JSON
    /// pointer that must exist. Without this option, the source takes a response that looks like an error for an
    /// error, and requests again what looks like a rate limit; with it, also with `{}`, only the matchers count.
    responses: Option<Responses>,
    /// How many requests the API allows: `{ requests = 5, per = "1m" }`. Requests wait for their turn.
    rate_limit: Option<RateLimit>,
    /// Where redirects and links to the next page may lead: `"same_host"`, the host and port of `endpoint`, also
    /// from `http://` to `https://`; `"any"`, every host; `"none"`: a redirect is an error, and links stay on the
    /// host. The source never goes from `https://` to `http://`, nor from another host to a loopback or link-local
    /// address. It sends credentials, `headers` and `body` only to the host of `endpoint` in any case.
    #[serde(default)]
    redirects: Redirects,
    /// The maximum size of a decompressed response. Default: 256 MiB, and 32 MiB where the whole response
    /// is one value. A larger one is an error.
    max_answer: Option<ByteSize>,
    /// Certificates and keys for `https://`.
    tls: Option<TlsOptions>,
    /// Whether cookies that the API sets are sent back, until the run ends.
    #[serde(default)]
    cookies: bool,
}

fn thirty_seconds() -> HumanDuration {
    HumanDuration::from_secs(30)
}

impl SourceConfig for HttpConfig {
    fn build(self, context: &BuildContext) -> Result<Box<dyn Source>> {
        Ok(Box::new(self.source(context)?))
    }
}
