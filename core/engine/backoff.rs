//! Pauses between tries: each twice as long as the one before, and jittered, so
//! that many clients of a service that comes back do not come back at once.

use std::time::Duration;

use anyhow::{Context as _, Error, Result};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::plugin::RetryLimits;

/// No pause is longer: nobody waits for its end, and the clock cannot count for ever.
const FOR_EVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// One span of failing, from its first error to a success or the end of budget.
#[derive(Debug)]
pub(crate) struct Backoff {
    started: Instant,
    next: Duration,
    max: Duration,
    deadline: Option<Instant>,
    budget: RetryBudget,
}

/// Which option of `[retry]` says how long to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RetryBudget {
    Connect,
    Timeout,
}

impl RetryBudget {
    /// `None` is for ever.
    fn within(self, limits: &RetryLimits) -> Option<Duration> {
        match self {
            RetryBudget::Connect => limits.connect,
            RetryBudget::Timeout => limits.timeout,
        }
    }

    /// As in "`[retry] timeout` is over".
    fn option(self) -> &'static str {
        match self {
            RetryBudget::Connect => "`[retry] connect`",
            RetryBudget::Timeout => "`[retry] timeout`",
        }
    }
}

impl Backoff {
    /// For something that may be tried as long as that option says, from now on.
    pub(crate) fn new(limits: &RetryLimits, budget: RetryBudget) -> Self {
        let started = Instant::now();
        Backoff {
            started,
            next: limits.initial.clamp(Duration::from_millis(1), FOR_EVER),
            max: limits.max.max(limits.initial).min(FOR_EVER),
            // A limit beyond what the clock can count is none.
            deadline: budget.within(limits).and_then(|limit| started.checked_add(limit)),
            budget,
        }
    }

    /// Waits before the next try, at least for `at_least`: true when it is time
    /// to try again, false when `stop` came first, and `error` once budget is over.
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
        // What the clock cannot count lies beyond every deadline.
        let until = Instant::now().checked_add(pause);
        if let Some(deadline) = self.deadline.filter(|&deadline| until.is_none_or(|until| until > deadline)) {
            return Err(error).with_context(|| self.gave_up(deadline, at_least));
        }
        tracing::warn!(component, "{error:#}; trying again in {:.1} s", pause.as_secs_f64());
        let until = until.unwrap_or_else(|| Instant::now() + FOR_EVER);
        Ok(tokio::select! {
            biased;
            () = stop.cancelled() => false,
            () = sleep_until(until) => true,
        })
    }

    fn gave_up(&self, deadline: Instant, asked: Option<Duration>) -> String {
        let tried = self.started.elapsed().as_secs_f64();
        let (left, option) = (deadline.saturating_duration_since(Instant::now()), self.budget.option());
        match asked {
            Some(asked) if asked > left => format!(
                "gave up after {tried:.1} s: it asks to wait {}, and {} of {option} are left; raise {option} to more \
                 than it asks for",
                whole_seconds(asked),
                whole_seconds(left)
            ),
            _ => format!("gave up after {tried:.1} s ({option})"),
        }
    }
}

/// As people say it, and pipeline files too.
fn whole_seconds(duration: Duration) -> String {
    humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn waited(limits: &RetryLimits, at_least: Duration) -> Result<Duration> {
        let started = Instant::now();
        let mut backoff = Backoff::new(limits, RetryBudget::Timeout);
        let error = Error::msg("answered 429");
        backoff.wait("api", error, Some(at_least), &CancellationToken::new()).await?;
        Ok(started.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_asked_for_is_kept_or_refused_with_both_figures() {
        let limits = RetryLimits { timeout: Some(Duration::from_mins(5)), ..RetryLimits::default() };
        let waited_for = waited(&limits, Duration::from_mins(4)).await.unwrap();
        assert!(waited_for >= Duration::from_mins(4), "{waited_for:?}");
        let error = format!("{:#}", waited(&limits, Duration::from_hours(1)).await.unwrap_err());
        assert_eq!(
            error,
            "gave up after 0.0 s: it asks to wait 1h, and 5m of `[retry] timeout` are left; raise \
             `[retry] timeout` to more than it asks for: answered 429"
        );
        let for_ever = RetryLimits { timeout: None, ..limits };
        assert!(waited(&for_ever, Duration::from_hours(1)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_beyond_what_the_clock_counts_is_too_long_and_no_panic() {
        for asked in [Duration::from_secs(u64::MAX), Duration::from_secs(i64::MAX as u64), Duration::MAX] {
            let error = format!("{:#}", waited(&RetryLimits::default(), asked).await.unwrap_err());
            assert!(error.contains("it asks to wait") && error.contains("`[retry] timeout`"), "{error}");
        }
        // Whoever waits for ever does that, until he is stopped.
        let limits = RetryLimits { timeout: None, ..RetryLimits::default() };
        let stop = CancellationToken::new();
        stop.cancel();
        let mut backoff = Backoff::new(&limits, RetryBudget::Timeout);
        assert!(!backoff.wait("api", Error::msg("no"), Some(Duration::MAX), &stop).await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn limits_beyond_what_the_clock_counts_are_none() {
        let endless = Duration::MAX;
        let limits =
            RetryLimits { initial: endless, max: endless, timeout: Some(endless), connect: Some(endless) };
        let stop = CancellationToken::new();
        stop.cancel();
        for budget in [RetryBudget::Timeout, RetryBudget::Connect] {
            let mut backoff = Backoff::new(&limits, budget);
            for _ in 0..3 {
                assert!(!backoff.wait("api", Error::msg("no"), None, &stop).await.unwrap());
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn patience_that_is_over_names_its_option() {
        let limits = RetryLimits { connect: Some(Duration::from_secs(1)), ..RetryLimits::default() };
        let mut backoff = Backoff::new(&limits, RetryBudget::Connect);
        let error = loop {
            let waited = backoff.wait("api", Error::msg("no"), None, &CancellationToken::new()).await;
            if let Err(error) = waited {
                break format!("{error:#}");
            }
        };
        assert!(
            error.starts_with("gave up after ") && error.ends_with(" s (`[retry] connect`): no"),
            "{error}"
        );
    }
}
