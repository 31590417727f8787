//! The URL and the body of a request for one page.

use anyhow::anyhow;
use bytes::Bytes;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use runner_core::Result;
use xxhash_rust::xxh3::Xxh3;

use super::super::client::{Client, HIDDEN};
use super::super::error::HttpError;
use super::super::request::{Outgoing, hash_request, replace_values, set_parameter};
use super::super::responses::Response;
use super::page_request::{PagePlace, PageRequest};
use super::pagination::{PageParameter, Pagination};

/// A query parameter of the pipeline file.
struct SentParameter {
    name: String,
    value: String,
    /// Replaces the value in a saved link.
    mark: String,
}

impl Client {
    /// Requests a page.
    pub(crate) async fn request_page(
        &self,
        pagination: Option<&Pagination>,
        request: &PageRequest,
    ) -> Result<Response, HttpError> {
        self.request(self.outgoing(pagination, request).map_err(HttpError::Fatal)?).await
    }

    /// The request for a page, without credentials.
    pub(crate) fn outgoing(
        &self,
        pagination: Option<&Pagination>,
        request: &PageRequest,
    ) -> Result<Outgoing> {
        let mut url = match &request.place {
            PagePlace::Link(link) => {
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
        let (mut body, mut headers) = (self.parts.body.clone(), HeaderMap::new());
        for parameter in pagination.map(|it| it.parameters(&request.place)).unwrap_or_default() {
            match parameter {
                PageParameter::Query { name, value } => set_parameter(&mut url, &name, Some(&value)),
                PageParameter::Body { pointer, json } => {
                    let text = std::str::from_utf8(body.as_deref().unwrap_or_default())?;
                    let filled = pointer.replace(text, &json);
                    let filled =
                        filled.map_err(|why| anyhow!("`{pointer}` cannot be set in `body`: {why}"))?;
                    body = Some(Bytes::from(filled));
                }
                PageParameter::Header { name, value } => {
                    headers.insert(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
                }
            }
        }
        Ok(Outgoing { method: self.method.clone(), url, headers, body })
    }

    /// Tells the request for a page from those for others.
    pub(crate) fn fingerprint(&self, pagination: Option<&Pagination>, request: &PageRequest) -> Result<u64> {
        let outgoing = self.outgoing(pagination, request)?;
        let mut hash = Xxh3::new();
        hash_request(&mut hash, &outgoing.url, outgoing.body.as_deref(), &outgoing.headers);
        Ok(hash.digest())
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
    pub(crate) fn link(&self, mut url: Url) -> PagePlace {
        if let Some((name, _)) = &self.credentials.parameter {
            set_parameter(&mut url, name, None);
        }
        let sent = self.sent();
        replace_values(&mut url, |name, value| {
            Some(sent.iter().find(|it| (&*it.name, &*it.value) == (name, value))?.mark.clone())
        });
        url.set_fragment(None);
        PagePlace::Link(url.into())
    }
}
