//! The text of a file in UTF-8: decompressed, and of any encoding.

use std::fs::File;
use std::io::{self, Cursor as Bytes, ErrorKind, Read, Seek as _};

use anyhow::{Context as _, Result, bail};
use encoding_rs::Encoding;
use runner_core::Name;

use super::super::settings::Settings;
use super::format_advice::{MIN_START, other_compression, other_format, other_text};
use super::stdin;
use super::wrong_encoding::wrong_encoding;
use crate::shared::compression::Compression;
use crate::shared::csv::Transcoder;
use crate::shared::formats::binary::FileKind;

/// The text of a file in UTF-8.
pub(crate) enum Text {
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
    pub(crate) fn open(mut file: File, name: Name, settings: &Settings) -> Result<Self> {
        let reading = || format!("reading {name}");
        let mut start = [0; FileKind::START];
        file.rewind().with_context(reading)?;
        let (n_start, error) = read_start(&mut file, &mut start, FileKind::START);
        error.map_or(Ok(()), Err).and_then(|()| file.rewind()).with_context(reading)?;
        let compression = compression_of(&start[..n_start], name, settings)?;
        let is_compressed = compression != Compression::None;
        let (text, n_start): (Box<dyn Read + Send>, _) = if is_compressed {
            with_start(
                compression.decompress(file.try_clone()?).with_context(reading)?,
                &mut start,
                FileKind::START,
            )
        } else {
            (Box::new(file.try_clone()?), n_start)
        };
        Ok(match encoding_of(&start[..n_start], name, settings)? {
            Some(encoding) => {
                Text::Decoded { text: Box::new(Transcoder::new(text, encoding)), file, is_compressed }
            }
            None if is_compressed => Text::Decoded { text, file, is_compressed },
            None => Text::Plain(file),
        })
    }

    /// The text of standard input.
    pub(crate) fn of_stream(
        stream: impl Read + Send + 'static,
        name: Name,
        settings: &Settings,
    ) -> Result<Self> {
        // More bytes may take long to come.
        let mut start = [0; FileKind::START];
        let (stream, n_start) = with_start(stream, &mut start, MIN_START);
        let compression = compression_of(&start[..n_start], name, settings)?;
        let text = compression.decompress(stream).with_context(|| format!("reading {name}"))?;
        let (text, n_start) = with_start(text, &mut start, MIN_START);
        Ok(Text::Stream(match encoding_of(&start[..n_start], name, settings)? {
            Some(encoding) => Box::new(Transcoder::new(text, encoding)),
            None => text,
        }))
    }

    /// The file on disk.
    pub(crate) fn file(&self) -> Option<&File> {
        match self {
            Text::Plain(file) | Text::Decoded { file, .. } => Some(file),
            Text::Stream(_) => None,
        }
    }

    /// Whether the text may go on after its present end.
    pub(crate) fn may_go_on(&self) -> bool {
        match self {
            Text::Plain(_) | Text::Decoded { .. } => true,
            Text::Stream(_) => stdin::ended_early(),
        }
    }
}

/// The compression of a text that begins with these bytes; fails if it has another one than the options say.
fn compression_of(start: &[u8], name: Name, settings: &Settings) -> Result<Compression> {
    match settings.compression {
        Compression::Auto => Ok(Compression::of(start)),
        given => match other_format(start)
            .or_else(|| other_text(start, settings))
            .or_else(|| other_compression(start, given))
        {
            Some(what) => bail!("{name} is {what}"),
            None => Ok(given),
        },
    }
}

/// The encoding to decode; fails if the text most likely has another one, or is not text.
fn encoding_of(start: &[u8], name: Name, settings: &Settings) -> Result<Option<&'static Encoding>> {
    if let Some(what) = other_format(start).or_else(|| other_text(start, settings)) {
        bail!("{name} is {what}");
    }
    if Compression::of(start) != Compression::None {
        bail!("{name} is compressed twice; decompress it once before");
    }
    if let Some(what) = wrong_encoding(start, settings.encoding) {
        bail!("{name} {what}");
    }
    let encoding = settings.encoding.of(start);
    let decoded = encoding.map(|encoding| encoding.decode(start).0);
    if let Some(what) = decoded.and_then(|text| other_text(text.as_bytes(), settings)) {
        bail!("{name} is {what}");
    }
    Ok(encoding)
}

/// Fills `start` with the first bytes of a text, at least `n_min` if it has so many, and returns the whole text.
fn with_start(
    mut text: impl Read + Send + 'static,
    start: &mut [u8],
    n_min: usize,
) -> (Box<dyn Read + Send>, usize) {
    let (n_start, error) = read_start(&mut text, start, n_min);
    (Box::new(Bytes::new(start[..n_start].to_vec()).chain(ErrorFirst(error)).chain(text)), n_start)
}

/// Reads until `start` has `n_min` bytes or the text ends. Returns an error with the number of bytes before it.
fn read_start(text: &mut impl Read, start: &mut [u8], n_min: usize) -> (usize, Option<io::Error>) {
    let mut n_read = 0;
    while n_read < n_min {
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
