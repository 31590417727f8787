//! Errors that the engine or the command line treats in a way of their own.

use std::fmt;

use thiserror::Error;

/// Marks an error chain: a service could not be reached. First contact is tried
/// again for `retry.connect`; a run that ends on it has exit code 69.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Unreachable(pub String);

/// Marks an error chain: something that others make is not there. It is waited for
/// as long as a first contact is tried; a run that ends on it has failed.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Missing(pub String);

/// Marks an error chain: whoever read the output has gone, as `| head` does. The
/// run ends as if it had been asked to stop.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct OutputClosed(pub String);

/// An option that reads well and still makes no sense, found by `build`; it is
/// shown where the option stands in the file.
#[derive(Debug, Error)]
#[error("`{option}`: {message}")]
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

/// Several errors of one component, found by `build` at once.
#[derive(Debug)]
pub struct OptionErrors(Vec<anyhow::Error>);

impl OptionErrors {
    /// Fails if anything was found; one error alone stays what it is.
    pub fn none_of(found: impl IntoIterator<Item = anyhow::Error>) -> anyhow::Result<()> {
        OptionErrors::with(found, Ok(()))
    }

    /// What was made in spite of all that was found; fails if anything was, with what went wrong in the making.
    pub fn with<T>(
        found: impl IntoIterator<Item = anyhow::Error>,
        made: anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let mut errors = Vec::new();
        let (made, last) = match made {
            Ok(made) => (Some(made), None),
            Err(error) => (None, Some(error)),
        };
        for error in found.into_iter().chain(last) {
            match error.downcast::<OptionErrors>() {
                Ok(several) => errors.extend(several.0),
                Err(one) => errors.push(one),
            }
        }
        match (made, errors.len()) {
            (Some(made), 0) => Ok(made),
            (_, 1) => Err(errors.remove(0)),
            _ => Err(anyhow::Error::new(OptionErrors(errors))),
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &anyhow::Error> {
        self.0.iter()
    }
}

impl std::error::Error for OptionErrors {}

impl fmt::Display for OptionErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            write!(f, "{}{error:#}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

/// Whether a service could not be reached, anywhere in the chain.
pub fn is_unreachable(error: &anyhow::Error) -> bool {
    error.chain().any(<dyn std::error::Error + 'static>::is::<Unreachable>) || error.is::<Unreachable>()
}

/// Whether a first contact that ended so is tried again.
pub(crate) fn is_awaited(error: &anyhow::Error) -> bool {
    is_unreachable(error) || error.is::<Missing>()
}
