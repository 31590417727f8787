//! The text of a file in UTF-8: decompressed, and of any encoding.

use std::fs::File;
use std::io::{self, Cursor as Bytes, ErrorKind, Read, Seek as _};

use anyhow::{Context as _, Result, bail};
use runner_core::Name;

use super::encoding::{TextEncoding, Transcoder, likely_utf_16};
use crate::shared::compression::Compression;

/// How files are read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReadAs {
    pub(super) compression: Compression,
    pub(super) encoding: TextEncoding,
    /// Whether the files are read on when they grow.
    pub(super) follow: bool,
}

/// The text of a file in UTF-8.
pub(super) enum Text {
    Plain(File),
    /// Decompressed or of another encoding, and a handle that shares the offset of the file.
    Decoded {
        text: Box<dyn Read + Send>,
        file: File,
        is_compressed: bool,
    },
    /// Standard input.
    Stream(Box<dyn Read + Send>),
}

impl Text {
    pub(super) fn open(mut file: File, name: Name, read_as: ReadAs) -> Result<Self> {
        let reading = || format!("reading {name}");
        let compression = match read_as.compression {
            Compression::Auto => Compression::detect(&mut file).with_context(reading)?,
            given => given,
        };
        let is_compressed = compression != Compression::None;
        let mut start = [0; 64];
        let (text, n_start): (Box<dyn Read + Send>, _) = if is_compressed {
            with_start(compression.decompress(file.try_clone()?).with_context(reading)?, &mut start)
        } else {
            let (n_start, error) = read_start(&mut file, &mut start);
            error.map_or(Ok(()), Err).and_then(|()| file.rewind()).with_context(reading)?;
            (Box::new(file.try_clone()?), n_start)
        };
        Ok(match encoding_of(&start[..n_start], name, read_as)? {
            Some(encoding) => {
                Text::Decoded { text: Box::new(Transcoder::new(text, encoding)), file, is_compressed }
            }
            None if is_compressed => Text::Decoded { text, file, is_compressed },
            None => Text::Plain(file),
        })
    }

    /// The text of standard input.
    pub(super) fn of_stream(stream: impl Read + Send + 'static, name: Name, read_as: ReadAs) -> Result<Self> {
        // More bytes may take long to come.
        let mut start = [0; 4];
        let (stream, n_start) = with_start(stream, &mut start);
        let compression = match read_as.compression {
            Compression::Auto => Compression::of(&start[..n_start]),
            given => given,
        };
        let text = compression.decompress(stream).with_context(|| format!("reading {name}"))?;
        let (text, n_start) = with_start(text, &mut start);
        Ok(Text::Stream(match encoding_of(&start[..n_start], name, read_as)? {
            Some(encoding) => Box::new(Transcoder::new(text, encoding)),
            None => text,
        }))
    }

    /// The file on disk.
    pub(super) fn file(&self) -> Option<&File> {
        match self {
            Text::Plain(file) | Text::Decoded { file, .. } => Some(file),
            Text::Stream(_) => None,
        }
    }

    /// Whether the text may go on after its present end.
    pub(super) fn may_go_on(&self) -> bool {
        matches!(self, Text::Plain(_) | Text::Decoded { is_compressed: false, .. })
    }
}

/// The encoding to decode; fails if the text most likely has another one.
fn encoding_of(start: &[u8], name: Name, read_as: ReadAs) -> Result<Option<&'static encoding_rs::Encoding>> {
    let encoding = read_as.encoding.of(start);
    if encoding.is_none()
        && let Some(likely) = likely_utf_16(start)
    {
        let label = likely.name().to_ascii_lowercase();
        bail!("{name} is written in UTF-16; set encoding = \"{label}\"");
    }
    Ok(encoding)
}

/// Fills `start` with the first bytes of a text, and returns the whole text.
fn with_start(mut text: impl Read + Send + 'static, start: &mut [u8]) -> (Box<dyn Read + Send>, usize) {
    let (n_start, error) = read_start(&mut text, start);
    (Box::new(Bytes::new(start[..n_start].to_vec()).chain(ErrorFirst(error)).chain(text)), n_start)
}

/// Reads until `start` is full or the text ends. Returns an error with the number of bytes before it.
fn read_start(text: &mut impl Read, start: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut n_read = 0;
    while n_read < start.len() {
        match text.read(&mut start[n_read..]) {
            Ok(0) => break,
            Ok(n) => n_read += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (n_read, Some(error)),
        }
    }
    (n_read, None)
}

/// Returns an error, if there is one, before the text goes on.
struct ErrorFirst(Option<io::Error>);

impl Read for ErrorFirst {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

impl Read for Text {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Text::Plain(file) => file.read(buffer),
            Text::Decoded { text, .. } | Text::Stream(text) => text.read(buffer),
        }
    }
}
