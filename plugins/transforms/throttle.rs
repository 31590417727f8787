//! `throttle`: lets records through at a steady rate.

use std::num::NonZeroU32;
use std::time::Duration;

use runner_core::{
    Batch, BuildContext, Flow, HumanDuration, OptionError, Output, Plugin, Result, Transform,
    TransformConfig, async_trait,
};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::Instant;

runner_core::register! {
    Plugin::transform::<ThrottleConfig>("throttle").example(
        r#"type = "throttle"
inputs = ["stocks"]
rate = 10
per = "1s""#,
    )
}

/// Lets records through at a steady rate and holds the source back meanwhile.
///
/// Nothing is ever dropped. The first record passes at once. After an idle spell
/// the pace begins anew: time that nobody used earns no burst.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ThrottleConfig {
    /// How many records may pass in every `per`.
    rate: NonZeroU32,
    /// The span of time that `rate` counts for.
    #[serde(default = "one_second")]
    per: HumanDuration,
}

fn one_second() -> HumanDuration {
    HumanDuration::from_secs(1)
}

impl TransformConfig for ThrottleConfig {
    fn build(self, _: &BuildContext) -> Result<Box<dyn Transform>> {
        let Some(per) = self.per.unless_zero() else {
            let message = "must be longer than nothing; for full speed leave the throttle out";
            return Err(OptionError::new("per", message));
        };
        Ok(Box::new(Throttle::new(self.rate, per)))
    }
}

/// How far behind its pace a throttle may catch up. Timers tick by the
/// millisecond and a busy machine serves them late: that is made good. It is
/// also the largest burst there can be, so it must not grow to what a user sees.
const SLACK: Duration = Duration::from_millis(250);

struct Throttle {
    rate: NonZeroU32,
    per: Duration,
    /// When the pace began, and how many records have passed since.
    began: Option<Instant>,
    n_passed: u64,
}

#[async_trait]
impl Transform for Throttle {
    async fn apply(&mut self, mut batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        if batch.is_empty() {
            return out.send(batch).await;
        }
        while !batch.is_empty() {
            if out.sleep_until_or_stop(self.next_due()).await {
                batch.release();
                return Ok(Flow::Stop);
            }
            let n_due = self.take_due(Instant::now(), batch.len());
            if out.send(batch.split_front(n_due)).await? == Flow::Stop {
                batch.release();
                return Ok(Flow::Stop);
            }
        }
        Ok(Flow::Continue)
    }
}

impl Throttle {
    fn new(rate: NonZeroU32, per: Duration) -> Self {
        Throttle { rate, per, began: None, n_passed: 0 }
    }

    /// When the next record may pass. Counted from the beginning each time: a
    /// pause between two records, rounded and summed up, would drift.
    fn next_due(&mut self) -> Instant {
        let began = *self.began.get_or_insert_with(Instant::now);
        let nanos = self.per.as_nanos() * u128::from(self.n_passed) / u128::from(self.rate.get());
        began + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// How many of `at_most` records may pass at `now`, one at least; counts them as passed.
    fn take_due(&mut self, now: Instant, at_most: usize) -> usize {
        if self.next_due() + SLACK < now {
            self.began = Some(now);
            self.n_passed = 0;
        }
        let since = now.duration_since(self.began.unwrap_or(now)).as_nanos();
        let n_earned = since * u128::from(self.rate.get()) / self.per.as_nanos() + 1;
        let n_due = n_earned.saturating_sub(u128::from(self.n_passed)).clamp(1, at_most as u128);
        self.n_passed += n_due as u64;
        n_due as usize
    }
}

#[cfg(test)]
mod tests {
    use runner_core::Error;
    use runner_core::testing::{apply, context, records};

    use super::*;

    fn throttle(rate: u32, per: Duration) -> Throttle {
        Throttle::new(NonZeroU32::new(rate).unwrap(), per)
    }

