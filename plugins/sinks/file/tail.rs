//! Finds the end of the last complete line, gzip member or zstd frame of a file; a crash may
//! have left an incomplete one after it.
//!
//! Each compressed batch is one frame, finished before its records are acknowledged. So only
//! the last frame can be incomplete, and none of its records has been acknowledged.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read, Seek as _, SeekFrom};

use anyhow::{Context as _, bail};
use flate2::bufread::GzDecoder;
use memchr::memrchr;
use runner_core::Result;

use crate::shared::compression::Compression;

/// How many bytes are read at once.
const CHUNK: u64 = 64 * 1024;

/// The length of the complete lines or frames.
pub(super) fn complete_length(file: &File, length: u64, compression: Compression) -> Result<u64> {
    match compression {
        Compression::Auto | Compression::None => {
            refuse_compressed(file)?;
            Ok(end_of_last_line(file, length)?)
        }
        Compression::Gzip | Compression::Zstd => end_of_last_frame(file, compression),
    }
}

/// Its last line would end at a byte in the middle of a frame.
fn refuse_compressed(file: &File) -> Result<()> {
    let name = match Compression::of(&first_bytes(file)?) {
        Compression::Auto | Compression::None => return Ok(()),
        Compression::Gzip => "gzip",
        Compression::Zstd => "zstd",
    };
    bail!(
        "it is compressed, which does not match `compression`: set compression = \"{name}\", move the file away, or \
         choose another `path`"
    )
}

/// Whether a file that ends in its first frame begins as a frame does.
fn may_be_frame(file: &File, compression: Compression) -> io::Result<bool> {
    let first = first_bytes(file)?;
    let frame = compression.compress(b"")?;
    // A gzip member begins with two bytes that are always the same, a zstd frame with four.
    let n_fixed = if compression == Compression::Gzip { 2 } else { 4 };
    Ok(first.iter().take(n_fixed).eq(frame.iter().take(n_fixed.min(first.len()))))
}

fn first_bytes(mut file: &File) -> io::Result<Vec<u8>> {
    let mut first = Vec::with_capacity(4);
    file.rewind()?;
    file.take(4).read_to_end(&mut first)?;
    Ok(first)
}

fn end_of_last_line(mut file: &File, length: u64) -> io::Result<u64> {
    let mut chunk = Vec::new();
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(CHUNK);
        chunk.clear();
        file.seek(SeekFrom::Start(start))?;
        file.take(end - start).read_to_end(&mut chunk)?;
        if let Some(at) = memrchr(b'\n', &chunk) {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// Frames do not contain their length, so all of them must be read.
fn end_of_last_frame(mut file: &File, compression: Compression) -> Result<u64> {
    file.rewind()?;
    let mut reader = BufReader::with_capacity(CHUNK as usize, file);
    loop {
        let start = reader.stream_position()?;
        if reader.fill_buf()?.is_empty() {
            return Ok(start);
        }
        let read = match compression {
            Compression::Gzip => read_to_end(GzDecoder::new(&mut reader)),
            _ => zstd::Decoder::with_buffer(&mut reader)
                .and_then(|decoder| read_to_end(decoder.single_frame())),
        };
        match read {
            Ok(()) => {}
            Err(error)
                if error.kind() == ErrorKind::UnexpectedEof
                    && (start > 0 || may_be_frame(file, compression)?) =>
            {
                return Ok(start);
            }
            Err(error) if start == 0 => {
                bail!("it does not match `compression` ({error}): move it away, or choose another `path`")
            }
            Err(error) => {
                return Err(error).with_context(|| {
                    format!("it is damaged from byte {start}: move it away, or truncate it there")
                });
            }
        }
    }
}

fn read_to_end(mut decoder: impl Read) -> io::Result<()> {
    io::copy(&mut decoder, &mut io::sink()).map(drop)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn whole_length_of(bytes: &[u8], compression: Compression) -> Result<u64> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        complete_length(&file, bytes.len() as u64, compression)
    }

    #[test]
    fn last_line_is_found_far_from_the_end() {
        let mut bytes = b"one\n".to_vec();
        bytes.resize(3 * CHUNK as usize, b'x');
        assert_eq!(whole_length_of(&bytes, Compression::None).unwrap(), 4);
    }

    #[test]
    fn frame_truncated_at_any_byte_is_excluded() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let first = compression.compress(b"one\ntwo\n").unwrap();
            let second = compression.compress(b"three\n").unwrap();
            let both = [&*first, &*second].concat();
            for n_bytes in 0..both.len() {
                let expected = if n_bytes < first.len() { 0 } else { first.len() };
                let found = whole_length_of(&both[..n_bytes], compression).unwrap();
                assert_eq!(found, expected as u64, "{compression:?} cut after {n_bytes} bytes");
            }
            assert_eq!(whole_length_of(&both, compression).unwrap(), both.len() as u64);
        }
    }

    #[test]
    fn file_of_another_format_is_an_error() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let error = whole_length_of(b"plain text, and quite a lot of it\n", compression).unwrap_err();
            assert!(error.to_string().contains("does not match `compression`"), "{error:#}");
            let mut bytes = compression.compress(b"one\n").unwrap();
            let n_good = bytes.len();
            bytes.extend_from_slice(b"garbage that this sink did not write");
            let error = whole_length_of(&bytes, compression).unwrap_err();
            assert!(error.to_string().contains(&format!("from byte {n_good}")), "{error:#}");
        }
    }

    #[test]
    fn compressed_file_is_refused_without_compression() {
        for (compression, name) in [(Compression::Gzip, "gzip"), (Compression::Zstd, "zstd")] {
            let mut bytes = compression.compress(b"one\ntwo\n").unwrap();
            for half in [false, true] {
                bytes.truncate(if half { bytes.len() / 2 } else { bytes.len() });
                let error = whole_length_of(&bytes, Compression::None).unwrap_err().to_string();
                assert!(error.contains(&format!("set compression = \"{name}\"")), "{error}");
            }
        }
    }

    #[test]
    fn plain_file_that_is_shorter_than_a_frame_is_refused_with_compression() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            for text in ["\n", "a\n", "abc", "1234\n"] {
                let error = whole_length_of(text.as_bytes(), compression).unwrap_err();
                assert!(error.to_string().contains("does not match `compression`"), "{text:?}: {error:#}");
            }
        }
    }
}
