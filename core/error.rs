//! Errors that the engine or the command line treats in a way of their own.

use std::fmt;

/// Marks an error chain: a service could not be reached. First contact is tried
/// again for `retry.connect`; a run that ends on it has exit code 69.
#[derive(Debug)]
pub struct Unreachable(pub String);

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreachable {}

/// Marks an error chain: something that others make is not there. It is waited for
/// as long as a first contact is tried; a run that ends on it has failed.
#[derive(Debug)]
pub struct Missing(pub String);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Missing {}

/// Marks an error chain: whoever read the output has gone, as `| head` does. The
/// run ends as if it had been asked to stop.
#[derive(Debug)]
pub struct ReaderGone(pub String);

impl fmt::Display for ReaderGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ReaderGone {}

/// An option that reads well and still makes no sense, found by `build`; it is
/// shown where the option stands in the file.
#[derive(Debug)]
pub struct OptionError {
    /// The option's name; of a nested one the names joined by dots.
    pub option: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl OptionError {
    /// An error about one option, as an `anyhow` error.
    #[allow(clippy::new_ret_no_self, reason = "nobody wants it but as an error")]
    pub fn new(option: impl Into<String>, message: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(OptionError { option: option.into(), message: message.into() })
    }
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.option, self.message)
    }
}

impl std::error::Error for OptionError {}

/// Whether a service could not be reached, anywhere in the chain.
pub fn is_unreachable(error: &anyhow::Error) -> bool {
    error.chain().any(<dyn std::error::Error + 'static>::is::<Unreachable>) || error.is::<Unreachable>()
}

/// Whether a first contact that ended so is tried again.
pub(crate) fn is_awaited(error: &anyhow::Error) -> bool {
    is_unreachable(error) || error.is::<Missing>()
}
