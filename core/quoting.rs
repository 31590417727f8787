//! Errors that quote a value of a record: a dead letter shows the value, a log does not.

use std::fmt;

use anyhow::Error;

/// The text that replaces a value in the log.
const HIDDEN: &str = "***";

/// The reason of a reject that quotes a value of the record.
#[derive(Debug)]
struct Quoting {
    full: String,
    hidden: String,
}

impl fmt::Display for Quoting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full)
    }
}

impl std::error::Error for Quoting {}

/// An error with the text `before`, `value`, `after`. Where the engine logs or prints it, it hides the value of the
/// record; the dead letter shows it.
pub fn quoting(before: impl fmt::Display, value: impl fmt::Display, after: impl fmt::Display) -> Error {
    Error::new(Quoting {
        full: format!("{before}{value}{after}"),
        hidden: format!("{before}{HIDDEN}{after}"),
    })
}

/// The error and its causes on one line, without the values that [`quoting`] has marked.
pub(crate) fn without_values(error: &Error) -> String {
    let causes = error.chain().map(|cause| match cause.downcast_ref::<Quoting>() {
        Some(quoting) => quoting.hidden.clone(),
        None => cause.to_string(),
    });
    causes.collect::<Vec<_>>().join(": ")
}

/// The same error once more.
pub(crate) fn copy_of(error: &Error) -> Error {
    Error::new(Quoting { full: format!("{error:#}"), hidden: without_values(error) })
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn quoted_value_is_in_the_error_and_not_in_the_log() {
        let error = Err::<(), _>(quoting("column `a` is an integer, and `", "123-45-6789", "` is not"));
        let error = error.context("row 3").unwrap_err();
        for error in [copy_of(&error), error] {
            assert_eq!(format!("{error:#}"), "row 3: column `a` is an integer, and `123-45-6789` is not");
            assert_eq!(without_values(&error), "row 3: column `a` is an integer, and `***` is not");
        }
    }
}
