//! Reads the dead letters of a file, one per line, plain or compressed.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use runner_core::DeadLetter;
use runner_plugins::compression::Compression;
use serde::Deserialize;

use crate::exit::print_message;

/// The lines of a file as it was when it was opened.
pub(super) struct Lines {
    path: PathBuf,
    compression: Compression,
    text: Box<dyn BufRead + Send>,
    n_read: usize,
    is_truncated: bool,
}

/// One line.
pub(super) struct Line {
    /// Counted from 1.
    pub(super) number: usize,
    /// Includes the line break, if there is one.
    pub(super) bytes: Vec<u8>,
}

impl Lines {
    pub(super) fn open(path: &Path) -> Result<Lines> {
        let what = || format!("reading {}", path.display());
        let mut file = File::open(path).with_context(what)?;
        let compression = Compression::detect(&mut file).with_context(what)?;
        let text = Box::new(BufReader::new(compression.decompress(file).with_context(what)?));
        Ok(Lines { path: path.to_owned(), compression, text, n_read: 0, is_truncated: false })
    }

    /// At the end: warns if the file ends in an incomplete compressed frame.
    pub(super) fn warn_if_truncated(&self) {
        if self.is_truncated {
            let shown = self.path.display();
            print_message(&format!(
                "{shown} ends in an incomplete compressed frame, left by a crash; it is skipped"
            ));
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
            // A crash left this frame incomplete; no record in it was acknowledged.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                self.is_truncated = true;
                Ok(None)
            }
            Err(error) => Err(error)
                .with_context(|| format!("reading {} after line {}", self.path.display(), self.n_read)),
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

    /// The pipeline that a letter names which need not be valid, such as one of a newer version.
    pub(super) fn pipeline(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct OfPipeline {
            pipeline: String,
        }
        serde_json::from_slice(&self.bytes).ok().map(|OfPipeline { pipeline }| pipeline)
    }
}
