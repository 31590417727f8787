//! The files on disk: which ones `path` names, and how a file is known again.
//!
//! `paths` lists the files of the patterns, and shows their names. `fingerprint` and `snapshot` store what a file was, to
//! find out later whether it has changed. `rotated_names` knows the names that rotation gives to files.

mod fingerprint;
mod paths;
mod rotated_names;
mod snapshot;

use std::io::{self, ErrorKind};

pub(super) use self::fingerprint::{Fingerprint, HEAD, Head, TAIL, bytes_at, last_bytes};
pub(super) use self::paths::{absent, can_resume_from, display_path, file_name, identity, list, origin_name};
pub(super) use self::rotated_names::{is_backup, is_compressed, is_rotated, is_rotated_again, uncompressed};
pub(super) use self::snapshot::{FileSnapshot, created, is_being_written, modified};

/// Whether the error says that a file does not exist.
pub(super) fn is_missing(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::NotFound)
}
