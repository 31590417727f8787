//! Errors: one classification from plugin to engine, and errors about options.

use std::fmt;
use std::time::Duration;

use anyhow::Error;
use thiserror::Error as ThisError;

/// What kind of failure this is, and so what the engine does about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// A service cannot be reached. It is tried again; a run that ends on it has exit code 69.
    Unreachable,
    /// Another try may succeed: a timeout, a throttled request, a resource that does not exist yet.
    Transient,
    /// The record is bad. It goes to the dead letters, or ends the run where there are none.
    Rejected,
    /// No further try will help; the run ends.
    Fatal,
    /// The reader of the output has closed it, as `| head` does. The run stops as if the user had
    /// asked for it.
    OutputClosed,
}

/// Why a component could not do what it was asked for.
///
/// Everything that is converted with `?` is [`Class::Fatal`], except a `Failure` inside an
/// [`anyhow::Error`], which keeps its class.
pub struct Failure {
    class: Class,
    error: Error,
    retry_after: Option<Duration>,
    /// Whether a client library has retried it already, as long as it may.
    has_been_retried: bool,
    /// Whether the records that the source has returned cannot be read again.
    delivers_first: bool,
}

impl Failure {
    /// A failure of this class.
    pub fn new(class: Class, error: impl Into<Error>) -> Self {
        Failure {
            class,
            error: error.into(),
            retry_after: None,
            has_been_retried: false,
            delivers_first: false,
        }
    }

    /// A service cannot be reached.
    pub fn unreachable(error: impl Into<Error>) -> Self {
        Failure::new(Class::Unreachable, error)
    }

    /// Another try may succeed.
    pub fn transient(error: impl Into<Error>) -> Self {
        Failure::new(Class::Transient, error)
    }

    /// The record is bad.
    pub fn rejected(error: impl Into<Error>) -> Self {
        Failure::new(Class::Rejected, error)
    }

    /// No further try will help.
    pub fn fatal(error: impl Into<Error>) -> Self {
        Failure::new(Class::Fatal, error)
    }

    /// The reader of the output has closed it.
    pub fn output_closed(error: impl Into<Error>) -> Self {
        Failure::new(Class::OutputClosed, error)
    }

    /// Adds how long the service asks to wait before the next try (`Retry-After`).
    #[must_use]
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// Says that the client library has retried this as long as the options allow, so that the
    /// engine does not retry it again.
    #[must_use]
    pub fn after_retries(mut self) -> Self {
        self.has_been_retried = true;
        self
    }

    /// Says that the records that this source has returned before may not exist any more when the next run would
    /// read them again. The run then ends once they are delivered, as at the end of the input, however long that takes.
    #[must_use]
    pub fn deliver_first(mut self) -> Self {
        self.delivers_first = true;
        self
    }

    /// Adds what was being done; the class stays.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display + Send + Sync + 'static) -> Self {
        self.error = self.error.context(context);
        self
    }

    /// What kind of failure it is.
    pub fn class(&self) -> Class {
        self.class
    }

    /// How long the service asks to wait before the next try.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// What went wrong.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// What went wrong.
    pub fn into_error(self) -> Error {
        self.error
    }

    /// Whether the records that the source has returned cannot be read again.
    pub(crate) fn delivers_first(&self) -> bool {
        self.delivers_first
    }

    /// Whether another try may succeed.
    pub fn is_retryable(&self) -> bool {
        matches!(self.class, Class::Unreachable | Class::Transient) && !self.has_been_retried
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {:#}", self.class, self.error)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let is_bare = error.chain().next().is_some_and(|outermost| outermost.is::<Failure>());
        if is_bare {
            return error.downcast().expect("it is a failure");
        }
        // The failure may be inside, with context around it that must be kept.
        match error.downcast_ref::<Failure>() {
            None => Failure::fatal(error),
            Some(&Failure { class, retry_after, has_been_retried, delivers_first, .. }) => {
                Failure { class, error, retry_after, has_been_retried, delivers_first }
            }
        }
    }
}

/// The class of a failure anywhere in the chain of an error; [`Class::Fatal`] if there is none.
pub fn class_of(error: &Error) -> Class {
    error.downcast_ref::<Failure>().map_or(Class::Fatal, Failure::class)
}

/// An option whose value `build` rejects. The error points to its place in the pipeline file.
#[derive(Debug, ThisError)]
#[error("`{option}`: {message}")]
pub struct OptionError {
    /// The option's name; of a nested one the names joined by dots.
    pub option: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl OptionError {
    /// An error about one option, as an `anyhow` error.
    #[allow(clippy::new_ret_no_self, reason = "it is only ever used as an `anyhow` error")]
    pub fn new(option: impl Into<String>, message: impl Into<String>) -> Error {
        Error::new(OptionError { option: option.into(), message: message.into() })
    }
}

/// Several errors of one component that `build` has found at once.
#[derive(Debug)]
pub struct OptionErrors(Vec<Error>);

impl OptionErrors {
    /// Fails if `found` has any errors; a single error stays as it is.
    pub fn none_of(found: impl IntoIterator<Item = Error>) -> anyhow::Result<()> {
        OptionErrors::with(found, Ok(()))
    }

    /// `made`, unless `found` has any errors; then all of them and that of `made`.
    pub fn with<T>(found: impl IntoIterator<Item = Error>, made: anyhow::Result<T>) -> anyhow::Result<T> {
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
            _ => Err(Error::new(OptionErrors(errors))),
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Error> {
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

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn failure_in_an_error_chain_keeps_its_class_and_context() {
        let asked = Some(Duration::from_secs(3));
        let failure = Failure::transient(Error::msg("refused")).with_retry_after(asked);
        let error = Err::<(), _>(failure).context("asking for a page").unwrap_err();
        assert_eq!(class_of(&error), Class::Transient);
        let failure = Failure::from(error);
        assert_eq!((failure.class(), failure.retry_after()), (Class::Transient, asked));
        assert_eq!(format!("{:#}", failure.error()), "asking for a page: refused");
    }

    #[test]
    fn failure_converted_twice_is_not_nested() {
        let failure = Failure::from(Error::new(Failure::unreachable(Error::msg("no route"))));
        assert_eq!(format!("{:#}", failure.into_error()), "no route");
    }

    #[test]
    fn any_other_error_is_fatal() {
        assert_eq!(Failure::from(Error::msg("broken")).class(), Class::Fatal);
    }
}
