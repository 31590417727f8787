//! `sample`: passes a random sample of the records.

use std::num::NonZeroU32;

use fastrand::Rng;
use runner_core::{
    Batch, BuildContext, Flow, OptionError, Output, Plugin, Result, Transform, TransformConfig, async_trait,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

runner_core::register! {
    Plugin::transform::<SampleConfig>("sample").example(
        r#"type = "sample"
inputs = ["stocks"]
one_in = 10"#,
    )
}

/// Passes a random sample of the records.
///
/// The other records are filtered: they count as delivered and are not read again. Set
/// either `one_in` or `ratio`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SampleConfig {
    /// One random record of every `one_in` consecutive records passes, so the share is exact.
    #[serde(default)]
    one_in: Option<NonZeroU32>,
    /// The probability of each record to pass, from 0 to 1.
    #[serde(default)]
    ratio: Option<Ratio>,
    /// The seed of the random choice: with it every run makes the same choice. Default: a random seed.
    #[serde(default)]
    seed: Option<u64>,
}

/// A ratio between 0 and 1.
#[derive(Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "f64")]
#[schemars(inline, extend("minimum" = 0, "maximum" = 1))]
struct Ratio(f64);

impl TryFrom<f64> for Ratio {
    type Error = String;

    fn try_from(ratio: f64) -> Result<Self, String> {
        if (0.0..=1.0).contains(&ratio) {
            Ok(Ratio(ratio))
        } else {
            Err(format!("a ratio must be between 0 and 1, not {ratio}"))
        }
    }
}

impl TransformConfig for SampleConfig {
    fn build(self, _: &BuildContext) -> Result<Box<dyn Transform>> {
        let choice = match (self.one_in, self.ratio) {
            (Some(n), None) => Choice::OneIn { n: n.get(), index: 0, chosen: 0 },
            (None, Some(Ratio(ratio))) => Choice::Ratio(ratio),
            (None, None) => {
                return Err(OptionError::new("one_in", "set `one_in` or `ratio`"));
            }
            (Some(_), Some(_)) => {
                return Err(OptionError::new(
                    "ratio",
                    "cannot be combined with `one_in`: remove one of them",
                ));
            }
        };
        let rng = self.seed.map_or_else(Rng::new, Rng::with_seed);
        Ok(Box::new(Sample { choice, rng }))
    }
}

struct Sample {
    choice: Choice,
    rng: Rng,
}

enum Choice {
    /// The record `chosen` of every `n` consecutive ones; `index` counts them.
    OneIn {
        n: u32,
        index: u32,
        chosen: u32,
    },
    Ratio(f64),
}

#[async_trait]
impl Transform for Sample {
    fn filter_reason(&self) -> &'static str {
        "not in the sample"
    }

    async fn apply(&mut self, mut batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        batch.retain(|_| self.is_chosen());
        out.send(batch).await
    }
}

impl Sample {
    fn is_chosen(&mut self) -> bool {
        match &mut self.choice {
            // `f64()` is in [0, 1), so 0 passes nothing and 1 everything.
            Choice::Ratio(ratio) => self.rng.f64() < *ratio,
            Choice::OneIn { n, index, chosen } => {
                if *index == 0 {
                    *chosen = self.rng.u32(0..*n);
                }
                let is_chosen = *index == *chosen;
                *index = (*index + 1) % *n;
                is_chosen
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use runner_core::testing::{apply, context, records};

    use super::*;

    fn sample(one_in: Option<u32>, ratio: Option<f64>, seed: u64) -> Result<Box<dyn Transform>> {
        let one_in = one_in.map(|n| NonZeroU32::new(n).unwrap());
        let ratio = ratio.map(|ratio| Ratio::try_from(ratio).unwrap());
        SampleConfig { one_in, ratio, seed: Some(seed) }.build(&context())
    }

    async fn chosen(transform: &mut dyn Transform, n_records: usize) -> Vec<u64> {
        let mut out = Vec::new();
        for _ in 0..n_records / 100 {
            let passed = apply(transform, records(vec!["x"; 100])).await.unwrap();
            out.extend(passed.records.iter().map(|record| record.origin.offset));
        }
        out
    }

    #[tokio::test]
    async fn one_in_passes_one_of_every_n_records() {
        let offsets = chosen(&mut *sample(Some(10), None, 7).unwrap(), 1000).await;
        assert_eq!(offsets.len(), 100);
        for (index, offset) in offsets.iter().enumerate() {
            assert_eq!(offset / 10, index as u64 % 10);
        }
        let is_periodic = offsets.iter().all(|offset| offset % 10 == offsets[0] % 10);
        assert!(!is_periodic, "always the same index of ten");
    }

    #[tokio::test]
    async fn ratio_passes_the_share_on_average() {
        let n_passed = chosen(&mut *sample(None, Some(0.25), 7).unwrap(), 100_000).await.len();
        // Five standard deviations of 137 records on either side.
        assert!((24_300..25_700).contains(&n_passed), "{n_passed}");
    }

    #[tokio::test]
    async fn ratio_zero_passes_nothing_and_one_everything() {
        assert_eq!(chosen(&mut *sample(None, Some(0.0), 7).unwrap(), 1000).await.len(), 0);
        assert_eq!(chosen(&mut *sample(None, Some(1.0), 7).unwrap(), 1000).await.len(), 1000);
    }

    #[tokio::test]
    async fn same_seed_chooses_the_same_records() {
        let first = chosen(&mut *sample(None, Some(0.1), 42).unwrap(), 1000).await;
        assert_eq!(first, chosen(&mut *sample(None, Some(0.1), 42).unwrap(), 1000).await);
        assert_ne!(first, chosen(&mut *sample(None, Some(0.1), 43).unwrap(), 1000).await);
    }

    #[test]
    fn build_requires_one_in_or_ratio() {
        let error = |one_in, ratio| sample(one_in, ratio, 0).err().unwrap().to_string();
        assert!(error(None, None).contains("set `one_in` or `ratio`"));
        assert!(error(Some(2), Some(0.5)).contains("remove one of them"));
        assert!(Ratio::try_from(1.5).err().unwrap().contains("1.5"));
    }
}
