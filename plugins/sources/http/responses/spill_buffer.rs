//! Bytes of unknown length: in memory, and from a size on in a temporary file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, Write};

use tracing::debug;

/// Bytes that are written once and then read from the front.
#[derive(Debug)]
pub(super) enum SpillBuffer {
    Memory {
        bytes: Vec<u8>,
        /// From this length on they move to a file.
        at_most: usize,
    },
    /// A file that is deleted when it is closed.
    File { file: File, len: u64 },
}

impl SpillBuffer {
    /// An empty buffer that holds at most `at_most` bytes in memory.
    pub(crate) fn new(at_most: usize) -> Self {
        SpillBuffer::Memory { bytes: Vec::new(), at_most }
    }

    /// These bytes, in memory.
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        SpillBuffer::Memory { bytes, at_most: usize::MAX }
    }

    /// Makes room for a buffer that will have this length, if it stays in memory.
    pub(super) fn reserve(&mut self, len: u64) {
        if let SpillBuffer::Memory { bytes, at_most } = self
            && len <= *at_most as u64
        {
            bytes.reserve_exact(len as usize);
        }
    }

    pub(crate) fn len(&self) -> u64 {
        match self {
            SpillBuffer::Memory { bytes, .. } => bytes.len() as u64,
            SpillBuffer::File { len, .. } => *len,
        }
    }

    /// Appends bytes. Where no temporary file can be created, everything stays in memory.
    pub(crate) fn push(&mut self, more: &[u8]) -> io::Result<()> {
        if let SpillBuffer::Memory { bytes, at_most } = self
            && bytes.len() + more.len() > *at_most
        {
            match tempfile::tempfile() {
                Ok(mut file) => {
                    file.write_all(bytes)?;
                    *self = SpillBuffer::File { file, len: bytes.len() as u64 };
                }
                Err(error) => {
                    debug!("no temporary file ({error}); a large response stays in memory");
                    *at_most = usize::MAX;
                }
            }
        }
        match self {
            SpillBuffer::Memory { bytes, .. } => bytes.extend_from_slice(more),
            SpillBuffer::File { file, len } => {
                file.write_all(more)?;
                *len += more.len() as u64;
            }
        }
        Ok(())
    }

    /// The first bytes, as many of `at_most` as there are.
    pub(crate) fn start(&mut self, at_most: usize) -> io::Result<Vec<u8>> {
        match self {
            SpillBuffer::Memory { bytes, .. } => Ok(bytes[..bytes.len().min(at_most)].to_vec()),
            SpillBuffer::File { file, .. } => {
                file.rewind()?;
                let mut start = Vec::new();
                file.take(at_most as u64).read_to_end(&mut start)?;
                file.seek(io::SeekFrom::End(0))?;
                Ok(start)
            }
        }
    }

    /// Reads it from the front.
    pub(super) fn into_reader(self) -> io::Result<Box<dyn BufRead + Send>> {
        match self {
            SpillBuffer::Memory { bytes, .. } => Ok(Box::new(Cursor::new(bytes))),
            SpillBuffer::File { mut file, .. } => {
                file.rewind()?;
                Ok(Box::new(BufReader::with_capacity(64 << 10, file)))
            }
        }
    }

    /// All bytes, in memory.
    pub(crate) fn into_bytes(self) -> io::Result<Vec<u8>> {
        match self {
            SpillBuffer::Memory { bytes, .. } => Ok(bytes),
            SpillBuffer::File { mut file, len } => {
                file.rewind()?;
                let mut bytes = Vec::with_capacity(len as usize);
                file.read_to_end(&mut bytes)?;
                Ok(bytes)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_the_same_in_memory_and_in_a_file() {
        for at_most in [0, 3, 4, 100] {
            let mut buffer = SpillBuffer::new(at_most);
            for part in ["one", "", "two", "three"] {
                buffer.push(part.as_bytes()).unwrap();
            }
            assert_eq!(matches!(buffer, SpillBuffer::File { .. }), at_most < 11, "{at_most}");
            assert_eq!(buffer.len(), 11);
            assert_eq!(buffer.start(4).unwrap(), b"onet");
            assert_eq!(buffer.start(50).unwrap(), b"onetwothree");
            buffer.push(b"!").unwrap();
            if at_most == 3 {
                assert_eq!(buffer.into_bytes().unwrap(), b"onetwothree!");
            } else {
                let mut text = String::new();
                buffer.into_reader().unwrap().read_to_string(&mut text).unwrap();
                assert_eq!(text, "onetwothree!");
            }
        }
    }
}
