//! The `rate_limit` option: at most so many requests in a period.

use std::collections::VecDeque;
use std::time::Duration;

use runner_core::{HumanDuration, OptionError, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// How many requests the API allows in a period.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RateLimit {
    /// The number of requests.
    #[schemars(range(min = 1, max = 1_000_000))]
    requests: u32,
    /// The period.
    #[serde(default = "one_second")]
    per: HumanDuration,
}

fn one_second() -> HumanDuration {
    HumanDuration::from_secs(1)
}

/// Lets requests pass. Any period as long as that of the limit contains at most as many requests.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    n_requests: usize,
    period: Duration,
    /// When the last requests were sent.
    sent: Mutex<VecDeque<Instant>>,
}

impl RateLimiter {
    pub(crate) fn new(limit: RateLimit) -> Result<Self> {
        let Some(period) = limit.per.unless_zero() else {
            return Err(OptionError::new("rate_limit.per", "must be greater than 0"));
        };
        if !(1..=1_000_000).contains(&limit.requests) {
            return Err(OptionError::new("rate_limit.requests", "must be from 1 to 1000000"));
        }
        Ok(RateLimiter { n_requests: limit.requests as usize, period, sent: Mutex::default() })
    }

    /// Waits until the next request may be sent, and counts it.
    pub(super) async fn pass(&self) {
        let mut sent = self.sent.lock().await;
        if sent.len() >= self.n_requests {
            let until = sent[sent.len() - self.n_requests] + self.period;
            if until > Instant::now() {
                tracing::debug!("waiting for `rate_limit`");
                sleep_until(until).await;
            }
            sent.pop_front();
        }
        sent.push_back(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_period_has_more_requests_than_the_limit() {
        let limit = RateLimit { requests: 3, per: HumanDuration::from_secs(60) };
        let limiter = RateLimiter::new(limit).unwrap();
        let started = Instant::now();
        let mut passed = Vec::new();
        for pause in [0, 10, 0, 0, 5, 0, 200, 0] {
            tokio::time::sleep(Duration::from_secs(pause)).await;
            limiter.pass().await;
            passed.push(started.elapsed());
        }
        assert_eq!(passed[..4], [0, 10, 10, 60].map(Duration::from_secs));
        for window in passed.windows(4) {
            assert!(window[3] >= window[0] + Duration::from_secs(60), "{passed:?}");
        }
        assert_eq!(passed[7], passed[6]);
    }

    #[test]
    fn limit_of_nothing_is_refused() {
        let limit =
            |requests, per| RateLimiter::new(RateLimit { requests, per: HumanDuration::from_secs(per) });
        assert!(limit(0, 1).unwrap_err().to_string().starts_with("`rate_limit.requests`"));
        assert!(limit(1, 0).unwrap_err().to_string().starts_with("`rate_limit.per`"));
    }
}
