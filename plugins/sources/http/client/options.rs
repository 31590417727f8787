//! Makes the parts of the client from the options: headers, what is redacted, and the identity of the source.

use reqwest::Url;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use runner_core::{OptionError, Result, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::super::HttpConfig;
use super::super::pages::Pagination;
use super::super::request::{Template, header_value};
use super::auth;
use super::auth::Credentials;
use super::redact::{HIDDEN, Redactor};
use super::send::Client;

/// An HTTP method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Method {
    #[default]
    Get,
    Post,
    Put,
    Patch,
}

impl HttpConfig {
    /// Knows all that requests send in `auth`, `headers`, `query` and `body`.
    pub(crate) fn redactor(&self, endpoint: &Url, credentials: &Credentials) -> Redactor {
        let page = match &self.pagination {
            Some(Pagination::Page { param, .. } | Pagination::Offset { param, .. }) => Some(param.as_str()),
            _ => None,
        };
        // The names of variables are not sent.
        let texts =
            |text: &str| -> Vec<String> { Template::parse(text).texts().map(str::to_owned).collect() };
        let headers = || self.headers.values().map(Secret::expose);
        let passwords = headers().filter_map(auth::password);
        let more: Vec<String> = headers().flat_map(texts).chain(passwords).collect();
        let secrets = credentials.secrets.iter().map(Secret::expose);
        let secrets: Vec<&str> = secrets.chain(more.iter().map(String::as_str)).collect();
        let query = self.query_pairs().map(|(_, value)| value);
        let others: Vec<String> = query.chain(self.body.as_deref()).flat_map(texts).collect();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        Redactor::new(&secrets, &others, endpoint.path(), page)
    }

    pub(crate) fn headers(&self, credentials: &Credentials) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(self.codec.accepts()));
        if let Some(content_type) = self.body.as_deref().and_then(content_type) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        for (name, value) in &self.headers {
            let option = format!("headers.{name}");
            let Ok(header) = HeaderName::try_from(name) else {
                return Err(OptionError::new(option, "not a valid header name"));
            };
            if credentials.sets(&header) {
                let message = if header == AUTHORIZATION {
                    "`auth` sets it as well"
                } else {
                    "`auth` names it as well"
                };
                return Err(OptionError::new(option, format!("{message}; keep one of the two")));
            }
            headers.insert(header, header_value(&option, value.expose())?);
        }
        Ok(headers)
    }
}

/// The content type of a body, if its form tells.
fn content_type(body: &str) -> Option<&'static str> {
    if Template::parse(body).is_form() {
        return Some("application/x-www-form-urlencoded");
    }
    body.trim_start().starts_with(['{', '[']).then_some("application/json")
}

/// What tells this source from others: the request, with hashes for values, which may be secrets.
pub(crate) fn identity(
    method: &reqwest::Method,
    url: &str,
    query: Option<&str>,
    body: Option<&[u8]>,
) -> String {
    let query = query.map(|query| format!("#{:08x}", xxh3_64(query.as_bytes()) as u32)).unwrap_or_default();
    let body = body.map(|body| format!(" {:08x}", xxh3_64(body) as u32)).unwrap_or_default();
    format!("{method} {url}{query}{body}")
}

impl Client {
    /// Whether `former` is the identity of this source in an earlier release, which kept the values
    /// of most parameters in identities; `own` is its present identity.
    pub(crate) fn is_former_identity(&self, own: &str, former: &str) -> bool {
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
}

/// A URL as it is written, with variables that the URL parser has encoded.
pub(crate) fn with_variables(url: &str) -> String {
    if !url.contains("%7B%7B") {
        return url.to_owned();
    }
    url.replace("%7B", "{").replace("%7D", "}").replace("%20", " ")
}

pub(crate) fn without_query(url: &Url) -> Url {
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
