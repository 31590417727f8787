//! `throttle`: passes records at a steady rate.

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

/// Passes records at a steady rate and slows the source down to it.
///
/// No record is dropped. The first record passes at once. Each record passes at its due
/// time, without waiting for a batch to fill. Idle time does not allow a burst later.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-hints" = {
    "rate": "a rate below one is written with a longer `per`: one record every 2 seconds is rate = 1, per = \"2s\"",
}))]
struct ThrottleConfig {
    /// The number of records that pass in every `per`: one every 2 seconds is `rate = 1`, `per = "2s"`.
    rate: NonZeroU32,
    /// The time span for `rate`.
    #[serde(default = "one_second")]
    per: HumanDuration,
}

fn one_second() -> HumanDuration {
    HumanDuration::from_secs(1)
}

impl TransformConfig for ThrottleConfig {
    fn build(self, _: &BuildContext) -> Result<Box<dyn Transform>> {
        let Some(per) = self.per.unless_zero() else {
            let message = "must be greater than 0; to run at full speed remove the throttle";
            return Err(OptionError::new("per", message));
        };
        Ok(Box::new(Throttle::new(self.rate, per)))
    }
}

/// The longest delay that a throttle catches up with. Timers have a resolution of one millisecond,
/// and fire late on a busy machine. This is also the largest possible burst.
const MAX_CATCH_UP: Duration = Duration::from_millis(250);

struct Throttle {
    rate: NonZeroU32,
    per: Duration,
    /// The time of the first record, and how many records have passed since.
    started: Option<Instant>,
    n_passed: u64,
}

#[async_trait]
impl Transform for Throttle {
    async fn apply(&mut self, mut batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        if batch.is_empty() {
            return out.send(batch).await;
        }
        while !batch.is_empty() {
            let mut flow = out.sleep_until_or_stop(self.next_due()).await;
            if flow.is_continue() {
                let n_due = self.take_due(Instant::now(), batch.len());
                flow = out.send(batch.split_front(n_due)).await?;
            }
            if flow.is_break() {
                batch.release();
                return Ok(flow);
            }
        }
        Ok(Flow::Continue(()))
    }
}

impl Throttle {
    fn new(rate: NonZeroU32, per: Duration) -> Self {
        Throttle { rate, per, started: None, n_passed: 0 }
    }

