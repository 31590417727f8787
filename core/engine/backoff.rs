//! Pauses between tries: each twice as long as the one before, and jittered, so that many clients
//! of a service do not return at the same moment.

use std::ops::ControlFlow::{Break, Continue};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::error::Failure;
use crate::pipeline_options::RetryLimits;
use crate::stop::Flow;

/// The longest pause: the clock cannot count further than some hundred years.
const LONGEST: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// One period of failing, from its first error to a success or the end of the retry budget.
#[derive(Debug)]
pub(crate) struct Backoff {
    started: Instant,
    next: Duration,
    max: Duration,
    deadline: Option<Instant>,
    budget: RetryBudget,
}

/// Which option of `[retry]` limits the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RetryBudget {
    Connect,
    Timeout,
}

impl RetryBudget {
    /// `None` is without limit.
    fn limit(self, limits: &RetryLimits) -> Option<Duration> {
        match self {
            RetryBudget::Connect => limits.connect,
            RetryBudget::Timeout => limits.timeout,
        }
    }

    fn option(self) -> &'static str {
        match self {
            RetryBudget::Connect => "`[retry] connect`",
            RetryBudget::Timeout => "`[retry] timeout`",
        }
    }
}

impl Backoff {
    /// The budget starts now.
    pub(crate) fn new(limits: &RetryLimits, budget: RetryBudget) -> Self {
        let started = Instant::now();
        Backoff {
            started,
            next: limits.initial.clamp(Duration::from_millis(1), LONGEST),
            max: limits.max.max(limits.initial).min(LONGEST),
            // A limit that the clock cannot count is without effect.
            deadline: budget.limit(limits).and_then(|limit| started.checked_add(limit)),
            budget,
        }
    }

    /// Waits before the next try, at least as long as the service asks for; that time does not count
    /// against the budget. Fails with `failure` once the budget is used up.
    pub(crate) async fn wait(
        &mut self,
        component: &str,
        failure: Failure,
        stop: &CancellationToken,
    ) -> Result<Flow, Failure> {
        // Between half of the pause and all of it.
        let jittered = self.next.mul_f64(0.5 + fastrand::f64() / 2.0);
        let asked = failure.retry_after().filter(|asked| !asked.is_zero());
        let pause = jittered.max(asked.unwrap_or_default());
        if asked.is_some() {
            // A service that limits its clients has not failed.
            self.deadline = self.deadline.map(|deadline| deadline.checked_add(pause).unwrap_or(deadline));
        } else {
            self.next = (self.next * 2).min(self.max);
        }
        // A time that the clock cannot count is after every deadline.
        let until = Instant::now().checked_add(pause);
        if let Some(deadline) = self.deadline.filter(|&deadline| until.is_none_or(|until| until > deadline)) {
            let gave_up = self.gave_up(deadline, failure.retry_after());
            return Err(failure.context(gave_up));
        }
        tracing::warn!(component, "{:#}; retrying in {:.1} s", failure.error(), pause.as_secs_f64());
        let until = until.unwrap_or_else(|| Instant::now() + LONGEST);
        Ok(tokio::select! {
            biased;
            () = stop.cancelled() => Break(()),
            () = sleep_until(until) => Continue(()),
        })
    }

    fn gave_up(&self, deadline: Instant, retry_after: Option<Duration>) -> String {
        let tried = self.started.elapsed().as_secs_f64();
        let (left, option) = (deadline.saturating_duration_since(Instant::now()), self.budget.option());
        match retry_after {
            Some(wait) if wait > left => format!(
                "gave up after {tried:.1} s: the server asks to retry after {}, but only {} of {option} are left; \
                 increase {option}",
                whole_seconds(wait),
                whole_seconds(left)
            ),
            _ => format!("gave up after {tried:.1} s ({option})"),
        }
    }
}

/// As in pipeline files.
fn whole_seconds(duration: Duration) -> String {
    humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string()
}

#[cfg(test)]
mod tests {
    use anyhow::Error;

    use super::*;

    async fn wait(
        backoff: &mut Backoff,
        retry_after: Option<Duration>,
        stop: &CancellationToken,
    ) -> Result<Flow, String> {
        let failure = Failure::transient(Error::msg("status 429")).with_retry_after(retry_after);
        backoff.wait("api", failure, stop).await.map_err(|failure| format!("{:#}", failure.error()))
    }

    async fn waited(limits: &RetryLimits, at_least: Duration) -> Result<Duration, String> {
        let started = Instant::now();
        let mut backoff = Backoff::new(limits, RetryBudget::Timeout);
        let _ = wait(&mut backoff, Some(at_least), &CancellationToken::new()).await?;
        Ok(started.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_is_waited_for() {
        let limits = RetryLimits { timeout: Some(Duration::from_mins(5)), ..RetryLimits::default() };
        let waited_for = waited(&limits, Duration::from_mins(4)).await.unwrap();
        assert!(waited_for >= Duration::from_mins(4), "{waited_for:?}");
        let unlimited = RetryLimits { timeout: None, ..limits };
        assert!(waited(&unlimited, Duration::from_hours(1)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn wait_that_the_service_asks_for_does_not_count() {
        let limits = RetryLimits { timeout: Some(Duration::from_mins(5)), ..RetryLimits::default() };
        let started = Instant::now();
        let mut backoff = Backoff::new(&limits, RetryBudget::Timeout);
        let stop = CancellationToken::new();
        for _ in 0..10 {
            assert!(wait(&mut backoff, Some(Duration::from_mins(30)), &stop).await.is_ok());
        }
        assert!(started.elapsed() >= Duration::from_hours(5));
        // Failures of another kind still end after the timeout.
        let since = Instant::now();
        while wait(&mut backoff, None, &stop).await.is_ok() {}
        assert!(since.elapsed() <= Duration::from_mins(5), "{:?}", since.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_that_the_clock_cannot_count_is_refused() {
        for wait in [Duration::from_secs(u64::MAX), Duration::from_secs(i64::MAX as u64), Duration::MAX] {
            let error = waited(&RetryLimits::default(), wait).await.unwrap_err();
            assert!(error.contains("asks to retry after") && error.contains("`[retry] timeout`"), "{error}");
        }
        // Without a limit the wait ends only with a stop.
        let limits = RetryLimits { timeout: None, ..RetryLimits::default() };
        let stop = CancellationToken::new();
        stop.cancel();
        let mut backoff = Backoff::new(&limits, RetryBudget::Timeout);
        let flow = wait(&mut backoff, Some(Duration::MAX), &stop).await.unwrap();
        assert!(flow.is_break());
    }

    #[tokio::test(start_paused = true)]
    async fn limits_that_the_clock_cannot_count_have_no_effect() {
        let endless = Duration::MAX;
        let limits =
            RetryLimits { initial: endless, max: endless, timeout: Some(endless), connect: Some(endless) };
        let stop = CancellationToken::new();
        stop.cancel();
        for budget in [RetryBudget::Timeout, RetryBudget::Connect] {
            let mut backoff = Backoff::new(&limits, budget);
            for _ in 0..3 {
                assert!(wait(&mut backoff, None, &stop).await.unwrap().is_break());
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn used_up_budget_names_its_option() {
        let limits = RetryLimits { connect: Some(Duration::from_secs(1)), ..RetryLimits::default() };
        let mut backoff = Backoff::new(&limits, RetryBudget::Connect);
        let error = loop {
            if let Err(error) = wait(&mut backoff, None, &CancellationToken::new()).await {
                break error;
            }
        };
        assert!(
            error.starts_with("gave up after ") && error.ends_with(" s (`[retry] connect`): status 429"),
            "{error}"
        );
    }
}
