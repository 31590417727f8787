//! Bounds the bytes of records that are in flight in one pipeline.

use tokio::sync::Notify;

use crate::sync::{AtomicUsize, Ordering};

/// The bytes of records between reading and their end, client queues included.
#[derive(Debug)]
pub(crate) struct InFlight {
    n_bytes: AtomicUsize,
    at_most: usize,
    freed: Notify,
}

impl Default for InFlight {
    fn default() -> Self {
        InFlight::new(usize::MAX)
    }
}

impl InFlight {
    pub(crate) fn new(at_most: usize) -> Self {
        InFlight { n_bytes: AtomicUsize::new(0), at_most, freed: Notify::new() }
    }

    /// Waits until fewer bytes than the limit are in flight; then one more batch of any size may be
    /// read.
    pub(crate) async fn has_room(&self) {
        loop {
            // From here on no notification is missed.
            let freed = self.freed.notified();
            if self.n_bytes.load(Ordering::SeqCst) < self.at_most {
                return;
            }
            freed.await;
        }
    }

    #[cfg(test)]
    pub(crate) fn n_bytes(&self) -> usize {
        self.n_bytes.load(Ordering::SeqCst)
    }

    pub(crate) fn add(&self, n_bytes: usize) {
        self.n_bytes.fetch_add(n_bytes, Ordering::SeqCst);
    }

    pub(crate) fn remove(&self, n_bytes: usize) {
        self.n_bytes.fetch_sub(n_bytes, Ordering::SeqCst);
        self.freed.notify_waiters();
    }
}
