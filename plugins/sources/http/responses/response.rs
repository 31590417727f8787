//! A response, read and without its encoding.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, LINK};
use reqwest::{StatusCode, Url};

use super::super::client::header_text;
use super::large_body::LargeBody;

/// A response that is a page of records.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    /// The request and the status, for messages.
    pub(crate) title: String,
    pub(crate) status: StatusCode,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    /// Decompressed, and without a byte order mark. Of a large response, what surrounds the records.
    pub(crate) body: Bytes,
    /// The records of a large response.
    pub(crate) large: Option<Arc<LargeBody>>,
    /// The size of the whole body.
    pub(crate) size: usize,
    /// Whether its end is known other than by the end of the connection.
    pub(crate) is_delimited: bool,
    /// Whether `responses.empty` says that it contains no records.
    pub(crate) is_empty: bool,
}

impl Response {
    /// The content type; empty without one.
    pub(crate) fn content_type(&self) -> &str {
        header_text(&self.headers, CONTENT_TYPE).unwrap_or_default()
    }

    /// The values of the headers `Link`.
    pub(crate) fn links(&self) -> impl Iterator<Item = &str> {
        self.headers.get_all(LINK).iter().filter_map(|link| std::str::from_utf8(link.as_bytes()).ok())
    }

    /// Whether it contains no records, whatever its body is.
    pub(crate) fn has_no_records(&self) -> bool {
        self.is_empty || matches!(self.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
    }

    /// What errors say about it.
    pub(crate) fn summary(&self) -> ResponseSummary<'_> {
        let Response { title, status, headers, body, .. } = self;
        ResponseSummary { title, status: *status, headers, body }
    }
}

/// A response, as far as it decides what an error is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResponseSummary<'a> {
    /// The request and the status, for messages.
    pub(crate) title: &'a str,
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    /// The beginning of the body.
    pub(crate) body: &'a [u8],
}
