//! States that are saved with the delivered prefix, in pipelines that end at any moment in any way.

use std::collections::HashSet;

use proptest::prelude::*;

use super::pipeline_tests::TestPipeline;
use super::pipeline_tests_crashes::{RETRY, UNTIL, end, keep, run_once};
use super::test_plugins::{kept, numbers};
use crate::Status;

/// Record `n` is equal to record `n + DIVISOR`.
const DIVISOR: u64 = 23;

fn stored(name: &str) -> HashSet<u64> {
    kept(name).iter().map(|body| body.parse().unwrap()).collect()
}

/// The keys of the first `n` records of which no record is stored.
fn lost(stored: &HashSet<u64>, n: u64) -> Vec<u64> {
    let keys: HashSet<u64> = stored.iter().map(|n| n % DIVISOR).collect();
    (0..n.min(DIVISOR)).filter(|key| !keys.contains(key)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn first_of_equal_records_is_stored_and_no_other_one(
        per_batch in 1_u64..14,
        is_nondeterministic in any::<bool>(),
        before in prop_oneof![Just(""), Just("filter = [3, 10, 11],"), Just("stop_after = 7,"), Just("swap = true,")],
        sink in keep(),
        ends in proptest::collection::vec(end(), 1..6),
    ) {
        // Records are filtered by offset, which is the entry number if the source is not deterministic.
        let before = if is_nondeterministic && before.starts_with("filter") { "" } else { before };
        let test = TestPipeline::new();
        let name = test.name("seen");
        let pipeline = format!(
            "{RETRY}
            sources.in = {{ type = 'test_count', until = {UNTIL}, per_batch = {per_batch}, nondeterministic = {is_nondeterministic} }}
            transforms.before = {{ type = 'test_meddle', {before} inputs = ['in'] }}
            transforms.seen = {{ type = 'test_seen', divisor = {DIVISOR}, inputs = ['before'] }}
            sinks.out = {{ {sink}, name = '{name}', inputs = ['seen'] }}"
        );
        let mut ends = ends.into_iter();
        for _ in 0..100 {
            let end = ends.next();
            if let Some(report) = run_once(&test, &pipeline, end) {
                prop_assert!(report.status != Status::Failed, "{}", report.reason);
            }
            let n_done = test.checkpoint().unwrap_or_default()["position"].as_u64().unwrap_or(0);
            let stored = stored(&name);
            // What was filtered before has an equal record that is not, but maybe after the prefix.
            let n_lossless = if before.starts_with("filter") && n_done < UNTIL { 0 } else { n_done };
            prop_assert_eq!(lost(&stored, n_lossless), Vec::<u64>::new(), "of the first {}", n_done);
            if before.is_empty() || before.starts_with("stop") {
                prop_assert!(stored.iter().all(|n| *n < DIVISOR), "equal records are stored: {:?}", stored);
            }
            if end.is_none() && n_done == UNTIL {
                return Ok(());
            }
        }
        prop_assert!(false, "it never ends");
    }

    #[test]
    fn two_sources_with_equal_records_lose_none(
        per_batch in (1_u64..14, 1_u64..14),
        sink in keep(),
        ends in proptest::collection::vec(end(), 1..6),
    ) {
        let test = TestPipeline::new();
        let name = test.name("seen of two");
        let pipeline = format!(
            "{RETRY}
            sources.in = {{ type = 'test_count', until = {UNTIL}, per_batch = {} }}
            sources.other = {{ type = 'test_count', until = {UNTIL}, per_batch = {} }}
            transforms.seen = {{ type = 'test_seen', divisor = {DIVISOR}, inputs = ['in', 'other'] }}
            sinks.out = {{ {sink}, name = '{name}', inputs = ['seen'] }}",
            per_batch.0, per_batch.1
        );
        let mut ends = ends.into_iter();
        for _ in 0..100 {
            let end = ends.next();
            if let Some(report) = run_once(&test, &pipeline, end) {
                prop_assert!(report.status != Status::Failed, "{}", report.reason);
            }
            let done = |source| test.checkpoint_of(source).unwrap_or_default()["position"].as_u64().unwrap_or(0);
            let (of_in, of_other) = (done("in"), done("other"));
            let stored = stored(&name);
            prop_assert_eq!(lost(&stored, of_in.max(of_other)), Vec::<u64>::new(), "{} and {}", of_in, of_other);
            if end.is_none() && of_in.min(of_other) == UNTIL {
                return Ok(());
            }
        }
        prop_assert!(false, "it never ends");
    }
}

#[tokio::test(start_paused = true)]
async fn checkpoint_holds_the_keys_of_records_that_its_position_covers() {
    let test = TestPipeline::new();
    let pipeline = |until: u64| {
        format!(
            "sources.in = {{ type = 'test_count', until = 30, per_batch = 7 }}
            transforms.seen = {{ type = 'test_seen', divisor = 20, inputs = ['in'] }}
            transforms.limit = {{ type = 'test_meddle', stop_after = {until}, inputs = ['seen'] }}
            sinks.out = {{ type = 'test_keep', name = 'covered', inputs = ['limit'] }}"
        )
    };
    let first = test.run(&pipeline(5)).await;
    first.assert(Status::Completed, 5);
    let mut keys: Vec<u64> = serde_json::from_value(first.checkpoint["states"]["seen"].clone()).unwrap();
    keys.sort_unstable();
    assert_eq!(keys, [0, 1, 2, 3, 4], "the records 5 and 6 were released");
    test.run(&pipeline(100)).await.assert(Status::Completed, 30);
    assert_eq!(kept("covered"), numbers(0..20));
}

#[tokio::test(start_paused = true)]
async fn checkpoint_without_states_or_with_unknown_ones_is_read() {
    let test = TestPipeline::new();
    let pipeline = |seen: &str| {
        format!(
            "sources.in = {{ type = 'test_count', until = 30 }}
            {seen}
            transforms.limit = {{ type = 'test_meddle', stop_after = 5, inputs = ['{}'] }}
            sinks.out = {{ type = 'test_keep', name = 'dropped', inputs = ['limit'] }}",
            if seen.is_empty() { "in" } else { "seen" }
        )
    };
    let seen = "transforms.seen = { type = 'test_seen', divisor = 9, inputs = ['in'] }";
    let without = test.run(&pipeline("")).await;
    assert!(without.checkpoint.get("states").is_none(), "{}", without.checkpoint);
    let with = test.run(&pipeline(seen)).await;
    assert!(with.checkpoint["states"]["seen"].is_array(), "{}", with.checkpoint);
    let without = test.run(&pipeline("")).await;
    assert!(without.checkpoint.get("states").is_none(), "{}", without.checkpoint);
}
