//! Pauses between tries: each twice as long as the one before, and jittered, so
//! that many clients of a service that comes back do not come back at once.

use std::time::Duration;

use anyhow::{Context as _, Error, Result};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::plugin::RetryLimits;

/// One span of failing, from its first error to a success or the end of patience.
#[derive(Debug)]
pub(crate) struct Backoff {
    started: Instant,
    next: Duration,
    max: Duration,
    deadline: Option<Instant>,
}

impl Backoff {
    /// For something that may be tried for `patience`, or for ever.
    pub(crate) fn new(limits: &RetryLimits, patience: Option<Duration>) -> Self {
        let started = Instant::now();
        Backoff {
            started,
            next: limits.initial.max(Duration::from_millis(1)),
            max: limits.max.max(limits.initial),
            deadline: patience.map(|patience| started + patience),
        }
    }

    /// Waits before the next try, at least for `at_least`: true when it is time
    /// to try again, false when `stop` came first, and `error` once patience is over.
    pub(crate) async fn wait(
        &mut self,
        component: &str,
        error: Error,
        at_least: Option<Duration>,
        stop: &CancellationToken,
    ) -> Result<bool> {
        // Between half of the pause and all of it.
        let jittered = self.next.mul_f64(0.5 + fastrand::f64() / 2.0);
        let pause = jittered.max(at_least.unwrap_or_default());
        self.next = (self.next * 2).min(self.max);
        let until = Instant::now() + pause;
        if self.deadline.is_some_and(|deadline| until > deadline) {
            let tried = self.started.elapsed();
            return Err(error).with_context(|| format!("gave up after {:.1} s", tried.as_secs_f64()));
        }
        tracing::warn!(component, "{error:#}; trying again in {:.1} s", pause.as_secs_f64());
        Ok(tokio::select! {
            biased;
            () = stop.cancelled() => false,
            () = sleep_until(until) => true,
        })
    }
}
