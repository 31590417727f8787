//! Pipelines that end at any moment in any way, again and again: commit loop, tracker, numbers, gate and
//! checkpoint together. Whatever has happened, the file never says more than the sinks hold.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use proptest::prelude::*;
use tokio::runtime::Builder;
use tokio::task::yield_now;
use tokio::time::{Instant, advance, sleep};
use tokio_util::sync::CancellationToken;

use super::RunOptions;
use super::pipeline_tests::Scene;
use super::test_plugins::{kept, numbers};
use crate::{PipelineReport, Status};

/// How a run ends that does not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Nobody does anything any more; what is being written to the disk is written.
    Crash,
    /// Asked to stop, and given all the time it takes.
    Stop,
    /// Stopped hard.
    Abort,
}

/// When that happens: after so many turns of the tasks, with so many milliseconds between them.
#[derive(Clone, Copy, Debug)]
struct End {
    fault: Fault,
    n_turns: u32,
    millis: u64,
}

fn end() -> impl Strategy<Value = End> {
    let fault = prop_oneof![4 => Just(Fault::Crash), 2 => Just(Fault::Stop), 1 => Just(Fault::Abort)];
    (fault, 0_u32..250, prop_oneof![Just(0), 1_u64..5, 20_u64..90]).prop_map(|(fault, n_turns, millis)| End {
        fault,
        n_turns,
        millis,
    })
}

/// How a sink fails before it succeeds, in the words of the cast.
fn stumble() -> impl Strategy<Value = String> {
    let how = prop_oneof![Just("stumble"), Just("stumble_in_part")];
    (how, 0_u64..3).prop_map(|(how, n)| format!("{how} = {n}"))
}

/// A sink, in the words of the cast.
fn keep() -> impl Strategy<Value = String> {
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
    let ways = ["", "swap = true,", "filter = [3, 10, 11],", "stop_after = 7,", "pause = 1,"];
    prop::sample::select(ways.to_vec())
}

/// Who is unlucky stumbles again and again while others do not.
const PATIENCE: &str = "retry.timeout = '1day'";

const UNTIL: u64 = 120;

/// One life of a pipeline: it ends as told, or by itself before that; then its report is the answer.
fn live(scene: &Scene, pipeline: &str, end: Option<End>) -> Option<PipelineReport> {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let (stop, abort) = (CancellationToken::new(), CancellationToken::new());
    let options = RunOptions {
        from_start: false,
        drain_timeout: Duration::from_secs(3_600),
        stop: stop.clone(),
        abort: abort.clone(),
    };
    runtime.block_on(async {
        let fate = async {
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
            report = scene.report(pipeline, options) => Some(report),
            () = fate => None,
        }
    })
}

