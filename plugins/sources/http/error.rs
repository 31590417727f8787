//! Errors of requests: whether a retry may help.

use reqwest::StatusCode;
use runner_core::{Error, Failure};

/// Why a request failed.
#[derive(Debug)]
pub(super) enum HttpError {
    /// May succeed on a retry: the API is unreachable, or the failure is transient.
    Retryable(Failure),
    /// Before the first success most likely an error of the pipeline file, afterwards a
    /// temporary failure of the API.
    FatalUntilSuccess(Error),
    /// No retry will help.
    Fatal(Error),
    /// 404, which may mark the end of numbered pages. After a whole poll it is most likely temporary.
    NotFound(Error),
    /// Another error status: the API does not accept the request. After a whole poll it is most likely temporary.
    Refused(StatusCode, Error),
}

impl HttpError {
    /// An error that may succeed on a retry.
    pub(super) fn transient(error: Error) -> Self {
        HttpError::Retryable(Failure::transient(error))
    }
}

/// The error without its URL, which may contain an API key.
pub(super) fn without_url(error: reqwest::Error) -> Error {
    Error::new(error.without_url())
}
