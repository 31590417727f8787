//! Pairs of a source and a sink that the stock flow does not have, killed repeatedly: the guarantees of the table in
//! docs/reliability.md.

use std::collections::{BTreeMap, BTreeSet};

use nix::sys::signal::Signal;
use runner_needs::needs;

use crate::support::cloud::Cloud;
use crate::support::flow::{BUCKET, Flow, LONG};
use crate::support::kafka::Broker;
use crate::support::stocks::SplitMix;
use crate::support::wait_until;

const N_ROWS: usize = 900;
const N_KILLS: usize = 6;

/// A flow with the pipeline `pair.toml` from `source` through a throttle to `sink`; `more` is another transform.
fn pair(source: &str, more: &str, sink: &str) -> Flow<'static> {
    let mut flow = Flow::new(N_ROWS);
    let input = if more.is_empty() { "pace" } else { "between" };
    let more = if more.is_empty() {
        String::new()
    } else {
        format!("[transforms.between]\ninputs = [\"pace\"]\n{more}\n")
    };
    flow.env.write(
        "pair.toml",
        format!(
            "[sources.in]\n{source}\n[transforms.pace]\ntype = \"throttle\"\ninputs = [\"in\"]\nrate = \"${{PACE}}\"\n\
             {more}[sinks.out]\ninputs = [\"{input}\"]\n{sink}\n"
        ),
    );
    flow.session(std::time::Duration::from_millis(1_500)).set("PACE", "250");
    flow
}

const TOPIC: &str = "type = \"kafka\"\nbootstrap_servers = \"${KAFKA_BOOTSTRAP_SERVERS}\"\n\
    topics = [\"${STOCKS_TOPIC}\"]\ngroup_id = \"${STOCKS_GROUP}\"\nstop = \"at_end\"\n\
    librdkafka_options = { \"session.timeout.ms\" = \"${SESSION}\", \"heartbeat.interval.ms\" = \"${HEARTBEAT}\" }";
const CSV: &str = "type = \"csv\"\npath = \"stocks.csv\"";
const JSON: &str = "type = \"to_json\"";

/// Kills the pipeline repeatedly, each time after some progress, then runs it to completion.
fn kill_repeatedly(flow: &mut Flow<'_>, n_written: impl Fn(&Flow<'_>) -> usize) {
    let mut random = SplitMix(5);
    for _ in 0..N_KILLS {
        let mut running = flow.env.start(["run", "pair.toml"]);
        let enough = n_written(flow) + 1 + (random.next() % 60) as usize;
        wait_until("progress", LONG, || n_written(flow) >= enough || running.has_exited());
        running.signal(Signal::SIGKILL);
        running.wait(LONG);
    }
    flow.set("PACE", "1000000");
    flow.env.run(["run", "pair.toml"]).assert_code(0);
}

/// Fills a topic of three partitions.
fn with_filled_topic(flow: Flow<'_>) -> Flow<'_> {
    let mut flow = flow.partitioned(3);
    flow.at_full_speed();
    flow.produce().wait(LONG).assert_code(0);
    flow
}

#[needs(kafka)]
#[test]
fn csv_to_s3_killed_stores_each_object_once() {
    let sink =
        "type = \"s3\"\nbucket = \"stocks\"\nkey = \"stockmarket_project/stock_market_{{ entry }}.json\"";
    let mut flow = pair(CSV, JSON, sink);
    kill_repeatedly(&mut flow, |flow| flow.n_objects());
    flow.assert_every_object();
}

#[needs(kafka)]
#[test]
fn kafka_to_s3_by_origin_killed_stores_each_object_once() {
    let sink = "type = \"s3\"\nbucket = \"stocks\"\nkey = \"{{ topic }}/{{ partition }}/{{ offset }}.json\"";
    let flow = pair(TOPIC, "", sink);
    let mut flow = with_filled_topic(flow);
    kill_repeatedly(&mut flow, |flow| flow.n_objects());
    let key = |partition: i32, offset: i64| format!("{}/{partition}/{offset}.json", flow.topic);
    let stored = flow.broker.read_all(&flow.topic);
    let expected: BTreeMap<String, String> =
        stored.iter().map(|it| (key(it.partition, it.offset), it.text().to_owned())).collect();
    let found = flow.s3.keys(BUCKET).into_iter().map(|key| {
        let content = flow.s3.read(BUCKET, &key);
        (key, content)
    });
    assert_eq!(found.collect::<BTreeMap<_, _>>(), expected);
}

#[needs(kafka)]
#[test]
fn kafka_to_kafka_killed_copies_every_record_with_entry() {
    let sink = "type = \"kafka\"\nbootstrap_servers = \"${KAFKA_BOOTSTRAP_SERVERS}\"\ntopic = \"${COPY}\"";
    let flow = pair(TOPIC, "", sink);
    let mut flow = with_filled_topic(flow);
    let copy = flow.broker.create_topic("copy", 1);
    flow.set("COPY", &copy);
    let n_written = |flow: &Flow<'_>| flow.broker.watermarks(&copy, 0).1 as usize;
    kill_repeatedly(&mut flow, n_written);
    flow.oracle.judge_topic(&flow.broker.read_all(&copy), N_KILLS + 1).assert_clean();
}

#[needs(kafka)]
#[test]
fn kafka_to_file_killed_writes_every_record_in_whole_lines() {
    let flow = pair(TOPIC, "", "type = \"file\"\npath = \"out.jsonl\"");
    let mut flow = with_filled_topic(flow);
    kill_repeatedly(&mut flow, |flow| flow.env.read("out.jsonl").lines().count());
    let out = flow.env.read("out.jsonl");
    let found: BTreeSet<&str> = out.lines().collect();
    assert_eq!(found, flow.oracle.records().iter().map(String::as_str).collect());
}

#[needs(kafka)]
#[test]
fn http_to_kafka_killed_reads_all_pages() {
    let source = "type = \"http\"\nendpoint = \"${STOCKS_API}/pages\"\nquery = { limit = \"70\" }\n\
        records = \"/prices\"\npagination = { type = \"cursor\", cursor = \"/next\", param = \"cursor\" }";
    let sink = "type = \"kafka\"\nbootstrap_servers = \"${KAFKA_BOOTSTRAP_SERVERS}\"\ntopic = \"${COPY}\"";
    let mut flow = pair(source, JSON, sink);
    let cloud = Cloud::start(&flow.env, &[]);
    flow.set("STOCKS_API", cloud.get("STOCKS_API"));
    let broker: &Broker = flow.broker;
    let copy = broker.create_topic("pages", 1);
    flow.set("COPY", &copy);
    kill_repeatedly(&mut flow, |_| broker.watermarks(&copy, 0).1 as usize);
    let mut by_number = BTreeMap::new();
    for stored in broker.read_all(&copy) {
        let number: u64 = stored.header("runner-entry").expect("an entry").parse().expect("a number");
        let before = by_number.insert(number, stored.text().to_owned());
        assert!(before.is_none_or(|before| before == stored.text()), "entry {number} has two records");
    }
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/data/stocks.csv");
    let n_rows = std::fs::read_to_string(sample).expect("the sample data").lines().count() - 1;
    let found: BTreeSet<&String> = by_number.values().collect();
    assert_eq!(found.len(), n_rows, "each price of the API once, and no other");
}
