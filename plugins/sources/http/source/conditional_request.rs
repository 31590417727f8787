//! Makes the request of a walk, on condition that the response has changed where it can be.

use reqwest::header::{
    ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use runner_core::Result;
use xxhash_rust::xxh3::Xxh3;

use super::super::client::header_text;
use super::super::records::metadata;
use super::super::request::{RequestParts, hash_request};
use super::super::responses::Response;
use super::http_source::HttpSource;
use super::page_walk::PageWalk;
use super::position::Validators;

impl HttpSource {
    /// Makes the request of a walk from its values.
    pub(super) fn make_request(&mut self, walk: &mut PageWalk) -> Result<()> {
        let values = walk.values(&self.settings);
        let mut parts = self.settings.request.render(&values)?;
        let added = self.settings.add.render(&values)?;
        let given = metadata(values.element);
        drop(values);
        (walk.added, walk.metadata) = (added, given);
        if let Some(validators) = walk.validators().filter(|_| self.settings.is_conditional())
            && validators.request == self.request_hash(&parts)
        {
            insert(&mut parts.headers, IF_NONE_MATCH, validators.etag.as_deref());
            insert(&mut parts.headers, IF_MODIFIED_SINCE, validators.last_modified.as_deref());
        }
        self.client.parts = parts;
        Ok(())
    }

    /// The validators of a response, to be sent with the same request.
    pub(crate) fn validators(&self, response: &Response) -> Option<Validators> {
        if !self.settings.is_conditional() {
            return None;
        }
        let header = |name| header_text(&response.headers, name).map(str::to_owned);
        let (etag, last_modified) = (header(ETAG), header(LAST_MODIFIED));
        (etag.is_some() || last_modified.is_some()).then(|| Validators {
            etag,
            last_modified,
            request: self.request_hash(&self.client.parts),
        })
    }

    /// Tells one request from others, and from the same one whose records are shaped in another way.
    fn request_hash(&self, parts: &RequestParts) -> String {
        let mut hash = Xxh3::new();
        hash.update(&self.settings.shape.to_le_bytes());
        hash_request(&mut hash, &parts.endpoint, parts.body.as_deref(), &parts.headers);
        format!("{:016x}", hash.digest())
    }
}

/// Adds a header that the pipeline file does not set.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: Option<&str>) {
    if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
        headers.entry(name).or_insert(value);
    }
}
