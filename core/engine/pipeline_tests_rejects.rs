//! Stories of records that somebody refuses: with dead letters the run goes on, without them it ends.

use std::time::Duration;

use serde_json::Value;

use super::pipeline_tests::Scene;
use super::test_plugins::{kept, numbers};
use crate::Status;

#[tokio::test(start_paused = true)]
async fn without_dead_letters_a_bad_record_stops_the_run_behind_what_came_before_it() {
    for (name, bad) in [("source", "bad = [7],"), ("transform", ""), ("sink", "")] {
        let scene = Scene::new();
        let reject = if name == "transform" { "reject = 7," } else { "" };
        let refuse = if name == "sink" { "refuse = 7," } else { "" };
        let told = scene
            .run(&format!(
                "sources.in = {{ type = 'test_count', until = 30, {bad} }}
                transforms.t = {{ type = 'test_meddle', {reject} inputs = ['in'] }}
                sinks.out = {{ type = 'test_keep', name = 'bad {name}', {refuse} inputs = ['t'] }}"
            ))
            .await;
        told.assert(Status::Failed, 7);
        assert!(
            told.report.reason.contains("entry 7 from test/0/7 is a bad record"),
            "{}",
            told.report.reason
        );
        assert!(kept(&format!("bad {name}")).starts_with(&numbers(0..7)), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn dead_letters_take_what_is_rejected_and_the_run_goes_on() {
    let scene = Scene::new();
    let told = scene
        .run(
            "dead_letter = { type = 'test_keep', name = 'dead' }
            sources.in = { type = 'test_count', until = 30, bad = [3, 29] }
            transforms.t = { type = 'test_meddle', reject = 11, inputs = ['in'] }
            sinks.out = { type = 'test_keep', name = 'alive', refuse = 22, inputs = ['t'] }",
        )
        .await;
    told.assert(Status::Completed, 30);
    let dead: Vec<Value> = kept("dead").iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut told_of: Vec<(u64, &str, &str)> = dead
        .iter()
        .map(|it| {
            (it["entry"].as_u64().unwrap(), it["component"].as_str().unwrap(), it["body"].as_str().unwrap())
        })
        .collect();
    told_of.sort_unstable();
    assert_eq!(told_of, [(3, "in", "3"), (11, "t", "11"), (22, "out", "22"), (29, "in", "29")]);
    assert_eq!(kept("alive").len(), 26);
}

#[tokio::test(start_paused = true)]
async fn dead_letters_from_all_sides_are_written_as_many_at_once_as_their_sink_allows() {
    for (name, limits) in [
        ("dead in turn", ""),
        ("dead in threes", "concurrency = 3,"),
        ("dead in small portions", "concurrency = 3, max_in_flight_records = 2,"),
    ] {
        let scene = Scene::new();
        let told = scene
            .run(&format!(
                "dead_letter = {{ type = 'test_keep', {limits} name = '{name}', takes = 5 }}
                sources.in = {{ type = 'test_count', until = 60, bad = [2, 12, 13, 14, 22, 32, 42, 52] }}
                transforms.t = {{ type = 'test_meddle', reject = 3, inputs = ['in'] }}
                transforms.u = {{ type = 'test_meddle', reject = 15, inputs = ['in'] }}
                sinks.out = {{ type = 'test_keep', name = 'beside {name}', concurrency = 4, refuse = 24, inputs = ['t'] }}
                sinks.too = {{ type = 'test_keep', name = 'too {name}', concurrency = 4, refuse = 4, inputs = ['u'] }}"
            ))
            .await;
        told.assert(Status::Completed, 60);
        assert_eq!(kept(name).len(), 12);
        assert_eq!(kept(&format!("{name} beside")), ["begun"]);
    }
}

#[test]
fn what_stores_nothing_cannot_take_dead_letters() {
    let slips = Scene::new().slips(
        "dead_letter = { type = 'test_keep', name = '', forgets = true }
        sources.in = { type = 'test_count', until = 1 }
        sinks.out = { type = 'test_keep', name = '', forgets = true, inputs = ['in'] }",
    );
    assert!(slips.contains("`type`: `test_keep` stores nothing"), "{slips}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_behind_what_has_broken_the_sink() {
    let scene = Scene::new();
    let told = scene
        .run(
            "sources.in = { type = 'test_count', until = 200 }
            sinks.out = { type = 'test_keep', name = 'broken', refuse = 17, concurrency = 8, inputs = ['in'] }",
        )
        .await;
    told.assert(Status::Failed, 17);
    assert_eq!(kept("broken"), [numbers(0..17), numbers(18..20)].concat(), "and the rest of its batch");
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_sink_that_fails_ends_the_run() {
    let scene = Scene::new();
    let told = scene
        .run(
            "dead_letter = { type = 'test_keep', name = 'dead too', refuse = 3 }
            sources.in = { type = 'test_count', until = 30, bad = [3] }
            sinks.out = { type = 'test_keep', name = 'not dead', inputs = ['in'] }",
        )
        .await;
    assert_eq!(told.report.status, Status::Failed);
    assert!(told.checkpoint["next_entry"].as_u64().unwrap() <= 3);
    assert_eq!(told.report.components[0].rejected, 1);
}

#[tokio::test(start_paused = true)]
async fn what_no_dead_letter_says_when_the_run_is_stopped_was_not_rejected() {
    let pipeline = "dead_letter = { type = 'test_keep', name = 'never dead', stumble = 1000 }
        sources.in = { type = 'test_count', until = 30, bad = [13] }
        sinks.out = { type = 'test_keep', name = 'alive still', inputs = ['in'] }";
    let told = Scene::new().run_until(pipeline, Duration::from_secs(20)).await;
    told.assert(Status::Stopped, 10);
    let counts: Vec<_> = told.report.components.iter().map(|it| (it.records_in, it.rejected)).collect();
    assert_eq!(counts, [(10, 0), (10, 0), (0, 0)]);
}
