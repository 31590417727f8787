//! Pipelines that end at any moment in any way, again and again: commit loop, tracker, entry numbers,
//! gate and checkpoint together. Whatever happens, the checkpoint never passes what the sinks hold.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use proptest::prelude::*;
use tokio::runtime::Builder;
use tokio::task::yield_now;
use tokio::time::{Instant, advance, sleep};
use tokio_util::sync::CancellationToken;

use super::RunOptions;
use super::pipeline_tests::TestPipeline;
use super::test_plugins::{kept, numbers};
use crate::{PipelineReport, Status};

/// How a run is ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// No task runs any more; a file that is being written is completed.
    Crash,
    /// A stop is requested, with as much time as it takes.
    Stop,
    /// Stopped hard.
    Abort,
}

/// When that happens: after so many turns of the tasks, with so many milliseconds between them.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    fault: Fault,
    n_turns: u32,
    millis: u64,
}

pub(super) fn end() -> impl Strategy<Value = End> {
    let fault = prop_oneof![4 => Just(Fault::Crash), 2 => Just(Fault::Stop), 1 => Just(Fault::Abort)];
    (fault, 0_u32..250, prop_oneof![Just(0), 1_u64..5, 20_u64..90]).prop_map(|(fault, n_turns, millis)| End {
        fault,
        n_turns,
        millis,
    })
}

/// How a sink fails before it succeeds, as options.
fn stumble() -> impl Strategy<Value = String> {
    let how = prop_oneof![Just("stumble"), Just("stumble_in_part")];
    (how, 0_u64..3).prop_map(|(how, n)| format!("{how} = {n}"))
}

/// A sink, as options.
pub(super) fn keep() -> impl Strategy<Value = String> {
    let takes = prop_oneof![Just(0), 1_u64..40];
    (stumble(), 1_u64..5, takes).prop_map(|(stumble, concurrency, takes)| {
        format!(
            "type = 'test_keep', hesitates = true, {stumble}, \
             concurrency = {concurrency}, takes = {takes}"
        )
    })
}

/// What happens between the source and the sinks.
fn between() -> impl Strategy<Value = &'static str> {
    let ways =
        ["", "swap = true,", "filter = [3, 10, 11],", "split = [4, 5, 30],", "stop_after = 7,", "pause = 1,"];
    prop::sample::select(ways.to_vec())
}

/// A write may fail many times in a row by chance.
pub(super) const RETRY: &str = "retry.timeout = '1day'";

pub(super) const UNTIL: u64 = 120;

