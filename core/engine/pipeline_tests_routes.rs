//! Pipelines with a transform that has several outputs.

use std::collections::HashSet;

use proptest::prelude::*;

use super::pipeline_tests::TestPipeline;
use super::pipeline_tests_crashes::{RETRY, UNTIL, end, keep, run_once};
use super::test_plugins::kept;
use crate::Status;

/// What the output of this name gets of the first `n` numbers.
fn of_output(output: &str, n: u64) -> Vec<String> {
    let is_wanted = |n: &u64| match output {
        "two" => n.is_multiple_of(2),
        "three" => n.is_multiple_of(3),
        _ => !n.is_multiple_of(2) && !n.is_multiple_of(3),
    };
    (0..n).filter(is_wanted).map(|n| n.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn outputs_get_their_records_and_what_no_output_reads_is_filtered() {
    let test = TestPipeline::new();
    let finished = test
        .run(
            "sources.in = { type = 'test_count', until = 12 }
            transforms.split = { type = 'test_route', inputs = ['in'] }
            sinks.even = { type = 'test_keep', name = 'routed two', inputs = ['split.two'] }
            sinks.both = { type = 'test_keep', name = 'routed both', inputs = ['split.two', 'split.rest'] }",
        )
        .await;
    finished.assert(Status::Completed, 12);
    assert_eq!(kept("routed two"), of_output("two", 12));
    let both: HashSet<String> = kept("routed both").into_iter().collect();
    assert_eq!(both, [of_output("two", 12), of_output("rest", 12)].concat().into_iter().collect());
    let split = &finished.report.components[1];
    assert_eq!(
        (split.counts.records_in, split.counts.records_out, split.counts.filtered),
        (12, 10, 2),
        "3 and 9 are not read"
    );
}

#[tokio::test(start_paused = true)]
async fn output_that_fails_withholds_the_records_it_shares_with_others() {
    let test = TestPipeline::new();
    let finished = test
        .run(
            "sources.in = { type = 'test_count', until = 30 }
            transforms.split = { type = 'test_route', inputs = ['in'] }
            sinks.two = { type = 'test_keep', name = 'good output', inputs = ['split.two'] }
            sinks.three = { type = 'test_keep', name = 'poor output', refuse = 12, inputs = ['split.three'] }",
        )
        .await;
    finished.assert(Status::Failed, 12);
}

#[test]
fn input_names_an_output_that_exists() {
    let errors = |input: &str| {
        TestPipeline::new().errors(&format!(
            "sources.in = {{ type = 'test_count', until = 30 }}
            transforms.split = {{ type = 'test_route', inputs = ['in'] }}
            sinks.two = {{ type = 'test_keep', name = 'n', inputs = ['split.two'] }}
            sinks.other = {{ type = 'test_keep', name = 'n', inputs = ['{input}'] }}"
        ))
    };
    assert!(errors("split").contains("`split` has several outputs"), "{}", errors("split"));
    assert!(errors("split.tow").contains("did you mean") || errors("split.tow").contains("\"split.two\""));
    assert!(errors("in.two").contains("`in` has no outputs with names"), "{}", errors("in.two"));
    assert!(errors("sink.two").contains("no component is called `sink.two`"), "{}", errors("sink.two"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn checkpoint_never_passes_what_the_outputs_have_stored(
        per_batch in 1_u64..14,
        sinks in (keep(), keep(), proptest::option::of(keep())),
        ends in proptest::collection::vec(end(), 1..6),
    ) {
        let test = TestPipeline::new();
        let (two, three, rest) = sinks;
        let mut pipeline = format!(
            "{RETRY}
            sources.in = {{ type = 'test_count', until = {UNTIL}, per_batch = {per_batch} }}
            transforms.split = {{ type = 'test_route', inputs = ['in'] }}\n"
        );
        let mut outputs = Vec::new();
        for (output, sink) in [("two", Some(two)), ("three", Some(three)), ("rest", rest)] {
            if let Some(sink) = sink {
                let name = test.name(output);
                pipeline += &format!("sinks.{output} = {{ {sink}, name = '{name}', inputs = ['split.{output}'] }}\n");
                outputs.push((output, name));
            }
        }
        let mut ends = ends.into_iter();
        for _ in 0..100 {
            let end = ends.next();
            if let Some(report) = run_once(&test, &pipeline, end) {
                prop_assert!(report.status != Status::Failed, "{}", report.reason);
            }
            let checkpoint = test.checkpoint().unwrap_or_default();
            let n_done = checkpoint["position"].as_u64().unwrap_or(0);
            for (output, name) in &outputs {
                let stored: HashSet<String> = kept(name).into_iter().collect();
                let missing: Vec<String> =
                    of_output(output, n_done).into_iter().filter(|body| !stored.contains(body)).collect();
                prop_assert!(missing.is_empty(), "{:?} are not in {}", missing, output);
                let all: HashSet<String> = of_output(output, UNTIL).into_iter().collect();
                prop_assert!(stored.is_subset(&all), "invented for {}: {:?}", output, stored);
            }
            if end.is_none() && n_done == UNTIL {
                return Ok(());
            }
        }
        prop_assert!(false, "it never ends");
    }
}
