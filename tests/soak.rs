//! Full load for a while: the bucket refuses every tenth request, nothing is missing, and memory stays flat.
//! `RUNNER_SOAK_SECONDS` sets its length (20, with `RUNNER_LONG` 300).

use std::time::{Duration, Instant};

use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use nix::sys::signal::Signal;
use runner_needs::needs;

use crate::support::flow::{BUCKET, Flow, LONG};
use crate::support::oracle::Oracle;
use crate::support::s3::Answer;
use crate::support::{amount, report, wait_until};

/// More than a bucket in this process takes in a second.
const MORE_THAN_A_SECOND: usize = 3_000;
/// How many keys one request may remove.
const KEYS_AT_ONCE: usize = 1_000;

#[test]
#[needs(kafka)]
fn memory_stays_flat_while_every_tenth_request_fails() {
    let seconds = amount("RUNNER_SOAK_SECONDS", 20, 300);
    let flow = Flow::new(seconds as usize * MORE_THAN_A_SECOND);
    let mut flow = flow.partitioned(3);
    flow.set("STOCKS_RATE", "10000000");
    flow.produce().wait(LONG).assert_code(0);
    flow.s3.answer(|asked| match (asked.operation, asked.n_before % 30) {
        ("PutObject", 9) => Answer::Error("SlowDown"),
        ("PutObject", 19) => Answer::Error("InternalError"),
        ("PutObject", 29) => Answer::Error("ServiceUnavailable"),
        _ => Answer::Normal,
    });

    let mut taken = Taken::of(&flow);
    let mut sizes = Vec::new();
    let consumer = flow.consume();
    wait_until("the first objects", LONG, || flow.n_objects() > 0);
    let began = Instant::now();
    let length = Duration::from_secs(seconds);
    let mut looked = began;
    wait_until("the end of the load", length + LONG, || {
        if looked.elapsed() > Duration::from_secs(1) {
            looked = Instant::now();
            sizes.push(consumer.rss_kib());
            taken.take_all(&flow);
        }
        began.elapsed() > length
    });
    consumer.signal(Signal::SIGTERM);
    consumer.wait(LONG).assert_code(0);
    taken.take_all(&flow);

    let n_asked = flow.s3.requests("PutObject");
    eprintln!(
        "{} objects in {:.0?}, {n_asked} requests; KiB in use: {}",
        taken.n_seen,
        began.elapsed(),
        sizes.iter().step_by(sizes.len().div_ceil(20)).map(u64::to_string).collect::<Vec<_>>().join(" ")
    );
    assert!(taken.n_seen < flow.oracle.n_records(), "the topic had an end before the load had");
    // Behind a record that waits for another try nothing is committed, though it is stored.
    let seen: Vec<String> =
        (0..taken.is_seen.len()).filter(|&it| taken.is_seen[it]).map(Oracle::key).collect();
    flow.oracle.hear_commits(flow.broker.committed(&flow.group, &flow.topic), &seen);
    flow.assert_topic(1);
    assert!(flow.n_committed() > 0);
    let report = report(flow.scene.path("consumer.json"));
    let components = report["pipelines"][0]["components"].as_array().expect("components");
    let lake = components.iter().find(|it| it["name"] == "lake").expect("the sink");
    assert_eq!(lake["records_out"], taken.n_seen, "the report is true");

    // What librdkafka reads ahead comes and goes: its tide is the same at the end as in the beginning.
    let (first, last) = sizes.split_at(sizes.len() / 2);
    let most = |part: &[u64]| *part.iter().max().expect("a second in every half");
    let (first, last) = (most(first), most(last));
    assert!(last <= first + first / 10 + 1_024, "{first} KiB became {last} KiB");
}

/// Whoever looks at objects and takes them away, so that the load can last.
struct Taken {
    runtime: tokio::runtime::Runtime,
    client: aws_sdk_s3::Client,
    is_seen: Vec<bool>,
    n_seen: usize,
}

impl Taken {
    fn of(flow: &Flow<'_>) -> Taken {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Taken {
            runtime: runtime.expect("a runtime"),
            client: flow.s3.client(),
            is_seen: vec![false; flow.oracle.n_records()],
            n_seen: 0,
        }
    }

    /// Each is a record that was not stored before, and is what it ought to be.
    fn take_all(&mut self, flow: &Flow<'_>) {
        let keys = flow.s3.keys(BUCKET);
        for key in &keys {
            let entry = flow.oracle.entry_of(key).unwrap_or_else(|| panic!("{key} was never issued"));
            assert_eq!(flow.s3.read(BUCKET, key), flow.oracle.records()[entry], "{key}");
            assert!(!self.is_seen[entry], "{key} was stored twice");
            self.is_seen[entry] = true;
        }
        self.n_seen += keys.len();
        for keys in keys.chunks(KEYS_AT_ONCE) {
            let each = |key: &String| ObjectIdentifier::builder().key(key).build().expect("a key");
            let all = Delete::builder().set_objects(Some(keys.iter().map(each).collect()));
            let delete = self.client.delete_objects().bucket(BUCKET).delete(all.build().expect("keys"));
            self.runtime.block_on(delete.send()).expect("objects removed");
        }
    }
}
