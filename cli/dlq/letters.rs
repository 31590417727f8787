//! The letters of a file, one a line, plain or packed.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use runner_core::DeadLetter;
use runner_plugins::compression::Compression;

use crate::exit::say;

/// Walks over the lines of a file as it was when the walk began.
pub(super) struct Lines {
    path: PathBuf,
    compression: Compression,
    text: Box<dyn BufRead + Send>,
    n_read: usize,
    is_torn: bool,
}

/// One line.
pub(super) struct Line {
    /// Counted from 1.
    pub(super) number: usize,
    /// With its end, if it has one.
    pub(super) bytes: Vec<u8>,
}

impl Lines {
    pub(super) fn open(path: &Path) -> Result<Lines> {
        let what = || format!("reading {}", path.display());
        let mut file = File::open(path).with_context(what)?;
        let compression = Compression::detect(&mut file).with_context(what)?;
        let text = Box::new(BufReader::new(compression.decompress(file).with_context(what)?));
        Ok(Lines { path: path.to_owned(), compression, text, n_read: 0, is_torn: false })
    }

    /// Says, at the end, what could not be read of the file.
    pub(super) fn say_what_is_torn(&self) {
        if self.is_torn {
            let shown = self.path.display();
            say(&format!("the last letters of {shown} are left out: a crash has left them half written"));
        }
    }

    pub(super) fn compression(&self) -> Compression {
        self.compression
    }

    fn read(&mut self) -> Result<Option<Line>> {
        let mut bytes = Vec::new();
        match self.text.read_until(b'\n', &mut bytes) {
            Ok(0) => Ok(None),
            Ok(_) => {
                self.n_read += 1;
                Ok(Some(Line { number: self.n_read, bytes }))
            }
            // Nothing in a frame that a crash has torn was ever promised.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                self.is_torn = true;
                Ok(None)
            }
            Err(error) => Err(error)
                .with_context(|| format!("reading {} behind line {}", self.path.display(), self.n_read)),
        }
    }
}

impl Iterator for Lines {
    type Item = Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

impl Line {
    pub(super) fn is_blank(&self) -> bool {
        self.bytes.trim_ascii().is_empty()
    }

    pub(super) fn letter(&self) -> Result<DeadLetter> {
        DeadLetter::read(&self.bytes)
    }
}
