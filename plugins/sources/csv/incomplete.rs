//! Errors of files that may be whole a little later.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};

use runner_core::Name;

/// The error of an archive that may still be in the making: it ends in the middle of its data.
#[derive(Debug)]
pub(super) struct IncompleteArchive(pub(super) Name);

impl fmt::Display for IncompleteArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0;
        write!(
            f,
            "reading {name}: the archive is incomplete, it ends in the middle of its data; fetch or copy it again"
        )
    }
}

impl Error for IncompleteArchive {}

/// Whether the cause of an error is that there is no such file.
pub(super) fn is_missing(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::NotFound)
}
