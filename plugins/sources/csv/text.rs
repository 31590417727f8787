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
            let mut text = compression.decompress(file.try_clone()?).with_context(reading)?;
            let (n_start, error) = read_start(&mut text, &mut start);
            let text = Bytes::new(start[..n_start].to_vec()).chain(ErrorFirst(error)).chain(text);
            (Box::new(text), n_start)
        } else {
            let (n_start, error) = read_start(&mut file, &mut start);
            error.map_or(Ok(()), Err).and_then(|()| file.rewind()).with_context(reading)?;
            (Box::new(file.try_clone()?), n_start)
        };
        let encoding = read_as.encoding.of(&start[..n_start]);
        if encoding.is_none()
            && let Some(likely) = likely_utf_16(&start[..n_start])
        {
            let label = likely.name().to_ascii_lowercase();
            bail!("{name} is written in UTF-16; set encoding = \"{label}\"");
        }
        Ok(match encoding {
            Some(encoding) => {
                Text::Decoded { text: Box::new(Transcoder::new(text, encoding)), file, is_compressed }
            }
            None if is_compressed => Text::Decoded { text, file, is_compressed },
            None => Text::Plain(file),
        })
    }

    /// The file on disk.
    pub(super) fn file(&self) -> &File {
        match self {
            Text::Plain(file) | Text::Decoded { file, .. } => file,
        }
    }

    /// Whether the file ends where its archive says so.
    pub(super) fn is_compressed(&self) -> bool {
        matches!(self, Text::Decoded { is_compressed: true, .. })
    }
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
            Text::Decoded { text, .. } => text.read(buffer),
        }
    }
}
