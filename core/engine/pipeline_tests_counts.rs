//! Stories of what a run says of itself: every count is true, however the run has ended.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::pipeline_tests::{Scene, Told};
use crate::{ComponentReport, Status};

/// Every record that was dealt with went one way, and came from the component in front.
#[track_caller]
fn assert_true(told: &Told, n_in: u64, n_out: u64) {
    let components = &told.report.components;
    for it in components {
        assert_eq!(it.records_in, it.records_out + it.filtered + it.rejected, "{components:#?}");
    }
    for pair in components.windows(2) {
        assert_eq!(pair[0].records_out, pair[1].records_in, "{components:#?}");
    }
    assert_eq!(components.first().unwrap().records_in, n_in, "{components:#?}");
    assert_eq!(components.last().unwrap().records_out, n_out, "{components:#?}");
}

fn bytes(components: &[ComponentReport]) -> Vec<(u64, u64)> {
    components.iter().map(|it| (it.bytes_in, it.bytes_out)).collect()
}

#[tokio::test(start_paused = true)]
async fn bytes_are_counted_on_both_sides_of_a_transform() {
    let told = Scene::new()
        .run(
            "sources.in = { type = 'test_count', until = 10 }
            transforms.t = { type = 'test_meddle', filter = [3, 4], inputs = ['in'] }
            sinks.out = { type = 'test_keep', name = 'bytes', inputs = ['t'] }",
        )
        .await;
    assert_true(&told, 10, 8);
    assert_eq!(bytes(&told.report.components), [(10, 10), (10, 8), (8, 8)]);
}

#[tokio::test(start_paused = true)]
async fn a_bad_record_that_ends_the_run_is_dealt_with_by_whoever_had_it() {
    for (name, bad) in [("source", "bad = [7],"), ("transform", ""), ("sink", "")] {
        let reject = if name == "transform" { "reject = 7," } else { "" };
        let refuse = if name == "sink" { "refuse = 7," } else { "" };
        let told = Scene::new()
            .run(&format!(
                "sources.in = {{ type = 'test_count', until = 30, {bad} }}
                transforms.t = {{ type = 'test_meddle', {reject} inputs = ['in'] }}
                sinks.out = {{ type = 'test_keep', name = 'counted {name}', {refuse} inputs = ['t'] }}"
            ))
            .await;
        assert_eq!(told.report.status, Status::Failed);
        let reason = &told.report.reason;
        assert!(reason.contains("is a bad record; correct it, or add a `[dead_letter]` block"), "{reason}");
        let components = &told.report.components;
        assert_eq!(components.iter().map(|it| it.rejected).sum::<u64>(), 1, "{name}: {components:#?}");
        let n_out = components[2].records_out;
        assert!(n_out >= 7, "{name}: {components:#?}");
        assert_true(&told, n_out + 1, n_out);
    }
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_nobody_takes_is_no_reason_to_ask_for_dead_letters() {
    let told = Scene::new()
        .run(
            "dead_letter = { type = 'test_keep', name = 'refusing letters', refuse = 3 }
            sources.in = { type = 'test_count', until = 30, bad = [3] }
            sinks.out = { type = 'test_keep', name = 'with letters', inputs = ['in'] }",
        )
        .await;
    let reason = &told.report.reason;
    assert!(reason.contains("is a bad record") && !reason.contains("[dead_letter]"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn after_a_hard_stop_only_what_was_stored_counts() {
    let stop = CancellationToken::new();
    let pipeline = "sources.in = { type = 'test_count', until = 100, endless = true }
        transforms.t = { type = 'test_meddle', inputs = ['in'] }
        sinks.out = { type = 'test_keep', name = 'stopped hard', hang = 15, inputs = ['t'] }";
    let stopper = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        stop.cancel();
    };
    let scene = Scene::new();
    let (told, ()) = tokio::join!(scene.run_with(pipeline, stop.clone(), Duration::from_secs(7)), stopper);
    assert_eq!(told.report.reason, "stopped hard");
    assert_true(&told, 10, 10);
    // Ten digits.
    assert_eq!(told.report.components[2].bytes_out, 10);
}

#[tokio::test(start_paused = true)]
async fn what_a_limit_gives_back_has_not_been_filtered_in_front_of_it() {
    let told = Scene::new()
        .run(
            "sources.in = { type = 'test_count', until = 100 }
            transforms.some = { type = 'test_meddle', filter = [1, 8, 12, 13], inputs = ['in'] }
            transforms.all = { type = 'test_meddle', inputs = ['some'] }
            transforms.limit = { type = 'test_meddle', stop_after = 5, inputs = ['all'] }
            sinks.out = { type = 'test_keep', name = 'first five', inputs = ['limit'] }",
        )
        .await;
    told.assert(Status::Completed, 6);
    assert_true(&told, 6, 5);
    assert_eq!(told.report.components[1].filtered, 1);
}

#[tokio::test(start_paused = true)]
async fn a_try_that_was_not_made_is_not_counted() {
    let told = Scene::new()
        .run(
            "retry.timeout = '1ms'
            sources.in = { type = 'test_count', until = 10 }
            sinks.out = { type = 'test_keep', name = 'never again', stumble = 1, inputs = ['in'] }",
        )
        .await;
    assert_eq!(told.report.status, Status::Failed);
    assert_eq!(told.report.components[1].retries, 0);
}