    async fn time_for(n_records: usize, per_second: u32) -> Duration {
        let mut throttle = throttle(per_second, Duration::from_secs(1));
        let started = Instant::now();
        let mut n_passed = 0;
        // In batches as a source reads them.
        for n in std::iter::repeat_n(1000, n_records / 1000).chain([n_records % 1000]) {
            n_passed += apply(&mut throttle, records(vec!["x"; n])).await.unwrap().records.len();
        }
        assert_eq!(n_passed, n_records);
        started.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_record_passes_at_once_and_the_rest_in_step() {
        assert_eq!(time_for(11, 5).await, Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn one_record_a_second_is_one_record_a_second() {
        assert_eq!(time_for(601, 1).await, Duration::from_mins(10));
    }

    #[tokio::test(start_paused = true)]
    async fn coarse_timers_do_not_slow_a_fast_rate() {
        let time = time_for(1_000_000, 100_000).await;
        assert!(time.abs_diff(Duration::from_secs(10)) <= Duration::from_millis(1), "{time:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_that_divides_badly_does_not_drift() {
        let time = time_for(3 * 3600 + 1, 3).await;
        assert!(time.abs_diff(Duration::from_hours(1)) <= Duration::from_millis(1), "{time:?}");
    }

    #[tokio::test]
    async fn a_hundred_thousand_a_second_holds_in_real_time() {
        let time = time_for(50_001, 100_000).await;
        assert!((Duration::from_millis(500)..Duration::from_secs(1)).contains(&time), "{time:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_spell_earns_no_burst() {
        let mut throttle = throttle(10, Duration::from_secs(1));
        apply(&mut throttle, records(["x"])).await.unwrap();
        tokio::time::advance(Duration::from_mins(1)).await;
        let started = Instant::now();
        apply(&mut throttle, records(vec!["x"; 11])).await.unwrap();
        assert_eq!(started.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_may_count_for_an_hour() {
        let mut throttle = throttle(2, Duration::from_hours(1));
        let started = Instant::now();
        apply(&mut throttle, records(vec!["x"; 3])).await.unwrap();
        assert_eq!(started.elapsed(), Duration::from_hours(1));
    }

    /// An outlet of a pipeline that somebody stops.
    struct Stops {
        at: Instant,
        n_sent: usize,
    }

    #[async_trait]
    impl Output for Stops {
        async fn send(&mut self, batch: Batch) -> Result<Flow> {
            self.n_sent += batch.len();
            batch.ack();
            Ok(Flow::Continue)
        }

        async fn reject(&mut self, batch: Batch, _: Vec<(usize, Error)>) -> Result<Batch> {
            Ok(batch)
        }

        async fn sleep_until_or_stop(&mut self, deadline: Instant) -> bool {
            tokio::time::sleep_until(deadline.min(self.at)).await;
            self.at < deadline
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_is_given_back_as_soon_as_the_pipeline_stops() {
        let started = Instant::now();
        let mut out = Stops { at: started + Duration::from_millis(2500), n_sent: 0 };
        let mut throttle = throttle(1, Duration::from_secs(1));
        let flow = throttle.apply(records(vec!["x"; 100]), &mut out).await.unwrap();
        assert_eq!((flow, out.n_sent), (Flow::Stop, 3));
        assert_eq!(started.elapsed(), Duration::from_millis(2500));
    }

    #[tokio::test]
    async fn a_batch_of_which_nothing_is_left_is_sent_on() {
        let mut out = Stops { at: Instant::now(), n_sent: 0 };
        let flow = throttle(1, Duration::from_secs(1)).apply(Batch::default(), &mut out).await.unwrap();
        assert_eq!(flow, Flow::Continue);
    }

    #[test]
    fn a_span_of_nothing_is_refused() {
        let config = ThrottleConfig { rate: NonZeroU32::MIN, per: HumanDuration::from_secs(0) };
        assert!(config.build(&context()).err().unwrap().to_string().contains("`per`"));
    }
}
