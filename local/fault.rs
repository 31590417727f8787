//! A fault: the error of one call, as in AWS's JSON protocol.

use std::fmt;

/// Why a call of Glue or Athena was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The name of the exception, such as `EntityNotFoundException`.
    pub code: &'static str,
    /// The reason, for the caller.
    pub message: String,
}

impl Fault {
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Fault { code, message: message.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Fault {}
