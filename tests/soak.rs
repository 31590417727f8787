//! Sustained load: the bucket refuses every tenth request, no record is lost, and memory stays flat.
//! `RUNNER_SOAK_SECONDS` sets its length (20, with `RUNNER_LONG` 300).

use std::time::{Duration, Instant};

use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use runner_needs::needs;

use crate::support::flow::{BUCKET, Flow, LONG};
use crate::support::oracle::Oracle;
use crate::support::s3::Response;
use crate::support::{amount, report, wait_until};

/// More than a bucket in this process accepts in a second.
const ROWS_PER_SECOND: usize = 3_000;
/// The number of keys that one request may delete.
const KEYS_PER_REQUEST: usize = 1_000;

#[needs(kafka)]
#[test]
fn memory_stays_flat_while_every_tenth_request_fails() {
    let seconds = amount("RUNNER_SOAK_SECONDS", 20, 300);
    let flow = Flow::new(seconds as usize * ROWS_PER_SECOND);
    let mut flow = flow.partitioned(3);
    flow.set("STOCKS_RATE", "10000000");
    flow.produce().wait(LONG).assert_code(0);
    flow.s3.respond_with(|request| match (request.operation, request.n_before % 30) {
        ("PutObject", 9) => Response::Error("SlowDown"),
        ("PutObject", 19) => Response::Error("InternalError"),
        ("PutObject", 29) => Response::Error("ServiceUnavailable"),
        _ => Response::Normal,
    });

    let mut drain = ObjectDrain::of(&flow);
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
            drain.drain_all(&flow);
        }
        began.elapsed() > length
    });
    consumer.stop();
    drain.drain_all(&flow);

    let n_asked = flow.s3.requests("PutObject");
    eprintln!(
        "{} objects in {:.0?}, {n_asked} requests; KiB in use: {}",
        drain.n_seen,
        began.elapsed(),
        sizes.iter().step_by(sizes.len().div_ceil(20)).map(u64::to_string).collect::<Vec<_>>().join(" ")
    );
    assert!(drain.n_seen < flow.oracle.n_records(), "the topic was read to its end before the load ended");
    // Records after one that is being retried are stored, but not committed.
    let seen: Vec<String> =
        (0..drain.is_seen.len()).filter(|&it| drain.is_seen[it]).map(Oracle::key).collect();
    flow.oracle.observe_commits(flow.broker.committed(&flow.group, &flow.topic), &seen);
    flow.assert_topic(1);
    assert!(flow.n_committed() > 0);
    let report = report(flow.env.path("consumer.json"));
    let components = report["pipelines"][0]["components"].as_array().expect("components");
    let lake = components.iter().find(|it| it["name"] == "lake").expect("the sink");
    assert_eq!(lake["records_out"], drain.n_seen, "the count of the report");

    // librdkafka's read-ahead varies, so the peaks of both halves are compared.
    let (first, last) = sizes.split_at(sizes.len() / 2);
    let most = |part: &[u64]| *part.iter().max().expect("a second in every half");
    let (first, last) = (most(first), most(last));
    assert!(last <= first + first / 10 + 1_024, "{first} KiB became {last} KiB");
}

/// Checks and deletes objects, so that the load can continue.
struct ObjectDrain {
    runtime: tokio::runtime::Runtime,
    client: aws_sdk_s3::Client,
    is_seen: Vec<bool>,
    n_seen: usize,
}

impl ObjectDrain {
    fn of(flow: &Flow<'_>) -> ObjectDrain {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        ObjectDrain {
            runtime: runtime.expect("a runtime"),
            client: flow.s3.client(),
            is_seen: vec![false; flow.oracle.n_records()],
            n_seen: 0,
        }
    }

    /// Fails the test unless each object is a record that was not stored before, with the right content.
    fn drain_all(&mut self, flow: &Flow<'_>) {
        let keys = flow.s3.keys(BUCKET);
        for key in &keys {
            let entry = flow.oracle.entry_of(key).unwrap_or_else(|| panic!("{key} belongs to no entry"));
            assert_eq!(flow.s3.read(BUCKET, key), flow.oracle.records()[entry], "{key}");
            assert!(!self.is_seen[entry], "{key} was stored twice");
            self.is_seen[entry] = true;
        }
        self.n_seen += keys.len();
        for keys in keys.chunks(KEYS_PER_REQUEST) {
            let each = |key: &String| ObjectIdentifier::builder().key(key).build().expect("a key");
            let all = Delete::builder().set_objects(Some(keys.iter().map(each).collect()));
            let delete = self.client.delete_objects().bucket(BUCKET).delete(all.build().expect("keys"));
            self.runtime.block_on(delete.send()).expect("objects removed");
        }
    }
}