/// One run of a pipeline, ended as given; returns its report if it has ended by itself before that.
pub(super) fn run_once(test: &TestPipeline, pipeline: &str, end: Option<End>) -> Option<PipelineReport> {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let (stop, abort) = (CancellationToken::new(), CancellationToken::new());
    let options = RunOptions {
        from_start: false,
        drain_timeout: Duration::from_secs(3_600),
        stop: stop.clone(),
        abort: abort.clone(),
    };
    runtime.block_on(async {
        let ended = async {
            let Some(End { fault, n_turns, millis }) = end else {
                return std::future::pending().await;
            };
            for _ in 0..n_turns {
                yield_now().await;
                advance(Duration::from_millis(millis)).await;
            }
            match fault {
                Fault::Crash => return,
                Fault::Stop => stop.cancel(),
                Fault::Abort => abort.cancel(),
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            report = test.report(pipeline, options) => Some(report),
            () = ended => None,
        }
    })
}

/// What every sink must hold of the first `n` records.
fn expected(n: u64, between: &str) -> HashSet<String> {
    let bodies = |n: u64| match n {
        3 | 10 | 11 if between.starts_with("filter") => Vec::new(),
        4 | 5 | 30 if between.starts_with("split") => vec![format!("{n}a"), format!("{n}b")],
        n => vec![n.to_string()],
    };
    (0..n).flat_map(bodies).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn checkpoint_never_passes_what_the_sinks_have_stored(
        per_batch in 1_u64..14,
        is_nondeterministic in any::<bool>(),
        between in between(),
        first in keep(),
        second in proptest::option::of((any::<bool>(), keep())),
        ends in proptest::collection::vec(end(), 1..6),
    ) {
        // Records are filtered and split by offset, which is the entry number if the source is not deterministic.
        let is_by_offset = between.starts_with("filter") || between.starts_with("split");
        let between = if is_nondeterministic && is_by_offset { "" } else { between };
        let test = TestPipeline::new();
        let names = [test.name("first"), test.name("second")];
        let mut pipeline = format!(
            "{RETRY}
            sources.in = {{ type = 'test_count', until = {UNTIL}, per_batch = {per_batch}, nondeterministic = {is_nondeterministic} }}
            transforms.between = {{ type = 'test_meddle', {between} inputs = ['in'] }}
            sinks.first = {{ {first}, name = '{}', inputs = ['between'] }}\n", names[0]
        );
        let mut n_sinks = 1;
        if let Some((is_chained, second)) = &second {
            let input = if *is_chained { "first" } else { "between" };
            pipeline += &format!("sinks.second = {{ {second}, name = '{}', inputs = ['{input}'] }}", names[1]);
            n_sinks = 2;
        }
        let names = &names[..n_sinks];
        let (mut ends, mut n_before, mut n_runs) = (ends.into_iter(), 0, 0);
        loop {
            let end = ends.next();
            if let Some(report) = run_once(&test, &pipeline, end) {
                prop_assert!(report.status != Status::Failed, "{}", report.reason);
            }
            let checkpoint = test.checkpoint().unwrap_or_default();
            // Entry numbers that are never reused run ahead of the position.
            let n_done = checkpoint["position"].as_u64().unwrap_or(0);
            prop_assert!(n_done >= n_before, "{} after {}", n_done, n_before);
            if !is_nondeterministic {
                prop_assert_eq!(checkpoint["next_entry"].as_u64().unwrap_or(0), n_done);
            }
            n_before = n_done;
            for name in names {
                let stored: HashSet<String> = kept(name).into_iter().collect();
                let missing: Vec<_> = expected(n_done, between).difference(&stored).cloned().collect();
                prop_assert!(missing.is_empty(), "{:?} are not in {} and will not be read again", missing, name);
                prop_assert!(stored.is_subset(&expected(UNTIL, between)), "invented: {:?}", stored);
            }
            n_runs += 1;
            prop_assert!(n_runs < 100, "it never ends");
            if end.is_none() && n_done == UNTIL {
                break;
            }
        }
        for name in names {
            // The offset is the entry number if the source is not deterministic.
            let (bodies, origins) = (kept(name), kept(&format!("{name} origins")));
            let mut known: HashMap<&String, &String> = HashMap::new();
            for (origin, body) in origins.iter().zip(&bodies) {
                let other = known.insert(origin, body);
                let is_same = other.is_none_or(|other| other == body || between.starts_with("split"));
                prop_assert!(is_same, "{} is {} and {:?}", origin, body, other);
            }
        }
    }

    #[test]
    fn graceful_stops_duplicate_nothing(
        per_batch in 1_u64..14,
        between in prop_oneof![
            Just(""), Just("filter = [3, 10, 11],"), Just("split = [4, 5, 30],"), Just("stop_after = 7,")
        ],
        takes in 0_u64..40,
        ends in proptest::collection::vec((0_u32..250, 0_u64..9), 1..6),
    ) {
        let test = TestPipeline::new();
        let name = test.name("in order");
        let pipeline = format!(
            "sources.in = {{ type = 'test_count', until = {UNTIL}, per_batch = {per_batch} }}
            transforms.between = {{ type = 'test_meddle', {between} inputs = ['in'] }}
            sinks.out = {{ type = 'test_keep', name = '{name}', takes = {takes}, inputs = ['between'] }}"
        );
        for (n_turns, millis) in ends {
            run_once(&test, &pipeline, Some(End { fault: Fault::Stop, n_turns, millis }));
        }
        while test.checkpoint().is_none_or(|checkpoint| checkpoint["next_entry"] != UNTIL) {
            run_once(&test, &pipeline, None);
        }
        let stored = kept(&name);
        prop_assert_eq!(stored.len(), expected(UNTIL, between).len(), "{:?}", stored);
    }

    #[test]
    fn transactions_store_every_record_once(
        per_batch in 1_u64..14,
        between in prop_oneof![Just(""), Just("swap = true,"), Just("stop_after = 7,"), Just("pause = 1,")],
        stumble in stumble(),
        concurrency in 1_u64..5,
        commit_takes in 0_u64..60,
        ends in proptest::collection::vec(end(), 1..6),
    ) {
        let test = TestPipeline::new();
        let name = test.name("committed");
        let pipeline = format!(
            "{RETRY}
            sources.in = {{ type = 'test_count', until = {UNTIL}, per_batch = {per_batch} }}
            transforms.between = {{ type = 'test_meddle', {between} inputs = ['in'] }}
            sinks.out = {{ type = 'test_keep', name = '{name}', transactional = true, {stumble},
                concurrency = {concurrency}, commit_takes = {commit_takes}, inputs = ['between'] }}"
        );
        let n_committed = || {
            let commits = kept(&format!("{name} commits"));
            commits.last().map_or(0, |position| position.parse().unwrap())
        };
        let mut ends = ends.into_iter();
        for _ in 0..100 {
            let end = ends.next();
            if let Some(report) = run_once(&test, &pipeline, end) {
                prop_assert!(report.status != Status::Failed, "{}", report.reason);
            }
            let mut stored: Vec<u64> = kept(&name).iter().map(|body| body.parse().unwrap()).collect();
            stored.sort_unstable();
            prop_assert_eq!(&stored, &(0..n_committed()).collect::<Vec<u64>>());
            if end.is_none() && stored.len() as u64 == UNTIL {
                return Ok(());
            }
        }
        prop_assert!(false, "it never ends");
    }
}

#[tokio::test(start_paused = true)]
async fn checkpoint_is_written_once_a_second_and_at_the_end() {
    let test = TestPipeline::new();
    // A hundred records a second for half a minute: three reservations of entry numbers, which are written at once.
    let pipeline = "sources.in = { type = 'test_count', until = 3000, per_batch = 1 }
        sinks.out = { type = 'test_keep', name = 'once a second', takes = 10, inputs = ['in'] }";
    let began = Instant::now();
    let mut written: Vec<(Duration, u64)> = Vec::new();
    let watch = async {
        loop {
            sleep(Duration::from_millis(1)).await;
            let Some(checkpoint) = test.checkpoint() else { continue };
            let next_entry = checkpoint["next_entry"].as_u64().unwrap();
            if next_entry > written.last().map_or(0, |(_, entry)| *entry) {
                written.push((began.elapsed(), next_entry));
            }
        }
    };
    let finished = tokio::select! {
        finished = test.run(pipeline) => finished,
        () = watch => unreachable!("it never returns"),
    };
    finished.assert(Status::Completed, 3_000);
    assert_eq!(kept("once a second"), numbers(0..3_000));
    assert!((28..=36).contains(&written.len()), "{written:?}");
    let too_soon =
        written.windows(2).filter(|pair| pair[1].0.abs_diff(pair[0].0) < Duration::from_millis(990));
    assert!(too_soon.count() <= 3, "except for reservations: {written:?}");
}
