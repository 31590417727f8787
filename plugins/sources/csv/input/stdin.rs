//! Standard input as a stream that can be waited for with a limit.

use std::io::{self, Cursor, ErrorKind, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How much is read at once.
const BLOCK: usize = 64 << 10;

/// The longest wait of a read in milliseconds, or 0 if it may wait forever.
pub(crate) type WaitLimit = Arc<AtomicU64>;

/// How long a read waits, once the reading has to end, for the block that the thread may be handing over.
const LAST_WAIT: Duration = Duration::from_millis(100);

/// Ends the reading before the end of the input; there is one standard input in a process.
static EARLY_END: OnceLock<Arc<EarlyEnd>> = OnceLock::new();

/// Whether the reading has to end, perhaps before it has begun.
static MUST_END: AtomicBool = AtomicBool::new(false);

/// Ends the reading of one input before its end.
struct EarlyEnd {
    is_requested: AtomicBool,
    /// Whether the input might have gone on where the reading ended.
    is_reached: AtomicBool,
    /// Wakes a read that waits.
    waker: SyncSender<Event>,
}

/// What a read waits for.
enum Event {
    /// The next block; an empty one is the end.
    Block(io::Result<Vec<u8>>),
    /// The reading has to end.
    Wake,
}

impl EarlyEnd {
    fn request(&self) {
        self.is_requested.store(true, Ordering::SeqCst);
        // A full channel holds an event already, which ends a wait.
        let _ = self.waker.try_send(Event::Wake);
    }
}

/// Ends the reading: what was read so far is returned, and then the end.
pub(crate) fn end_reading() {
    MUST_END.store(true, Ordering::SeqCst);
    if let Some(end) = EARLY_END.get() {
        end.request();
    }
}

/// Whether the reading has ended before the end of the input, so that what was read last may be incomplete.
pub(crate) fn ended_early() -> bool {
    EARLY_END.get().is_some_and(|end| end.is_reached.load(Ordering::SeqCst))
}

/// Reads standard input. A read that waits for longer than the limit fails with [`ErrorKind::WouldBlock`].
pub(crate) struct StandardInput {
    events: Receiver<Event>,
    early_end: Arc<EarlyEnd>,
    is_at_end: bool,
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
        let input = Self::of(io::stdin(), limit)?;
        EARLY_END.get_or_init(|| Arc::clone(&input.early_end));
        if MUST_END.load(Ordering::SeqCst) {
            input.early_end.request();
        }
        Ok(input)
    }

    fn of(mut reader: impl Read + Send + 'static, limit: WaitLimit) -> io::Result<Self> {
        let (sender, events) = sync_channel(2);
        let early_end = Arc::new(EarlyEnd {
            is_requested: AtomicBool::new(false),
            is_reached: AtomicBool::new(false),
            waker: sender.clone(),
        });
        let end = Arc::clone(&early_end);
        let read = move || {
            while !end.is_requested.load(Ordering::SeqCst) {
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
                if sender.send(Event::Block(block)).is_err() || is_last {
                    break;
                }
            }
        };
        std::thread::Builder::new().name("stdin".into()).spawn(read)?;
        Ok(StandardInput { events, early_end, is_at_end: false, block: Cursor::default(), limit })
    }

    /// The next block; empty at the end.
    fn next_block(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let must_end = self.early_end.is_requested.load(Ordering::SeqCst);
            let event = match self.limit.load(Ordering::Relaxed) {
                _ if must_end => self.events.recv_timeout(LAST_WAIT),
                0 => self.events.recv().map_err(|_| RecvTimeoutError::Disconnected),
                limit => self.events.recv_timeout(Duration::from_millis(limit)),
            };
            match event {
                Ok(Event::Block(block)) => return block,
                Ok(Event::Wake) => {}
                Err(RecvTimeoutError::Timeout) if must_end => {
                    self.early_end.is_reached.store(true, Ordering::SeqCst);
                    return Ok(Vec::new());
                }
                Err(RecvTimeoutError::Timeout) => return Err(ErrorKind::WouldBlock.into()),
                Err(RecvTimeoutError::Disconnected) => return Ok(Vec::new()),
            }
        }
    }
}

impl Read for StandardInput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n_bytes = self.block.read(buffer)?;
        if n_bytes > 0 || self.is_at_end {
            return Ok(n_bytes);
        }
        // An error that is not about the wait is the last event of the thread.
        let block = self.next_block();
        self.is_at_end = match &block {
            Ok(block) => block.is_empty(),
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        };
        self.block = Cursor::new(block?);
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

    #[test]
    fn reading_that_has_to_end_returns_what_was_read_and_then_the_end() {
        let (sender, receiver) = sync_channel::<u8>(0);
        let mut input = StandardInput::of(Slow(receiver), WaitLimit::default()).unwrap();
        // Once the third byte was taken, the two before it wait to be read.
        b"abc".iter().for_each(|&byte| sender.send(byte).unwrap());
        input.early_end.request();
        let mut text = Vec::new();
        input.read_to_end(&mut text).unwrap();
        assert!(text.starts_with(b"ab"), "{text:?}");
        assert!(input.early_end.is_reached.load(Ordering::SeqCst));
        assert_eq!(input.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn end_of_the_input_is_no_early_end() {
        let (sender, receiver) = sync_channel::<u8>(1);
        let mut input = StandardInput::of(Slow(receiver), WaitLimit::default()).unwrap();
        sender.send(b'a').unwrap();
        drop(sender);
        let mut text = Vec::new();
        input.read_to_end(&mut text).unwrap();
        input.early_end.request();
        assert_eq!((&*text, input.read(&mut [0]).unwrap()), (&b"a"[..], 0));
        assert!(!input.early_end.is_reached.load(Ordering::SeqCst));
    }
}