/// What every sink has to hold of the first `n` records.
fn expected(n: u64, between: &str) -> HashSet<String> {
    let is_filtered = |n: &u64| between.starts_with("filter") && [3, 10, 11].contains(n);
    (0..n).filter(|n| !is_filtered(n)).map(|n| n.to_string()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn nothing_is_missing_in_front_of_what_the_checkpoint_says(
        per_batch in 1_u64..14,
        is_anew in any::<bool>(),
        between in between(),
        first in keep(),
        second in proptest::option::of((any::<bool>(), keep())),
        ends in proptest::collection::vec(end(), 1..6),
    ) {
        // What is to be filtered is told by its origin, which is another one where the source answers anew.
        let between = if is_anew && between.starts_with("filter") { "" } else { between };
        let scene = Scene::new();
        let names = [scene.name("first"), scene.name("second")];
        let mut pipeline = format!(
            "{PATIENCE}
            sources.in = {{ type = 'test_count', until = {UNTIL}, per_batch = {per_batch}, anew = {is_anew} }}
            transforms.between = {{ type = 'test_meddle', {between} inputs = ['in'] }}
            sinks.first = {{ {first}, name = '{}', inputs = ['between'] }}\n", names[0]
        );
        let mut n_sinks = 1;
        if let Some((is_behind, second)) = &second {
            let input = if *is_behind { "first" } else { "between" };
            pipeline += &format!("sinks.second = {{ {second}, name = '{}', inputs = ['{input}'] }}", names[1]);
            n_sinks = 2;
        }
        let names = &names[..n_sinks];
        let (mut ends, mut n_before, mut n_lives) = (ends.into_iter(), 0, 0);
        loop {
            let end = ends.next();
            if let Some(report) = live(&scene, &pipeline, end) {
                prop_assert!(report.status != Status::Failed, "{}", report.reason);
            }
            let checkpoint = scene.checkpoint().unwrap_or_default();
            // EntryAllocator that are never given twice run ahead of the position.
            let n_done = checkpoint["position"].as_u64().unwrap_or(0);
            prop_assert!(n_done >= n_before, "{} after {}", n_done, n_before);
            if !is_anew {
                prop_assert_eq!(checkpoint["next_entry"].as_u64().unwrap_or(0), n_done);
            }
            n_before = n_done;
            for name in names {
                let stored: HashSet<String> = kept(name).into_iter().collect();
                let missing: Vec<_> = expected(n_done, between).difference(&stored).cloned().collect();
                prop_assert!(missing.is_empty(), "{:?} are not in {} and will not be read again", missing, name);
                prop_assert!(stored.is_subset(&expected(UNTIL, between)), "made up: {:?}", stored);
            }
            n_lives += 1;
            prop_assert!(n_lives < 100, "it does not come to its end");
            if end.is_none() && n_done == UNTIL {
                break;
            }
        }
        for name in names {
            // The origin is the number of the entry where the source answers anew.
            let (bodies, origins) = (kept(name), kept(&format!("{name} origins")));
            let mut known: HashMap<&String, &String> = HashMap::new();
            for (origin, body) in origins.iter().zip(&bodies) {
                let other = known.insert(origin, body);
                prop_assert!(other.is_none_or(|other| other == body), "{} is {} and {:?}", origin, body, other);
            }
        }
    }

    #[test]
    fn stops_in_order_double_nothing(
        per_batch in 1_u64..14,
        filter in prop_oneof![Just(""), Just("filter = [3, 10, 11],"), Just("stop_after = 7,")],
        takes in 0_u64..40,
        ends in proptest::collection::vec((0_u32..250, 0_u64..9), 1..6),
    ) {
        let scene = Scene::new();
        let name = scene.name("in order");
        let pipeline = format!(
            "sources.in = {{ type = 'test_count', until = {UNTIL}, per_batch = {per_batch} }}
            transforms.between = {{ type = 'test_meddle', {filter} inputs = ['in'] }}
            sinks.out = {{ type = 'test_keep', name = '{name}', takes = {takes}, inputs = ['between'] }}"
        );
        for (n_turns, millis) in ends {
            live(&scene, &pipeline, Some(End { fault: Fault::Stop, n_turns, millis }));
        }
        while scene.checkpoint().is_none_or(|checkpoint| checkpoint["next_entry"] != UNTIL) {
            live(&scene, &pipeline, None);
        }
        let stored = kept(&name);
        prop_assert_eq!(stored.len(), expected(UNTIL, filter).len(), "{:?}", stored);
    }

    #[test]
    fn transactions_hold_every_record_once(
        per_batch in 1_u64..14,
        between in prop_oneof![Just(""), Just("swap = true,"), Just("stop_after = 7,"), Just("pause = 1,")],
        stumble in stumble(),
        concurrency in 1_u64..5,
        commit_takes in 0_u64..60,
        ends in proptest::collection::vec(end(), 1..6),
    ) {
        let scene = Scene::new();
        let name = scene.name("committed");
        let pipeline = format!(
            "{PATIENCE}
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
            if let Some(report) = live(&scene, &pipeline, end) {
                prop_assert!(report.status != Status::Failed, "{}", report.reason);
            }
            let mut stored: Vec<u64> = kept(&name).iter().map(|body| body.parse().unwrap()).collect();
            stored.sort_unstable();
            prop_assert_eq!(&stored, &(0..n_committed()).collect::<Vec<u64>>());
            if end.is_none() && stored.len() as u64 == UNTIL {
                return Ok(());
            }
        }
        prop_assert!(false, "it does not come to its end");
    }
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_is_written_once_a_second_and_at_the_end() {
    let scene = Scene::new();
    // A hundred records a second for half a minute: three reservations of numbers, which do not wait.
    let pipeline = "sources.in = { type = 'test_count', until = 3000, per_batch = 1 }
        sinks.out = { type = 'test_keep', name = 'once a second', takes = 10, inputs = ['in'] }";
    let began = Instant::now();
    let mut written: Vec<(Duration, u64)> = Vec::new();
    let watch = async {
        loop {
            sleep(Duration::from_millis(1)).await;
            let Some(checkpoint) = scene.checkpoint() else { continue };
            let next_entry = checkpoint["next_entry"].as_u64().unwrap();
            if next_entry > written.last().map_or(0, |(_, entry)| *entry) {
                written.push((began.elapsed(), next_entry));
            }
        }
    };
    let told = tokio::select! {
        told = scene.run(pipeline) => told,
        () = watch => unreachable!("it looks for ever"),
    };
    told.assert(Status::Completed, 3_000);
    assert_eq!(kept("once a second"), numbers(0..3_000));
    assert!((28..=36).contains(&written.len()), "{written:?}");
    let too_soon =
        written.windows(2).filter(|pair| pair[1].0.abs_diff(pair[0].0) < Duration::from_millis(990));
    assert!(too_soon.count() <= 3, "only with reservations: {written:?}");
}
