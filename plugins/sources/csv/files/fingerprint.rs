//! Fingerprints of parts of a file, by which it is known again.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// How many bytes at the head of a file a fingerprint covers at most.
pub(crate) const HEAD: usize = 256 << 10;
/// How many bytes before a batch a fingerprint covers at most.
pub(crate) const TAIL: usize = 4 << 10;

/// A hash of a range of bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    /// Offset of the end of the range.
    pub(crate) end: u64,
    /// Length of the range.
    pub(crate) bytes: u64,
    xxh3: String,
}

impl Fingerprint {
    /// The fingerprint of `bytes`, which end at the offset `end`.
    pub(crate) fn of(bytes: &[u8], end: u64) -> Self {
        Fingerprint { end, bytes: bytes.len() as u64, xxh3: format!("{:016x}", xxh3_64(bytes)) }
    }

    pub(crate) fn matches(&self, bytes: &[u8]) -> bool {
        *self == Fingerprint::of(bytes, self.end)
    }
}

/// The first bytes of a file, shared by all its batches.
#[derive(Debug, Default)]
pub(crate) struct Head {
    bytes: Box<[u8]>,
    whole: OnceLock<Fingerprint>,
}

impl Head {
    pub(crate) fn new(bytes: &[u8]) -> Arc<Self> {
        Arc::new(Head { bytes: bytes.into(), whole: OnceLock::new() })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The fingerprint of the part before `offset`.
    pub(crate) fn before(&self, offset: u64) -> Fingerprint {
        if offset >= self.bytes.len() as u64 {
            return self.whole.get_or_init(|| Fingerprint::of(&self.bytes, self.bytes.len() as u64)).clone();
        }
        Fingerprint::of(&self.bytes[..offset as usize], offset)
    }
}

/// The bytes at `offset`; fewer where the file ends.
pub(crate) fn bytes_at(file: &File, offset: u64, n_bytes: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; n_bytes];
    let mut n_read = 0;
    while n_read < n_bytes {
        match file.read_at(&mut bytes[n_read..], offset + n_read as u64) {
            Ok(0) => break,
            Ok(n) => n_read += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(n_read);
    Ok(bytes)
}

/// The last bytes before the offset `end`.
pub(crate) fn last_bytes(file: &File, end: u64) -> io::Result<Vec<u8>> {
    let n_bytes = end.min(TAIL as u64);
    bytes_at(file, end - n_bytes, n_bytes as usize)
}
