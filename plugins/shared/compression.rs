//! Compression of files: the option, and reading and writing gzip and zstd.

use std::fs::File;
use std::io::{self, Read, Seek as _, Write as _};
use std::path::Path;

use flate2::write::GzEncoder;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::gzip::GzipReader;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Compression {
    /// Detected: a source looks at the first bytes of the file, a sink at its name.
    #[default]
    Auto,
    /// Not compressed.
    None,
    /// Gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl Compression {
    /// Detects the compression by the first bytes, which no text file begins with. Rewinds the file.
    pub fn detect(file: &mut File) -> io::Result<Compression> {
        let mut magic = Vec::with_capacity(4);
        file.rewind()?;
        (&*file).take(4).read_to_end(&mut magic)?;
        file.rewind()?;
        Ok(Compression::of(&magic))
    }

    /// The name that the option has for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Compression::Auto => "auto",
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        }
    }

    /// Detects the compression of a text that begins with these bytes.
    pub(crate) fn of(start: &[u8]) -> Compression {
        match start {
            [0x1F, 0x8B, ..] => Compression::Gzip,
            // The second is a frame that decoders skip, with which some programs begin.
            [0x28, 0xB5, 0x2F, 0xFD, ..] | [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..] => Compression::Zstd,
            _ => Compression::None,
        }
    }

    /// Resolves `Auto` by the file name: `.gz` is gzip, `.zst` is zstd, anything else is not compressed.
    pub(crate) fn for_path(self, path: &Path) -> Compression {
        match (self, path.extension().and_then(|extension| extension.to_str())) {
            (Compression::Auto, Some("gz")) => Compression::Gzip,
            (Compression::Auto, Some("zst")) => Compression::Zstd,
            (Compression::Auto, _) => Compression::None,
            (given, _) => given,
        }
    }

    /// Decompresses all gzip members or zstd frames of `reader`.
    pub fn decompress<R: Read + Send + 'static>(self, reader: R) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Compression::Auto | Compression::None => Box::new(reader),
            Compression::Gzip => Box::new(GzipReader::new(reader)),
            Compression::Zstd => Box::new(zstd::Decoder::new(reader)?),
        })
    }

    /// Compresses `bytes` into one gzip member or zstd frame, which may be appended to others.
    pub fn compress(self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Compression::Auto | Compression::None => Ok(bytes.into()),
            Compression::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(bytes)?;
                encoder.finish()
            }
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(Vec::new(), zstd::DEFAULT_COMPRESSION_LEVEL)?;
                encoder.include_checksum(true)?;
                encoder.write_all(bytes)?;
                encoder.finish()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compression_of_appended_parts_is_detected_and_read_as_one_stream() {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let mut file = tempfile::tempfile().unwrap();
            for part in ["one\n", "two\n"] {
                file.write_all(&compression.compress(part.as_bytes()).unwrap()).unwrap();
            }
            assert_eq!(Compression::detect(&mut file).unwrap(), compression);
            let mut text = String::new();
            compression.decompress(file).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "one\ntwo\n");
        }
    }
}
