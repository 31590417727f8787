//! TransactionGate of a sink that writes in transactions: what it writes between two commits.
//!
//! A round may be committed only together with the position behind all that was
//! written in it, so now and then the door is shut until the delivered prefix
//! has come that far.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// TransactionGate are committed at most this often, and take new writes for no longer.
pub(crate) const ROUND: Duration = Duration::from_millis(100);
/// How long a write waits for a round to end. One that is let in later only makes
/// the round longer, and may be what the round waits for: a transform may have
/// put records into another order.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the writer of a sink and the commit loop of its source share.
#[derive(Debug, Default)]
pub(crate) struct TransactionGate {
    state: Mutex<State>,
    opened: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// How many items from the first one on have to be delivered before the round is committed.
    reach: u64,
    /// When the first write of this round began.
    begun: Option<Instant>,
    is_committing: bool,
    is_over: bool,
}

impl TransactionGate {
    /// Waits until these items of the source may be written; false if nothing
    /// that is written from now on will ever be committed.
    pub(crate) async fn enter(&self, items: Range<u64>) -> bool {
        let budget = Instant::now() + PATIENCE;
        loop {
            let opened = self.opened.notified();
            let is_committing = {
                let mut state = self.state();
                if state.is_over {
                    return false;
                }
                let now = Instant::now();
                let takes_writes = state.begun.is_none_or(|begun| now < begun + ROUND);
                let is_waited_for = items.start < state.reach || now >= budget;
                if !state.is_committing && (takes_writes || is_waited_for) {
                    state.begun.get_or_insert(now);
                    state.reach = state.reach.max(items.end);
                    return true;
                }
                state.is_committing
            };
            if is_committing {
                opened.await;
            } else {
                // Whether in time or not: the state tells.
                let _ = timeout_at(budget, opened).await;
            }
        }
    }

    /// Shuts the door for a commit, if the first `n_delivered` items are all that
    /// has been written: then no write is under way either.
    pub(crate) fn close(&self, n_delivered: u64) -> bool {
        let mut state = self.state();
        state.is_committing = state.reach <= n_delivered;
        state.is_committing
    }

    /// The round has been committed: the next one begins.
    pub(crate) fn next(&self) {
        let mut state = self.state();
        state.begun = None;
        state.is_committing = false;
        self.opened.notify_waiters();
    }

    /// Nothing will be committed any more: whoever waits need not write.
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

    /// Whether a write of these items is let in at once.
    fn enters(gate: &TransactionGate, items: Range<u64>) -> bool {
        gate.enter(items).now_or_never() == Some(true)
    }

    #[tokio::test(start_paused = true)]
    async fn a_round_is_committed_only_when_all_that_was_written_is_delivered() {
        let gate = TransactionGate::default();
        assert!(enters(&gate, 0..10) && enters(&gate, 10..20));
        assert!(!gate.close(10), "10 to 19 are under way");
        assert!(gate.close(20));
        assert!(!enters(&gate, 20..30), "it is being committed");
        gate.next();
        assert!(enters(&gate, 20..30));
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_round_takes_only_what_it_waits_for() {
        let gate = TransactionGate::default();
        assert!(enters(&gate, 0..10) && enters(&gate, 15..20));
        tokio::time::advance(ROUND).await;
        assert!(!enters(&gate, 20..30), "the next round's");
        assert!(enters(&gate, 10..15), "the round cannot end without it");
        assert!(gate.close(20));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_let_in_when_the_next_round_begins_and_at_last_anyway() {
        let gate = TransactionGate::default();
        assert!(enters(&gate, 0..10));
        tokio::time::advance(ROUND).await;
        let commit = async {
            assert!(gate.close(10));
            gate.next();
        };
        let began = Instant::now();
        assert!(tokio::join!(gate.enter(10..20), commit).0);
        assert!(began.elapsed() < PATIENCE);
        tokio::time::advance(ROUND).await;
        assert!(gate.enter(20..30).await, "nobody commits");
        assert!(began.elapsed() >= PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_end_nobody_waits_any_longer() {
        let gate = TransactionGate::default();
        assert!(enters(&gate, 0..10));
        tokio::time::advance(ROUND).await;
        let end = async { gate.end() };
        assert!(!tokio::join!(gate.enter(10..20), end).0);
        assert!(!gate.enter(20..30).await);
    }
}
