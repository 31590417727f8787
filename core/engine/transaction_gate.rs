//! Gate before a sink that writes in transactions.
//!
//! A transaction may be committed only together with the position after everything that was
//! written in it. So the gate closes from time to time, until the delivered prefix has come that
//! far.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// Transactions are committed at most this often, and admit new writes for no longer.
pub(crate) const COMMIT_INTERVAL: Duration = Duration::from_millis(100);
/// How long a write waits for the present transaction to end. A write that is admitted after that
/// only makes the transaction longer, and may be what the transaction waits for: a transform may
/// have changed the order of the records.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Shared by the task of the sink and the commit loop of its source.
#[derive(Debug, Default)]
pub(crate) struct TransactionGate {
    state: Mutex<State>,
    opened: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// How many items, counted from the first one, must be delivered before the commit.
    reach: u64,
    /// When the first write of this transaction began.
    begun: Option<Instant>,
    is_committing: bool,
    is_over: bool,
}

impl TransactionGate {
    /// Waits until these items of the source may be written; false if nothing that is written from
    /// now on will ever be committed.
    pub(crate) async fn enter(&self, items: Range<u64>) -> bool {
        let deadline = Instant::now() + MAX_WAIT;
        loop {
            let opened = self.opened.notified();
            let is_committing = {
                let mut state = self.state();
                if state.is_over {
                    return false;
                }
                let now = Instant::now();
                let admits_writes = state.begun.is_none_or(|begun| now < begun + COMMIT_INTERVAL);
                let is_awaited = items.start < state.reach || now >= deadline;
                if !state.is_committing && (admits_writes || is_awaited) {
                    state.begun.get_or_insert(now);
                    state.reach = state.reach.max(items.end);
                    return true;
                }
                state.is_committing
            };
            if is_committing {
                opened.await;
            } else {
                // The state tells whether it was opened or the time has passed.
                let _ = timeout_at(deadline, opened).await;
            }
        }
    }

    /// Closes the gate for a commit, if the first `n_delivered` items are everything that was
    /// written; no write is in flight then.
    pub(crate) fn close(&self, n_delivered: u64) -> bool {
        let mut state = self.state();
        state.is_committing = state.reach <= n_delivered;
        state.is_committing
    }

    /// The transaction is committed: the next one begins.
    pub(crate) fn committed(&self) {
        let mut state = self.state();
        state.begun = None;
        state.is_committing = false;
        self.opened.notify_waiters();
    }

    /// Nothing will be committed any more: writes that wait are refused.
    pub(crate) fn end(&self) {
        self.state().is_over = true;
        self.opened.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    /// Whether a write of these items is admitted at once.
    fn enters(gate: &TransactionGate, items: Range<u64>) -> bool {
        gate.enter(items).now_or_never() == Some(true)
    }

    #[tokio::test(start_paused = true)]
    async fn gate_closes_only_when_everything_written_is_delivered() {
        let gate = TransactionGate::default();
        assert!(enters(&gate, 0..10) && enters(&gate, 10..20));
        assert!(!gate.close(10), "10 to 19 are in flight");
        assert!(gate.close(20));
        assert!(!enters(&gate, 20..30), "it is being committed");
        gate.committed();
        assert!(enters(&gate, 20..30));
    }

    #[tokio::test(start_paused = true)]
    async fn old_transaction_admits_only_what_it_waits_for() {
        let gate = TransactionGate::default();
        assert!(enters(&gate, 0..10) && enters(&gate, 15..20));
        tokio::time::advance(COMMIT_INTERVAL).await;
        assert!(!enters(&gate, 20..30), "belongs to the next transaction");
        assert!(enters(&gate, 10..15), "the transaction cannot end without it");
        assert!(gate.close(20));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_write_is_admitted_after_a_commit_or_the_longest_wait() {
        let gate = TransactionGate::default();
        assert!(enters(&gate, 0..10));
        tokio::time::advance(COMMIT_INTERVAL).await;
        let commit = async {
            assert!(gate.close(10));
            gate.committed();
        };
        let began = Instant::now();
        assert!(tokio::join!(gate.enter(10..20), commit).0);
        assert!(began.elapsed() < MAX_WAIT);
        tokio::time::advance(COMMIT_INTERVAL).await;
        assert!(gate.enter(20..30).await, "without a commit");
        assert!(began.elapsed() >= MAX_WAIT);
    }

    #[tokio::test(start_paused = true)]
    async fn ended_gate_refuses_waiting_writes() {
        let gate = TransactionGate::default();
        assert!(enters(&gate, 0..10));
        tokio::time::advance(COMMIT_INTERVAL).await;
        let end = async { gate.end() };
        assert!(!tokio::join!(gate.enter(10..20), end).0);
        assert!(!gate.enter(20..30).await);
    }
}
