//! Packing is how a file is compressed.

use std::fs::File;
use std::io::{self, Read, Seek as _, Write as _};

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    None,
    /// As `gzip` does.
    Gzip,
    /// As `zstd` does.
    Zstd,
}

impl Packing {
    /// Judges by the first bytes, which no text begins with, rather than by the name; the file is
    /// at its beginning then.
    pub fn detect(file: &mut File) -> io::Result<Packing> {
        let mut magic = Vec::with_capacity(4);
        file.rewind()?;
        (&*file).take(4).read_to_end(&mut magic)?;
        file.rewind()?;
        Ok(match magic[..] {
            [0x1F, 0x8B, ..] => Packing::Gzip,
            [0x28, 0xB5, 0x2F, 0xFD] => Packing::Zstd,
            _ => Packing::None,
        })
    }

    /// What was packed, member by member, frame by frame.
    pub fn unpack<R: Read + Send + 'static>(self, packed: R) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Packing::None => Box::new(packed),
            Packing::Gzip => Box::new(MultiGzDecoder::new(packed)),
            Packing::Zstd => Box::new(zstd::Decoder::new(packed)?),
        })
    }

    /// Packs into a gzip member or a zstd frame of its own, which may be appended to others.
    pub fn pack(self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Packing::None => Ok(bytes.into()),
            Packing::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(bytes)?;
                encoder.finish()
            }
            Packing::Zstd => {
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
    fn what_was_packed_in_parts_is_told_by_its_first_bytes_and_read_as_one() {
        for packing in [Packing::None, Packing::Gzip, Packing::Zstd] {
            let mut file = tempfile::tempfile().unwrap();
            for part in ["one\n", "two\n"] {
                file.write_all(&packing.pack(part.as_bytes()).unwrap()).unwrap();
            }
            assert_eq!(Packing::detect(&mut file).unwrap(), packing);
            let mut text = String::new();
            packing.unpack(file).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "one\ntwo\n");
        }
    }
}
