//! The stock flow while its bucket, the way to it, or whoever may use it, fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::flow::{BUCKET, Flow, LONG};
use crate::support::proxy::{Fault, Weather};
use crate::support::s3::Answer;
use crate::support::{Running, wait_until};

/// A topic of two partitions that holds all records, and a consumer that has not begun.
fn filled(n_rows: usize) -> Option<Flow<'static>> {
    let mut flow = Flow::new(n_rows)?.partitioned(2);
    flow.set("STOCKS_RATE", "10000000");
    flow.edit(
        "consumer.toml",
        "name = \"consumer\"",
        "name = \"consumer\"\nretry = { initial = \"20ms\", max = \"1s\" }",
    );
    flow.produce().wait(LONG).assert_code(0);
    Some(flow)
}

/// Waits until everything has arrived, ends the consumer in order, and has the oracle judge.
fn judge(mut flow: Flow<'_>, consumer: Running) {
    let n_records = flow.oracle.n_records();
    wait_until("every object", LONG, || flow.n_objects() >= n_records);
    flow.listen();
    wait_until("the last commit", LONG, || flow.n_committed() >= n_records);
    consumer.signal(Signal::SIGTERM);
    consumer.wait(LONG).assert_code(0);
    flow.assert_every_object();
    flow.assert_topic(1);
    flow.assert_report("consumer", "stopped", n_records);
}

#[test]
fn a_bucket_with_trouble_of_its_own_is_asked_again() {
    let Some(mut flow) = filled(1_000) else { return };
    flow.s3.answer(|asked| match (asked.operation, asked.n_before % 8) {
        ("PutObject", 1) => Answer::Error("SlowDown"),
        ("PutObject", 3) => Answer::Error("InternalError"),
        ("PutObject", 5) => Answer::Error("ServiceUnavailable"),
        ("PutObject", 7) => Answer::Error("RequestTimeout"),
        _ => Answer::Normal,
    });
    let consumer = flow.consume();
    wait_until("half of the objects", LONG, || flow.n_objects() > 500);
    flow.listen();
    judge(flow, consumer);
}

#[test]
fn answers_of_the_bucket_that_are_lost_double_and_refuse_nothing() {
    spoiled(Fault::DropAnswer);
}

#[test]
fn connections_to_the_bucket_that_are_cut_in_mid_request_cost_nothing() {
    spoiled(Fault::CutRequest);
}

fn spoiled(fault: Fault) {
    let Some(mut flow) = filled(1_000) else { return };
    let proxy = flow.proxied_bucket();
    let consumer = flow.consume();
    wait_until("the first objects", LONG, || flow.n_objects() > 100);
    proxy.strike(fault, 0, 150);
    wait_until("spoiled requests", LONG, || proxy.n_struck() >= 150);
    flow.listen();
    judge(flow, consumer);
}

#[test]
fn a_bucket_that_nobody_reaches_for_a_while_is_waited_for() {
    let Some(mut flow) = filled(1_000) else { return };
    let proxy = flow.proxied_bucket();
    let consumer = flow.consume();
    wait_until("the first objects", LONG, || flow.n_objects() > 100);
    proxy.set(Weather::Refusing);
    wait_until("a word of it", LONG, || consumer.has_said("trying again"));
    flow.listen();
    proxy.set(Weather::Fair);
    judge(flow, consumer);
}

#[test]
fn a_bucket_that_falls_silent_is_given_up_and_asked_again() {
    let Some(mut flow) = filled(500) else { return };
    let proxy = flow.proxied_bucket();
    let consumer = flow.consume();
    wait_until("the first objects", LONG, || flow.n_objects() > 50);
    proxy.set(Weather::Silent);
    wait_until("a word of it", LONG, || consumer.has_said("trying again"));
    flow.listen();
    proxy.set(Weather::Fair);
    judge(flow, consumer);
}

#[test]
fn a_slow_way_to_the_bucket_delays_and_loses_nothing() {
    let Some(mut flow) = filled(400) else { return };
    let proxy = flow.proxied_bucket();
    proxy.set(Weather::Trickle(2_000));
    let consumer = flow.consume();
    wait_until("the first objects", LONG, || flow.n_objects() > 50);
    flow.listen();
    judge(flow, consumer);
}

#[test]
fn credentials_that_expire_are_waited_out_loudly_and_nothing_is_dropped() {
    for code in ["ExpiredToken", "AccessDenied"] {
        let Some(mut flow) = filled(600) else { return };
        let is_expired = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&is_expired);
        flow.s3.answer(move |_| {
            if asked.load(Ordering::Relaxed) {
                Answer::Error(code)
            } else {
                Answer::Late(Duration::from_millis(200))
            }
        });
        let consumer = flow.consume();
        wait_until("the first objects", LONG, || flow.n_objects() > 100);
        is_expired.store(true, Ordering::Relaxed);
        let refused = flow.s3.requests("PutObject");
        wait_until("a word of it", LONG, || consumer.has_said(code) && consumer.has_said("trying again"));
        wait_until("more tries", LONG, || flow.s3.requests("PutObject") > refused + 200);
        flow.listen();
        is_expired.store(false, Ordering::Relaxed);
        judge(flow, consumer);
    }
}

/// What was stored is gone with the bucket; whatever was not is stored in the new one.
#[test]
fn a_bucket_that_is_removed_ends_the_run_and_nothing_unstored_is_committed() {
    let Some(mut flow) = filled(1_000) else { return };
    flow.s3.answer(|asked| match asked.operation {
        "PutObject" => Answer::Late(Duration::from_millis(200)),
        _ => Answer::Normal,
    });
    let consumer = flow.consume();
    wait_until("the first objects", LONG, || flow.n_objects() > 300);
    flow.s3.move_bucket(BUCKET, "removed");
    consumer.wait(LONG).assert_code(1).assert_says(&["there is no bucket `stocks`", "aws s3 mb"]);
    let committed = flow.broker.committed(&flow.group, &flow.topic);
    let removed = flow.s3.keys("removed");
    flow.oracle.hear_commits(committed, &removed);
    assert!(flow.n_committed() <= removed.len());

    flow.s3.create_bucket(BUCKET);
    flow.hurry();
    flow.consume().wait(LONG).assert_code(0);
    for key in removed {
        let content = flow.s3.read("removed", &key);
        if let Some(again) = flow.s3.find(BUCKET, &key) {
            assert_eq!(again, content, "what is stored again is the same");
        }
        flow.s3.put(BUCKET, &key, content);
    }
    flow.assert_every_object();
    flow.assert_topic(1);
}
