//! An API that is read while the runner is killed. Its records have no numbers of their own, so a record
//! in flight may arrive again with a new entry number. No record is lost, and no entry number is used twice.

use std::collections::{BTreeMap, BTreeSet};

use nix::sys::signal::Signal;
use runner_needs::needs;

use crate::support::flow::{BUCKET, Flow, LONG, stock_pipeline};
use crate::support::oracle::Oracle;
use crate::support::{Api, wait_until};

#[needs(kafka)]
#[test]
fn http_source_killed_loses_nothing_and_reuses_no_entry_number() {
    let mut flow = Flow::new(0);
    let prices: Vec<String> = (0..3_000).map(|n| format!("{{\"Index\":\"API\",\"Close\":{n}.25}}")).collect();
    let api = Api::start(&format!("[{}]", prices.join(",")));
    flow.set("STOCKS_API", &api.url()).set("STOCKS_LIMIT", "3000").set("STOCKS_RATE", "600");
    flow.env.write("producer.toml", stock_pipeline("producer-http.toml"));
    flow.topic = flow.broker.create_topic("api", 1);
    let topic = flow.topic.clone();
    flow.set("STOCKS_TOPIC", &topic);
    for _ in 0..5 {
        let running = flow.produce();
        let (_, before) = flow.broker.watermarks(&topic, 0);
        wait_until("more records", LONG, || flow.broker.watermarks(&topic, 0).1 > before + 300);
        running.signal(Signal::SIGKILL);
        running.wait(LONG);
    }
    flow.at_full_speed();
    flow.produce().wait(LONG).assert_code(0);
    flow.consume().wait(LONG).assert_code(0);

    let mut by_number = BTreeMap::new();
    for stored in flow.broker.read_all(&topic) {
        let number: usize = stored.header("runner-entry").expect("an entry").parse().expect("a number");
        let text = stored.text().to_owned();
        let before = by_number.insert(number, text.clone());
        assert!(before.is_none_or(|before| before == text), "entry {number} has two records");
    }
    let all: BTreeSet<&String> = by_number.values().collect();
    assert_eq!(all, prices.iter().collect(), "a record is missing or unknown");
    assert_eq!(flow.n_objects(), by_number.len());
    for (number, text) in by_number {
        assert_eq!(flow.s3.read(BUCKET, &Oracle::key(number)), text);
    }
}
