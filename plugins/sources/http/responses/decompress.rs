//! Decompresses the body of a response.

use std::io::{self, Read};

use flate2::bufread::{DeflateDecoder, ZlibDecoder};

use super::body::BodyError;
use super::spill_buffer::SpillBuffer;
use crate::shared::compression::Compression;

/// How often a body may be compressed.
const MAX_LAYERS: usize = 3;

/// How many bytes are decompressed at once.
const CHUNK: usize = 64 << 10;

/// Decompresses what is compressed by its first bytes, or by the header `Content-Encoding`, to at most `maximum` bytes;
/// at most `max_in_memory` of them are kept in memory.
pub(crate) fn decompress(
    raw: SpillBuffer,
    content_encoding: &str,
    maximum: usize,
    max_in_memory: usize,
) -> Result<SpillBuffer, BodyError> {
    let into = || Output { buffer: SpillBuffer::new(max_in_memory), maximum };
    let mut body = raw;
    if content_encoding == "deflate" && body.len() > 0 {
        body = inflate(body, into())?;
    }
    for _ in 0..MAX_LAYERS {
        let compression = Compression::of(&body.start(4)?);
        if compression == Compression::None {
            break;
        }
        let mut output = into();
        let decoder = compression.decompress(body.into_reader()?);
        let decoder = decoder.map_err(|error| wrong(compression.name(), &error))?;
        output.fill(decoder, compression.name())?;
        body = output.buffer;
    }
    Ok(body)
}

fn inflate(mut body: SpillBuffer, mut output: Output) -> Result<SpillBuffer, BodyError> {
    // Some servers leave out the header of zlib.
    let has_header = match body.start(2)?[..] {
        [first, second] => first & 0x0F == 8 && u16::from_be_bytes([first, second]).is_multiple_of(31),
        _ => false,
    };
    let reader = body.into_reader()?;
    if has_header {
        output.fill(ZlibDecoder::new(reader), "deflate")?;
    } else {
        output.fill(DeflateDecoder::new(reader), "deflate")?;
    }
    Ok(output.buffer)
}

/// What has been decompressed.
struct Output {
    buffer: SpillBuffer,
    maximum: usize,
}

impl Output {
    /// Appends all that `decoder` returns.
    fn fill(&mut self, mut decoder: impl Read, name: &str) -> Result<(), BodyError> {
        let mut chunk = vec![0; CHUNK];
        loop {
            match decoder.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(n) if self.buffer.len() + n as u64 > self.maximum as u64 => {
                    return Err(BodyError::TooLarge);
                }
                Ok(n) => self.buffer.push(&chunk[..n])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(BodyError::Cut(format!(
                        "the response is incomplete: its {name} data ends in the middle"
                    )));
                }
                Err(error) => return Err(wrong(name, &error)),
            }
        }
    }
}

fn wrong(name: &str, error: &io::Error) -> BodyError {
    BodyError::Wrong(format!("the response is not valid {name} data: {error}"))
}
