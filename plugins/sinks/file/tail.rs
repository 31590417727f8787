//! Frames are what a file is made of: lines, gzip members, zstd frames. The tail is
//! what a crash may have torn.
//!
//! A compressed batch is a frame of its own, finished before it counts as written:
//! only the last frame of a file can be torn, and nothing in it was ever promised.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read, Seek as _, SeekFrom};

use anyhow::{Context as _, bail};
use flate2::bufread::GzDecoder;
use memchr::memrchr;
use runner_core::Result;

use crate::shared::packing::Packing;

/// How much is read at a time.
const CHUNK: u64 = 64 * 1024;

/// How many bytes from the front are whole lines or frames.
pub(super) fn whole_length(file: &File, length: u64, packing: Packing) -> Result<u64> {
    match packing {
        Packing::None => Ok(end_of_last_line(file, length)?),
        Packing::Gzip | Packing::Zstd => end_of_last_frame(file, packing),
    }
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

/// Frames say nowhere how long they are, so all of them have to be read.
fn end_of_last_frame(mut file: &File, packing: Packing) -> Result<u64> {
    file.rewind()?;
    let mut reader = BufReader::with_capacity(CHUNK as usize, file);
    loop {
        let start = reader.stream_position()?;
        if reader.fill_buf()?.is_empty() {
            return Ok(start);
        }
        let read = match packing {
            Packing::Gzip => read_out(GzDecoder::new(&mut reader)),
            _ => zstd::Decoder::with_buffer(&mut reader).and_then(|decoder| read_out(decoder.single_frame())),
        };
        match read {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(start),
            Err(error) if start == 0 => {
                bail!("it is not what `compression` says ({error}): move it away, or choose another `path`")
            }
            Err(error) => {
                return Err(error).with_context(|| {
                    format!("it is damaged from byte {start} on: move it away, or cut it there")
                });
            }
        }
    }
}

fn read_out(mut decoder: impl Read) -> io::Result<()> {
    io::copy(&mut decoder, &mut io::sink()).map(drop)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn whole_length_of(bytes: &[u8], packing: Packing) -> Result<u64> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        whole_length(&file, bytes.len() as u64, packing)
    }

    #[test]
    fn a_last_line_is_found_however_far_from_the_end() {
        let mut bytes = b"one\n".to_vec();
        bytes.resize(3 * CHUNK as usize, b'x');
        assert_eq!(whole_length_of(&bytes, Packing::None).unwrap(), 4);
    }

    #[test]
    fn a_frame_torn_at_any_byte_is_cut_and_those_in_front_stay() {
        for packing in [Packing::Gzip, Packing::Zstd] {
            let first = packing.pack(b"one\ntwo\n").unwrap();
            let second = packing.pack(b"three\n").unwrap();
            let both = [&*first, &*second].concat();
            for n_bytes in 0..both.len() {
                let expected = if n_bytes < first.len() { 0 } else { first.len() };
                let found = whole_length_of(&both[..n_bytes], packing).unwrap();
                assert_eq!(found, expected as u64, "{packing:?} cut after {n_bytes} bytes");
            }
            assert_eq!(whole_length_of(&both, packing).unwrap(), both.len() as u64);
        }
    }

    #[test]
    fn a_file_of_another_kind_is_left_alone() {
        for packing in [Packing::Gzip, Packing::Zstd] {
            let error = whole_length_of(b"plain text, and quite a lot of it\n", packing).unwrap_err();
            assert!(error.to_string().contains("not what `compression` says"), "{error:#}");
            let mut bytes = packing.pack(b"one\n").unwrap();
            let n_good = bytes.len();
            bytes.extend_from_slice(b"garbage behind it, which nobody of us wrote");
            let error = whole_length_of(&bytes, packing).unwrap_err();
            assert!(error.to_string().contains(&format!("from byte {n_good}")), "{error:#}");
        }
    }
}
