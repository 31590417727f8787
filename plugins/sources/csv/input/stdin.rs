//! Standard input as a stream that can be waited for with a limit.

use std::io::{self, Cursor, ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

/// How much is read at once.
const BLOCK: usize = 64 << 10;

/// How long a read may wait, in milliseconds; 0 is no limit.
pub(crate) type WaitLimit = Arc<AtomicU64>;

/// Reads standard input. A read that waits for longer than the limit fails with [`ErrorKind::WouldBlock`].
pub(crate) struct StandardInput {
    blocks: Receiver<io::Result<Vec<u8>>>,
    block: Cursor<Vec<u8>>,
    limit: WaitLimit,
}

impl StandardInput {
    /// Starts a thread that reads ahead. It ends with the input, or with the process. A second reader would get
    /// parts of the rows of the first, so it is refused.
    pub(crate) fn open(limit: WaitLimit) -> io::Result<Self> {
        static IS_READ: AtomicBool = AtomicBool::new(false);
        if IS_READ.swap(true, Ordering::Relaxed) {
            return Err(io::Error::other("another source of this run reads it (`path = \"-\"`)"));
        }
        Self::of(io::stdin(), limit)
    }

    fn of(mut reader: impl Read + Send + 'static, limit: WaitLimit) -> io::Result<Self> {
        let (sender, blocks) = sync_channel(2);
        let read = move || {
            loop {
                let mut block = vec![0; BLOCK];
                let read = match reader.read(&mut block) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    read => read,
                };
                let is_last = !matches!(read, Ok(1..));
                let block = read.map(|n_bytes| {
                    block.truncate(n_bytes);
                    block
                });
                if sender.send(block).is_err() || is_last {
                    break;
                }
            }
        };
        std::thread::Builder::new().name("stdin".into()).spawn(read)?;
        Ok(StandardInput { blocks, block: Cursor::default(), limit })
    }
}

impl Read for StandardInput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n_bytes = self.block.read(buffer)?;
        if n_bytes > 0 {
            return Ok(n_bytes);
        }
        let next = match self.limit.load(Ordering::Relaxed) {
            0 => self.blocks.recv().map_err(|_| RecvTimeoutError::Disconnected),
            limit => self.blocks.recv_timeout(Duration::from_millis(limit)),
        };
        self.block = match next {
            Ok(block) => Cursor::new(block?),
            Err(RecvTimeoutError::Timeout) => return Err(ErrorKind::WouldBlock.into()),
            // The thread has sent the end.
            Err(RecvTimeoutError::Disconnected) => return Ok(0),
        };
        self.block.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the bytes that are sent to it.
    struct Slow(Receiver<u8>);

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.recv().map_or(Ok(0), |byte| {
                buffer[0] = byte;
                Ok(1)
            })
        }
    }

    #[test]
    fn reading_waits_no_longer_than_the_limit() {
        let (sender, receiver) = sync_channel::<u8>(1);
        let limit = WaitLimit::default();
        let mut input = StandardInput::of(Slow(receiver), Arc::clone(&limit)).unwrap();
        let mut buffer = [0; 8];
        sender.send(b'a').unwrap();
        assert_eq!(input.read(&mut buffer).unwrap(), 1);
        limit.store(20, Ordering::Relaxed);
        assert_eq!(input.read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        limit.store(0, Ordering::Relaxed);
        sender.send(b'b').unwrap();
        assert_eq!((input.read(&mut buffer).unwrap(), buffer[0]), (1, b'b'));
        drop(sender);
        assert_eq!(input.read(&mut buffer).unwrap(), 0);
        assert_eq!(input.read(&mut buffer).unwrap(), 0);
    }
}