    /// The due time of the next record. Computed from the start, because a sum of rounded intervals drifts.
    fn next_due(&mut self) -> Instant {
        let started = *self.started.get_or_insert_with(Instant::now);
        let nanos = self.per.as_nanos() * u128::from(self.n_passed) / u128::from(self.rate.get());
        started + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Takes up to `at_most` records that are due at `now`, at least one, so that overdue records share a batch.
    fn take_due(&mut self, now: Instant, at_most: usize) -> usize {
        if self.next_due() + MAX_CATCH_UP < now {
            self.started = Some(now);
            self.n_passed = 0;
        }
        let since = now.duration_since(self.started.unwrap_or(now)).as_nanos();
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

    /// Collects the time and size of each batch sent, and can stop the pipeline at a time.
    struct TimedOutput {
        started: Instant,
        stop_at: Option<Instant>,
        batches: Vec<(Duration, usize)>,
    }

    impl TimedOutput {
        fn new(stop_at: Option<Instant>) -> Self {
            TimedOutput { started: Instant::now(), stop_at, batches: Vec::new() }
        }
    }

    #[async_trait]
    impl Output for TimedOutput {
        async fn send(&mut self, batch: Batch) -> Result<Flow> {
            self.batches.push((self.started.elapsed(), batch.len()));
            batch.ack();
            Ok(Flow::Continue(()))
        }

        async fn reject(&mut self, batch: Batch, _: Vec<(usize, Error)>) -> Result<Batch> {
            Ok(batch)
        }

        async fn sleep_until_or_stop(&mut self, deadline: Instant) -> Flow {
            let stop_at = self.stop_at.filter(|stop_at| *stop_at < deadline);
            tokio::time::sleep_until(stop_at.unwrap_or(deadline)).await;
            stop_at.map_or(Flow::Continue(()), |_| Flow::Break(()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn throttle_passes_the_first_record_at_once_and_the_rest_in_step() {
        assert_eq!(time_for(11, 5).await, Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn throttle_passes_one_record_per_second() {
        assert_eq!(time_for(601, 1).await, Duration::from_mins(10));
    }

    #[tokio::test(start_paused = true)]
    async fn throttle_sends_each_record_alone_at_its_due_time_at_a_low_rate() {
        let mut out = TimedOutput::new(None);
        let flow = throttle(200, Duration::from_secs(1)).apply(records(vec!["x"; 100]), &mut out).await;
        assert_eq!(flow.unwrap(), Flow::Continue(()));
        let expected: Vec<_> = (0..100).map(|n| (Duration::from_millis(5 * n), 1)).collect();
        assert_eq!(out.batches, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn throttle_sends_due_records_together_at_a_high_rate() {
        let mut out = TimedOutput::new(None);
        let flow = throttle(100_000, Duration::from_secs(1)).apply(records(vec!["x"; 1001]), &mut out).await;
        assert_eq!(flow.unwrap(), Flow::Continue(()));
        // Timers have a resolution of one millisecond: 100 records each.
        let expected: Vec<_> =
            (0..=10).map(|n| (Duration::from_millis(n), if n == 0 { 1 } else { 100 })).collect();
        assert_eq!(out.batches, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn throttle_sends_overdue_records_together_when_the_next_stage_is_slow() {
        let mut throttle = throttle(1000, Duration::from_secs(1));
        let now = throttle.next_due();
        assert_eq!(throttle.take_due(now, 1000), 1);
        assert_eq!(throttle.take_due(now + Duration::from_millis(50), 1000), 50);
    }

    #[tokio::test(start_paused = true)]
    async fn throttle_is_exact_at_rates_above_the_timer_resolution() {
        let time = time_for(1_000_000, 100_000).await;
        assert!(time.abs_diff(Duration::from_secs(10)) <= Duration::from_millis(1), "{time:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn throttle_does_not_drift_at_a_rate_with_a_remainder() {
        let time = time_for(3 * 3600 + 1, 3).await;
        assert!(time.abs_diff(Duration::from_hours(1)) <= Duration::from_millis(1), "{time:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn throttle_allows_no_burst_after_idle_time() {
        let mut throttle = throttle(10, Duration::from_secs(1));
        apply(&mut throttle, records(["x"])).await.unwrap();
        tokio::time::advance(Duration::from_mins(1)).await;
        let started = Instant::now();
        apply(&mut throttle, records(vec!["x"; 11])).await.unwrap();
        assert_eq!(started.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn throttle_accepts_a_rate_per_hour() {
        let mut throttle = throttle(2, Duration::from_hours(1));
        let started = Instant::now();
        apply(&mut throttle, records(vec!["x"; 3])).await.unwrap();
        assert_eq!(started.elapsed(), Duration::from_hours(1));
    }

    #[tokio::test(start_paused = true)]
    async fn throttle_releases_waiting_records_when_the_pipeline_stops() {
        let mut out = TimedOutput::new(Some(Instant::now() + Duration::from_millis(2500)));
        let mut throttle = throttle(1, Duration::from_secs(1));
        let flow = throttle.apply(records(vec!["x"; 100]), &mut out).await.unwrap();
        assert_eq!((flow, out.batches.len()), (Flow::Break(()), 3));
        assert_eq!(out.started.elapsed(), Duration::from_millis(2500));
    }

    #[tokio::test]
    async fn throttle_passes_an_empty_batch() {
        let mut out = TimedOutput::new(None);
        let flow = throttle(1, Duration::from_secs(1)).apply(Batch::default(), &mut out).await.unwrap();
        assert_eq!((flow, out.batches.len()), (Flow::Continue(()), 1));
    }

    #[test]
    fn build_refuses_a_zero_time_span() {
        let config = ThrottleConfig { rate: NonZeroU32::MIN, per: HumanDuration::from_secs(0) };
        assert!(config.build(&context()).err().unwrap().to_string().contains("`per`"));
    }
}
