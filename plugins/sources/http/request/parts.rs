//! The parts of a request.

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use runner_core::{OptionError, Result};

/// The parts of a request that templates may change from walk to walk.
#[derive(Clone, Debug)]
pub(crate) struct RequestParts {
    /// With the parameters of `query`.
    pub(crate) endpoint: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
}

/// One request, before credentials are added.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) body: Option<Bytes>,
}

/// A header value that client libraries do not log.
pub(crate) fn header_value(option: &str, text: &str) -> Result<HeaderValue> {
    let Ok(mut value) = HeaderValue::from_str(text) else {
        let message = "it contains a character that is not allowed in a header (a line break at its end?)";
        return Err(OptionError::new(option, message));
    };
    value.set_sensitive(true);
    Ok(value)
}
