//! Splits and routes under kills.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::s3::S3;
use crate::support::stocks::SplitMix;
use crate::support::{TestEnv, wait_until};

const LONG: Duration = Duration::from_secs(60);
const BUCKET: &str = "shapes";

/// Each row becomes three records, and each of these goes to the folder of its part.
#[test]
fn splits_and_routes_under_kills_lose_and_double_nothing() {
    const ROWS: usize = 500;
    let mut env = TestEnv::new();
    let s3 = S3::start();
    s3.create_bucket(BUCKET);
    s3.configure(&mut env);
    let row = |n: usize| format!("{n},{}\n", n % 7);
    env.write("rows.csv", format!("n,kind\n{}", (0..ROWS).map(row).collect::<String>()));
    let sink = |name: &str, input: &str| {
        format!(
            "[sinks.{name}]\ntype = \"s3\"\ninputs = [\"{input}\"]\nbucket = \"{BUCKET}\"\n\
             key = \"{name}/{{{{ entry }}}}.json\"\n"
        )
    };
    let pipeline = |rate: u32| {
        format!(
            "[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n\
             [transforms.pace]\ntype = \"throttle\"\ninputs = [\"rows\"]\nrate = {rate}\n\
             [transforms.parts]\ntype = \"remap\"\ninputs = [\"pace\"]\n\
             source = '. = [{{\"n\": .n, \"part\": 0}}, {{\"n\": .n, \"part\": 1}}, {{\"n\": .n, \"part\": 2}}]'\n\
             [transforms.by]\ntype = \"route\"\ninputs = [\"parts\"]\n\
             route = {{ first = '.part == 0', second = '.part == 1' }}\n{}{}{}",
            sink("a", "by.first"),
            sink("b", "by.second"),
            sink("c", "by._unmatched")
        )
    };
    env.write("p.toml", pipeline(250));
    let mut random = SplitMix(11);
    let mut n_kills = 0;
    for _ in 0..6 {
        let mut running = env.start(["run", "p.toml"]);
        let enough = s3.count(BUCKET) + 1 + (random.next() % 200) as usize;
        wait_until("progress", LONG, || s3.count(BUCKET) >= enough || running.has_exited());
        n_kills += usize::from(!running.has_exited());
        running.signal(Signal::SIGKILL);
        running.wait(LONG);
    }
    assert!(n_kills >= 4, "only {n_kills} kills");
    env.write("p.toml", pipeline(1_000_000));
    env.run(["run", "p.toml"]).assert_code(0);

    let keys = s3.keys(BUCKET);
    let stored: BTreeMap<&str, Value> = keys
        .iter()
        .map(|key| (key.as_str(), serde_json::from_str(&s3.read(BUCKET, key)).expect("JSON")))
        .collect();
    for n in 0..ROWS {
        for (part, folder) in ["a", "b", "c"].into_iter().enumerate() {
            let key = format!("{folder}/{n}-{part}.json");
            assert_eq!(stored.get(key.as_str()), Some(&json!({"n": n, "part": part})), "{key}");
        }
    }
    assert_eq!(stored.len(), 3 * ROWS, "no other object");
}
