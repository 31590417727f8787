//! Errors of files that another program may still be writing.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};

use runner_core::Name;

/// The error of an archive that ends in the middle of its data: another program may still be writing it.
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

/// Whether the error says that a file does not exist.
pub(super) fn is_missing(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::NotFound)
}
