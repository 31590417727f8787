//! Headers as text.

use reqwest::header::{AsHeaderName, HeaderMap};

/// The value of a header; `None` if it is missing, empty or not text.
pub(crate) fn header_text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok().map(str::trim).filter(|text| !text.is_empty())
}
