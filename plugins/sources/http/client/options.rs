//! Methods, URLs as they are shown, and the identity of a source.

use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::redact::HIDDEN;
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
